"""Codes to the width that a backbone reads.

Flow: codes [batch, position, level] -> frozen code vectors projected, vectors learned for each code, or one-hot bases
beside those -> embeddings [batch, position, width]; the mask embedding where a position is hidden. It sees the
tokenizer contract only. Paper: section 3.4.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from vqdna.errors import InputError
from vqdna.tokenizers import Tokenizer

Codes = Int[Tensor, "batch position level"]
Embeddings = Float[Tensor, "batch position width"]

ONE_HOT = "one-hot"
CODE_EMBEDDINGS = ("vectors", "table", "both", ONE_HOT)  # ways from codes to the backbone's width

BESIDE_ONE_HOT = 0.01
"""Deviation of random vectors beside one-hot channels, which are far larger, so that training begins on those."""


def code_embedding(tokenizer: Tokenizer, width: int, kind: str, dropout: float) -> CodeEmbedding:
    return OneHotEmbedding(tokenizer, width, dropout) if kind == ONE_HOT else CodeEmbedding(tokenizer, width, kind)


class CodeEmbedding(nn.Module):
    """Codes to the width asked for: frozen code vectors projected, a table learned per level, or their sum.

    Hand-made tokenizers have no code vectors, so theirs is always a table.
    """

    def __init__(self, tokenizer: Tokenizer, width: int, kind: str = "vectors") -> None:
        super().__init__()
        self.tables = nn.ModuleList()
        self.uses_vectors = tokenizer.vector_size is not None and kind in ("vectors", "both")
        if tokenizer.vector_size is not None and self.uses_vectors:
            self.norm = nn.LayerNorm(tokenizer.vector_size)
            self.projection = nn.Linear(tokenizer.vector_size, width)
        if kind != ONE_HOT and (kind == "both" or not self.uses_vectors):
            self.tables.extend(nn.Embedding(size, width) for size in tokenizer.level_sizes)
        self.mask_vector = nn.Parameter(torch.zeros(width))

    def reset_parameters(self) -> None:
        for table in self.tables.parameters():
            nn.init.normal_(table, std=0.02)
        if self.uses_vectors:
            nn.init.normal_(self.projection.weight, std=0.02)
            nn.init.zeros_(self.projection.bias)
        nn.init.normal_(self.mask_vector, std=0.02)

    def forward(
        self, codes: Codes, tokenizer: Tokenizer, hidden_positions: Bool[Tensor, "batch position"] | None = None
    ) -> Embeddings:
        """Embedding of each position; the mask embedding where `hidden_positions` is True."""
        embeddings = self.embedded(codes, tokenizer)
        if hidden_positions is None:
            return embeddings
        return torch.where(hidden_positions[..., None], self.mask_vector.to(embeddings.dtype), embeddings)

    def embedded(self, codes: Codes, tokenizer: Tokenizer) -> Embeddings:
        parts = [table(codes[..., level]) for level, table in enumerate(self.tables)]
        if self.uses_vectors:
            vectors = tokenizer.code_vectors(codes).to(self.norm.weight.dtype)  # a vocabulary stays in single precision
            parts.append(self.projection(self.norm(vectors)))
        return torch.stack(parts).sum(dim=0)


class OneHotEmbedding(CodeEmbedding):
    """One channel for each code of the first level, and beside them the summed vectors of the other levels' codes.

    The first level's last code has no channel: of single bases that is N, where every channel is zero. In training the
    vectors of whole positions are hidden, for what a rare token says of a training sequence is soon learned by heart.

    Args:
        width: channels and vectors together.
        dropout: fraction of positions whose vectors are hidden in training.
    """

    def __init__(self, tokenizer: Tokenizer, width: int, dropout: float = 0.0) -> None:
        super().__init__(tokenizer, width, ONE_HOT)
        self.num_channels, self.dropout = tokenizer.level_sizes[0] - 1, dropout
        others = tokenizer.level_sizes[1:]
        least = self.num_channels + bool(others)
        if width < least or (width > least and not others):
            wanted = f"{least} or more" if others else f"{least}"
            raise InputError(f"embedding_size: got {width}, expected {wanted} for one-hot codes of this tokenizer")
        self.tables.extend(nn.Embedding(size, width - self.num_channels) for size in others)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for table in self.tables.parameters():
            nn.init.normal_(table, std=BESIDE_ONE_HOT)

    def embedded(self, codes: Codes, tokenizer: Tokenizer) -> Embeddings:
        del tokenizer
        channels = functional.one_hot(codes[..., 0], self.num_channels + 1)[..., :-1].float()
        if not self.tables:
            return channels
        vectors = torch.stack([table(codes[..., level]) for level, table in enumerate(self.tables, start=1)]).sum(dim=0)
        return torch.cat([channels, functional.dropout1d(vectors, self.dropout, self.training)], dim=2)
