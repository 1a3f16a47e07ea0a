from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from vqdna.benchmark import estimate, running
from vqdna.benchmark import grid as work
from vqdna.benchmark.blending import averaged
from vqdna.benchmark.budget import Budget, load_budget
from vqdna.benchmark.encoders import OWN_ENCODERS
from vqdna.benchmark.grid import Grid, Trial
from vqdna.benchmark.outcomes import Outcome, read_outcome
from vqdna.benchmark.protocols import TaskData, read_task_data
from vqdna.benchmark.results import Details
from vqdna.benchmark.runner import checked_grid, run_grid
from vqdna.benchmark.running import Order, run_best_kmer
from vqdna.benchmark.summary import BenchmarkResult
from vqdna.benchmark.systems import SYSTEM_NAMES, System, find_system
from vqdna.benchmark.trials import kept_outcome, work_through
from vqdna.config import load_config
from vqdna.errors import InputError
from vqdna.experiments import cells
from vqdna.experiments.locks import locked
from vqdna.finetune import train as finetuning
from vqdna.finetune.settings import FinetuneConfig
from vqdna.results import read_json
from vqdna.tasks.loading import LabelledSequences
from vqdna.tasks.metrics import task_metrics

SILENT = Console(file=io.StringIO())
WHOLE = load_budget("whole").model_copy(update={"max_epochs": 2, "cnn_epochs": 6})


@pytest.fixture
def data_root(tmp_path) -> Path:
    """Data root with mouse/3 and tf/0: records of class 1 are rich in G and C."""
    root = tmp_path / "data"
    random = np.random.default_rng(0)
    for folder in ("gue/mouse/3", "gue/tf/0"):
        (root / folder).mkdir(parents=True)
        for split, count in (("train", 60), ("dev", 20), ("test", 20)):
            texts = ["".join(random.choice(list(("AAT" if n % 2 else "GGC") + "ACGT"), 30)) for n in range(count)]
            rows = "".join(f"{text},{n % 2}\n" for n, text in enumerate(texts))
            (root / folder / f"{split}.csv").write_text("sequence,label\n" + rows)
    return root


class FakeSystem:
    """System whose predictions are known, which counts its calls and may fail on the nth."""

    def __init__(
        self, fail_at: int | None = None, candidates: tuple[str, ...] = ("only",), is_seedless: bool = False
    ) -> None:
        self.calls: list[tuple[str, str, int]] = []
        self.fail_at, self.candidates, self.is_seedless = fail_at, candidates, is_seedless

    def __call__(self, order: Order) -> Outcome:
        data, candidate, seed = order.data, order.candidate, order.seed
        if len(self.calls) + 1 == self.fail_at:
            raise KeyboardInterrupt
        self.calls.append((data.dataset, candidate, seed))
        wrong = {"poor": 8}.get(candidate, 1 + seed)
        details = Details(seconds=2.0, training_bases=1800, epochs=1)
        return Outcome(predicted(data.dev.labels, wrong), predicted(data.test.labels, wrong), details)

    def named(self, name: str, *_: object) -> System:
        return System(name, self, self.candidates, self.is_seedless)


def predicted(labels: np.ndarray, wrong: int) -> np.ndarray:
    """Probabilities that are right but for the first records."""
    chosen = np.where(np.arange(len(labels)) < wrong, 1 - labels, labels)
    return np.eye(2)[chosen]


@pytest.fixture
def fake(monkeypatch) -> FakeSystem:
    return use(monkeypatch, FakeSystem())


def use(monkeypatch, system: FakeSystem) -> FakeSystem:
    monkeypatch.setattr(work, "find_system", system.named)
    monkeypatch.setattr(estimate, "_short_run", lambda grid, name: 1e-3)
    return system


def run(
    systems, datasets, seeds, out: Path, root: Path, budget: Budget = WHOLE, console: Console = SILENT, workers: int = 1
) -> BenchmarkResult:
    return run_grid(checked_grid(systems, datasets, seeds, out, root, budget=budget), workers, console)


