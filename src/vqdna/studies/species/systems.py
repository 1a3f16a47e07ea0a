"""The systems of the species study by name, what each truly is, and the tokenizers trained where none is given.

Flow: names, tokenizer specs and encoder folders -> SystemSpec(name, kind, source, how it was trained) -> features. A
system that nothing was given for is named with the reason, never stood in for. It must not know windows or lengths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqdna.config import load_config
from vqdna.encoder.genome_encoder import load_encoder
from vqdna.errors import InputError, nearest_name_hint
from vqdna.experiments.locks import locked
from vqdna.studies.species.features import (
    EncoderFeatures,
    SpeciesFeatures,
    SpectrumFeatures,
    TokenFeatures,
    describe_tokenizer,
    training_of,
)
from vqdna.studies.species.results import SystemAbout
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.learning import kept_bpe
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

SPECTRUM, TOKENS, ENCODER, FINETUNED = "spectrum", "tokens", "encoder", "finetuned"
HAND_MADE = {"nucleotide": "nucleotide", "kmer6": "kmer:6"}
LEARNED = {"bpe": "bpe", "vqdna-vq": "species_vq", "vqdna-hrq": "species"}
"""Tokenizers that are trained on the genomes where none is given; of vocabularies the configuration."""

STANDARD = ("spectrum", *HAND_MADE, *LEARNED, "hyena")
BPE_WORDS, BPE_BASES = 1024, 2_000_000
QUICK_STEPS = 60
FINETUNED_ENDING = "-finetuned"


@dataclass(frozen=True)
class SystemSpec:
    """One system: `source` is a tokenizer's spec or an encoder's folder, `how` how it came to be, in a sentence."""

    name: str
    kind: str
    source: str
    how: str

    def features(self) -> SpeciesFeatures:
        """What the system makes of windows, ready to read them."""
        if self.kind == SPECTRUM:
            return SpectrumFeatures()
        if self.kind == TOKENS:
            return TokenFeatures(load_tokenizer(self.source))
        return EncoderFeatures(load_encoder(Path(self.source)))

    def describe(self) -> SystemAbout:
        """What results say of the system: kind, how it was trained, sizes."""
        about = {"kind": self.kind, "how": self.how}
        if self.kind == SPECTRUM:
            return SystemAbout.model_validate(about)
        trained = training_of(Path(self.source.partition(":")[2] or self.source))
        if self.kind == TOKENS:
            return SystemAbout.model_validate(
                {**about, **describe_tokenizer(load_tokenizer(self.source)), "trained": trained}
            )
        encoder = load_encoder(Path(self.source))
        sizes = {"parameters": encoder.num_parameters(), "backbone": encoder.config.backbone.get("model_type")}
        return SystemAbout.model_validate({**about, **sizes, "trained": trained})


def choose_systems(
    names: Sequence[str] | None,
    tokenizers: Mapping[str, str],
    encoders: Mapping[str, str],
    *,
    finetuned: bool,
) -> tuple[dict[str, str], dict[str, str]]:
    """Kinds of the systems to run, by name in order, and of those that cannot run the reason.

    Args:
        names: systems wanted; None is the standard ones and whatever is given.
        tokenizers: specs by name.
        encoders: folders by name.
        finetuned: whether each encoder is also fine-tuned.

    Raises:
        InputError: no such system, or one name for two things.
    """
    for name in tokenizers:
        if name in encoders or name in ("spectrum", *HAND_MADE):
            raise InputError(f"--tokenizer: the name '{name}' is taken by another system; choose another")
    kinds = dict.fromkeys((*HAND_MADE, *LEARNED, *tokenizers), TOKENS) | {"spectrum": SPECTRUM}
    kinds |= dict.fromkeys(encoders, ENCODER)
    kinds |= {f"{name}{FINETUNED_ENDING}": FINETUNED for name in encoders if finetuned}
    wanted = list(dict.fromkeys(names)) if names else list(dict.fromkeys([*STANDARD, *kinds]))
    for name in wanted:
        if name not in kinds and name not in STANDARD:
            raise InputError(f"no system '{name}' in the species study{nearest_name_hint(name, [*kinds, *STANDARD])}")
    missing = {name: f"no encoder was given for it (--encoder {name}=DIR)" for name in wanted if name not in kinds}
    return {name: kinds[name] for name in wanted if name in kinds}, missing


def system_spec(
    name: str, kind: str, tokenizers: Mapping[str, str], encoders: Mapping[str, str], folder: Path
) -> SystemSpec:
    """Spec of a system; the source of a tokenizer that the study trains lies below `folder`, or will."""
    if kind == SPECTRUM:
        return SystemSpec(
            name, kind, "", "counts of k-mers on both strands, k of 1 to 6 chosen on dev; nothing trained"
        )
    if name in HAND_MADE:
        return SystemSpec(name, kind, HAND_MADE[name], "counts of tokens; nothing trained")
    if kind == ENCODER:
        return SystemSpec(name, kind, encoders[name], "frozen encoder as given, hidden states pooled over the window")
    if kind == FINETUNED:
        source = encoders[name.removesuffix(FINETUNED_ENDING)]
        return SystemSpec(name, kind, source, "encoder as given, all of its weights fine-tuned on the windows")
    how = "counts of codes level by level"
    if name in tokenizers:
        return SystemSpec(name, kind, tokenizers[name], f"{how}; the tokenizer as given")
    source = f"{'bpe' if name == 'bpe' else 'vq'}:{folder / name}"
    return SystemSpec(name, kind, source, f"{how}; the tokenizer trained without labels on the genomes of the study")


def train_tokenizer(name: str, folder: Path, genomes: Sequence[Path], *, is_quick: bool) -> None:
    """Trains the tokenizer of a system into `folder` unless it is there; a second process waits for the first."""
    with locked(folder.with_name(f".{folder.name}"), waits=True):
        if name == "bpe":
            kept_bpe(folder, genomes, vocabulary_size=BPE_WORDS, max_bases=BPE_BASES, seed=0)
            return
        changes = [f"training.steps={QUICK_STEPS}"] if is_quick else []
        config = load_config(VocabularyConfig, LEARNED[name], "vocabulary", [*changes, "data.repeated_names=number"])
        run_vocabulary(config, genomes=genomes, out=folder, seed=0)
