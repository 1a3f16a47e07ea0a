"""Rows of a labelled table with the place each came from: CSV, TSV (plain or gzip) and Parquet.

Flow: file -> header checked -> Row(place, sequence, label, name), one at a time.
The place (`file:line`) travels with the row, so that every later complaint can name it.
It must not know what a label means, nor turn text into base ids.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from vqdna.errors import InputError, nearest_name_hint
from vqdna.results import write_atomically

NAME_COLUMNS = ("name", "id")
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq")
# The csv module refuses cells over 128 kB unless told otherwise; a sequence may be a whole chromosome.
LONGEST_CELL = 2**31 - 1


@dataclass(frozen=True)
class Row:
    """One record of a table: cell texts by column, and where they stand (`file:line`, or `file: row n` in Parquet)."""

    place: str
    cells: dict[str, str]

    def name(self) -> str | None:
        return next((self.cells[column] for column in NAME_COLUMNS if column in self.cells), None)


def table_suffix(path: Path) -> str:
    """Suffix of the file name that says its format, without `.gz` or `.bgz`, in lower case."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".bgz"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def is_table(path: Path) -> bool:
    """Whether the file name is that of a table (CSV, TSV, Parquet) and not of a sequence file."""
    return table_suffix(path) in TABLE_SUFFIXES


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Rows of the table at `path`, in file order, each holding at least `columns`; there is one at least."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    rows = _parquet_rows(path, columns) if table_suffix(path) in (".parquet", ".pq") else _text_rows(path, columns)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise InputError(f"{path}: holds no records, only a header")


def _text_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Rows of a delimited text file; blank lines are passed over."""
    csv.field_size_limit(LONGEST_CELL)
    with _open_text(path) as stream:
        first = stream.readline()
        if not first.strip():
            raise InputError(f"{path}: empty file; expected a header with the columns {_listed(columns)}")
        delimiter = _delimiter(path, first)
        header = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter))]
        _check_columns(f"{path}:1", header, columns)
        reader = csv.reader(stream, delimiter=delimiter)
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise InputError(f"{path}:{reader.line_num + 1}: not readable as a table ({error})") from None
            if cells is None:
                return
            place = f"{path}:{reader.line_num + 1}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise InputError(f"{place}: got {len(cells)} cells, expected {len(header)} as in the header")
            yield Row(place, {column: cell.strip() for column, cell in zip(header, cells)})


@contextmanager
def _open_text(path: Path) -> Iterator[io.TextIOBase]:
    """Text of a plain or gzip file, told by its first two bytes and not by its name."""
    with path.open("rb") as probe:
        compressed = probe.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open if compressed else open)(path, "rt", encoding="utf-8-sig", newline="") as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path}: the gzip data is truncated or damaged; copy the file again") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; expected CSV, TSV or Parquet") from None


def _delimiter(path: Path, header: str) -> str:
    """Tab or comma by the file suffix where the header has one, otherwise the commonest of tab, comma and semicolon."""
    by_suffix = {".tsv": "\t", ".tab": "\t", ".csv": ","}.get(table_suffix(path))
    if by_suffix is not None and by_suffix in header:
        return by_suffix
    return max("\t,;", key=header.count)


def _check_columns(place: str, header: Sequence[str], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in header:
            hint = nearest_name_hint(column, header)
            raise InputError(f"{place}: no column '{column}', the header has {_listed(header)}{hint}")
    doubled = next((column for column in header if header.count(column) > 1), None)
    if doubled is not None:
        raise InputError(f"{place}: the column '{doubled}' stands twice in the header")


def _listed(names: Sequence[str]) -> str:
    """Quoted names with commas, each cut to 24 characters and the list to eight."""
    short = [f"'{name if len(name) <= 24 else name[:21] + '...'}'" for name in names[:8]]
    return ", ".join(short) + (", ..." if len(names) > 8 else "")


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Rows of a Parquet file; a list cell becomes its items joined with `;`, a null cell the empty text."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            header = file.schema_arrow.names
            _check_columns(f"{path}", header, columns)
            wanted = [column for column in header if column in (*columns, *NAME_COLUMNS)]
            number = 0
            for batch in file.iter_batches(columns=wanted):
                for record in batch.to_pylist():
                    number += 1
                    cells = {column: _cell_text(value) for column, value in record.items()}
                    yield Row(f"{path}: row {number}", cells)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _cell_text(value: Any) -> str:
    if isinstance(value, list):
        return ";".join(map(str, value)) or ";"
    return "" if value is None else str(value).strip()


def write_labelled_csv(path: str | Path, rows: Iterable[tuple[str, object]]) -> None:
    """CSV file with the columns sequence and label, labels quoted where they need it; written atomically.

    A path that ends in .gz is compressed, the same rows to the same bytes.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("sequence", "label"))
    table.writerows(rows)
    written = text.getvalue().encode()
    write_atomically(Path(path), gzip.compress(written, 6, mtime=0) if str(path).endswith(".gz") else written)