def test_each_cell_gets_its_results_file_under_the_names_of_the_grid(data_root, tmp_path, fake):
    out = tmp_path / "out"
    run(["encoder:some/dir"], ["mouse/3"], 2, out, data_root)
    record = read_json(out / "full/encoder-some-dir/mouse/3/seed-1/results.json")
    named = {"stage": "benchmark", "protocol": "full", "system": "encoder:some/dir", "dataset": "mouse/3", "seed": 1}
    assert named.items() <= record.items()
    labels = np.arange(20) % 2
    assert record["test"] == task_metrics("classification", labels, predicted(labels, 2))
    assert set(record["test"]) == {"mcc", "f1_macro", "accuracy", "auroc"}
    assert record["intervals"]["mcc"][0] <= record["test"]["mcc"] <= record["intervals"]["mcc"][1]
    assert record["num_sequences"] == {"train": 60, "dev": 20, "test": 20}
    assert (record["seconds"], record["collapsed"]) == (2.0, False)


def test_cells_go_seed_by_seed_and_known_ones_are_not_run_again(data_root, tmp_path, fake):
    out = tmp_path / "out"
    run(["cnn"], ["mouse/3", "tf/0"], [0, 1], out, data_root)
    assert fake.calls == [(name, "only", seed) for seed in (0, 1) for name in ("mouse/3", "tf/0")]
    rows = run(["cnn"], ["mouse/3", "tf/0"], 3, out, data_root).rows
    assert fake.calls[4:] == [("mouse/3", "only", 2), ("tf/0", "only", 2)]
    assert [row.seeds for row in rows] == [[0, 1, 2], [0, 1, 2]]


def test_a_run_that_was_cut_off_goes_on_at_the_cell_that_broke(data_root, tmp_path, monkeypatch):
    out = tmp_path / "out"
    use(monkeypatch, FakeSystem(fail_at=3))
    with pytest.raises(KeyboardInterrupt):
        run(["cnn"], ["mouse/3"], 4, out, data_root)
    assert len(list(out.rglob("results.json"))) == 2
    whole = use(monkeypatch, FakeSystem())
    run(["cnn"], ["mouse/3"], 4, out, data_root)
    assert whole.calls == [("mouse/3", "only", 2), ("mouse/3", "only", 3)]


def test_predictions_outlive_a_kill_between_them_and_the_scores(data_root, tmp_path, fake):
    out = tmp_path / "out"
    run(["cnn"], ["mouse/3"], 1, out, data_root)
    (out / "full/cnn/mouse/3/seed-0/results.json").unlink()
    (row,) = run(["cnn"], ["mouse/3"], 1, out, data_root).rows
    assert len(fake.calls) == 1
    assert row.seeds == [0]
    assert read_outcome(out / "runs/full/cnn/mouse/3/only-seed-0").test.shape == (20, 2)


def test_settings_are_searched_on_the_group_s_dataset_by_dev_alone_and_once(data_root, tmp_path, monkeypatch):
    system, out = use(monkeypatch, FakeSystem(candidates=("poor", "good"))), tmp_path / "out"
    budget = WHOLE.model_copy(update={"search": {"TF-human": "mouse/3"}})
    run(["cnn"], ["tf/0"], 2, out, data_root, budget)
    assert system.calls == [("mouse/3", "poor", 0), ("mouse/3", "good", 0), ("tf/0", "good", 0), ("tf/0", "good", 1)]
    record = read_json(out / "full/cnn/tf/0/seed-1/results.json")
    assert (record["candidate"], record["searched"]["dataset"]) == ("good", "mouse/3")
    assert record["searched"]["dev"]["good"] > record["searched"]["dev"]["poor"]
    assert not (out / "full/cnn/mouse").exists()  # what was searched on is scored only where it is asked for
    run(["cnn"], ["mouse/3"], 1, out, data_root, budget)  # its own group has no dataset named: it searches on itself
    assert len(system.calls) == 4  # and finds the runs of the search
    assert read_json(out / "full/cnn/mouse/3/seed-0/results.json")["candidate"] == "good"


def test_what_was_searched_before_is_not_read_again(data_root, tmp_path, monkeypatch):
    use(monkeypatch, FakeSystem(candidates=("poor", "good")))
    budget = WHOLE.model_copy(update={"search": {"TF-human": "mouse/3"}})
    run(["cnn"], ["tf/0"], 1, tmp_path / "out", data_root, budget)
    read: list[str] = []

    def reading(name: str, *rest: object) -> TaskData:
        read.append(name)
        return read_task_data(name, *rest)

    monkeypatch.setattr(work, "read_task_data", reading)
    run(["cnn"], ["tf/0"], 3, tmp_path / "out", data_root, budget)
    assert read == ["tf/0"]  # for the estimate, and both cells


