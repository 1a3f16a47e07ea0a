"""What pre-training is worth: encoders fine-tuned alike, beside the same architecture with fresh weights, on dev.

Flow: encoders x datasets x seeds -> (a copy with fresh weights where the name begins with `random:`) -> fine-tuning on
the same sequences -> OUT/<encoder>/<dataset>-seed-<n>/results.json, written when the cell is done -> summary.json and
summary.md. Cells that are there are kept; processes share a folder by claiming cells. Test splits are never read.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from vqdna.baselines.probe import run_probe
from vqdna.config import completed, load_config, read_yaml
from vqdna.encoder.genome_encoder import load_encoder
from vqdna.errors import InputError
from vqdna.experiments.locks import claimed
from vqdna.experiments.records import check_settings
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.starting_weights import fresh_encoder
from vqdna.finetune.train import run_finetune
from vqdna.results import RESULTS_FILE, command_line, read_json, write_json
from vqdna.studies.pretraining.summary import write_summary
from vqdna.tasks.loading import LabelledSequences, Splits, read_labelled
from vqdna.tasks.registry import GUE_13, DatasetFiles, files_in_folder, find_dataset
from vqdna.tokenizers import load_tokenizer

Record = dict[str, Any]

RANDOM = "random:"
"""Before an encoder's folder: its architecture and tokenizer, with fresh weights drawn from the cell's seed."""

PROBE = "probe:"
"""Before a tokenizer's name or folder: logistic regression on its codes alone, a control without any encoder."""

STUDY = "pretraining"


@dataclass(frozen=True)
class Cell:
    """One fine-tuning.

    Attributes:
        encoder: folder of an encoder, `random:` and one, or `probe:` and a tokenizer.
        dataset: name as `find_dataset` takes it, or a folder with train and dev tables.
        seed: of the fine-tuning, and of fresh weights.
    """

    encoder: str
    dataset: str
    seed: int

    @property
    def is_fresh(self) -> bool:
        """Whether the encoder's weights are fresh ones."""
        return self.encoder.startswith(RANDOM)

    @property
    def is_probe(self) -> bool:
        """Whether there is no encoder at all."""
        return self.encoder.startswith(PROBE)

    def folder(self, out: Path) -> Path:
        """Where the cell's record lies."""
        return out / _slug(self.encoder) / f"{_slug(self.dataset)}-seed-{self.seed}"


@dataclass(frozen=True)
class Study:
    """What all cells of a folder have in common."""

    out: Path
    config: FinetuneConfig
    max_train: int | None
    max_dev: int | None
    files: dict[str, DatasetFiles]

    def config_of(self, cell: Cell) -> FinetuneConfig:
        """The fine-tuning of a cell; fresh weights are not mixed with fresh ones, which would only shrink them."""
        return self.config.model_copy(update={"fresh_share": 0.0}) if cell.is_fresh else self.config

    def settings(self, cell: Cell) -> Record:
        """Everything that decides a cell's numbers beside the cell itself."""
        configuration = self.config_of(cell).model_dump(mode="json")
        return {"configuration": configuration, "max_train": self.max_train, "max_dev": self.max_dev}

    def splits(self, dataset: str) -> Splits:
        """The study's draw from the dataset's `train` and `dev`; the test split stays unread."""
        files = self.files[dataset]
        train = read_labelled(files.train)
        dev = read_labelled(files.dev, like=train)
        return Splits(_drawn(train, self.max_train), _drawn(dev, self.max_dev), None)


def run_pretraining_study(
    encoders: Sequence[str],
    out: Path,
    *,
    datasets: Sequence[str] = GUE_13,
    seeds: int = 3,
    config: str = "small",
    overrides: Sequence[str] = (),
    max_train: int | None = None,
    max_dev: int | None = None,
    data_root: Path | None = None,
    console: Console | None = None,
) -> list[Record]:
    """Summary rows of the study under `out`, after running every cell that neither is there nor is another process's.

    Args:
        encoders: run folders, their snapshots, `random:` and one of them, or `probe:` and a tokenizer (no seed
            changes its scores, so it has but one).
        out: folder of the study.
        datasets: names as `find_dataset` takes them, or folders with train and dev tables.
        seeds: their number.
        config: fine-tuning configuration, the same for all.
        overrides: `key=value` on top of it.
        max_train: training sequences of each dataset, a draw that all cells share; None takes all.
        max_dev: likewise, of the sequences that are scored.
        data_root: None is where `find_data_root` finds it.
        console: where progress is shown; None is standard error.

    Raises:
        InputError: no such encoder or dataset, or cells of other settings; before any cell runs.
    """
    files = {name: _files(name, data_root) for name in datasets}
    study = Study(out, load_config(FinetuneConfig, config, "finetune", overrides), max_train, max_dev, files)
    for name in encoders:
        _check(name)
    # Seed by seed, so that a study cut short has a mean over all datasets.
    chosen = [Cell(encoder, name, seed) for seed in range(seeds) for name in files for encoder in encoders]
    chosen = [cell for cell in chosen if cell.seed == 0 or not cell.is_probe]
    waiting = [cell for cell in chosen if known_cell(cell, study) is None]
    console = console or Console(stderr=True)
    console.print(f"{len(chosen)} cells, {len(chosen) - len(waiting)} known", markup=False, soft_wrap=True)
    for number, cell in enumerate(waiting, 1):
        outcome = _run_unclaimed(cell, study)
        about = f"[{number}/{len(waiting)}] {cell.encoder} {cell.dataset} seed {cell.seed}: {outcome}"
        console.print(about, markup=False, soft_wrap=True)
    return write_summary(out, command_line())


