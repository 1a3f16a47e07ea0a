"""Tokenizers whose every code is known, and small inputs, for measures with values that can be said beforehand."""

from __future__ import annotations

import numpy as np
import torch

from vqdna.audit.sampled_windows import Windows, draw_windows
from vqdna.genome import Sequence
from vqdna.genome.bases import to_base_ids
from vqdna.tokenizers.contract import Tokenizer, Tokens

MOTIF = "GATTACAGATC"


class OneBaseTokenizer(Tokenizer):
    """Level 0: purine (0) or pyrimidine (1). Level 1: the base. With `coarse_only`, level 0 alone."""

    kind = "known"

    def __init__(self, coarse_only: bool = False) -> None:
        super().__init__()
        self.level_sizes = (2,) if coarse_only else (2, 5)
        self.bases_per_position = 1.0

    def encode(self, base_ids, attention_mask=None):
        codes = torch.stack([base_ids.long() % 2, base_ids.long()], dim=-1)[..., : len(self.level_sizes)]
        return tokens_of_single_bases(codes)

    def settings(self):
        return {"kind": self.kind}

    @classmethod
    def from_settings(cls, settings):
        return cls()


class MotifTokenizer(OneBaseTokenizer):
    """Code 4 at the middle base of the planted motif, elsewhere the base."""

    def __init__(self) -> None:
        super().__init__(coarse_only=True)
        self.level_sizes = (5,)
        self.context_bases = len(MOTIF) // 2

    def encode(self, base_ids, attention_mask=None):
        motif = torch.from_numpy(to_base_ids(MOTIF).base_ids)
        reach = len(motif) // 2
        codes = base_ids.long().clone()
        found = (base_ids.unfold(1, len(motif), 1) == motif).all(dim=-1)
        codes[:, reach:-reach][found] = 4
        return tokens_of_single_bases(codes[..., None])


def tokens_of_single_bases(codes: torch.Tensor) -> Tokens:
    start = torch.arange(codes.shape[1]).expand(codes.shape[:2])
    return Tokens(codes, torch.stack([start, start + 1], dim=-1), torch.ones(codes.shape[:2], dtype=torch.bool))


def random_contig(num_bases: int, name: str = "chr1", seed: int = 0) -> Sequence:
    bases = np.random.default_rng(seed).integers(0, 4, num_bases).astype(np.uint8)
    return Sequence(name, bases, np.zeros(num_bases, bool), 0)


def planted_contig(num_bases: int = 60_000, every: int = 40, seed: int = 0) -> tuple[Sequence, list[int]]:
    """Random bases with the motif at every `every`-th base or a little later, and the motifs' starts."""
    random = np.random.default_rng(seed)
    contig = random_contig(num_bases, seed=seed)
    starts = [start + int(random.integers(0, 10)) for start in range(0, num_bases - every, every)]
    for start in starts:
        contig.base_ids[start : start + len(MOTIF)] = to_base_ids(MOTIF).base_ids
    return contig, starts


def windows_of(*contigs: Sequence, size: int = 200, margin: int = 24, num_windows: int = 0) -> Windows:
    return draw_windows(tuple(contigs), size=size, margin=margin, num_windows=num_windows, seed=0)