def test_a_system_that_no_seed_changes_is_run_once(data_root, tmp_path, monkeypatch):
    system, out = use(monkeypatch, FakeSystem(is_seedless=True)), tmp_path / "out"
    (row,) = run(["kmer-logreg:3"], ["mouse/3"], 3, out, data_root).rows
    assert system.calls == [("mouse/3", "only", 0)]
    assert (row.seeds, row.mcc.sd) == ([0, 1, 2], 0.0)


def test_progress_says_what_is_left_names_every_cell_and_ends_with_the_table(data_root, tmp_path, fake, monkeypatch):
    monkeypatch.delenv("VQDNA_QUIET", raising=False)
    shown = io.StringIO()
    run(["cnn"], ["mouse/3"], 2, tmp_path / "out", data_root, console=Console(file=shown, width=100))
    text = shown.getvalue()
    assert text.startswith("2 runs to make, 0 known\n")
    assert "[2/2] full mouse/3 cnn seed 1: test MCC 80.0 (2 s)" in text
    assert "85.2" in text  # the mean over both
    monkeypatch.setenv("VQDNA_QUIET", "1")
    quiet = io.StringIO()
    run(["cnn"], ["mouse/3"], 3, tmp_path / "out", data_root, console=Console(file=quiet, width=100))
    assert quiet.getvalue() == ""


def test_the_estimate_grows_with_the_bases_and_shrinks_with_workers(data_root, tmp_path, fake):
    grid = Grid(["cnn"], {"mouse/3": "full", "tf/0": "full"}, [0, 1], WHOLE, tmp_path / "out", (), data_root)
    one = estimate.estimate(grid, grid.trials()[:1])
    four = estimate.estimate(grid, grid.trials())
    assert four.seconds == pytest.approx(4 * one.seconds)
    assert estimate.estimate(grid, grid.trials(), workers=2).seconds == pytest.approx(2 * one.seconds)
    assert estimate.estimate(grid, []).sentence() == "0 runs to make, 4 known"


def test_what_another_process_is_at_is_left_to_it(data_root, tmp_path, fake, monkeypatch):
    grid = Grid(["cnn"], {"mouse/3": "full"}, [0], WHOLE, tmp_path / "out", (), data_root)
    folder = Trial("full", "cnn", "mouse/3", 0).folder(grid.out)
    told: list[str] = []
    with ExitStack() as other_process:
        other_process.enter_context(locked(folder))
        seen_while_locked: list[int] = []

        def wait(seconds: float) -> None:
            seen_while_locked.append(len(fake.calls))
            other_process.close()

        monkeypatch.setattr(cells, "time", SimpleNamespace(sleep=wait))
        work_through(grid, told.append)
    assert seen_while_locked == [0]
    assert len(fake.calls) == len(told) == 1


@pytest.mark.slow
def test_several_workers_give_what_one_gives(data_root, tmp_path):
    datasets, systems = ["mouse/3", "tf/0"], ["kmer-logreg:2", "kmer-logreg:3"]
    alone = run(systems, datasets, 1, tmp_path / "one", data_root)
    shared = run(systems, datasets, 1, tmp_path / "two", data_root, workers=2)
    kept = ("system", "dataset", "mcc", "f1_macro", "accuracy", "auroc", "deduplicated")
    one, other = ([{key: getattr(row, key) for key in kept} for row in found.rows] for found in (alone, shared))
    assert one == other


@pytest.mark.slow
def test_why_a_worker_stopped_is_said_even_where_nothing_else_is(data_root, tmp_path, monkeypatch):
    monkeypatch.setenv("VQDNA_QUIET", "1")
    out, datasets = tmp_path / "out", ["mouse/3"]
    run(["kmer-logreg:2"], datasets, 1, out, data_root)
    next(out.rglob("results.json")).unlink()
    next(out.rglob("outcome.npz")).write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"workers stopped early: .*outcome.npz: the predictions cannot be read"):
        run(["kmer-logreg:2"], datasets, 1, out, data_root, workers=2)


