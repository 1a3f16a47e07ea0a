"""What pre-training is worth: encoders fine-tuned alike, beside the same architecture from random initialization.

Flow: encoders x datasets x seeds -> (a copy with new weights where the name begins with `random:`) -> fine-tuning on
the same sequences -> OUT/<encoder>/<dataset>-seed-<n>/results.json, written when the run is done -> summary.json and
summary.md. Scores are those of dev; test splits are never read.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from vqdna.baselines.probe import run_probe
from vqdna.config import Values, completed, load_config, read_yaml
from vqdna.encoder.genome_encoder import load_encoder
from vqdna.errors import InputError
from vqdna.experiments.cells import Cell, progress_on, run_cells
from vqdna.experiments.records import known_record
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.starting_weights import random_encoder
from vqdna.finetune.train import run_finetune
from vqdna.results import RESULTS_FILE, command_line, read_json, write_json
from vqdna.studies.pretraining.results import STUDY, PretrainingResult, PretrainingRow
from vqdna.studies.pretraining.summary import write_summary
from vqdna.tasks.loading import LabelledSequences, Splits, read_labelled
from vqdna.tasks.registry import GUE_13, DatasetFiles, files_of
from vqdna.tokenizers import load_tokenizer

RANDOM = "random:"
"""Before an encoder's folder: its architecture and tokenizer, with new weights drawn from the run's seed."""

PROBE = "probe:"
"""Before a tokenizer's name or folder: logistic regression on its codes alone, a control without any encoder."""


@dataclass(frozen=True)
class Study:
    """What all cells of a folder have in common."""

    out: Path
    config: FinetuneConfig
    max_train: int | None
    max_dev: int | None
    files: dict[str, DatasetFiles]


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
) -> list[PretrainingRow]:
    """Summary rows of the study under `out`, after running every cell that neither is there nor is another process's.

    Args:
        encoders: run folders, their snapshots, `random:` and one of them, or `probe:` and a tokenizer (no seed
            changes its scores, so it has but one).
        datasets: names as `files_of` takes them; `test` is not read.
        config: fine-tuning configuration, the same for all, with `overrides` on top of it.
        max_train: training sequences of each dataset, a draw that all cells share; None takes all.
        max_dev: likewise, of the sequences that are scored.

    Raises:
        InputError: no such encoder or dataset, or cells of other settings; before any cell runs.
    """
    files = {name: files_of(name, data_root) for name in datasets}
    study = Study(out, load_config(FinetuneConfig, config, "finetune", overrides), max_train, max_dev, files)
    for name in encoders:  # what a run will need must be there
        if name.startswith(PROBE):
            load_tokenizer(name.removeprefix(PROBE))
        else:
            load_encoder(Path(name.removeprefix(RANDOM)))
    # Seed by seed, so that a study cut short has a mean over all datasets. A probe has but one seed.
    chosen = [
        PretrainingRun(study, encoder, name, seed)
        for seed in range(seeds)
        for name in files
        for encoder in encoders
        if seed == 0 or not encoder.startswith(PROBE)
    ]
    tell = progress_on(console)
    tell(f"{len(chosen)} cells, {sum(cell.known() is not None for cell in chosen)} known")
    run_cells(chosen, tell, after=lambda: write_summary(out, command_line()))
    return write_summary(out, command_line())


@dataclass(frozen=True)
class PretrainingRun(Cell[PretrainingResult]):
    """One fine-tuning; `encoder` and `dataset` as `run_pretraining_study` takes them."""

    study: Study
    encoder: str
    dataset: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.encoder} {self.dataset} seed {self.seed}"

    @property
    def lock(self) -> Path:
        return self.study.out / _slug(self.encoder) / f"{_slug(self.dataset)}-seed-{self.seed}"

    @property
    def config(self) -> FinetuneConfig:
        """The fine-tuning; new weights are not mixed with new ones, which would only shrink them."""
        config = self.study.config
        return config.model_copy(update={"fresh_share": 0.0}) if self.encoder.startswith(RANDOM) else config

    @property
    def settings(self) -> Values:
        """Everything that decides the numbers beside encoder, dataset and seed."""
        configuration = self.config.model_dump(mode="json")
        return {"configuration": configuration, "max_train": self.study.max_train, "max_dev": self.study.max_dev}

    def known(self) -> PretrainingResult | None:
        path = self.lock / RESULTS_FILE
        return known_record(path, PretrainingResult, self.settings, "the pre-training study", _completed)

    def told(self, record: PretrainingResult) -> str:
        return f"dev MCC {100 * (record.mcc or 0):.1f} ({record.seconds or 0:.0f} s)"

    def run(self) -> PretrainingResult:
        """Fine-tunes, or probes; the fine-tuned weights are not kept."""
        # The test split stays unread.
        files, most = self.study.files[self.dataset], (self.study.max_train, self.study.max_dev)
        train = read_labelled(files.train)
        splits = Splits(_drawn(train, most[0]), _drawn(read_labelled(files.dev, like=train), most[1]), None)
        result = PretrainingResult(
            stage="study",
            study=STUDY,
            encoder=self.encoder,
            dataset=self.dataset,
            seed=self.seed,
            bases_seen=bases_seen(self.encoder),
            command=command_line(),
            settings=self.settings,
            **(self._probed(splits) if self.encoder.startswith(PROBE) else self._finetuned(splits)),
        )
        write_json(self.lock / RESULTS_FILE, result.to_json())
        for finished in ("run", "encoder"):
            shutil.rmtree(self.lock / finished, ignore_errors=True)
        return result

    def _probed(self, splits: Splits) -> Values:
        """Result of logistic regression on codes; its regularization is chosen on dev, as epochs are."""
        tokenizer = load_tokenizer(self.encoder.removeprefix(PROBE))
        found = run_probe(tokenizer, splits.train, splits.dev, splits.dev, seed=self.seed)
        weights = int(found.num_features)
        return {
            "seconds": round(found.seconds, 1),
            "best_epoch": None,
            "parameters": {"total": weights, "trainable": weights},
            "sequences": {"train": len(splits.train), "dev": len(splits.dev), "test": 0},
            "dev": found.dev,
        }

    def _finetuned(self, splits: Splits) -> Values:
        source = Path(self.encoder.removeprefix(RANDOM))
        if self.encoder.startswith(RANDOM):
            source = random_encoder(source, self.lock / "encoder", self.seed)
        found = run_finetune(
            self.config, splits, encoder=source, out=self.lock / "run", seed=self.seed, announces=False
        )
        return {key: getattr(found, key) for key in ("seconds", "best_epoch", "parameters", "sequences", "dev")}


def _completed(settings: Values) -> Values:
    """Settings of an earlier version with today's defaults."""
    return {**settings, "configuration": completed(FinetuneConfig, settings.get("configuration", {}))}


def bases_seen(encoder: str) -> int | None:
    """Bases that an encoder saw in its pre-training: 0 for random initialization, None where there is no encoder.

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


def _drawn(labelled: LabelledSequences, most: int | None) -> LabelledSequences:
    """At most so many sequences, in their order, the same ones every time."""
    if most is None:
        return labelled
    return labelled.subset(np.sort(np.random.default_rng(0).permutation(len(labelled))[:most]))


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("_")
