"""`vqdna.finetune`: a package that can be called, on splits in any form."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pytest
from example_tasks import config, tiny_encoder, write_task

import vqdna
import vqdna.finetune.public
from vqdna.errors import InputError
from vqdna.finetune.heads import load_classifier
from vqdna.finetune.splits import as_splits
from vqdna.genome.bases import from_base_ids
from vqdna.tasks.loading import LabelledSequences, read_labelled

SETTINGS = config(training={"epochs": 1})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task(tmp_path_factory.mktemp("public") / "train.csv", "multiclass", 64, 0)


@pytest.fixture(scope="module")
def records(table: Path) -> LabelledSequences:
    return read_labelled(table)


def columns(records: LabelledSequences) -> dict[str, list[str]]:
    texts = [from_base_ids(bases) for bases in records.base_ids]
    return {"sequence": texts, "label": [records.class_names[label] for label in records.labels]}


def test_the_package_is_called_as_a_function_and_keeps_its_modules(records: LabelledSequences, tmp_path: Path):
    texts, labels = columns(records).values()
    results = vqdna.finetune(tiny_encoder(), {"train": (texts, labels)}, SETTINGS, tmp_path / "run")
    assert results.folder == tmp_path / "run"
    assert set(results.dev) >= {"mcc", "auroc"}
    assert results.test is None
    assert results.sequences["train"] + results.sequences["dev"] == 64
    assert load_classifier(results.folder).config.class_names == ["0", "1", "2"]
    assert vqdna.finetune(tiny_encoder(), {"train": (texts, labels)}, SETTINGS, tmp_path / "run") == results
    assert vqdna.finetune.heads.load_classifier is load_classifier  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(vqdna.finetune.public.finetune)) is vqdna.finetune.public.finetune  # type: ignore[attr-defined]


def test_nothing_heavy_is_imported_before_the_call():
    code = "import sys, vqdna, vqdna.finetune; assert callable(vqdna.finetune); print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"


def test_splits_come_in_many_forms(records: LabelledSequences, table: Path):
    texts = columns(records)
    forms = {
        "records": records,
        "path": table,
        "text path": str(table),
        "pair": (texts["sequence"], texts["label"]),
        "arrays": (np.array(texts["sequence"]), records.labels),
        "base ids": (records.base_ids, records.labels),
        "columns": texts,
        "pandas": pandas.DataFrame(texts),
        "pyarrow": pyarrow.table(texts),
    }
    for name, form in forms.items():
        splits = as_splits((form, form), task="classification")
        assert [row.tobytes() for row in splits.train.base_ids] == [row.tobytes() for row in records.base_ids], name
        assert (splits.dev.labels == records.labels).all(), name
        assert splits.train.class_names == ("0", "1", "2"), name
        assert splits.test is None, name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dev": (["ACGT"], [1])}, "splits: got no 'train', expected 'train'"),
        ({"train": (["ACGT"], [1]), "tset": None}, "got 'tset'; did you mean 'test'?"),
        ({"train": 3}, "train: got int, expected a pair"),
        ({"train": {"sequence": ["ACGT"]}}, "train: got dict, expected a pair"),
        ({"train": ([1.5, 2.5], [0, 1])}, "train: record 0: got float, expected bases as text"),
        ({"train": (["ACGT", "AC"], [0])}, "train: got 2 sequences and 1 labels"),
        ({"train": (["ACGT", "A!"], [0, 1])}, "train: record 1: "),
        ({"train": (["ACGT", "AC"], [0, None])}, "train: record 1: the label is missing"),
        ({"train": (["ACGT", "AC"], [0, 1]), "dev": (["A"], [2])}, "dev: record 0: the label '2' is not among"),
    ],
)
def test_bad_splits_are_told_in_a_line(given, said: str):
    with pytest.raises(InputError) as told:
        as_splits(given)
    assert said in str(told.value)


def test_a_call_without_splits_or_folder_is_refused(records: LabelledSequences, tmp_path: Path):
    with pytest.raises(InputError, match="needs splits and out"):
        vqdna.finetune("small", {"train": records})
    with pytest.raises(InputError, match="did you mean 'small'"):
        vqdna.finetune("smal", {"train": records}, SETTINGS, tmp_path / "run")
