"""Codes of records as a genome encoder takes them, of one strand or both; records that it cannot hold are refused.

Flow: base_ids, one array per record -> `encode_rows` of the encoder's tokenizer -> EncodedSequences(codes
[position, level] per record) -> `pad_codes`. It must not know labels or heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jaxtyping import Int, UInt8
from numpy import ndarray

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.long_rows import MAX_BASES
from vqdna.errors import InputError
from vqdna.genome.bases import reverse_complement
from vqdna.tokenizers.encoding import encode_rows, encode_rows_with_spans
from vqdna.tokenizers.padding import CodeRows


@dataclass(frozen=True)
class EncodedSequences:
    """Codes of each record without padding; `spans` are first base and end of each position of `codes`."""

    codes: CodeRows
    reverse_codes: CodeRows | None = None
    spans: list[Int[ndarray, "_ 2"]] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self, chosen: Sequence[int] | Int[ndarray, "row"], *, pairs: bool = False) -> CodeRows:
        """Codes of the chosen records; with `pairs` behind them those of their reverse complements."""
        strands = [self.codes, *([self.reverse_codes] if pairs and self.reverse_codes is not None else [])]
        return [strand[row] for strand in strands for row in chosen]


def encode_sequences(
    encoder: GenomeEncoder,
    base_ids: Sequence[UInt8[ndarray, "_"]],
    place: Callable[[int], str],  # where record i comes from, for messages
    *,
    both_strands: bool = False,
    keep: bool = False,  # looks the codes up in the cache on disk, and puts them there
    with_spans: bool = False,  # also gives the bases of each position; the cache, which has none, is then left alone
) -> EncodedSequences:
    """Codes of all sequences by the encoder's tokenizer, in the order given."""
    for number, row in enumerate(base_ids):  # before any work: encoding a row too long takes minutes
        if len(row) > MAX_BASES:
            raise InputError(
                f"{place(number)}: got {len(row)} bases, expected at most {MAX_BASES}; cut the sequence into windows"
            )
    tokenizer, device, spans, reverse = encoder.tokenizer, encoder.device, None, None
    if with_spans:
        codes, spans = encode_rows_with_spans(tokenizer, base_ids, device=device)
    else:
        codes = encode_rows(tokenizer, base_ids, device=device, keep=keep)
    _check_positions(codes, base_ids, place, encoder)
    if both_strands:
        reverse = encode_rows(tokenizer, [reverse_complement(row) for row in base_ids], device=device, keep=keep)
        _check_positions(reverse, base_ids, place, encoder)
    return EncodedSequences(codes, reverse, spans)


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
