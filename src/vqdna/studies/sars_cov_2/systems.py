"""The tokenizers under study: vocabularies trained here without the virus, those given by folder, k-mers and BPE.

Flow: training genomes, checked to hold nothing of the virus -> vocabularies and BPE, each in its folder -> System(name,
tokenizer). What is there already is not trained again. It must not know the genomes under study.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from vqdna.config import load_config
from vqdna.errors import InputError
from vqdna.experiments.locks import locked
from vqdna.genome import N, read_sequences
from vqdna.results import RESULTS_FILE
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.studies.sars_cov_2.summary import SystemRecord
from vqdna.tokenizers import Tokenizer, load_tokenizer
from vqdna.tokenizers.bpe import SETTINGS_FILE
from vqdna.tokenizers.learning import kept_bpe
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

TRAINED = {"hrq": "study", "vq": "study_vq", "hrq-stride-4": "study_stride"}
"""Vocabularies trained for the study, with their configurations."""

BPE, BPE_TOKENS, BPE_BASES = "bpe", 4096, 2_000_000
KMERS = "kmer:6"
BUILT_IN = "small"
K, MOST_SHARED = 14, 0.3


@dataclass(frozen=True, eq=False)
class System:
    """A tokenizer under its name in the study, its configuration, folder or spec, and a digest of its weights."""

    name: str
    tokenizer: Tokenizer
    source: str
    digest: str

    @classmethod
    def open(cls, name: str, spec: str, source: str) -> System:
        tokenizer = load_tokenizer(spec)
        digest = hashlib.blake2b(digest_size=8)
        for key, tensor in sorted(tokenizer.state_dict().items()):
            digest.update(key.encode() + tensor.detach().cpu().numpy().tobytes())
        digest.update(f"{tokenizer.settings()}".encode())
        return cls(name, tokenizer, source, digest.hexdigest())

    def record(self) -> SystemRecord:
        return SystemRecord(
            name=self.name,
            source=self.source,
            kind=self.tokenizer.kind,
            level_sizes=list(self.tokenizer.level_sizes),
            bases_per_position=self.tokenizer.bases_per_position,
            context_bases=self.tokenizer.context_bases,
        )


class Training(NamedTuple):
    """Systems to train, the genomes that they learn from, and the folder that holds them."""

    names: Sequence[str]
    genomes: Sequence[Path]
    folder: Path
    overrides: Sequence[str]
    seed: int


def open_systems(training: Training, vocabularies: Mapping[str, Path], knowledge: Knowledge) -> list[System]:
    """Every system: those that are trained here, unless they are there, those of the user, and k-mers; BPE is the last.

    Raises:
        InputError: the training genomes hold the virus, or another process is training.
    """
    learned, folder = [], training.folder
    if training.genomes and training.names:
        with locked(folder) as ours:
            if not all(_is_trained(folder / name) for name in training.names):
                if not ours:
                    raise InputError(f"{folder}: another process is training; start this one again when it is done")
                check_held_out(training.genomes, knowledge.reference, knowledge.file.name)
            learned = [_trained(name, training) for name in training.names]
    given = [
        System.open(name, f"vq:{held}", "built-in" if name == BUILT_IN else held.name)
        for name, held in vocabularies.items()
    ]
    opened = [*learned, *given, kmer_system()]
    return sorted(opened, key=lambda system: system.name == BPE)


def shown_system(systems: Sequence[System]) -> str:
    """The system of the pictures: the first of several levels with a code for every base, else the first."""
    several = [s.name for s in systems if len(s.tokenizer.level_sizes) > 1 and s.tokenizer.bases_per_position == 1]
    return several[0] if several else systems[0].name


def kmer_system() -> System:
    return System.open(KMERS, KMERS, KMERS)


def _is_trained(folder: Path) -> bool:
    return (folder / RESULTS_FILE).is_file() or (folder / SETTINGS_FILE).is_file()


def _trained(name: str, training: Training) -> System:
    folder, genomes, seed = training.folder / name, training.genomes, training.seed
    if name == BPE:
        kept_bpe(folder, genomes, vocabulary_size=BPE_TOKENS, max_bases=BPE_BASES, seed=seed, repeated_names="number")
        return System.open(name, str(folder), f"BPE of {BPE_TOKENS} tokens")
    config = load_config(VocabularyConfig, TRAINED[name], "vocabulary", training.overrides)
    run_vocabulary(config, genomes=genomes, out=folder, seed=seed)
    return System.open(name, str(folder), f"configs/vocabulary/{TRAINED[name]}.yaml")


def check_held_out(files: Sequence[Path], reference: UInt8[np.ndarray, "base"], virus: str) -> None:
    """Refuses training genomes that hold the virus under study.

    Raises:
        InputError: a record shares many 14-mers with the reference; names it.
    """
    known = np.zeros(4**K, bool)
    known[_kmers(reference)] = True
    for file in files:
        for record in read_sequences(file, repeated_names="number"):
            kmers = _kmers(record.base_ids)
            if len(kmers) and known[kmers].mean() > MOST_SHARED:
                raise InputError(
                    f"{file}: record '{record.name}' is {virus}, which the vocabularies must not have seen; leave it "
                    "out"
                )


def _kmers(base_ids: UInt8[np.ndarray, "base"]) -> np.ndarray:
    """Number of each k-mer without N."""
    count = max(0, len(base_ids) - K + 1)
    numbers, known = np.zeros(count, np.int32), np.ones(count, bool)
    for place in range(K):
        bases = base_ids[place : place + count]
        numbers = numbers * 4 + np.minimum(bases, 3)
        known &= bases < N
    return np.asarray(numbers[known])
