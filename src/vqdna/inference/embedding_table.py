"""Embeddings as files: Parquet, TSV, NumPy's .npz and .npy, or rows on standard output.

Flow: EmbeddingRows, a few thousand at a time -> one file, which appears whole or not at all. Parquet holds a
fixed-size list of float32 a row; TSV a column for each number, with as many digits as float32 needs to be read back
the same; .npz an array for each column; .npy the numbers alone. It must not know models.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from jaxtyping import Float32, Int

from vqdna.errors import InputError, nearest_name_hint
from vqdna.results import atomic_output

STANDARD_STREAM = "-"
SUFFIXES = (".parquet", ".pq", ".tsv", ".npz", ".npy")


@dataclass(frozen=True, eq=False)
class EmbeddingRows:
    """Some rows of the table.

    Attributes:
        names: of the sequences.
        starts: first base of each row, on the sequence's plus strand.
        ends: one past the last one.
        strands: "+" or "-".
        vectors: the embeddings.
        regions: names from a BED file, or None.
    """

    names: list[str]
    starts: Int[np.ndarray, "row"]
    ends: Int[np.ndarray, "row"]
    strands: list[str]
    vectors: Float32[np.ndarray, "row width"]
    regions: list[str] | None = None

    def columns(self) -> dict[str, object]:
        """What stands beside the embeddings."""
        columns: dict[str, object] = {
            "name": self.names, "start": self.starts, "end": self.ends, "strand": self.strands,
        }  # fmt: skip
        return columns if self.regions is None else {**columns, "region": self.regions}


Write = Callable[[EmbeddingRows], None]


def check_output(output: str) -> None:
    """Refuses a place that no table can be written to.

    Raises:
        InputError: an unknown suffix, or a folder.
    """
    path = Path(output)
    if output == STANDARD_STREAM:
        return
    if path.suffix.lower() not in SUFFIXES:
        hint = nearest_name_hint(path.suffix, SUFFIXES)
        raise InputError(f"{path}: got the suffix '{path.suffix}', expected one of {', '.join(SUFFIXES)} or -{hint}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file to write")


@contextmanager
def embedding_writer(output: str) -> Iterator[Write]:
    """Function that adds rows to the table at `output`; without any rows the table is empty."""
    check_output(output)
    if output == STANDARD_STREAM:
        with _tsv_writer(sys.stdout.buffer) as write:
            yield write
        return
    suffix = Path(output).suffix.lower()
    kind = {".tsv": _tsv_writer, ".npz": _npz_writer, ".npy": _npy_writer}.get(suffix, _parquet_writer)
    with atomic_output(Path(output)) as temporary, temporary.open("wb") as stream, kind(stream) as write:
        yield write


@contextmanager
def _parquet_writer(stream: BinaryIO) -> Iterator[Write]:
    writers: list[pa.parquet.ParquetWriter] = []

    def write(rows: EmbeddingRows) -> None:
        flat = pa.array(np.ascontiguousarray(rows.vectors).reshape(-1))
        vectors = pa.FixedSizeListArray.from_arrays(flat, rows.vectors.shape[1])
        table = pa.table({**rows.columns(), "embedding": vectors})
        if not writers:
            writers.append(pa.parquet.ParquetWriter(stream, table.schema, compression="zstd"))
        writers[0].write_table(table)

    yield write
    for writer in writers:
        writer.close()


@contextmanager
def _tsv_writer(stream: BinaryIO) -> Iterator[Write]:
    is_begun = False

    def write(rows: EmbeddingRows) -> None:
        """Appends the rows; before the first ones the names of the columns."""
        nonlocal is_begun
        numbers = {f"e{place}": column for place, column in enumerate(rows.vectors.T)}
        table = pa.table({**rows.columns(), **numbers})
        if not is_begun:
            stream.write(("\t".join(table.column_names) + "\n").encode())
        is_begun = True
        options = pa.csv.WriteOptions(delimiter="\t", include_header=False, quoting_style="none")
        pa.csv.write_csv(table, stream, options)

    yield write
    stream.flush()


@contextmanager
def _npz_writer(stream: BinaryIO) -> Iterator[Write]:
    held: list[EmbeddingRows] = []
    yield held.append
    arrays: dict[str, Any] = {
        name: np.concatenate([np.asarray(rows.columns()[name]) for rows in held]) for name in held[0].columns()
    }
    np.savez(stream, **arrays, embedding=np.concatenate([rows.vectors for rows in held]))


@contextmanager
def _npy_writer(stream: BinaryIO) -> Iterator[Write]:
    held: list[EmbeddingRows] = []
    yield held.append
    np.save(stream, np.concatenate([rows.vectors for rows in held]))