def known_cell(cell: Cell, study: Study) -> Record | None:
    """Record of the cell as an earlier call wrote it, or None.

    Raises:
        InputError: the file is damaged, or was made with other settings.
    """
    path = cell.folder(study.out) / RESULTS_FILE
    if not path.is_file():
        return None
    record = read_json(path)
    settings = record.get("settings", {})
    held = {**settings, "configuration": completed(FinetuneConfig, settings.get("configuration", {}))}
    check_settings(path, held, study.settings(cell))
    return record


def run_cell(cell: Cell, study: Study) -> Record:
    """Record of one cell, also written to its folder; the fine-tuned weights are not kept."""
    folder = cell.folder(study.out)
    results = _probed(cell, study) if cell.is_probe else _finetuned(cell, study, folder)
    record = {
        "stage": "study",
        "study": STUDY,
        "encoder": cell.encoder,
        "dataset": cell.dataset,
        "seed": cell.seed,
        "bases_seen": bases_seen(cell.encoder),
        "command": command_line(),
        **{key: results[key] for key in ("seconds", "best_epoch", "parameters", "sequences", "dev")},
        "settings": study.settings(cell),
    }
    write_json(folder / RESULTS_FILE, record)
    for finished in ("run", "encoder"):
        shutil.rmtree(folder / finished, ignore_errors=True)
    return record


def _probed(cell: Cell, study: Study) -> Record:
    """What a cell's record takes from logistic regression; its regularization is chosen on dev, as epochs are."""
    splits = study.splits(cell.dataset)
    train, dev = splits.train, splits.dev
    found = run_probe(load_tokenizer(cell.encoder.removeprefix(PROBE)), train, dev, dev, seed=cell.seed)
    weights = found.num_features
    return {
        "seconds": round(found.seconds, 1),
        "best_epoch": None,
        "parameters": {"total": weights, "trainable": weights},
        "sequences": {"train": len(train), "dev": len(dev), "test": 0},
        "dev": found.dev,
    }


def _finetuned(cell: Cell, study: Study, folder: Path) -> Record:
    """What a cell's record takes from a fine-tuning."""
    source = Path(cell.encoder.removeprefix(RANDOM))
    encoder = fresh_encoder(source, folder / "encoder", cell.seed) if cell.is_fresh else source
    results = run_finetune(
        study.config_of(cell),
        study.splits(cell.dataset),
        encoder=encoder,
        out=folder / "run",
        seed=cell.seed,
        announces=False,
    )
    return results.to_json()


def _check(encoder: str) -> None:
    """Loads what a cell will need.

    Raises:
        InputError: there is no such encoder or tokenizer.
    """
    if encoder.startswith(PROBE):
        load_tokenizer(encoder.removeprefix(PROBE))
    else:
        load_encoder(Path(encoder.removeprefix(RANDOM)))


def bases_seen(encoder: str) -> int | None:
    """Bases that an encoder saw in its pre-training: 0 for fresh weights, None where there is no encoder.

    Raises:
        InputError: the folder is neither a finished run nor a snapshot in the folder of a run.
    """
    folder = Path(encoder)
    if encoder.startswith((RANDOM, PROBE)):
        return 0 if encoder.startswith(RANDOM) else None
    if (folder / RESULTS_FILE).is_file():
        return int(read_json(folder / RESULTS_FILE)["bases_seen"])
    step = re.fullmatch(r"snapshot-(\d+)", folder.name)
    if not step:
        raise InputError(f"{folder}: neither a finished pre-training nor one of its snapshots")
    run = read_yaml(folder.parent / "run.yaml")
    return int(step[1]) * int(run["training"]["batch_size"]) * int(run["data"]["window"])


def _run_unclaimed(cell: Cell, study: Study) -> str:
    """What to tell of the cell, which is run unless another process has it or has finished it meanwhile."""
    with claimed(cell.folder(study.out)) as ours:
        if not ours:
            return "another process is at it"
        record, how = known_cell(cell, study), "known"
        if record is None:
            record = run_cell(cell, study)
            how = f"{record['seconds']:.0f} s"
        write_summary(study.out, command_line())
    return f"dev MCC {100 * record['dev']['mcc']:.1f} ({how})"


def _drawn(labelled: LabelledSequences, most: int | None) -> LabelledSequences:
    """At most so many sequences, in their order, the same ones every time."""
    if most is None:
        return labelled
    return labelled.subset(np.sort(np.random.default_rng(0).permutation(len(labelled))[:most]))


def _files(name: str, data_root: Path | None) -> DatasetFiles:
    return files_in_folder(Path(name), name) if Path(name).is_dir() else find_dataset(name, data_root)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("_")