WORKER = """
import multiprocessing, threading
from vqdna.benchmark.runner import _end_with_parent

def work():
    threading.Thread(target=_end_with_parent, daemon=True).start()
    print("started", flush=True)
    threading.Event().wait()

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work).start()
"""


@pytest.mark.slow
def test_a_worker_does_not_outlive_the_process_that_started_it(tmp_path):
    (tmp_path / "parent.py").write_text(WORKER)
    with subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "started\n"
        parent.kill()
        parent.communicate(timeout=60)  # to the end of what the worker holds open too


@pytest.mark.parametrize(
    ("systems", "datasets", "expected"),
    [
        (["cnnn"], ["mouse/3"], "no system 'cnnn', .*did you mean 'cnn'"),
        (["kmer-logreg:0"], ["mouse/3"], "no system 'kmer-logreg:0'"),
        (["cnn-words"], ["mouse/3"], "no system 'cnn-words'"),
        (["cnn-words:kmers:3"], ["mouse/3"], "tokenizer 'kmers:3': no such kind.*did you mean 'kmer'"),
        (["probe:bpe:/nowhere@9"], ["mouse/3"], "'/nowhere' is no directory"),
        (["average:cnn+kmer-logreg:99"], ["mouse/3"], "got k = 99, expected 1 to 12"),
        (["average:cnn"], ["mouse/3"], "no system 'average:cnn'"),
        (["average:cnn+ccnn"], ["mouse/3"], "no system 'ccnn'.*did you mean 'cnn'"),
        (["average:cnn+cnn"], ["mouse/3"], "names a system twice"),
        (["average:kmer3+cnn"], ["mouse/3"], "name some with --genomes"),
        (["encoder:/nowhere"], ["mouse/3"], "/nowhere: no such folder nor a built-in encoder"),
        (["encoder:.@liner"], ["mouse/3"], "no configuration 'liner' .*did you mean 'linear'"),
        (["cnn"], ["mouse/33"], "no dataset 'mouse/33'"),
        (["cnn"], ["mouse/3", "mouse/1"], "mouse/1: no train or dev or test file"),
        (["kmer3"], ["mouse/3"], "name some with --genomes"),
        ([], ["mouse/3"], "at least one system"),
    ],
)
def test_a_bad_grid_is_refused_before_anything_is_written(data_root, tmp_path, systems, datasets, expected):
    with pytest.raises(InputError, match=expected):
        run(systems, datasets, 1, tmp_path / "out", data_root)
    assert not (tmp_path / "out").exists()


def test_a_folder_belongs_to_one_budget(data_root, tmp_path, fake):
    run(["cnn"], ["mouse/3"], 1, tmp_path / "out", data_root)
    with pytest.raises(InputError, match=r"budget\.json: .* another budget \('max_train' differs\)"):
        run(["cnn"], ["mouse/3"], 2, tmp_path / "out", data_root, WHOLE.model_copy(update={"max_train": 40}))
    assert len(fake.calls) == 1


def test_results_of_another_system_in_the_same_folder_are_not_taken_for_known(data_root, tmp_path, fake):
    run(["encoder:a/b"], ["mouse/3"], 1, tmp_path / "out", data_root)
    with pytest.raises(InputError, match="holds results of 'encoder:a/b', expected 'encoder:a-b'"):
        run(["encoder:a-b"], ["mouse/3"], 1, tmp_path / "out", data_root)


def test_damaged_predictions_are_refused_by_name(data_root, tmp_path, fake):
    out = tmp_path / "out"
    grid = Grid(["cnn"], {"mouse/3": "full"}, [0], WHOLE, out, (), data_root)
    data = grid.data("full", "mouse/3")
    kept_outcome(grid, fake.named("cnn"), data, "only", 0)
    file = out / "runs/full/cnn/mouse/3/only-seed-0/outcome.npz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"outcome\.npz: the predictions cannot be read"):
        kept_outcome(grid, fake.named("cnn"), data, "only", 0)


