"""The tokenizers under study: vocabularies trained here without the virus, those given by folder, k-mers and BPE.

Flow: training genomes, checked to hold nothing of the virus -> vocabularies and BPE, each in its folder -> System(name,
tokenizer). What is there already is not trained again. It must not know the genomes under study.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vqdna.config import load_config
from vqdna.errors import InputError
from vqdna.genome import N, read_sequences
from vqdna.results import RESULTS_FILE
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
    """A tokenizer under its name in the study.

    Attributes:
        name: as results and page have it.
        source: configuration, folder or spec.
        digest: of its settings and weights.
    """

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
        """What the results say of it."""
        return SystemRecord(
            name=self.name,
            source=self.source,
            kind=self.tokenizer.kind,
            level_sizes=list(self.tokenizer.level_sizes),
            bases_per_position=self.tokenizer.bases_per_position,
            context_bases=self.tokenizer.context_bases,
        )


def trained_system(name: str, training: Sequence[Path], folder: Path, overrides: Sequence[str], seed: int) -> System:
    """One of `TRAINED`, or BPE, which learns from the genomes unless it lies in the folder, finished."""
    if name == BPE:
        kept_bpe(folder, training, vocabulary_size=BPE_TOKENS, max_bases=BPE_BASES, seed=seed, repeated_names="number")
        return System.open(name, str(folder), f"BPE of {BPE_TOKENS} tokens")
    config = load_config(VocabularyConfig, TRAINED[name], "vocabulary", overrides)
    run_vocabulary(config, genomes=training, out=folder, seed=seed)
    return System.open(name, str(folder), f"configs/vocabulary/{TRAINED[name]}.yaml")


def is_trained(folder: Path) -> bool:
    """Whether a vocabulary or BPE lies in the folder, finished."""
    return (folder / RESULTS_FILE).is_file() or (folder / SETTINGS_FILE).is_file()


def given_system(name: str, folder: Path) -> System:
    """A vocabulary in a folder."""
    return System.open(name, f"vq:{folder}", "built-in" if name == BUILT_IN else folder.name)


def kmer_system() -> System:
    return System.open(KMERS, KMERS, KMERS)


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
    kmers: np.ndarray = numbers[known]
    return kmers
