"""The systems of the species study by name, what each truly is, and the tokenizers trained where none is given.

Flow: names, tokenizer specs and encoder folders -> SystemSpec(name, kind, source, how it was trained) -> features. A
system that nothing was given for is named with the reason, never stood in for. It must not know windows or lengths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqdna.config import Values, load_config, read_yaml
from vqdna.encoder.genome_encoder import load_encoder
from vqdna.errors import InputError, nearest_name_hint
from vqdna.experiments.locks import locked
from vqdna.results import RESULTS_FILE, read_json
from vqdna.studies.species.features import EncoderFeatures, SpeciesFeatures, SpectrumFeatures, TokenFeatures
from vqdna.studies.species.results import SystemAbout, TrainedBy
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


@dataclass(frozen=True)
class SystemSpec:
    """One system: `source` is a tokenizer's spec or an encoder's folder, `how` how it came to be, in a sentence.

    `trained_by` is what the study trains the tokenizer with, see `LEARNED`; empty where it is given.
    """

    name: str
    kind: str
    source: str
    how: str
    trained_by: str = ""

    @property
    def folder(self) -> Path:
        """Where a trained tokenizer or an encoder lies, or will."""
        return Path(self.source.partition(":")[2] or self.source)

    def features(self) -> SpeciesFeatures:
        """What the system makes of windows, ready to read them."""
        if self.kind == SPECTRUM:
            return SpectrumFeatures()
        if self.kind == TOKENS:
            return TokenFeatures(load_tokenizer(self.source))
        return EncoderFeatures(load_encoder(Path(self.source)))

    def describe(self) -> SystemAbout:
        """What results say of the system: kind, how it was trained, sizes."""
        about: Values = {"kind": self.kind, "how": self.how}
        if self.kind != SPECTRUM:
            about["trained"] = self._training()
        if self.kind == TOKENS:
            tokenizer = load_tokenizer(self.source)
            about["level_sizes"] = list(tokenizer.level_sizes)
            about["bases_per_position"], about["context_bases"] = tokenizer.bases_per_position, tokenizer.context_bases
            learned = [tensor for name, tensor in tokenizer.state_dict().items() if "ema_" not in name]
            about["parameters"] = sum(tensor.numel() for tensor in learned)
        elif self.kind != SPECTRUM:
            encoder = load_encoder(Path(self.source))
            about["parameters"] = encoder.num_parameters()
            about["backbone"] = encoder.config.backbone.get("model_type")
        return SystemAbout.model_validate(about)

    def _training(self) -> TrainedBy:
        """The run that made what lies in the folder; nothing where it does not say."""
        for place in (self.folder, self.folder.parent):
            if (place / RESULTS_FILE).is_file():
                record = read_json(place / RESULTS_FILE)
                found: Values = {key: record[key] for key in ("stage", "seed", "seconds", "genomes") if key in record}
                if (place / "run.yaml").is_file():
                    found["steps"] = read_yaml(place / "run.yaml").get("training", {}).get("steps")
                return TrainedBy.model_validate(found)
        return TrainedBy()


def choose_systems(
    names: Sequence[str] | None,
    tokenizers: Mapping[str, str],
    encoders: Mapping[str, str],
    folder: Path,
    *,
    finetuned: bool,
) -> tuple[dict[str, SystemSpec], dict[str, str]]:
    """Systems to run, by name in order, and of those that cannot run the reason.

    Args:
        names: systems wanted; None is the standard ones and whatever is given.
        tokenizers: specs by name.
        encoders: folders by name.
        folder: of the tokenizers that the study trains.
        finetuned: whether each encoder is also fine-tuned.

    Raises:
        InputError: no such system, or one name for two things.
    """
    for name in tokenizers:
        if name in encoders or name in ("spectrum", *HAND_MADE):
            raise InputError(f"--tokenizer: the name '{name}' is taken by another system; choose another")
    counts, trained = "counts of codes level by level", "trained without labels on the genomes of the study"
    spectra = "counts of k-mers on both strands, k of 1 to 6 chosen on dev; nothing trained"
    known = {"spectrum": SystemSpec("spectrum", SPECTRUM, "", spectra)}
    for name, source in HAND_MADE.items():
        known[name] = SystemSpec(name, TOKENS, source, "counts of tokens; nothing trained")
    for name, by in LEARNED.items():
        source = f"{'bpe' if by == 'bpe' else 'vq'}:{folder / name}"
        known[name] = SystemSpec(name, TOKENS, source, f"{counts}; the tokenizer {trained}", by)
    for name, source in tokenizers.items():
        known[name] = SystemSpec(name, TOKENS, source, f"{counts}; the tokenizer as given")
    frozen = "frozen encoder as given, hidden states pooled over the window"
    for name, source in encoders.items():
        known[name] = SystemSpec(name, ENCODER, source, frozen)
    for name, source in encoders.items() if finetuned else ():
        how = "encoder as given, all of its weights fine-tuned on the windows"
        known[f"{name}-finetuned"] = SystemSpec(f"{name}-finetuned", FINETUNED, source, how)
    wanted = list(dict.fromkeys(names or [*STANDARD, *known]))
    for name in wanted:
        if name not in known and name not in STANDARD:
            raise InputError(f"no system '{name}' in the species study{nearest_name_hint(name, [*known, *STANDARD])}")
    missing = {name: f"no encoder was given for it (--encoder {name}=DIR)" for name in wanted if name not in known}
    return {name: known[name] for name in wanted if name in known}, missing


def train_tokenizer(spec: SystemSpec, genomes: Sequence[Path], *, is_quick: bool) -> None:
    """Trains the tokenizer of a system into its folder unless it is there; a second process waits for the first."""
    folder = spec.folder
    with locked(folder.with_name(f".{folder.name}"), waits=True):
        if spec.trained_by == "bpe":
            kept_bpe(folder, genomes, vocabulary_size=BPE_WORDS, max_bases=BPE_BASES, seed=0)
            return
        changes = [f"training.steps={QUICK_STEPS}"] if is_quick else []
        config = load_config(VocabularyConfig, spec.trained_by, "vocabulary", [*changes, "data.repeated_names=number"])
        run_vocabulary(config, genomes=genomes, out=folder, seed=0)
