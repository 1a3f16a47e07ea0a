"""Whole sequence files to tables of codes.

Flow: sequences -> codes of each, tile by tile -> rows (name, start, end, one column per level). Coordinates are
0-based, half-open. It must not know training.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from jaxtyping import Int

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome import read_sequences
from vqdna.results import atomic_output
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.encoding import encode_sequence

FORMATS = {".parquet": "parquet", ".tsv": "tsv", ".bed": "tsv", ".csv": "csv"}


def encode_file(tokenizer: Tokenizer, source: str, output: str, *, gaps: Any = "error") -> dict[str, int]:
    """Codes of every sequence of a file, as a table; returns their numbers, and of IUPAC letters read as N.

    Args:
        tokenizer: a learned tokenizer.
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
        for sequence in read_sequences(source, gaps=gaps):
            codes, spans = encode_sequence(tokenizer, sequence.base_ids)
            writer.write_table(_rows(sequence.name, codes, spans))
            totals["sequences"] += 1
            totals["bases"] += len(sequence.base_ids)
            totals["ambiguous"] += sequence.num_ambiguous
            totals["codes"] += codes.size
    return totals


def _schema(num_levels: int) -> pa.Schema:
    fields = [("name", pa.string()), ("start", pa.int64()), ("end", pa.int64())]
    return pa.schema(fields + [(f"level_{level}", pa.int32()) for level in range(num_levels)])


def _rows(name: str, codes: Int[np.ndarray, "position level"], spans: Int[np.ndarray, "position 2"]) -> pa.Table:
    names = pa.array([name]).take(pa.array(np.zeros(len(codes), dtype=np.int64)))
    levels: Sequence[Any] = [pa.array(column.astype(np.int32)) for column in codes.T]
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
