"""The one loop from bases to codes: rows of similar length in batches, long rows in tiles, codes kept on disk.

Flow: base_ids [base] of many rows -> batches of similar length -> tokenizer -> codes [position, level] of each row, and
where asked spans [position, 2]. A long row is cut into tiles, each with all that its codes look at, so its codes are
those of the whole row. It must not know encoders, labels or sequence files.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy import ndarray

from vqdna.results import atomic_output
from vqdna.tokenizers.contract import Tokenizer
from vqdna.tokenizers.padding import CodeRows, length_buckets, pad_rows

BASES_PER_BATCH = 16_384
"""Padded bases that the tokenizer sees at once."""

TILE_BASES = 8192
"""Bases of a tile, besides the context on either side."""

TILES_AT_A_TIME = 8

Encoded: TypeAlias = tuple[Int[ndarray, "position level"], Int[ndarray, "position 2"]]
"""Codes of a sequence, and the first base and the end of each position."""


class Tile(NamedTuple):
    """Bases `first` to `end` of a sequence; of their positions the tile keeps `num_kept`, after the first `skipped`."""

    first: int
    end: int
    skipped: int
    num_kept: int | None
    """None for the last tile, which keeps all that follow."""

    @property
    def kept(self) -> slice:
        """Its own positions among those of its bases."""
        return slice(self.skipped, None if self.num_kept is None else self.skipped + self.num_kept)


def encode_sequence(
    tokenizer: Tokenizer,
    base_ids: UInt8[ndarray, "base"],
    *,
    tile_bases: int | None = None,
    device: torch.device | None = None,
) -> Encoded:
    """Codes and base spans of a whole sequence, in tiles where the tokenizer's codes can be told tile by tile.

    Args:
        tokenizer: any.
        base_ids: the sequence.
        tile_bases: bases encoded at a time, besides their context; changes memory, not codes. None takes `TILE_BASES`.
        device: where the tokenizer works; None takes the device of its tensors.
    """
    direct = tokenizer.codes_of_rows([base_ids]) if _on_processor(tokenizer, device) else None
    if direct is not None:
        return direct[0], tokenizer.spans_of(len(base_ids))
    codes = [np.zeros((0, len(tokenizer.level_sizes)), dtype=np.int64)]
    spans = [np.zeros((0, 2), dtype=np.int64)]
    for batch in _of_equal_length(tiles(tokenizer, len(base_ids), tile_bases or TILE_BASES)):
        stacked = np.stack([base_ids[tile.first : tile.end] for tile in batch])
        tokens = tokenizer.encode(torch.from_numpy(stacked).to(device or tokenizer.device))
        for tile, coded, covered in zip(batch, tokens.codes.cpu().numpy(), tokens.spans.cpu().numpy(), strict=True):
            codes.append(coded[tile.kept])
            spans.append(covered[tile.kept] + tile.first)
    return np.concatenate(codes), np.concatenate(spans)


def encode_rows(
    tokenizer: Tokenizer,
    rows: Sequence[UInt8[ndarray, "_"]],
    *,
    device: torch.device | None = None,
    keep: bool = False,
    bases_per_batch: int | None = None,
) -> CodeRows:
    """Codes of each row, in the order given and in the fewest bytes that hold them.

    Args:
        tokenizer: any.
        rows: base ids of each sequence.
        device: where the tokenizer works; None takes the device of its tensors.
        keep: looks the codes up in the cache on disk, and puts them there.
        bases_per_batch: padded bases at once; changes speed and memory, not codes. None takes `BASES_PER_BATCH`.
    """

    def compute() -> CodeRows:
        return _encode_rows(tokenizer, rows, device, bases_per_batch)[0]

    return cached_codes(tokenizer, rows, compute) if keep else compute()


def encode_rows_with_spans(
    tokenizer: Tokenizer, rows: Sequence[UInt8[ndarray, "_"]], *, device: torch.device | None = None
) -> tuple[CodeRows, list[Int[ndarray, "_ 2"]]]:
    """Codes of each row as `encode_rows` gives them, and the base spans of their positions."""
    return _encode_rows(tokenizer, rows, device, None, with_spans=True)


def tiles(tokenizer: Tokenizer, num_bases: int, tile_bases: int) -> Iterator[Tile]:
    """Tiles of a sequence whose kept positions, side by side, are those of the whole; one where it cannot be cut."""
    step = tokenizer.tile_step
    if step is None:
        yield from [Tile(0, num_bases, 0, None)] if num_bases else []
        return
    stride = int(tokenizer.bases_per_position)
    own = max(1, tile_bases // step) * step
    # A tile with its context begins at a multiple of the step too, else its positions would lie off the whole's grid.
    margin = -(-tokenizer.context_bases // step) * step
    # Overlapping k-mers reach beyond the bases by which their positions advance.
    overhang = tokenizer.max_span - stride
    # Too few bases behind a tile for one more k-mer: they are tokens by themselves, of which the tile has read some.
    shortest = tokenizer.max_span if overhang else 1
    for start in range(0, num_bases, own):
        first, end = max(0, start - margin), start + own
        skipped = (start - first) // stride
        if num_bases - end < shortest:
            yield Tile(first, num_bases, skipped, None)
            return
        yield Tile(first, min(end + margin + overhang, num_bases), skipped, own // stride)


def _of_equal_length(cut: Iterator[Tile]) -> Iterator[list[Tile]]:
    """Batches of tiles that need no padding: all but a sequence's first and last are of one length."""
    batch: list[Tile] = []
    for tile in cut:
        if batch and (len(batch) == TILES_AT_A_TIME or tile.end - tile.first != batch[0].end - batch[0].first):
            yield batch
            batch = []
        batch.append(tile)
    if batch:
        yield batch


