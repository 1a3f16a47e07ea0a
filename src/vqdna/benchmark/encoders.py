"""The tokenizers that a benchmark compares, each with an encoder that was pre-trained like all others.

Flow: system name -> tokenizer (hand-made, shipped, or learned from the genomes into OUT/vocabularies) -> the budget's
configuration of stage 2 -> OUT/encoders/<system>, a run folder. Same genomes, steps, shape and questions for all; what
differs is the tokenizer, and how many of its tokens make one position of the encoder, so that a position is four to six
bases for everyone. It must not know datasets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import set_seed

from vqdna.benchmark.budget import Budget
from vqdna.config import load_config
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.starting_weights import save_encoder
from vqdna.pretrain.train import PretrainConfig, frozen_tokenizer, run_pretrain, untrained_model
from vqdna.results import RESULTS_FILE
from vqdna.tokenizers.learning import kept_bpe
from vqdna.weights import DEFAULT, built_in_folder

VOCABULARIES, ENCODERS = "vocabularies", "encoders"
BPE_WORDS, BPE_BASES = 4096, 4_000_000
SEED = 0
"""Of vocabularies and pre-trainings; the seeds of a benchmark are those of its fine-tunings."""


@dataclass(frozen=True)
class OwnEncoder:
    """A tokenizer under test, with an encoder that the benchmark pre-trains itself.

    Attributes:
        tokenizer: a spec as `load_tokenizer` takes it; `shipped`, the vocabulary that comes with the package;
            `vocabulary:CONFIG`, learned from the genomes by that configuration of stage 1; or `bpe`, learned likewise.
        stands_for: what it is, or whose tokenizer it is, for tables.
        config: of stage 2 in place of the budget's.
        is_trained: False leaves the encoder at its random initialization, by each trial's seed.
    """

    tokenizer: str
    stands_for: str
    overrides: tuple[str, ...] = ()
    config: str | None = None
    is_trained: bool = True


_SINGLE, _LONG = ("stem.merge=4",), ("stem.merge=1",)
_VIEWS = (*_SINGLE, "num_levels=5")

OWN_ENCODERS = {
    "vqdna-views": OwnEncoder("shipped", "learned tokens of chosen bases, five levels (ours)", _VIEWS),
    "vqdna-hrq": OwnEncoder("vocabulary:rival_hrq", "hierarchical residual quantization, 1024 + 2048 codes", _SINGLE),
    "vqdna-vq": OwnEncoder("vocabulary:rival_vq", "vector quantization, 512 codes", _SINGLE),
    "nucleotide": OwnEncoder("nucleotide", "single nucleotides", _SINGLE),
    "kmer3": OwnEncoder("kmer:3", "overlapping 3-mers (DNABERT)", _SINGLE),
    "kmer6": OwnEncoder("kmer:6:6", "6-mers side by side (Nucleotide Transformer)", _LONG),
    "bpe": OwnEncoder("bpe", "byte pairs, 4,096 tokens (DNABERT-2)", _LONG),
    "hyena": OwnEncoder(
        "nucleotide", "single nucleotides, long convolutions (HyenaDNA)", _SINGLE, config="rival_hyena"
    ),
    "random-init": OwnEncoder("shipped", "as vqdna-views, not pre-trained", _VIEWS, is_trained=False),
}
"""Systems whose encoder the benchmark makes itself."""


def encoder_folder(name: str, out: Path) -> Path:
    return out / ENCODERS / name


def is_ready(name: str, out: Path) -> bool:
    folder = encoder_folder(name, out)
    return (folder / RESULTS_FILE).is_file() if OWN_ENCODERS[name].is_trained else (folder / "model").is_dir()


def prepare_encoder(name: str, budget: Budget, genomes: Sequence[Path], out: Path) -> None:
    """Makes the system's tokenizer and encoder, or goes on with them; nothing where they are finished.

    Raises:
        InputError: unreadable genomes, or a folder of another configuration.
    """
    own, folder = OWN_ENCODERS[name], encoder_folder(name, out)
    if own.is_trained:
        tokenizer = tokenizer_spec(own, budget, genomes, out)
        run_pretrain(pretraining_of(own, budget), tokenizer=tokenizer, genomes=genomes, out=folder, seed=SEED)
    elif not is_ready(name, out):
        set_seed(SEED)
        save_encoder(untrained_encoder(own, budget, genomes, out), folder / "model")


def untrained_encoder(own: OwnEncoder, budget: Budget, genomes: Sequence[Path], out: Path) -> GenomeEncoder:
    """Encoder of the budget's shape at its random initialization, with its tokenizer."""
    config = pretraining_of(own, budget)
    return untrained_model(config, frozen_tokenizer(config, tokenizer_spec(own, budget, genomes, out))).encoder


def pretraining_of(encoder: OwnEncoder, budget: Budget) -> PretrainConfig:
    """Configuration of the system's stage 2; one of its own shapes the encoder, what it reads is the budget's."""
    config = load_config(PretrainConfig, encoder.config or budget.pretrain, "pretrain", encoder.overrides)
    training = load_config(PretrainConfig, budget.pretrain, "pretrain").training
    return config.model_copy(update={"training": training})


def tokenizer_spec(encoder: OwnEncoder, budget: Budget, genomes: Sequence[Path], out: Path) -> str:
    """Spec of the system's tokenizer, which is learned first where it has to be."""
    kind, _, config = encoder.tokenizer.partition(":")
    if kind == "shipped":
        return f"vq:{built_in_folder(DEFAULT, 'vocabulary')}"
    if kind == "vocabulary":
        from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

        folder = out / VOCABULARIES / config
        if not (folder / RESULTS_FILE).is_file():
            steps = () if budget.vocabulary_steps is None else (f"training.steps={budget.vocabulary_steps}",)
            settings = load_config(VocabularyConfig, config, "vocabulary", steps)
            run_vocabulary(settings, genomes=genomes, out=folder, seed=SEED)
        return f"vq:{folder}"
    if encoder.tokenizer == "bpe":
        folder = out / VOCABULARIES / "bpe"
        kept_bpe(folder, genomes, vocabulary_size=BPE_WORDS, max_bases=BPE_BASES, seed=SEED, repeated_names="number")
        return f"bpe:{folder}"
    return encoder.tokenizer
