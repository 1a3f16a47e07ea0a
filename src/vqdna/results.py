"""The records that runs write and reports read: results.json, metrics.jsonl, and atomic writing of both.

A run's `results.json` is one JSON object with at least `stage`, `command`, `seed`, `seconds`; scores stand in nested
objects (`test.mcc` is `results["test"]["mcc"]`). `metrics.jsonl` holds one JSON object a line with a `step`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from vqdna.errors import InputError

RESULTS_FILE = "results.json"
METRICS_FILE = "metrics.jsonl"

ModelT = TypeVar("ModelT", bound=BaseModel)


def write_atomically(path: Path, data: bytes) -> None:
    """File at `path` holding `data`: written beside it, flushed to disk, then renamed, so nobody reads a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """Temporary path beside `path`, for writers that want a name; renamed to `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_in_place(target: Path) -> Iterator[Path]:
    """Staging folder beside `target`, which takes its place only if the block succeeds."""
    staging = target.with_name(f".{target.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    yield staging
    put_in_place(staging, target)


def put_in_place(staging: Path, target: Path) -> None:
    """Finished folder `staging` flushed to disk and renamed to `target`, replacing an older one."""
    for file in [path for path in staging.rglob("*") if path.is_file()]:
        with open(file, "rb") as stream:
            os.fsync(stream.fileno())
    if target.exists():
        shutil.rmtree(target)
    os.rename(staging, target)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """JSON file at `path`, written atomically, keys in the order given."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """JSON object stored at `path` (InputError: the file is missing, is not JSON, or is no object)."""
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(record).__name__}")
    return record


def read_record(path: Path, model: type[ModelT], what: str, hint: str = "") -> ModelT:
    """The typed record in a JSON file.

    Raises:
        InputError: the file is missing, damaged, or not `what`; ends with the hint.
    """
    return validated(read_json(path), model, str(path), what, hint)


def validated(record: Mapping[str, Any], model: type[ModelT], place: str, what: str, hint: str = "") -> ModelT:
    """The record as a typed one.

    Raises:
        InputError: it is not `what`; names the first key at fault, and ends with the hint.
    """
    try:
        return model.model_validate(record)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        raise InputError(f"{place}: not {what} ({key}: {fault['msg']}){hint}") from None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Records of a metrics.jsonl file, in file order; a last line cut short by a kill is left out."""
    records = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except ValueError:
            if number != len(lines):
                raise InputError(f"{path}:{number}: not JSON") from None
    return records


def command_line() -> str:
    """Command that started this process, as a shell would take it."""
    return shlex.join(["vqdna", *sys.argv[1:]])
