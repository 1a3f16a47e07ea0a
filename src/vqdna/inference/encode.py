"""Sequences to codes by any tokenizer, and codes back to bases by a trained vocabulary.

Flow: base ids -> batches of similar length, long sequences in tiles -> codes [position, level] and the bases of each
position [position, 2] -> arrays, or rows (name, start, end, one column per level) of a file. Coordinates are 0-based,
half-open. It must not know encoders or training.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch
from jaxtyping import Int
from numpy import ndarray
from transformers import PreTrainedModel

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.bases import Gaps, from_base_ids
from vqdna.genome.sequences import read_sequences
from vqdna.inference.inputs import Item, Sequences, held_together, is_single, named_sequences
from vqdna.models import tokenizer_of, vocabulary_of
from vqdna.results import atomic_output
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.encoding import encode_rows_with_spans, encode_sequence, tiles
from vqdna.weights import DEFAULT

FORMATS = {".parquet": "parquet", ".tsv": "tsv", ".bed": "tsv", ".csv": "csv"}

BASES_AT_A_TIME = 1 << 20
"""Bases whose codes are held before they are written; a longer sequence comes in pieces of so many."""

Codes = Int[ndarray, "position level"]
Spans = Int[ndarray, "position 2"]


def encode(
    sequences: Sequences, tokenizer: Tokenizer | PreTrainedModel | str | Path = DEFAULT
) -> tuple[ndarray, ndarray] | tuple[list[ndarray], list[ndarray]]:
    """Codes of sequences by any tokenizer, and the bases that each position stands for.

    Args:
        sequences: a str, an array of base ids (A C G T = 0 to 3, N = 4) or a record of `read_sequences`; or a list,
            a 2-D array or an iterator of these. Lower case counts as upper case, U as T, ambiguity codes as N.
        tokenizer: a tokenizer, a vocabulary, or what `load_tokenizer` takes: the name of a built-in vocabulary,
            "nucleotide", "kmer:6", "bpe:DIR", or the run folder of a vocabulary.

    Returns:
        Codes [position, level], level 0 the coarsest, and spans [position, 2]: the first base of each position and one
        past its last. One sequence gives two arrays; many give two lists of arrays, in the order given.

    Raises:
        InputError: no such tokenizer, an empty sequence, or a letter that is no base; names the sequence.

    Example:
        >>> import vqdna
        >>> codes, spans = vqdna.encode("ACGTTGCANNACGT", "small")
        >>> codes.shape, spans[:2].tolist()
        ((14, 6), [[0, 1], [1, 2]])
        >>> codes, spans = vqdna.encode(["ACGT", "GATTACA"], "kmer:3:3")
        >>> [len(own) for own in codes]
        [2, 3]
    """
    used, codes, spans = tokenizer_of(tokenizer), [], []
    for held in held_together(named_sequences(sequences), BASES_AT_A_TIME):
        own, covered = encode_rows_with_spans(used, [sequence.base_ids for sequence in held])
        codes += [rows.astype(np.int32) for rows in own]
        spans += covered
    return (codes[0], spans[0]) if is_single(sequences) else (codes, spans)


def decode(codes: ndarray | Iterable[ndarray], vocabulary: PreTrainedModel | str | Path = DEFAULT) -> str | list[str]:
    """Bases that a vocabulary rebuilds from codes: the most probable base at each place.

    Args:
        codes: [position, level] of one sequence, as `encode` gives them; or [sequence, position, level], or a list of
            arrays, for many. The first few levels alone, `codes[:, :2]`, give a coarser copy.
        vocabulary: a trained vocabulary, the name of a built-in one, or a run folder.

    Returns:
        One str for one array, a list of them for many. Each has as many bases as its positions stand for; where a
        sequence's last position was short, the bases beyond its end are to be cut off. N is never rebuilt.

    Raises:
        InputError: no such vocabulary, or codes that are none of its.

    Example:
        >>> import vqdna
        >>> codes, spans = vqdna.encode("ACGTTGCAGATTACA", "small")
        >>> vqdna.decode(codes, "small")
        'ACGTTGCAGATTACA'
    """
    used = vocabulary_of(vocabulary)
    if isinstance(codes, ndarray) and codes.ndim == 2:
        return _decoded(used, codes, "codes")
    return [_decoded(used, own, f"codes {number}") for number, own in enumerate(codes, 1)]


def encode_file(tokenizer: Tokenizer, source: str, output: str, *, gaps: Gaps = "error") -> dict[str, int]:
    """Codes of every sequence of a file, as a table; returns their numbers, and of IUPAC letters read as N.

    Args:
        tokenizer: any.
        source: FASTA or FASTQ, or "-".
        output: `.parquet`, `.csv`, `.tsv` or `.bed`, or "-" for tab-separated rows on standard output.
        gaps: "error" or "drop", for `-`, `.` and `*` in the sequences.

    Raises:
        InputError: unknown output format, unreadable sequences. No output is left behind then.
    """
    kind = "tsv" if output == "-" else FORMATS.get(Path(output).suffix)
    if kind is None:
        hint = nearest_name_hint(Path(output).suffix, FORMATS)
        raise InputError(
            f"{output}: unknown output format '{Path(output).suffix}'; expected one of {', '.join(FORMATS)}{hint}"
        )
    totals = {"sequences": 0, "bases": 0, "ambiguous": 0, "codes": 0}
    target: AbstractContextManager[Any] = (
        nullcontext(sys.stdout.buffer) if output == "-" else atomic_output(Path(output))
    )
    with target as sink, _table_writer(sink, kind, len(tokenizer.level_sizes), output) as writer:
        for held in held_together(read_sequences(source, gaps=gaps), BASES_AT_A_TIME):
            for sequence, codes, spans in _encoded(tokenizer, held):
                writer.write_table(_rows(sequence.name, codes, spans))
                totals["codes"] += codes.size
            totals["sequences"] += len(held)
            totals["bases"] += sum(len(sequence.base_ids) for sequence in held)
            totals["ambiguous"] += sum(sequence.num_ambiguous for sequence in held)
    return totals


def _encoded(tokenizer: Tokenizer, held: Sequence[Item]) -> Iterator[tuple[Item, Codes, Spans]]:
    """Codes of sequences; one that is long alone comes in pieces, which hold memory for a piece."""
    if len(held) == 1 and tokenizer.tile_step is not None:
        for tile in tiles(tokenizer, len(held[0].base_ids), BASES_AT_A_TIME):
            codes, spans = encode_sequence(tokenizer, held[0].base_ids[tile.first : tile.end])
            yield held[0], codes[tile.kept].astype(np.int32), spans[tile.kept] + tile.first
        return
    rows = encode_rows_with_spans(tokenizer, [sequence.base_ids for sequence in held])
    for sequence, codes, spans in zip(held, *rows, strict=True):
        yield sequence, codes.astype(np.int32), spans


@torch.no_grad()
def _decoded(vocabulary: Any, codes: ndarray, place: str) -> str:
    sizes = vocabulary.quantizer.level_sizes
    levels = f"{len(sizes)} levels" if len(sizes) > 1 else "1 level"
    if codes.ndim != 2 or not 1 <= codes.shape[1] <= len(sizes) or codes.dtype.kind not in "iu":
        raise InputError(
            f"{place}: got {codes.dtype} of shape {codes.shape}, expected whole numbers [position, level], at most"
            f" {levels}"
        )
    if not len(codes):
        return ""
    for level, size in enumerate(sizes[: codes.shape[1]]):
        if codes[:, level].min() < 0 or codes[:, level].max() >= size:
            raise InputError(f"{place}: level {level} holds codes outside of 0 to {size - 1}")
    own = torch.from_numpy(codes.astype(np.int64))[None].to(vocabulary.device)
    bases: ndarray = vocabulary.decode(own)[0].argmax(dim=-1).to(torch.uint8).cpu().numpy()
    return from_base_ids(bases)


def _schema(num_levels: int) -> pa.Schema:
    fields = [("name", pa.string()), ("start", pa.int64()), ("end", pa.int64())]
    return pa.schema(fields + [(f"level_{level}", pa.int32()) for level in range(num_levels)])


def _rows(name: str, codes: Codes, spans: Spans) -> pa.Table:
    names = pa.array([name]).take(pa.array(np.zeros(len(codes), dtype=np.int64)))
    levels: Sequence[Any] = [pa.array(column) for column in codes.T]
    return pa.Table.from_arrays(
        [names, pa.array(spans[:, 0]), pa.array(spans[:, 1]), *levels], schema=_schema(codes.shape[1])
    )


@contextmanager
def _table_writer(sink: Path | BinaryIO, kind: str, num_levels: int, output: str) -> Iterator[Any]:
    schema = _schema(num_levels)
    if kind == "parquet":
        with pa.parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
            yield writer
        return
    delimiter = "\t" if kind == "tsv" else ","
    options = pa.csv.WriteOptions(
        delimiter=delimiter, include_header=False, quoting_style="none" if kind == "tsv" else "needed"
    )
    with nullcontext(sink) if not isinstance(sink, Path) else sink.open("wb") as stream:
        if not output.endswith(".bed"):
            stream.write((delimiter.join(schema.names) + "\n").encode())
        with pa.csv.CSVWriter(stream, schema, write_options=options) as writer:
            yield writer
