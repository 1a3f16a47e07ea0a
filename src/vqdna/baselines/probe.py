"""The paper's Lin.: logistic regression on a tokenizer's output alone, to score vocabularies without a Transformer.

Flow: base id rows -> code histogram and, where codes have vectors, their mean -> standardized -> logistic regression.
Regularization and representation are chosen on dev; test is scored once, afterwards. It must not know how a tokenizer
was made.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from numpy import ndarray
from pydantic import BaseModel, ConfigDict, Field

from vqdna.baselines.code_features import extract_features
from vqdna.baselines.logistic_regression import SELECTION_METRIC, fit_probe
from vqdna.errors import InputError
from vqdna.results import RESULTS_FILE, command_line, write_json
from vqdna.tasks.loading import LabelledSequences, check_trainable, limited, read_labelled, split_off
from vqdna.tasks.metrics import Metrics, classification_metrics, metric_value
from vqdna.tasks.registry import known_dataset
from vqdna.tokenizers import Tokenizer, load_tokenizer, tokenizer_name


@dataclass(frozen=True)
class Limits:
    """Most sequences of each split that a probe looks at; None is all of them.

    Attributes:
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


class Representation(BaseModel):
    """The logistic regression on one of a tokenizer's representations."""

    dev: Metrics
    test: Metrics
    inverse_regularization: float
    converged: bool
    num_features: int


class CutOff(BaseModel):
    """Limits of a probe that left something out, and the size of the whole splits."""

    train: int | None
    dev: int | None
    test: int | None
    seed: int
    features: int | None
    num_whole: dict[str, int]
    left_out: list[str]


class ProbeResults(BaseModel):
    """Record of `run_probe`.

    Attributes:
        features: name of the representation that does best on dev, whose scores are `dev` and `test`.
        dev_source: "given" or "held out of train".
        limits: None where every split was taken whole and no representation left out.
        dataset: name under which reports list the scores, of a probe on files.
        spec: the tokenizer as it was asked for, of a probe on files.
        predictions: class probabilities [row, class] of `dev` and `test`; never written.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    dev: Metrics
    test: Metrics
    seed: int
    seconds: float
    num_classes: int
    num_features: int
    predictions: dict[str, ndarray] = Field(exclude=True, repr=False)
    stage: Literal["probe"] = "probe"
    system: str
    encoding_seconds: float
    features: str
    representations: dict[str, Representation]
    dev_source: str
    num_sequences: dict[str, int]
    limits: CutOff | None = None
    dataset: str | None = None
    spec: str | None = None
    command: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON object of `results.json`, without what does not apply; an undefined score stays null."""
        absent = {name for name in type(self).model_fields if getattr(self, name) is None}
        return self.model_dump(mode="json", exclude=absent)


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
    if train.task != "classification":
        raise InputError(f"the probe is a logistic regression over classes; the training labels are {train.task}")
    for name, split in {"dev": dev, "test": test}.items():
        if split is not None and not len(split):
            raise InputError(f"the probe's {name} split holds no sequence")
    check_trainable(train, "the probe's training split")
    kept, held_out = split_off(train, seed=seed) if dev is None else (train, dev)
    whole = {"train": kept, "dev": held_out, "test": test}
    parts = {name: limited(split, getattr(limits, name), limits.seed) for name, split in whole.items()}
    features = {name: extract_features(tokenizer, part.base_ids) for name, part in parts.items()}
    encoded = time.monotonic()
    sizes = {name: found.shape[1] for name, found in features["train"].items()}
    admitted = [name for name, size in sizes.items() if limits.features is None or size <= limits.features]
    admitted = admitted or [min(sizes, key=lambda name: sizes[name])]
    # Never fitted again with dev added, so the weights behind the dev score are those behind the test score.
    probes = {
        name: fit_probe(
            features["train"][name], parts["train"].labels, features["dev"][name], parts["dev"].labels,
            train.num_classes, metric,
        )
        for name in admitted
    }  # fmt: skip
    chosen = max(probes, key=lambda name: metric_value(probes[name].dev, metric))
    on_test = {name: probe.probabilities(features["test"][name]) for name, probe in probes.items()}
    representations = {
        name: Representation(
            dev=probe.dev,
            test=classification_metrics(parts["test"].labels, on_test[name]),
            inverse_regularization=probe.inverse_regularization,
            converged=probe.converged,
            num_features=sizes[name],
        )
        for name, probe in probes.items()
    }
    best = representations[chosen]
    left_out = [name for name in sizes if name not in admitted]
    num_whole = {name: len(split) for name, split in whole.items()}
    num_sequences = {name: len(part) for name, part in parts.items()}
    is_cut = bool(left_out) or num_sequences != num_whole
    return ProbeResults(
        system=tokenizer_name(tokenizer),
        seed=seed,
        seconds=time.monotonic() - started,
        encoding_seconds=encoded - started,
        dev=best.dev,
        test=best.test,
        features=chosen,
        num_features=best.num_features,
        representations=representations,
        dev_source="held out of train" if dev is None else "given",
        num_sequences=num_sequences,
        limits=CutOff(**asdict(limits), num_whole=num_whole, left_out=left_out) if is_cut else None,
        num_classes=train.num_classes,
        predictions={"dev": probes[chosen].probabilities(features["dev"][chosen]), "test": on_test[chosen]},
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
    """Results of `run_probe` on labelled tables, also written to `out`/results.json."""
    tokenizer = load_tokenizer(spec)
    fitting = read_labelled(train)
    choosing = read_labelled(dev, like=fitting) if dev is not None else None
    found = run_probe(tokenizer, fitting, read_labelled(test, like=fitting), choosing, seed=seed, limits=limits)
    about = {"dataset": known_dataset(train), "spec": spec, "command": command_line()}
    results = found.model_copy(update=about)
    if out is not None:
        write_json(out / RESULTS_FILE, results.to_json())
    return results