def test_every_system_name_is_found(tmp_path):
    for name in SYSTEM_NAMES:
        if ":" not in name:
            assert find_system(name, WHOLE, tmp_path).name == name
    assert find_system("kmer-logreg:4", WHOLE, tmp_path).is_seedless
    assert find_system("cnn:15", WHOLE, tmp_path).epochs == 15
    assert find_system("cnn-words:small", WHOLE, tmp_path).run.keywords["tokenizer"].endswith("small/vocabulary")
    assert find_system("cnn-words:kmer:3", WHOLE, tmp_path).run.keywords["tokenizer"] == "kmer:3"
    longer = find_system("kmer6:4", WHOLE, tmp_path)
    assert (longer.encoder, longer.epochs) == ("kmer6", 4)
    assert find_system("probe:nucleotide@64", WHOLE, tmp_path).is_seedless
    assert find_system("probe:small", WHOLE, tmp_path).run.args[0].endswith("small/vocabulary")
    assert len(find_system("encoder:small", WHOLE, tmp_path).candidates) == 2
    assert len(find_system(f"encoder:{tmp_path}@linear", WHOLE, tmp_path).candidates) == 1
    assert {find_system(name, WHOLE, tmp_path).encoder for name in OWN_ENCODERS} == set(OWN_ENCODERS)


def test_cells_of_different_systems_have_different_folders(tmp_path):
    names = ("kmer-logreg", "kmer-logreg:3", "encoder:a/b", "probe:nucleotide")
    assert len({Trial("full", name, "mouse/3", 0).folder(tmp_path) for name in names}) == len(names)


def test_the_controls_learn_a_composition(data_root, tmp_path):
    systems = ["cnn", "cnn-words:kmer:2", "kmer-logreg:2", "kmer-lightgbm"]
    rows = run(systems, ["mouse/3"], 1, tmp_path / "out", data_root).rows
    assert {row.system for row in rows if row.mcc.mean > 0.5} == set(systems)
    costs = {row.system: row for row in rows}
    assert costs["cnn"].flops_per_base > 10_000
    assert costs["cnn"].parameters.total > costs["kmer-logreg:2"].parameters.total
    json.dumps(read_json(tmp_path / "out/summary.json"), allow_nan=False)


def test_an_average_takes_what_its_members_made_and_costs_what_they_cost(data_root, tmp_path, monkeypatch):
    members = {name: FakeSystem(candidates=("poor", "good")) for name in ("one", "other")}
    singles = {name: fake.named(name) for name, fake in members.items()}
    average = System("average:one+other", None, members=tuple(singles.values()))
    monkeypatch.setattr(work, "find_system", lambda name, *_: singles.get(name, average))
    monkeypatch.setattr(estimate, "_short_run", lambda grid, name: 1e-3)
    rows = run(["average:one+other", "one"], ["mouse/3"], 2, tmp_path / "out", data_root).rows
    assert [row.seconds for row in rows] == [4.0, 2.0]
    searched = [("mouse/3", "poor", 0), ("mouse/3", "good", 0)]
    assert all(fake.calls == [*searched, ("mouse/3", "good", 1)] for fake in members.values())
    records = [read_json(tmp_path / f"out/full/average-one-other/mouse/3/seed-{n}/results.json") for n in (0, 1)]
    for record in records:
        assert record["blend"]["shares"] == {"one": 0.5, "other": 0.5}
        assert {choice["candidate"] for choice in record["members"].values()} == {"good"}
        assert [record["parts"][name]["test"]["mcc"] for name in members] == [record["test"]["mcc"]] * 2
    assert records[0]["test"]["mcc"] > records[1]["test"]["mcc"]  # each seed is averaged with its own


def test_an_average_waits_for_its_members_encoders_and_is_estimated_by_them(data_root, tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "_short_run", lambda grid, name: 1e-3)
    average = find_system("average:kmer3+cnn+bpe", WHOLE, tmp_path)
    assert [single.encoder for single in average.singles] == ["kmer3", None, "bpe"]
    assert not average.is_seedless
    assert find_system("average:kmer-logreg+probe:small", WHOLE, tmp_path).is_seedless
    seconds = [
        estimate.estimate(grid, grid.trials()).seconds
        for names in (["cnn:1"], ["kmer-logreg"], ["average:cnn:1+kmer-logreg"], ["average:cnn:1+kmer-logreg", "cnn:1"])
        for grid in [checked_grid(names, ["mouse/3"], 3, tmp_path / "out", data_root, budget=WHOLE)]
    ]
    assert seconds[2] == pytest.approx(seconds[0] + seconds[1]) == pytest.approx(seconds[3])
    assert seconds[0] == pytest.approx(3 * seconds[1])  # counts need no seeds


