"""Codes of labelled sequences, computed once: the tokenizer is frozen, so no epoch needs to compute them again.

Flow: base_ids, one array per record -> batches of similar length -> tokenizer -> EncodedSequences(codes
[position, level] per record, of one strand or both) -> pad_codes -> (codes [batch, position, level], position_mask).
It must not know labels or heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from numpy import ndarray
from torch import Tensor

from vqdna.errors import InputError
from vqdna.finetune.code_cache import CodeRows, cached_codes
from vqdna.genome.bases import reverse_complement
from vqdna.pretrain.encoder import GenomeEncoder
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.padding import length_buckets, pad_rows

BASES_PER_BATCH = 16_384
"""Padded bases that the tokenizer sees at once."""


@dataclass(frozen=True)
class EncodedSequences:
    """Codes of each record, without padding.

    Attributes:
        codes: of the strand as given.
        reverse_codes: of the reverse complement, or None where nothing needs it.
    """

    codes: CodeRows
    reverse_codes: CodeRows | None = None

    def __len__(self) -> int:
        return len(self.codes)


def encode_sequences(
    encoder: GenomeEncoder,
    base_ids: Sequence[UInt8[ndarray, "_"]],
    place: Callable[[int], str],
    *,
    both_strands: bool = False,
    keep: bool = False,
) -> EncodedSequences:
    """Codes of all sequences by the encoder's tokenizer, in the order given.

    Args:
        encoder: its tokenizer and its backbone's number of positions count.
        base_ids: one array per record.
        place: where record i comes from, for messages.
        both_strands: also encodes the reverse complements.
        keep: looks the codes up in the cache on disk, and puts them there.

    Raises:
        InputError: a sequence makes no token, or more than the backbone has positions for; names the record.
    """
    limit = max_positions(encoder)
    strands = [list(base_ids)] + ([[reverse_complement(row) for row in base_ids]] if both_strands else [])
    encoded = [_strand_codes(encoder, strand, keep) for strand in strands]
    codes, reverse = encoded[0], encoded[1] if both_strands else None
    for strand in (codes, reverse or []):
        _check_lengths(strand, base_ids, place, limit, encoder.config.backbone.get("model_type", "modernbert"))
    return EncodedSequences(codes, reverse)


def max_positions(encoder: GenomeEncoder) -> int | None:
    """Positions that the backbone has embeddings for; None where it counts distances only and any length goes."""
    tables = [module for name, module in encoder.backbone.named_modules() if name.endswith("position_embeddings")]
    return int(tables[0].num_embeddings) if tables else None


def pad_codes(rows: CodeRows) -> tuple[Int[Tensor, "batch position level"], Bool[Tensor, "batch position"]]:
    """Codes of some records padded with 0 to the longest, and the mask of the positions that hold a token."""
    lengths = np.array([len(row) for row in rows])
    codes = np.zeros((len(rows), lengths.max(), rows[0].shape[1]), dtype=np.int64)
    for number, row in enumerate(rows):
        codes[number, : len(row)] = row
    return torch.from_numpy(codes), torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])


def _strand_codes(encoder: GenomeEncoder, base_ids: Sequence[UInt8[ndarray, "_"]], keep: bool) -> CodeRows:
    def compute() -> CodeRows:
        return _encode_strand(encoder.tokenizer, base_ids, encoder.device)

    return cached_codes(encoder.tokenizer, base_ids, compute) if keep else compute()


@torch.no_grad()
def _encode_strand(tokenizer: Tokenizer, base_ids: Sequence[UInt8[ndarray, "_"]], device: torch.device) -> CodeRows:
    codes: dict[int, Int[ndarray, "_ level"]] = {}
    for rows in length_buckets([len(row) for row in base_ids], BASES_PER_BATCH):
        bases, attention_mask = pad_rows([base_ids[row] for row in rows])
        tokens = tokenizer.encode(bases.to(device), attention_mask.to(device))
        lengths = tokens.attention_mask.sum(dim=1).tolist()
        padded = tokens.codes.to(torch.int32).cpu().numpy()
        codes |= {int(row): padded[number, : lengths[number]].copy() for number, row in enumerate(rows)}
    return [codes[row] for row in range(len(base_ids))]


def _check_lengths(
    codes: CodeRows,
    base_ids: Sequence[UInt8[ndarray, "_"]],
    place: Callable[[int], str],
    limit: int | None,
    backbone: str,
) -> None:
    for number, row in enumerate(codes):
        if not len(row):
            raise InputError(f"{place(number)}: its {len(base_ids[number])} bases make no token")
        if limit is not None and len(row) > limit:
            raise InputError(
                f"{place(number)}: its {len(base_ids[number])} bases make {len(row)} tokens,"
                f" and the {backbone} backbone holds at most {limit}; cut the sequence"
            )
