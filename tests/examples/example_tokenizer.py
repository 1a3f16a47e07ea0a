from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from vqdna.tasks.loading import LabelledSequences
from vqdna.tokenizers import Tokenizer, Tokens, load_tokenizer

MOTIF = np.array([3, 0, 3, 0, 0, 0], dtype=np.uint8)  # TATAAA


class TwoLevelTokenizer(Tokenizer):
    """Learned tokenizers' shape at no cost: level 0 is purine or pyrimidine, level 1 the base; vectors are 5 wide."""

    kind = "two-level"

    def __init__(self) -> None:
        super().__init__()
        self.level_sizes = (2, 5)
        self.bases_per_position = 1.0
        self.vector_size = 5

    def encode(self, base_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tokens:
        tokens = load_tokenizer("nucleotide").encode(base_ids, attention_mask)
        return Tokens(torch.cat([tokens.codes % 2, tokens.codes], dim=-1), tokens.spans, tokens.attention_mask)

    def code_vectors(self, codes: torch.Tensor) -> torch.Tensor:
        return torch.eye(5)[codes[..., 1]]

    def settings(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> TwoLevelTokenizer:
        return cls()


def planted(num_rows: int, seed: int, num_classes: int = 2, shuffled: bool = False) -> LabelledSequences:
    """Random sequences; class 1 holds a motif, further classes a run of one base, class 0 nothing."""
    random = np.random.default_rng(seed)
    labels = np.arange(num_rows) % num_classes
    rows = []
    for label in labels:
        row = random.integers(0, 4, size=int(random.integers(40, 60)), dtype=np.uint8)
        start = int(random.integers(0, 30))
        if label:
            row[start : start + 6] = MOTIF if label == 1 else label - 1
        rows.append(row)
    return LabelledSequences(rows, random.permutation(labels) if shuffled else labels)
