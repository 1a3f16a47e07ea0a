"""Fine-tuning on data in memory: the same numbers as from files, the same folder for the same data alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_tasks import config, saved_encoder, write_task

from vqdna.encoder.genome_encoder import load_encoder
from vqdna.errors import InputError
from vqdna.finetune.public import finetune_files
from vqdna.finetune.splits import data_inputs
from vqdna.finetune.train import run_finetune
from vqdna.tasks.loading import LabelledSequences, Splits, read_splits

SETTINGS = config(training={"epochs": 1})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an encoder and the tables of a planted task."""
    folder = tmp_path_factory.mktemp("memory")
    saved_encoder(folder / "encoder")
    for seed, name in enumerate(("train", "dev", "test")):
        write_task(folder / f"{name}.csv", "multiclass", 64, seed)
    return folder


def test_memory_gives_the_numbers_of_files_and_the_same_data_finds_the_run(folder: Path, tmp_path: Path):
    files = {name: folder / f"{name}.csv" for name in ("train", "dev", "test")}
    encoder = folder / "encoder"
    read = finetune_files(SETTINGS, encoder=encoder, out=tmp_path / "files", seed=0, **files)
    splits = read_splits(*files.values())
    given = {"encoder": encoder, "out": tmp_path / "memory", "seed": 0, "dataset": "planted"}
    held = run_finetune(SETTINGS, splits, **given)
    assert (held.dev, held.test, held.best_epoch) == (read.dev, read.test, read.best_epoch)
    assert held.dataset == "planted"
    assert run_finetune(SETTINGS, read_splits(*files.values()), **given) == held
    other = replace(splits, dev=splits.dev.subset(range(1, len(splits.dev))))
    with pytest.raises(InputError, match=r"holds another run \('inputs.dev' differs\)"):
        run_finetune(SETTINGS, other, **given)
    run = (tmp_path / "memory" / "run.yaml").read_text()
    assert "dataset: planted" in run
    assert "train: 64 sequences, sha256" in run


def test_a_run_is_told_by_bases_labels_classes_and_weights(folder: Path):
    bases = [np.array([0, 1, 2, 3], np.uint8), np.array([3, 3], np.uint8)]
    records = LabelledSequences(bases, np.array([0, 1]))
    encoder = load_encoder(folder / "encoder" / "model")
    known = data_inputs(encoder, Splits(records, records, None), None)
    assert known.keys() == {"encoder", "train", "dev"}
    for other in (
        replace(records, base_ids=bases[::-1]),
        replace(records, labels=np.array([1, 0])),
        replace(records, class_names=("a", "b")),
        replace(records, task="regression", class_names=()),
    ):
        assert data_inputs(encoder, Splits(other, records, None), None)["train"] != known["train"]
    encoder.embedding.mask_vector.data += 1
    assert data_inputs(encoder, Splits(records, records, None), None)["encoder"] != known["encoder"]
