"""BPE words learned from genomes: windows drawn like those of stages 1 and 2 -> text -> `BpeTokenizer.learn`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vqdna.genome.bases import from_base_ids
from vqdna.genome.corpus import Corpus, WindowSampler
from vqdna.genome.sequences import RepeatedNames
from vqdna.tokenizers.bpe import SETTINGS_FILE, BpeTokenizer

WINDOW = 1000


def learn_bpe(
    genomes: Sequence[Path],
    *,
    vocabulary_size: int,
    max_bases: int,
    seed: int,
    repeated_names: RepeatedNames = "error",
) -> BpeTokenizer:
    """BPE tokenizer learned on random training windows of the genomes, `max_bases` bases in all.

    Args:
        genomes: FASTA or FASTQ files.
        vocabulary_size: words, the unknown one included.
        max_bases: bases to learn from.
        seed: of the windows.
        repeated_names: whether two records of one name in a file are an error or numbered.
    """
    corpus = Corpus.build(genomes, repeated_names=repeated_names)
    sampler = WindowSampler(corpus, WINDOW, seed, species_weights="sqrt", split="train")
    windows = sampler.windows(np.arange(max(1, max_bases // WINDOW)))
    return BpeTokenizer.learn((from_base_ids(window) for window in windows), vocabulary_size)


def kept_bpe(
    folder: Path,
    genomes: Sequence[Path],
    *,
    vocabulary_size: int,
    max_bases: int,
    seed: int,
    repeated_names: RepeatedNames = "error",
) -> Path:
    """The folder of a BPE tokenizer, which `learn_bpe` fills first unless a finished one lies there."""
    if not (folder / SETTINGS_FILE).is_file():
        learn_bpe(
            genomes, vocabulary_size=vocabulary_size, max_bases=max_bases, seed=seed, repeated_names=repeated_names
        ).save(folder)
    return folder