def test_the_estimate_knows_how_often_a_system_reads_the_training_split(data_root, tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "_short_run", lambda grid, name: 1.0)
    grid = checked_grid(["cnn:1"], ["mouse/3"], 1, tmp_path / "out", data_root, budget=WHOLE)
    once = int(grid.data("full", "mouse/3").train.lengths.sum())

    def bases(name: str) -> float:
        one = checked_grid([name], ["mouse/3"], 1, tmp_path / "out", data_root, budget=WHOLE)
        return estimate.estimate(one, one.trials()).seconds

    assert bases("cnn:5") - bases("cnn:1") == pytest.approx(4 * 3 * once)
    assert bases("kmer-lightgbm") == pytest.approx(bases("cnn:1"))
    recipe = load_config(FinetuneConfig, "cnn-words", "finetune").training.epochs
    assert bases("encoder:small@cnn-words") - bases("cnn:1") == pytest.approx((recipe - 1) * 3 * once)


def test_scores_are_averaged_evenly_where_there_are_no_classes():
    labels = np.array([0.0, 1.0, 2.0])
    dev = LabelledSequences([np.zeros(4, dtype=np.uint8)] * 3, labels, task="regression")
    outcomes = {
        name: Outcome(labels[:, None] + shift, labels[:, None] - shift, Details(seconds=1.0))
        for name, shift in (("low", -1.0), ("high", 3.0))
    }
    average = averaged(outcomes, dev)
    np.testing.assert_allclose(average.dev[:, 0], labels + 1)
    np.testing.assert_allclose(average.test[:, 0], labels - 1)
    assert average.details.seconds == 2.0
    assert average.details.parameters is None
    assert set(average.parts) == {"low", "high"}


def test_the_best_k_is_the_one_with_the_highest_dev_mcc(data_root, tmp_path):
    data = read_task_data("tf/0", "full", WHOLE, tmp_path, data_root)
    outcome = run_best_kmer(Order(data, "default", 0, tmp_path))
    scores = outcome.details.dev_by_k
    assert set(scores) == {"3", "4", "5", "6"}
    assert scores[str(outcome.details.k)] == max(scores.values())
    assert task_metrics("classification", data.dev.labels, outcome.dev)["mcc"] == max(scores.values())


def test_the_grid_s_genomes_come_from_the_data_root_where_none_are_named(data_root, tmp_path):
    (data_root / "genomes").mkdir()
    (data_root / "genomes/one.fa").write_text(">one\nACGT\n")
    grid = checked_grid(["kmer3"], ["mouse/3"], 1, tmp_path / "out", data_root)
    assert grid.genomes == [data_root / "genomes/one.fa"]


def test_a_network_that_reads_tokens_reads_many_sequences_fewer_times(data_root, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "MANY_SEQUENCES", 20)
    monkeypatch.setattr(running, "EPOCHS_OF_MANY", 1)
    data = read_task_data("mouse/3", "full", WHOLE, tmp_path, data_root)
    for tokenizer, epochs in (("kmer:2", 1), (None, 2)):
        outcome = running.run_network(Order(data, "both-strands", 0, tmp_path / str(tokenizer), 2), tokenizer)
        assert outcome.details.epochs == epochs
        assert outcome.details.pretraining_bases == 0
        assert outcome.test.shape == (len(data.test), 2)


@pytest.mark.parametrize("system", ["cnn:40", "cnn-words:kmer:2"])
def test_a_trial_reads_a_few_sequences_once_however_long_a_system_trains(system, data_root, tmp_path, monkeypatch):
    trained = []

    def run_finetune(config, splits, **settings):
        record = real(config, splits, **settings)
        trained.append((record.epochs, int(splits.train.lengths.sum())))
        return record

    real = finetuning.run_finetune
    monkeypatch.setattr(finetuning, "run_finetune", run_finetune)
    monkeypatch.setattr(estimate, "SHORT_BASES", 1200)
    grid = checked_grid([system], ["mouse/3"], 1, tmp_path / "out", data_root, budget=WHOLE)
    assert int(grid.data("full", "mouse/3").train.lengths.sum()) == 1800
    assert estimate.estimate(grid, grid.trials()).seconds > 0
    assert trained == [(1, 1200)]
