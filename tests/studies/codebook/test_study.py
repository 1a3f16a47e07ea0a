from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from vqdna.errors import InputError
from vqdna.experiments.locks import locked
from vqdna.genome.streams import sequence_files
from vqdna.results import read_json, write_json
from vqdna.simulation.genomes import write_example
from vqdna.studies.codebook.results import CodebookRow
from vqdna.studies.codebook.study import CodebookRun, run_codebook_study
from vqdna.studies.codebook.summary import BEST_KMER, markdown_summary

BASE = """
model: {quantizer: vq, level_sizes: [16], width: 32, stem_width: 32, num_blocks: 2, codebook_decay: 0.9}
data: {window: 64, evaluation_windows: 8}
training: {steps: 3, batch_size: 4, learning_rate: 0.001, precision: fp32}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Folder with two genomes, a labelled task, and a table of two tiny rows and one preset."""
    folder = tmp_path_factory.mktemp("study")
    write_example(folder, num_species=2, bases_per_species=20_000, num_train=120, seed=0)
    rows = folder / "rows"
    rows.mkdir()
    (rows / "_base.yaml").write_text(BASE)
    (rows / "_tiny.yaml").write_text("width_divisor: 2\nlimits: {train: 60, dev: 20, test: 15}\n")
    (rows / "vq.yaml").write_text("model: {level_sizes: [8]}\n")
    (rows / "hrq.yaml").write_text("model: {quantizer: hrq, level_sizes: [8, 16]}\n")
    return folder


@pytest.fixture
def study(made, tmp_path):
    """Function that runs the study on the made data and gives its rows and what it printed."""

    def run(*names: str, seeds: int = 1, out: Path | None = None, **options) -> tuple[list[dict], str]:
        shown = io.StringIO()
        rows = run_codebook_study(
            sequence_files([made / "genomes"]),
            out or tmp_path / "out",
            names=names or None,
            seeds=seeds,
            datasets=[str(made / "promoter")],
            **{"preset": "tiny", "rows": made / "rows", "console": Console(file=shown, width=200)} | options,
        )
        return [row.model_dump(mode="json") for row in rows], shown.getvalue()

    return run


def test_two_cells_train_are_measured_and_probed_and_are_known_afterwards(study, made, tmp_path):
    rows, _ = study("vq", "hrq", "kmer_3", "kmer_4", seeds=2)
    by_name = {row["cell"]: row for row in rows}
    assert list(by_name) == ["kmer_3", "kmer_4", BEST_KMER, "hrq", "vq"]
    assert by_name["vq"]["seeds"] == by_name["hrq"]["seeds"] == [0, 1]
    assert by_name["kmer_3"]["seeds"] == [0]
    assert by_name["hrq"]["level_sizes"] == [8, 16]
    assert (by_name["hrq"]["width"], by_name["hrq"]["paper_width"]) == (16, 32)
    assert len(by_name["hrq"]["usage"]) == 2
    assert by_name["vq"]["lin"]["mcc"]["sd"] is not None
    assert 0 < by_name["vq"]["reconstruction_accuracy"]["mean"] <= 1

    record = read_json(tmp_path / "out/hrq/seed-1/results.json")
    (probe,) = record["datasets"].values()
    assert set(probe["representations"]) == {"mean", "histogram", "coarse", "fine"}
    assert probe["num_sequences"] == {"train": 60, "dev": 20, "test": 15}
    assert probe["limits"]["train"] == 60
    assert record["lin"]["mcc"] == probe["test"]["mcc"]
    assert read_json(tmp_path / "out/hrq/seed-1/vocabulary/results.json")["seed"] == 1

    summary = (tmp_path / "out/summary.md").read_text()
    assert "| hrq | 2 | 8 + 16 | 16 (32) |" in summary
    assert read_json(tmp_path / "out/summary.json")["rows"] == rows

    kept = (tmp_path / "out/vq/seed-0/results.json").read_bytes()
    again, shown = study("vq", "hrq", "kmer_3", "kmer_4", seeds=2)
    assert again == rows
    assert "6 cells, 6 known" in shown
    assert (tmp_path / "out/vq/seed-0/results.json").read_bytes() == kept


def test_a_cut_study_goes_on_at_the_cell_that_broke(study, tmp_path, monkeypatch):
    real, ran = CodebookRun.run, []

    def breaking(cell):
        if cell.row == "vq":
            raise KeyboardInterrupt
        ran.append(cell.row)
        return real(cell)

    monkeypatch.setattr(CodebookRun, "run", breaking)
    with pytest.raises(KeyboardInterrupt):
        study("hrq", "vq")
    assert not (tmp_path / "out/vq/seed-0/results.json").exists()
    monkeypatch.setattr(CodebookRun, "run", lambda cell: ran.append(cell.row) or real(cell))
    study("hrq", "vq")
    assert ran == ["hrq", "vq"]


