"""The tokenizers under study: vocabularies trained here without the virus, those given by folder, k-mers and BPE.

Flow: training genomes, checked to hold nothing of the virus -> vocabularies and BPE, each in its folder -> System(name,
tokenizer). What is there already is not trained again. It must not know the genomes under study.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vqdna.config import load_config
from vqdna.errors import InputError
from vqdna.genome import N, read_sequences
from vqdna.results import RESULTS_FILE
from vqdna.studies.sars_cov_2.results import SystemRecord
from vqdna.tokenizers import Tokenizer, load_tokenizer
from vqdna.tokenizers.bpe import SETTINGS_FILE
from vqdna.tokenizers.learning import kept_bpe
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

TRAINED = {"hrq": "study", "vq": "study_vq", "hrq-stride-4": "study_stride"}
"""Vocabularies trained for the study, with their configurations."""

BPE, BPE_WORDS, BPE_BASES = "bpe", 4096, 2_000_000
KMERS = "kmer:6"
SHIPPED = "small"
WORD, MOST_SHARED = 14, 0.3


@dataclass(frozen=True, eq=False)
class System:
    """A tokenizer under its name in the study.

    Attributes:
        name: as results and page have it.
        tokenizer: gives the codes.
        source: configuration, folder or spec.
        digest: of its weights; the spec itself where it has none.
    """

    name: str
    tokenizer: Tokenizer
    source: str
    digest: str

    @property
    def is_learned(self) -> bool:
        """Whether its codes have vectors."""
        return self.tokenizer.vector_size is not None

    def record(self) -> SystemRecord:
        """What the results say of it."""
        return SystemRecord(
            name=self.name,
            source=self.source,
            kind=self.tokenizer.kind,
            level_sizes=list(self.tokenizer.level_sizes),
            bases_per_position=self.tokenizer.bases_per_position,
            context_bases=self.tokenizer.context_bases,
        )


def train_systems(
    names: Sequence[str], training: Sequence[Path], out: Path, *, overrides: Sequence[str], seed: int
) -> list[System]:
    """Systems that learn from genomes, those of `names`; trained under `out` unless they are there."""
    systems = []
    for name in names:
        folder = out / name
        if name == BPE:
            kept_bpe(
                folder, training, vocabulary_size=BPE_WORDS, max_bases=BPE_BASES, seed=seed, repeated_names="number"
            )
        else:
            config = load_config(VocabularyConfig, TRAINED[name], "vocabulary", overrides)
            run_vocabulary(config, genomes=training, out=folder, seed=seed)
        source = f"BPE of {BPE_WORDS} words" if name == BPE else f"configs/vocabulary/{TRAINED[name]}.yaml"
        systems.append(_opened(name, str(folder), source))
    return systems


def is_trained(folder: Path) -> bool:
    """Whether a vocabulary or BPE lies in the folder, finished."""
    return (folder / RESULTS_FILE).is_file() or (folder / SETTINGS_FILE).is_file()


def given_systems(folders: Mapping[str, Path]) -> list[System]:
    """Systems in folders, by their names."""
    return [
        _opened(name, f"vq:{folder}", "shipped with the package" if name == SHIPPED else folder.name)
        for name, folder in folders.items()
    ]


def kmer_system() -> System:
    """6-mer counts."""
    return _opened(KMERS, KMERS, KMERS)


def check_held_out(files: Sequence[Path], reference: UInt8[np.ndarray, "base"], virus: str) -> None:
    """Refuses training genomes that hold the virus under study.

    Raises:
        InputError: a record shares many words of 14 bases with the reference; names it.
    """
    known = np.zeros(4**WORD, bool)
    known[_words(reference)] = True
    for file in files:
        for record in read_sequences(file, repeated_names="number"):
            words = _words(record.base_ids)
            if len(words) and known[words].mean() > MOST_SHARED:
                raise InputError(
                    f"{file}: record '{record.name}' is {virus}, which the vocabularies must not have seen; leave it "
                    "out"
                )


def _words(base_ids: UInt8[np.ndarray, "base"]) -> np.ndarray:
    """Number of each word of `WORD` bases without N."""
    count = len(base_ids) - WORD + 1
    if count <= 0:
        return np.zeros(0, np.int32)
    numbers, known = np.zeros(count, np.int32), np.ones(count, bool)
    for place in range(WORD):
        bases = base_ids[place : place + count]
        numbers = numbers * 4 + np.minimum(bases, 3)
        known &= bases < N
    words: np.ndarray = numbers[known]
    return words


def _opened(name: str, spec: str, source: str) -> System:
    tokenizer = load_tokenizer(spec)
    digest = hashlib.blake2b(digest_size=8)
    for key, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(key.encode() + tensor.detach().cpu().numpy().tobytes())
    text = f"{tokenizer.settings()}"
    digest.update(text.encode())
    return System(name, tokenizer, source, digest.hexdigest())