def _encode_rows(
    tokenizer: Tokenizer,
    rows: Sequence[UInt8[ndarray, "_"]],
    device: torch.device | None,
    bases_per_batch: int | None,
    *,
    with_spans: bool = False,
) -> tuple[CodeRows, list[Int[ndarray, "_ 2"]]]:
    """Codes of each row and, where asked, its spans, in the order of the rows."""
    direct = tokenizer.codes_of_rows(rows) if _on_processor(tokenizer, device) else None
    if direct is not None:
        return direct, [tokenizer.spans_of(len(row)) for row in rows] if with_spans else []
    kind = np.int16 if max(tokenizer.level_sizes) <= np.iinfo(np.int16).max else np.int32
    most = bases_per_batch or BASES_PER_BATCH
    device = device or tokenizer.device
    codes: dict[int, Int[ndarray, "_ level"]] = {}
    spans: dict[int, Int[ndarray, "_ 2"]] = {}
    for batch in length_buckets([len(row) for row in rows], most):
        for number, (coded, covered) in zip(batch, _encode_batch(tokenizer, [rows[n] for n in batch], device, most)):
            # A copy: a view would hold the whole padded batch in memory as long as one of its rows is in use.
            codes[int(number)] = coded.astype(kind)
            if with_spans:
                spans[int(number)] = covered.copy()
    return [codes[row] for row in range(len(rows))], [spans[row] for row in range(len(rows))] if with_spans else []


def _on_processor(tokenizer: Tokenizer, device: torch.device | None) -> bool:
    return (device or tokenizer.device).type == "cpu"


def _encode_batch(
    tokenizer: Tokenizer, rows: Sequence[UInt8[ndarray, "_"]], device: torch.device, most: int
) -> Iterator[Encoded]:
    if len(rows) == 1 and len(rows[0]) > most:
        yield encode_sequence(tokenizer, rows[0], device=device)
        return
    bases, attention_mask = pad_rows(rows)
    tokens = tokenizer.encode(bases.to(device), attention_mask.to(device))
    codes, spans = tokens.codes.cpu().numpy(), tokens.spans.cpu().numpy()
    for row, length in enumerate(tokens.attention_mask.sum(dim=1).tolist()):
        yield codes[row, :length], spans[row, :length]


def cached_codes(
    tokenizer: Tokenizer, base_ids: Sequence[UInt8[ndarray, "_"]], compute: Callable[[], CodeRows]
) -> CodeRows:
    """Codes of each record, from the cache or from `compute`, whose result is then kept.

    Hand-made tokenizers and compiled vocabularies are faster than the disk and are not cached.
    """
    is_fast = tokenizer.codes_of_rows([]) is not None or (tokenizer.vector_size is None and not tokenizer.context_bases)
    if is_fast or not len(base_ids):
        return compute()
    from vqdna.genome.cache import cache_folder  # when asked for: most calls keep nothing

    path = cache_folder("codes") / f"{codes_key(tokenizer, base_ids)}.npz"
    held = _read(path)
    if held is not None:
        return held
    rows = compute()
    with atomic_output(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, codes=np.concatenate(rows), lengths=np.array([len(row) for row in rows]))
    return rows


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
