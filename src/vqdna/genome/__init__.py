"""Bases: text to base ids, sequence files, the packed corpus that training takes windows from (`genome.corpus`)."""

from __future__ import annotations

from vqdna.genome.bases import BASES, EncodedText, N, from_base_ids, reverse_complement, to_base_ids
from vqdna.genome.sequences import Sequence, read_sequences

__all__ = [
    "BASES",
    "EncodedText",
    "N",
    "Sequence",
    "from_base_ids",
    "read_sequences",
    "reverse_complement",
    "to_base_ids",
]
