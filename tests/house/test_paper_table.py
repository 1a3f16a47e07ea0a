"""docs/paper.md against the code: every function, test and value named there exists and is what it is said to be."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents import ROOT, Row, table_rows

from vqdna.config import load_config, read_yaml
from vqdna.finetune.settings import FinetuneConfig
from vqdna.pretrain.train import PretrainConfig
from vqdna.vocabulary.train import VocabularyConfig

COLUMNS = ("statement", "code", "values", "test", "status")
STATUSES = {"exact", "interpreted", "ours"}
STAGES = {"vocabulary": VocabularyConfig, "pretrain": PretrainConfig, "finetune": FinetuneConfig}
ROWS = table_rows((ROOT / "docs" / "paper.md").read_text(), COLUMNS)

by_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"line{row.line}")


def resolved(name: str) -> Any:
    """Object with this dotted name, a module's member or a class's.

    Raises:
        AttributeError: there is none.
    """
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


def default_of(name: str, argument: str) -> Any:
    return inspect.signature(resolved(name)).parameters[argument].default


def setting_of(path: Path, key: str) -> Any:
    """Value of a dotted key in a configuration with its bases; where no file sets it, the default of its section."""
    values: Any = read_yaml(path)
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    if values is not None:
        return values
    values = load_config(STAGES[path.parent.name], str(path), path.parent.name).model_dump(mode="json")
    for part in key.split("."):
        values = values[part]
    return values


def quoted_value(text: str) -> tuple[Any, Any]:
    """What `file: key=value` or `function: argument=default` says, and what is so."""
    where, _, assignment = text.partition(": ")
    key, _, value = assignment.partition("=")
    actual = setting_of(ROOT / where, key) if where.endswith(".yaml") else default_of(where, key)
    return yaml.safe_load(value), actual


def test_the_tables_are_read():
    statements = " ".join(row.cells["statement"] for row in ROWS)
    assert len(ROWS) > 50
    for word in ("Eq. 1", "Straight-through", "EMA", "H(2) = 2 Z(2) - e(M(1))", "25 % masked", "LoRA", "Lin."):
        assert word in statements


@by_row
def test_every_row_has_a_status_a_function_and_a_test(row: Row):
    assert row.cells["status"] in STATUSES
    assert row.code("code")
    assert row.code("test")
    if "not stated" in row.cells["statement"]:
        assert row.cells["status"] != "exact"


@by_row
def test_every_function_named_exists(row: Row):
    for name in row.code("code"):
        assert name.startswith("vqdna.")
        assert resolved(name) is not None


@by_row
def test_every_test_named_exists(row: Row):
    for name in row.code("test"):
        file, _, function = name.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def test_every_value_quoted_is_the_one_that_is_set():
    quoted = [(row.line, text, *quoted_value(text)) for row in ROWS for text in row.code("values")]
    assert [(line, text, actual) for line, text, value, actual in quoted if value != actual] == []
    assert len(quoted) > 40


@by_row
def test_a_number_quoted_in_a_cell_of_values_is_written_as_a_value(row: Row):
    assert all(": " in text and "=" in text for text in row.code("values"))


def test_names_and_values_that_do_not_exist_would_be_noticed():
    with pytest.raises(AttributeError):
        resolved("vqdna.vocabulary.codebook.nearest_code")
    with pytest.raises(KeyError):
        quoted_value("configs/pretrain/paper.yaml: training.stepss=1")
    value, actual = quoted_value("configs/pretrain/paper.yaml: training.steps=500001")
    assert value != actual
