"""Bases: text to base ids, sequence files, the packed corpus training draws windows from, simulated genomes."""

from __future__ import annotations

from vqdna.genome.bases import BASES, EncodedText, N, from_base_ids, reverse_complement, to_base_ids
from vqdna.genome.corpus import Corpus, WindowPlace, WindowSampler
from vqdna.genome.intervals import Interval
from vqdna.genome.sequences import Sequence, read_sequences

__all__ = [
    "BASES",
    "Corpus",
    "EncodedText",
    "Interval",
    "N",
    "Sequence",
    "WindowPlace",
    "WindowSampler",
    "from_base_ids",
    "read_sequences",
    "reverse_complement",
    "to_base_ids",
]
