"""A table of columns as a file: CSV, TSV (gzipped by its name) or Parquet, or CSV on standard output.

Flow: columns by name -> one file, which appears whole or not at all. Numbers have as many digits as float32 needs to be
read back the same; what is no number is an empty cell. It must not know models.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from numpy import ndarray

from vqdna.errors import InputError, nearest_name_hint
from vqdna.results import atomic_output
from vqdna.tasks.tables import table_suffix

Columns = dict[str, Sequence[Any] | ndarray]

STANDARD_STREAM = "-"
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
PARQUET = (".parquet", ".pq")


def table_writer(output: Path | str) -> Callable[[Columns], None]:
    """Function that writes a table to `output`.

    Raises:
        InputError: no known format, or no folder to write to.
    """
    if str(output) == STANDARD_STREAM:
        return lambda columns: _write_delimited(sys.stdout, columns, ",")
    path = Path(output)
    suffix, known = table_suffix(path), (*DELIMITERS, *PARQUET)
    if suffix not in known:
        raise InputError(
            f"{path}: got the suffix '{suffix}', expected one of {', '.join(known)}{nearest_name_hint(suffix, known)}"
        )
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file to write")
    return lambda columns: _write_file(path, columns, suffix)


def _write_file(path: Path, columns: Columns, suffix: str) -> None:
    with atomic_output(path) as temporary:
        if suffix in PARQUET:
            arrays = {name: pyarrow.array(column, from_pandas=True) for name, column in columns.items()}  # NaN is null
            pyarrow.parquet.write_table(pyarrow.table(arrays), temporary)
            return
        compressed = path.suffix.lower() in (".gz", ".bgz")
        with gzip.open(temporary, "wt") if compressed else temporary.open("w", newline="") as stream:
            _write_delimited(stream, columns, DELIMITERS[suffix])


def _write_delimited(stream: Any, columns: Columns, delimiter: str) -> None:
    """Header and rows; numbers with as many digits as float32 needs to be read back the same."""
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*map(_texts, columns.values())))


def _texts(column: Sequence[Any] | ndarray) -> Sequence[Any]:
    """Cells of a column; a comparison with itself finds what is no number."""
    return [str(value) if value == value else "" for value in column] if isinstance(column, ndarray) else column