def test_a_cell_that_fails_stops_no_other_and_is_told_at_the_end(study, tmp_path, monkeypatch):
    real = CodebookRun.run

    def failing(cell):
        if cell.row == "kmer_3":
            raise InputError("the loss is nan at step 7")
        return real(cell)

    monkeypatch.setattr(CodebookRun, "run", failing)
    with pytest.raises(InputError, match=r"1 cells failed \(kmer_3 seed 0\)"):
        study("kmer_3", "kmer_4")
    assert [row["cell"] for row in read_json(tmp_path / "out/summary.json")["rows"]] == ["kmer_4"]


def test_a_cell_of_another_process_is_left_to_it(study, tmp_path):
    with locked(tmp_path / "out/kmer_3/seed-0"):
        rows, shown = study("kmer_3", "kmer_4")
    assert [row["cell"] for row in rows] == ["kmer_4"]
    assert "kmer_3 seed 0: another process is at it" in shown
    assert [row["cell"] for row in study("kmer_3", "kmer_4")[0]] == ["kmer_3", "kmer_4", BEST_KMER]


def test_two_at_once_share_the_cells(study, tmp_path, monkeypatch):
    real, ran = CodebookRun.run, []
    monkeypatch.setattr(CodebookRun, "run", lambda cell: ran.append(cell) or real(cell))
    names = ("nucleotide", "kmer_3", "kmer_4", "kmer_5")
    threads = [threading.Thread(target=study, args=names) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(cell.row for cell in ran) == sorted(names)
    assert len(read_json(tmp_path / "out/summary.json")["rows"]) == len(names) + 1


def test_a_damaged_cell_is_named_before_anything_runs(study, tmp_path):
    study("kmer_3")
    path = tmp_path / "out/kmer_3/seed-0/results.json"
    for text in (path.read_text()[:100], "{}"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"kmer_3/seed-0/results.json.*delete it to run this again"):
            study("kmer_3", "kmer_4")
    assert not (tmp_path / "out/kmer_4").exists()


def test_a_cell_from_before_an_option_existed_is_still_known(study, tmp_path, monkeypatch):
    study("vq")
    path = tmp_path / "out/vq/seed-0/results.json"
    record = read_json(path)
    for key in ("views", "shared_strands", "decoder", "masked_base_fraction", "codebook_warm_up_decay"):
        del record["settings"]["configuration"]["model"][key]
    del record["settings"]["configuration"]["data"]["repeated_names"]
    for limits in record["settings"]["datasets"].values():
        del limits["features"]
    write_json(path, record)
    monkeypatch.setattr(CodebookRun, "run", lambda cell: pytest.fail("run again"))
    assert "1 cells, 1 known" in study("vq")[1]
    record["settings"]["configuration"]["model"]["strand_weight"] = 0.5
    write_json(path, record)
    with pytest.raises(InputError, match=r"made with other settings \('configuration.model.strand_weight' differs\)"):
        study("vq")
    del record["settings"]["configuration"]["model"]["strand_weight"]
    record["settings"]["datasets"][next(iter(record["settings"]["datasets"]))]["bases"] = 7  # of a later version
    write_json(path, record)
    with pytest.raises(InputError, match=r"made with other settings \('datasets.*bases' differs\)"):
        study("vq")


def test_cells_of_other_settings_are_refused(study, tmp_path):
    study("kmer_3")
    with pytest.raises(InputError, match=r"made with other settings \('datasets.*train' differs\)"):
        study("kmer_3", max_train=50)


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (("vqq",), {}, "no cell 'vqq' in the codebook study; did you mean 'vq'"),
        (("vq",), {"preset": "tyni"}, "no preset 'tyni', expected one of tiny"),
    ],
)
def test_a_bad_study_writes_nothing(study, tmp_path, names, options, expected):
    with pytest.raises(InputError, match=expected):
        study(*names, **options)
    assert not (tmp_path / "out").exists()


def test_the_best_kmer_is_chosen_on_dev_for_each_dataset(study, tmp_path):
    rows, _ = study("kmer_3", "kmer_4", "kmer_5")
    best = next(row for row in rows if row["cell"] == BEST_KMER)
    records = [read_json(tmp_path / f"out/kmer_{k}/seed-0/results.json") for k in (3, 4, 5)]
    (name,) = records[0]["datasets"]
    chosen = max((record["datasets"][name] for record in records), key=lambda probe: probe["dev"]["mcc"])
    assert best["datasets"][name]["mean"] == best["lin"]["mcc"]["mean"] == chosen["test"]["mcc"]
    assert best["num_features"] == chosen["num_features"]
    assert f"| {BEST_KMER} | 1 |" in markdown_summary([CodebookRow(**row) for row in rows])
