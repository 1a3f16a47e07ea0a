"""The paper's Lin.: logistic regression on a tokenizer's output alone, to score vocabularies without a Transformer.

Flow: base id rows -> code histogram and, where codes have vectors, their mean -> standardized -> logistic regression.
Regularization and representation are chosen on dev; test is scored once, afterwards. It must not know how a tokenizer
was made.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from jaxtyping import Float
from numpy import ndarray

from vqdna.baselines.code_features import Features, extract_features
from vqdna.baselines.logistic_regression import SELECTION_METRIC, FittedProbe, fit_probe
from vqdna.baselines.results import CutOff, ProbeResults, Representation
from vqdna.errors import InputError
from vqdna.results import RESULTS_FILE, command_line, write_json
from vqdna.tasks.loading import LabelledSequences, check_trainable, limited, read_labelled, split_off
from vqdna.tasks.metrics import metric_value
from vqdna.tasks.registry import known_dataset
from vqdna.tokenizers import Tokenizer, load_tokenizer, tokenizer_name


@dataclass(frozen=True)
class Limits:
    """Most sequences of each split that a probe looks at; None is all of them.

    Attributes:
        train: records of the training split.
        dev: records of the split that chooses.
        test: records of the split scored once.
        seed: of the draw; apart from the probe's own seed, so that every seed and system sees the same records.
        features: dimensions of a representation; larger ones are left out, unless there is no other.
    """

    train: int | None = None
    dev: int | None = None
    test: int | None = None
    seed: int = 0
    features: int | None = None

    def __post_init__(self) -> None:
        for name in ("train", "dev", "test"):
            limit = getattr(self, name)
            if limit is not None and limit < 2:
                raise InputError(f"limit of the {name} split: got {limit}, expected two or more sequences")


@dataclass(frozen=True)
class FittedProbes:
    """A regression on each representation of a tokenizer's output.

    Attributes:
        best: name of the representation that does best on dev.
        left_out: names of the representations that have too many dimensions.
    """

    by_name: Mapping[str, FittedProbe]
    best: str
    left_out: list[str]

    def probabilities(self, features: Mapping[str, Features]) -> Float[ndarray, "row class"]:
        """Class probabilities by the best representation, of what `extract_features` gives."""
        return self.by_name[self.best].probabilities(features[self.best])


def fit_probes(
    fitting: Mapping[str, Features],
    train: LabelledSequences,
    choosing: Mapping[str, Features],
    dev: LabelledSequences,
    *,
    most_features: int | None = None,
    metric: str = SELECTION_METRIC,
) -> FittedProbes:
    """Regressions on `train`, their regularization and the representation chosen on `dev`.

    Args:
        fitting: features of train, as `extract_features` gives them.
        train: fits the regressions. They are never fitted again with dev added, so the weights behind the dev score are
            those behind the test score.
        choosing: features of dev.
        dev: chooses.
        most_features: dimensions of a representation; larger ones are left out, unless there is no other.
        metric: by which dev chooses.
    """
    sizes = {name: features.shape[1] for name, features in fitting.items()}
    admitted = [name for name, size in sizes.items() if most_features is None or size <= most_features]
    admitted = admitted or [min(sizes, key=lambda name: sizes[name])]
    fitted = {
        name: fit_probe(fitting[name], train.labels, choosing[name], dev.labels, train.num_classes, metric)
        for name in admitted
    }
    best = max(fitted, key=lambda name: metric_value(fitted[name].dev, metric))
    return FittedProbes(fitted, best, [name for name in sizes if name not in admitted])


def run_probe(
    tokenizer: Tokenizer,
    train: LabelledSequences,
    test: LabelledSequences,
    dev: LabelledSequences | None,
    *,
    seed: int,
    limits: Limits = Limits(),
    metric: str = SELECTION_METRIC,
) -> ProbeResults:
    """Results of the logistic regression that does best on dev.

    Args:
        tokenizer: learned or hand-made; moved nowhere, so features are computed where it lies.
        train: fits the regression.
        test: scored once, when everything is chosen.
        dev: chooses; None holds out a seeded tenth of train, class by class.
        seed: of the held-out tenth; nothing else depends on it.
        limits: named in the record where they cut anything off.
        metric: by which dev chooses.

    Raises:
        InputError: the labels are no class ids, train holds a single class, or dev or test holds no sequence.
    """
    started = time.monotonic()
    check_splits(train, {"dev": dev, "test": test})
    kept, held_out = split_off(train, seed=seed) if dev is None else (train, dev)
    whole = {"train": kept, "dev": held_out, "test": test}
    parts = {name: limited(split, getattr(limits, name), limits.seed) for name, split in whole.items()}
    features = {name: extract_features(tokenizer, part.base_ids) for name, part in parts.items()}
    encoded = time.monotonic()
    probes = fit_probes(
        features["train"], parts["train"], features["dev"], parts["dev"], most_features=limits.features, metric=metric
    )
    representations = {
        name: Representation(
            dev=probe.dev,
            test=probe.score(features["test"][name], parts["test"].labels),
            inverse_regularization=probe.inverse_regularization,
            converged=probe.converged,
            num_features=features["test"][name].shape[1],
        )
        for name, probe in probes.by_name.items()
    }
    predictions = {name: probes.probabilities(features[name]) for name in ("dev", "test")}
    best = representations[probes.best]
    num_whole = {name: len(split) for name, split in whole.items()}
    num_sequences = {name: len(part) for name, part in parts.items()}
    is_cut = bool(probes.left_out) or num_sequences != num_whole
    return ProbeResults(
        system=tokenizer_name(tokenizer),
        seed=seed,
        seconds=time.monotonic() - started,
        encoding_seconds=encoded - started,
        dev=best.dev,
        test=best.test,
        features=probes.best,
        num_features=best.num_features,
        representations=representations,
        dev_source="held out of train" if dev is None else "given",
        num_sequences=num_sequences,
        limits=CutOff(**asdict(limits), num_whole=num_whole, left_out=probes.left_out) if is_cut else None,
        num_classes=train.num_classes,
        predictions=predictions,
    )


def probe_files(
    spec: str,
    *,
    train: Path,
    dev: Path | None,
    test: Path,
    out: Path | None,
    seed: int,
    limits: Limits = Limits(),
) -> ProbeResults:
    """Results of `run_probe` on labelled tables, also written to `out`/results.json.

    Args:
        spec: a tokenizer as `load_tokenizer` takes it.
        train: table with columns sequence,label.
        dev: the same, to choose by; None holds out a tenth of train.
        test: the same, scored once.
        out: folder for the record, or None.
        seed: see `run_probe`.
        limits: see `run_probe`.
    """
    tokenizer = load_tokenizer(spec)
    fitting = read_labelled(train)
    choosing = read_labelled(dev, like=fitting) if dev is not None else None
    found = run_probe(tokenizer, fitting, read_labelled(test, like=fitting), choosing, seed=seed, limits=limits)
    about = {"dataset": known_dataset(train), "spec": spec, "command": command_line()}
    results = found.model_copy(update=about)
    if out is not None:
        write_json(out / RESULTS_FILE, results.to_json())
    return results


def check_splits(train: LabelledSequences, held_out: Mapping[str, LabelledSequences | None]) -> None:
    """Refuses splits that no logistic regression can be fitted on or scored by."""
    if train.task != "classification":
        raise InputError(f"the probe is a logistic regression over classes; the training labels are {train.task}")
    for name, split in held_out.items():
        if split is not None and not len(split):
            raise InputError(f"the probe's {name} split holds no sequence")
    check_trainable(train, "the probe's training split")
