from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vqdna.benchmark.budget import load_budget
from vqdna.benchmark.protocols import read_task_data
from vqdna.benchmark.suites import suite_names, with_protocols
from vqdna.errors import InputError
from vqdna.tasks.loading import read_labelled

BUDGET = load_budget("cpu").model_copy(update={"max_train": 30, "max_dev": 12, "sequences_seen": 90})


def write(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("sequence,label\n" + "".join(f"{text},{row % 2}\n" for row, text in enumerate(texts)))


def random_texts(seed: int, count: int) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGT"), 40)) for _ in range(count)]


@pytest.fixture
def root(tmp_path) -> Path:
    """Data root: mouse/3 whole, mouse/1 without its training split; some test records occur elsewhere."""
    root = tmp_path / "data"
    train, dev, test = random_texts(0, 50), random_texts(1, 20), random_texts(2, 20)
    test[0], test[1], test[2] = train[3], train[4], dev[5]
    for split, texts in (("train", train), ("dev", dev), ("test", test)):
        write(root / f"gue/mouse/3/{split}.csv", texts)
        if split != "train":
            write(root / f"gue/mouse/1/{split}.csv", texts)
    return root


def test_full_takes_the_official_splits_and_marks_test_records_that_were_seen(root, tmp_path):
    whole = BUDGET.model_copy(update={"max_train": None, "max_dev": None})
    data = read_task_data("mouse/3", "full", whole, tmp_path / "out", root)
    assert (len(data.train), len(data.dev), len(data.test)) == (50, 20, 20)
    assert list(np.flatnonzero(~data.unseen)) == [0, 1, 2]
    assert data.epochs == 2


def test_a_budget_draws_the_same_records_of_each_class_every_time(root, tmp_path):
    first = read_task_data("mouse/3", "full", BUDGET, tmp_path / "a", root)
    second = read_task_data("mouse/3", "full", BUDGET, tmp_path / "b", root)
    assert (len(first.train), len(first.dev), len(first.test)) == (30, 12, 20)
    assert [row.tobytes() for row in first.train.base_ids] == [row.tobytes() for row in second.train.base_ids]
    assert np.bincount(first.train.labels).tolist() == [15, 15]
    assert list(np.flatnonzero(~first.unseen)) == [0, 1, 2]  # seen in the whole split, drawn or not


def test_reduced_trains_on_dev_but_for_a_tenth_and_never_reads_train(root, tmp_path):
    data = read_task_data("mouse/1", "reduced", BUDGET, tmp_path / "out", root)
    assert (len(data.train), len(data.dev), len(data.test)) == (18, 2, 20)
    dev = {row.tobytes() for row in read_labelled(root / "gue/mouse/1/dev.csv").base_ids}
    assert {row.tobytes() for row in [*data.train.base_ids, *data.dev.base_ids]} == dev
    assert list(np.flatnonzero(~data.unseen)) == [2]


def test_the_protocol_is_what_the_files_allow(root):
    chosen, left_out = with_protocols(["mouse/3", "mouse/1", "tf/0"], None, root, all_needed=False)
    assert chosen == {"mouse/3": "full", "mouse/1": "reduced"}
    assert left_out == {"tf/0": "no train or dev or test file"}
    with pytest.raises(InputError, match="vqdna datasets get tf/0"):
        with_protocols(["mouse/3", "tf/0"], None, root)
    with pytest.raises(InputError, match="mouse/1: no train file"):
        with_protocols(["mouse/1"], "full", root)
    assert with_protocols(["mouse/1"], "full", root, all_needed=False) == ({}, {"mouse/1": "no train file"})


def test_suites_are_the_published_sets():
    assert len(suite_names("gue")) == 28
    assert len(suite_names("gue-13")) == 13
    assert len(suite_names("paper")) == 31  # species has a study of its own
    with pytest.raises(InputError, match=r"no suite 'gue-31', .*did you mean 'gue-13'"):
        suite_names("gue-31")


@pytest.mark.parametrize(("sequences", "batch"), [(300, 32), (1904, 32), (6478, 64), (15064, 256), (47356, 256)])
def test_a_budget_that_names_updates_gives_large_splits_large_batches(sequences, batch):
    budget = load_budget("whole")
    assert budget.batch_size(sequences) == batch
    assert sequences / batch > budget.updates_per_epoch / 2 or batch == 32
    assert load_budget("cpu").batch_size(sequences) is None
