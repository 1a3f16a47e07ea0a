"""Encoders fine-tuned on species windows: the windows' bases -> stage 3 -> its scores in the study.

Flow: Windows -> LabelledSequences -> `run_finetune` -> accuracy of dev and test. It must not know how the windows were
drawn.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from vqdna.config import load_config
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.train import run_finetune
from vqdna.genome.corpus import Corpus
from vqdna.studies.species.results import SpeciesScores
from vqdna.studies.species.splits import Windows
from vqdna.studies.species.systems import SystemSpec
from vqdna.tasks.loading import LabelledSequences, Splits, labelled_from_text

CONFIG = "small"
EPOCHS = 3
PASSES_PER_EPOCH = 6.0
"""Forward passes that a training window costs in an epoch: both strands, each forward and backward."""


def seconds_per_window(forward_seconds: float) -> float:
    """Processor seconds that fine-tuning takes for each window drawn, training, dev and test together."""
    return forward_seconds * PASSES_PER_EPOCH * EPOCHS


def finetuned_scores(
    spec: SystemSpec, corpus: Corpus, drawn: Mapping[str, Windows], folder: Path, seed: int
) -> SpeciesScores:
    """Scores on dev and test of the encoder fine-tuned on the training windows, its best epoch by dev.

    Args:
        spec: whose source is the encoder's folder.
        corpus: that the windows lie in.
        drawn: windows of train, dev and test.
        folder: of the run; the model is not kept, for there is one for every run.
        seed: of the fine-tuning.
    """
    train = _labelled(corpus, drawn["train"])
    dev, test = (_labelled(corpus, drawn[name], like=train) for name in ("dev", "test"))
    config = load_config(FinetuneConfig, CONFIG, "finetune", [f"training.epochs={EPOCHS}"])
    results = run_finetune(
        config,
        Splits(train, dev, test),
        encoder=Path(spec.source),
        out=folder / "finetune",
        seed=seed,
        announces=False,
    )
    shutil.rmtree(folder / "finetune")
    kept = {key: getattr(results, key) for key in ("method", "best_epoch", "epochs", "parameters")}
    scores = {"dev": results.dev, "test": results.test, "features": "fine-tuned", "num_features": None}
    return SpeciesScores.model_validate({**scores, "finetune": kept})


def _labelled(corpus: Corpus, windows: Windows, like: LabelledSequences | None = None) -> LabelledSequences:
    """The windows' bases and labels; padding is left out, which no model reads."""
    bases = [windows.bases(corpus, row) for row in range(len(windows))]
    return labelled_from_text(bases, windows.labels.tolist(), task="classification", like=like)
