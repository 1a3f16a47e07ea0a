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

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.long_rows import MAX_BASES
from vqdna.errors import InputError
from vqdna.finetune.code_cache import CodeRows, cached_codes
from vqdna.genome.bases import reverse_complement
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.padding import length_buckets, pad_rows
from vqdna.tokenizers.tiling import encode_sequence

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

    def rows(self, chosen: Sequence[int] | Int[ndarray, "row"], *, pairs: bool = False) -> CodeRows:
        """Codes of the chosen records; with `pairs` behind them those of their reverse complements."""
        strands = [self.codes, *([self.reverse_codes] if pairs and self.reverse_codes is not None else [])]
        return [strand[row] for strand in strands for row in chosen]


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
        InputError: a sequence makes no token, has too many bases, or makes more positions than the backbone has; names
            the record.
    """
    _check_bases(base_ids, place)
    strands = [list(base_ids)] + ([[reverse_complement(row) for row in base_ids]] if both_strands else [])
    encoded = [_strand_codes(encoder, strand, keep) for strand in strands]
    codes, reverse = encoded[0], encoded[1] if both_strands else None
    for strand in (codes, reverse or []):
        _check_positions(strand, base_ids, place, encoder)
    return EncodedSequences(codes, reverse)


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
    kind = np.int16 if max(tokenizer.level_sizes) <= np.iinfo(np.int16).max else np.int32
    for rows in length_buckets([len(row) for row in base_ids], BASES_PER_BATCH):
        encoded = _encode_batch(tokenizer, [base_ids[row] for row in rows], device)
        codes |= {int(row): part.astype(kind) for row, part in zip(rows, encoded, strict=True)}
    return [codes[row] for row in range(len(base_ids))]


def _encode_batch(
    tokenizer: Tokenizer, rows: Sequence[UInt8[ndarray, "_"]], device: torch.device
) -> list[Int[ndarray, "_ level"]]:
    """Codes of rows of similar length; a long one of a learned tokenizer goes through its convolutions in tiles."""
    if len(rows) == 1 and len(rows[0]) > BASES_PER_BATCH and tokenizer.vector_size is not None:
        return [encode_sequence(tokenizer, rows[0])[0]]
    bases, attention_mask = pad_rows(rows)
    tokens = tokenizer.encode(bases.to(device), attention_mask.to(device))
    lengths = tokens.attention_mask.sum(dim=1).tolist()
    return [padded[:length] for padded, length in zip(tokens.codes.cpu().numpy(), lengths, strict=True)]


def _check_bases(base_ids: Sequence[UInt8[ndarray, "_"]], place: Callable[[int], str]) -> None:
    for number, row in enumerate(base_ids):
        if len(row) > MAX_BASES:
            raise InputError(
                f"{place(number)}: got {len(row)} bases, expected at most {MAX_BASES}; cut the sequence into windows"
            )


def _check_positions(
    codes: CodeRows, base_ids: Sequence[UInt8[ndarray, "_"]], place: Callable[[int], str], encoder: GenomeEncoder
) -> None:
    limit, backbone = encoder.max_positions, encoder.config.backbone.get("model_type", "modernbert")
    for number, row in enumerate(codes):
        if not len(row):
            raise InputError(f"{place(number)}: its {len(base_ids[number])} bases make no token")
        if limit is not None and len(row) > limit * encoder.merge:
            raise InputError(
                f"{place(number)}: its {len(base_ids[number])} bases make {len(row)} tokens,"
                f" and the {backbone} backbone holds at most {limit * encoder.merge}; cut the sequence"
            )
