"""Scores of one system on windows: a logistic regression on what it makes of them, or the encoder fine-tuned on them.

Flow: Windows of train, dev and test -> representations -> the regression and the representation that do best on dev;
or Windows -> LabelledSequences -> `run_finetune`. It must not know how the windows were drawn.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from vqdna.baselines.logistic_regression import fit_probe
from vqdna.config import load_config
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.train import run_finetune
from vqdna.genome.corpus import Corpus
from vqdna.studies.species.features import SpeciesFeatures
from vqdna.studies.species.results import RepresentationScores, SpeciesScores
from vqdna.studies.species.splits import Windows
from vqdna.studies.species.systems import SystemSpec
from vqdna.tasks.loading import LabelledSequences, Splits, labelled_from_text
from vqdna.tasks.metrics import metric_value

METRIC = "accuracy"
CONFIG = "small"
EPOCHS = 3
PASSES_PER_EPOCH = 6.0
"""Forward passes that a training window costs in an epoch: both strands, each forward and backward."""


def probe_windows(system: SpeciesFeatures, corpus: Corpus, drawn: Mapping[str, Windows]) -> SpeciesScores:
    """Scores of the logistic regression and the representation that do best on dev; test is scored once for each."""
    features = {name: system.of_windows(corpus, windows) for name, windows in drawn.items()}
    labels, num_classes = {name: windows.labels for name, windows in drawn.items()}, len(drawn["train"].classes)
    fitted = {
        name: fit_probe(values, labels["train"], features["dev"][name], labels["dev"], num_classes, METRIC)
        for name, values in features["train"].items()
    }
    tests = {name: probe.score(features["test"][name], labels["test"]) for name, probe in fitted.items()}
    best = max(fitted, key=lambda name: metric_value(fitted[name].dev, METRIC))
    representations = {
        name: RepresentationScores(
            dev=probe.dev[METRIC],
            test=tests[name][METRIC],
            num_features=features["train"][name].shape[1],
            inverse_regularization=probe.inverse_regularization,
        )
        for name, probe in fitted.items()
    }
    return SpeciesScores(
        dev=fitted[best].dev,
        test=tests[best],
        features=best,
        num_features=representations[best].num_features,
        representations=representations,
    )


def finetuned_scores(
    spec: SystemSpec, corpus: Corpus, drawn: Mapping[str, Windows], folder: Path, seed: int
) -> SpeciesScores:
    """Scores of the encoder fine-tuned on the training windows, its best epoch by dev; the model is not kept."""
    train = _labelled(corpus, drawn["train"])
    splits = Splits(train, *(_labelled(corpus, drawn[name], like=train) for name in ("dev", "test")))
    config = load_config(FinetuneConfig, CONFIG, "finetune", [f"training.epochs={EPOCHS}"])
    out = folder / "finetune"
    results = run_finetune(config, splits, encoder=Path(spec.source), out=out, seed=seed, announces=False)
    shutil.rmtree(out)
    kept = {key: getattr(results, key) for key in ("method", "best_epoch", "epochs", "parameters")}
    scores = {"dev": results.dev, "test": results.test, "features": "fine-tuned", "num_features": None}
    return SpeciesScores.model_validate({**scores, "finetune": kept})


def finetuning_seconds(forward_seconds: float) -> float:
    """Processor seconds that fine-tuning takes for each window drawn, training, dev and test together."""
    return forward_seconds * PASSES_PER_EPOCH * EPOCHS


def _labelled(corpus: Corpus, windows: Windows, like: LabelledSequences | None = None) -> LabelledSequences:
    """The windows' bases and labels; padding is left out, which no model reads."""
    bases = [windows.bases(corpus, row) for row in range(len(windows))]
    return labelled_from_text(bases, windows.labels.tolist(), task="classification", like=like)
