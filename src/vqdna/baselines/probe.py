"""The paper's Lin.: logistic regression on a tokenizer's output alone, to score vocabularies without a Transformer.

Flow: base id rows -> code histogram and, where codes have vectors, their mean -> standardized -> logistic regression.
Regularization and representation are chosen on dev; test is scored once, afterwards. It must not know how a tokenizer
was made.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Shaped
from numpy import ndarray

from vqdna.baselines.code_features import Features, extract_features
from vqdna.baselines.logistic_regression import SELECTION_METRIC, FittedProbe, fit_probe
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


def run_probe(
    tokenizer: Tokenizer,
    train: LabelledSequences,
    test: LabelledSequences,
    dev: LabelledSequences | None,
    *,
    seed: int,
    limits: Limits = Limits(),
    metric: str = SELECTION_METRIC,
) -> dict[str, Any]:
    """Results record (stage "probe") of the logistic regression that does best on dev.

    `predictions` holds its class probabilities [row class] for dev and test, as arrays: take them out before the record
    is written.

    Args:
        tokenizer: learned or hand-made; moved nowhere, so features are computed where it lies.
        train: fits the regression.
        test: scored once, when everything is chosen.
        dev: chooses; None holds out a seeded tenth of train, class by class, and the regression is fitted on the rest.
            It is never refitted on dev, so the same training sequences stand behind dev and test scores.
        seed: of the held-out tenth; nothing else depends on it.
        limits: named in the record where they cut anything off.
        metric: by which dev chooses.

    Raises:
        InputError: the labels are no class ids, train holds a single class, or dev or test holds no sequence.
    """
    started = time.monotonic()
    _check_splits(train, test, dev)
    kept, held_out = split_off(train, seed=seed) if dev is None else (train, dev)
    whole = {"train": kept, "dev": held_out, "test": test}
    parts = {name: limited(split, getattr(limits, name), limits.seed) for name, split in whole.items()}
    features = {name: extract_features(tokenizer, part.base_ids) for name, part in parts.items()}
    encoded = time.monotonic()
    admitted = _small_enough(features["train"], limits.features)
    fitted = {name: _fitted(name, features, parts, train.num_classes, metric) for name in admitted}
    best = max(fitted, key=lambda name: metric_value(fitted[name].dev, metric))
    representations = {
        name: _record(probe, features["test"][name], parts["test"].labels) for name, probe in fitted.items()
    }
    predictions = {name: fitted[best].probabilities(features[name][best]) for name in ("dev", "test")}
    return {
        "stage": "probe",
        "system": tokenizer_name(tokenizer),
        "seed": seed,
        "seconds": time.monotonic() - started,
        "encoding_seconds": encoded - started,
        "dev": representations[best]["dev"],
        "test": representations[best]["test"],
        "features": best,
        "num_features": representations[best]["num_features"],
        "representations": representations,
        "dev_source": "held out of train" if dev is None else "given",
        "num_sequences": {name: len(part) for name, part in parts.items()},
        **_what_was_cut(limits, whole, parts, [name for name in features["train"] if name not in admitted]),
        "num_classes": train.num_classes,
        "predictions": predictions,
    }


def probe_files(
    spec: str,
    *,
    train: Path,
    dev: Path | None,
    test: Path,
    out: Path | None,
    seed: int,
    limits: Limits = Limits(),
) -> dict[str, Any]:
    """Results record of `run_probe` on labelled tables, but for its predictions; also written to `out`/results.json.

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
    record = run_probe(tokenizer, fitting, read_labelled(test, like=fitting), choosing, seed=seed, limits=limits)
    del record["predictions"]
    name = known_dataset(train)
    record = {**record, **({"dataset": name} if name else {}), "spec": spec, "command": command_line()}
    if out is not None:
        write_json(out / RESULTS_FILE, record)
    return record


def _small_enough(features: Mapping[str, Features], most: int | None) -> list[str]:
    """Names of the representations of at most `most` dimensions; the smallest where all have more."""
    sizes = {name: representation.shape[1] for name, representation in features.items()}
    return [name for name in sizes if most is None or sizes[name] <= most] or [min(sizes, key=lambda name: sizes[name])]


def _what_was_cut(
    limits: Limits,
    whole: Mapping[str, LabelledSequences],
    parts: Mapping[str, LabelledSequences],
    left_out: Sequence[str],
) -> dict[str, Any]:
    """Entry `limits` for the record, or nothing where every split was taken whole and no representation left out."""
    if not left_out and all(len(parts[name]) == len(whole[name]) for name in whole):
        return {}
    num_whole = {name: len(split) for name, split in whole.items()}
    return {"limits": {**asdict(limits), "num_whole": num_whole, "left_out": list(left_out)}}


def _fitted(
    name: str,
    features: Mapping[str, Mapping[str, Features]],
    parts: Mapping[str, LabelledSequences],
    num_classes: int,
    metric: str,
) -> FittedProbe:
    train, dev = parts["train"].labels, parts["dev"].labels
    return fit_probe(features["train"][name], train, features["dev"][name], dev, num_classes, metric)


def _record(probe: FittedProbe, features: Features, labels: Shaped[ndarray, "row"]) -> Mapping[str, Any]:
    return {
        "dev": probe.dev,
        "test": probe.score(features, labels),
        "inverse_regularization": probe.inverse_regularization,
        "converged": probe.converged,
        "num_features": features.shape[1],
    }


def _check_splits(train: LabelledSequences, test: LabelledSequences, dev: LabelledSequences | None) -> None:
    if train.task != "classification":
        raise InputError(f"the probe is a logistic regression over classes; the training labels are {train.task}")
    for name, split in (("dev", dev), ("test", test)):
        if split is not None and not len(split):
            raise InputError(f"the probe's {name} split holds no sequence")
    check_trainable(train, "the probe's training split")
