"""Encoders fine-tuned on species windows: tables of the windows -> stage 3 -> its scores as a cell of the study.

Flow: Windows -> train.csv, dev.csv, test.csv -> `run_finetune` -> accuracy of dev and test. It must not know how the
windows were drawn.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqdna.config import load_config
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.train import run_finetune
from vqdna.genome.bases import from_base_ids
from vqdna.genome.corpus import Corpus
from vqdna.studies.species.splits import Windows
from vqdna.studies.species.systems import SystemSpec
from vqdna.tasks.tables import write_labelled_csv

CONFIG = "small"
EPOCHS = 3
PASSES_PER_EPOCH = 6.0
"""Forward passes that a training window costs in an epoch: both strands, each forward and backward."""


def seconds_per_window(forward_seconds: float) -> float:
    """Processor seconds that fine-tuning takes for each window drawn, training, dev and test together."""
    return forward_seconds * PASSES_PER_EPOCH * EPOCHS


def finetuned_scores(
    spec: SystemSpec, corpus: Corpus, drawn: Mapping[str, Windows], folder: Path, seed: int
) -> dict[str, Any]:
    """Scores on dev and test of the encoder fine-tuned on the training windows, its best epoch by dev.

    Args:
        spec: whose source is the encoder's folder.
        corpus: that the windows lie in.
        drawn: windows of train, dev and test.
        folder: of the cell; the model is not kept, for there is one for every cell.
        seed: of the fine-tuning.
    """
    tables = {
        name: _write_table(corpus, windows, folder / "windows" / f"{name}.csv") for name, windows in drawn.items()
    }
    config = load_config(FinetuneConfig, CONFIG, "finetune", [f"training.epochs={EPOCHS}"])
    results = run_finetune(
        config,
        encoder=Path(spec.source),
        train=tables["train"],
        dev=tables["dev"],
        test=tables["test"],
        out=folder / "finetune",
        seed=seed,
        announces=False,
    )
    for name in ("windows", "finetune"):
        shutil.rmtree(folder / name)
    kept = ("method", "best_epoch", "epochs", "parameters")
    return {
        "dev": results["dev"],
        "test": results["test"],
        "features": "fine-tuned",
        "num_features": None,
        "finetune": {key: results[key] for key in kept},
    }


def _write_table(corpus: Corpus, windows: Windows, path: Path) -> Path:
    """Table sequence,label of the windows; padding is left out, which no model reads."""
    rows = ((from_base_ids(windows.bases(corpus, row)), windows.labels[row]) for row in range(len(windows)))
    write_labelled_csv(path, rows)
    return path
