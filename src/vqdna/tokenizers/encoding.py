"""From bases to codes: whole sequences in tiles, many sequences in batches, and codes kept on disk between runs.

Flow: base_ids, one array per record -> batches of similar length -> tokenizer -> EncodedSequences(codes
[position, level] per record, of one strand or both) -> pad_codes -> (codes [batch, position, level], position_mask).
It must not know labels or heads.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy import ndarray

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.long_rows import MAX_BASES
from vqdna.errors import InputError
from vqdna.genome.bases import reverse_complement
from vqdna.results import atomic_output
from vqdna.tokenizers.contract import Tokenizer
from vqdna.tokenizers.padding import CodeRows, length_buckets, pad_rows

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


TILE_BASES = 8192


TILES_AT_A_TIME = 8


def encode_sequence(
    tokenizer: Tokenizer, base_ids: UInt8[np.ndarray, "base"], *, tile_bases: int | None = None
) -> tuple[Int[np.ndarray, "position level"], Int[np.ndarray, "position 2"]]:
    """Codes and base spans of a whole sequence.

    Args:
        tokenizer: a learned tokenizer, whose `bases_per_position` is a whole number.
        base_ids: the sequence.
        tile_bases: bases encoded at a time, besides the context on either side; changes memory, not codes. None takes
            `TILE_BASES`.
    """
    stride = int(tokenizer.bases_per_position)
    tile_bases = max(1, (tile_bases or TILE_BASES) // stride) * stride
    margin = -(-tokenizer.context_bases // stride) * stride
    codes = [
        tile
        for batch in _in_batches(_tiles(base_ids, tile_bases, margin), TILES_AT_A_TIME)
        for tile in _encode_tiles(tokenizer, batch, stride)
    ]
    joined = np.concatenate(codes) if codes else np.zeros((0, len(tokenizer.level_sizes)), dtype=np.int64)
    return joined, _strides(len(base_ids), stride)


def token_spans(tokenizer: Tokenizer, base_ids: UInt8[np.ndarray, "base"]) -> Int[np.ndarray, "position 2"]:
    """First base and end of each token of a sequence, whatever its tokenizer."""
    if tokenizer.vector_size is not None:
        return _strides(len(base_ids), int(tokenizer.bases_per_position))
    spans: Int[np.ndarray, "position 2"] = tokenizer.encode(torch.from_numpy(base_ids)[None]).spans[0].cpu().numpy()
    return spans


def _strides(num_bases: int, stride: int) -> Int[np.ndarray, "position 2"]:
    starts = np.arange(0, num_bases, stride, dtype=np.int64)
    return np.stack([starts, np.minimum(starts + stride, num_bases)], axis=1)


Tile = tuple[UInt8[np.ndarray, "base"], int, int]


def _tiles(base_ids: UInt8[np.ndarray, "base"], tile_bases: int, margin: int) -> Iterator[Tile]:
    """Slices with their context, each with the number of context bases before it and of its own bases."""
    for start in range(0, len(base_ids), tile_bases):
        end = min(start + tile_bases, len(base_ids))
        first = max(0, start - margin)
        yield base_ids[first : end + margin], start - first, end - start


def _in_batches(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
    """Runs of at most `size` tiles of equal length, so that no padding is needed."""
    batch: list[Tile] = []
    for tile in tiles:
        if batch and (len(batch) == size or len(tile[0]) != len(batch[0][0])):
            yield batch
            batch = []
        batch.append(tile)
    if batch:
        yield batch


def _encode_tiles(tokenizer: Tokenizer, tiles: list[Tile], stride: int) -> Iterator[Int[np.ndarray, "position level"]]:
    device = next(tokenizer.parameters()).device
    stacked = torch.from_numpy(np.stack([bases for bases, _, _ in tiles])).to(device)
    codes = tokenizer.encode(stacked).codes.cpu().numpy()
    for row, (_, before, length) in zip(codes, tiles, strict=True):
        yield row[before // stride : before // stride + -(-length // stride)]


def cached_codes(
    tokenizer: Tokenizer, base_ids: Sequence[UInt8[ndarray, "_"]], compute: Callable[[], CodeRows]
) -> CodeRows:
    """Codes of each record, from the cache or from `compute`, whose result is then kept.

    Hand-made tokenizers are faster than the disk and are not cached.
    """
    if (tokenizer.vector_size is None and not tokenizer.context_bases) or not len(base_ids):
        return compute()
    path = cache_folder() / f"{codes_key(tokenizer, base_ids)}.npz"
    held = _read(path)
    if held is not None:
        return held
    rows = compute()
    with atomic_output(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, codes=np.concatenate(rows), lengths=np.array([len(row) for row in rows]))
    return rows


def cache_folder() -> Path:
    """Folder of the cached codes, below VQDNA_CACHE or the user's cache."""
    root = os.environ.get("VQDNA_CACHE")
    return (Path(root) if root else Path("~/.cache/vqdna").expanduser()) / "codes"


def codes_key(tokenizer: Tokenizer, base_ids: Sequence[UInt8[ndarray, "_"]]) -> str:
    """Hash of everything the codes depend on."""
    digest = hashlib.sha256(json.dumps(tokenizer.settings(), sort_keys=True, default=str).encode())
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(np.array([len(row) for row in base_ids]).tobytes())
    digest.update(np.concatenate(base_ids).tobytes())
    return digest.hexdigest()[:32]


def _read(path: Path) -> CodeRows | None:
    """Cached codes, or None where there are none or the file is damaged (it is then written anew)."""
    try:
        with np.load(path, allow_pickle=False) as held:
            return list(np.split(held["codes"], np.cumsum(held["lengths"])[:-1]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
