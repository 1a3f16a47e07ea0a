"""The paper's Lin.: logistic regression on a tokenizer's output alone, to score vocabularies without a Transformer.

Flow: base id rows -> codes [batch, position, level] -> per sequence the code histogram [row, code] (sparse) and, where
codes have vectors, their mean [row, width] -> standardized -> logistic regression. Regularization and representation
are chosen by MCC on dev; test is scored once, afterwards. It must not know how a tokenizer was made.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from numpy import ndarray
from scipy.sparse import csr_matrix, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from vqdna.errors import InputError
from vqdna.results import RESULTS_FILE, command_line, write_json
from vqdna.tasks.loading import LabelledSequences, check_trainable, read_labelled, split_off
from vqdna.tasks.metrics import Metrics, classification_metrics, metric_value
from vqdna.tasks.registry import known_dataset
from vqdna.tokenizers import Tokenizer, Tokens, load_tokenizer, tokenizer_name
from vqdna.tokenizers.padding import length_buckets, pad_rows

# scikit-learn's C. On GUE tf/0 and mouse/3 the dev MCC of 6-mer counts is best at 1e-4; 4-mer counts on tf/0 want 1e-2.
INVERSE_REGULARIZATIONS = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
SELECTION_METRIC = "mcc"
BASES_PER_BATCH = 32_768

Features: TypeAlias = Float[ndarray, "_ width"] | csr_matrix


@dataclass(frozen=True)
class FittedProbe:
    """The logistic regression that did best on dev, on one representation."""

    scaler: StandardScaler
    classifier: LogisticRegression
    num_classes: int
    inverse_regularization: float
    converged: bool
    dev: Metrics

    def score(self, features: Features, labels: Int[ndarray, "row"]) -> Metrics:
        """Classification metrics on held-out features."""
        return _score(self.classifier, self.scaler.transform(features), labels, self.num_classes)


def run_probe(
    tokenizer: Tokenizer,
    train: LabelledSequences,
    test: LabelledSequences,
    dev: LabelledSequences | None,
    *,
    seed: int,
) -> dict[str, Any]:
    """Results record (stage "probe") of the logistic regression that does best on dev.

    Args:
        tokenizer: learned or hand-made; moved nowhere, so features are computed where it lies.
        train: fits the regression.
        test: scored once, when everything is chosen.
        dev: chooses; None holds out a seeded tenth of train, class by class, and the regression is fitted on the rest.
            It is never refitted on dev, so the same training sequences stand behind dev and test scores.
        seed: of the held-out tenth; nothing else is random.

    Raises:
        InputError: the labels are no class ids, train holds a single class, or dev or test holds no sequence.
    """
    started = time.monotonic()
    _check_splits(train, test, dev)
    kept, held_out = split_off(train, seed=seed) if dev is None else (train, dev)
    parts = [extract_features(tokenizer, part.base_ids) for part in (kept, held_out, test)]
    fitted = {
        name: fit_probe(parts[0][name], kept.labels, parts[1][name], held_out.labels, train.num_classes)
        for name in parts[0]
    }
    best = max(fitted, key=lambda name: metric_value(fitted[name].dev, SELECTION_METRIC))
    representations = {name: _record(probe, parts[2][name], test.labels) for name, probe in fitted.items()}
    return {
        "stage": "probe",
        "system": tokenizer_name(tokenizer),
        "seed": seed,
        "seconds": time.monotonic() - started,
        "dev": representations[best]["dev"],
        "test": representations[best]["test"],
        "features": best,
        "representations": representations,
        "dev_source": "held out of train" if dev is None else "given",
        "num_sequences": {"train": len(kept), "dev": len(held_out), "test": len(test)},
        "num_classes": train.num_classes,
    }


def probe_files(spec: str, *, train: Path, dev: Path | None, test: Path, out: Path | None, seed: int) -> dict[str, Any]:
    """Results record of `run_probe` on labelled tables; also written to `out`/results.json where a folder is given.

    Args:
        spec: a tokenizer as `load_tokenizer` takes it.
        train: table with columns sequence,label.
        dev: the same, to choose by; None holds out a tenth of train.
        test: the same, scored once.
        out: folder for the record, or None.
        seed: see `run_probe`.
    """
    tokenizer = load_tokenizer(spec)
    fitting = read_labelled(train)
    choosing = read_labelled(dev, like=fitting) if dev is not None else None
    record = run_probe(tokenizer, fitting, read_labelled(test, like=fitting), choosing, seed=seed)
    name = known_dataset(train)
    record = {**record, **({"dataset": name} if name else {}), "spec": spec, "command": command_line()}
    if out is not None:
        write_json(out / RESULTS_FILE, record)
    return record


@torch.inference_mode()
def extract_features(
    tokenizer: Tokenizer, rows: Sequence[UInt8[ndarray, "_"]], bases_per_batch: int = BASES_PER_BATCH
) -> dict[str, Features]:
    """Representations of each sequence: `mean` for tokenizers with code vectors (first), and `histogram`.

    Sequences of like length go together, in padded batches of at most `bases_per_batch` bases, which changes speed and
    memory only.
    """
    device = next((tensor.device for tensor in tokenizer.state_dict().values()), torch.device("cpu"))
    buckets = list(length_buckets([len(row) for row in rows], bases_per_batch))
    means, histograms = [], []
    for bucket in buckets:
        base_ids, mask = pad_rows([rows[number] for number in bucket])
        tokens = tokenizer.encode(base_ids.to(device), mask.to(device))
        histograms.append(code_histogram(tokens, tokenizer.level_sizes))
        if tokenizer.vector_size is not None:
            means.append(mean_code_vector(tokenizer, tokens))
    original_order = np.argsort(np.concatenate(buckets))
    features: dict[str, Features] = {"mean": np.concatenate(means)[original_order]} if means else {}
    return features | {"histogram": vstack(histograms, format="csr")[original_order]}


def code_histogram(tokens: Tokens, level_sizes: Sequence[int]) -> csr_matrix:
    """Fraction of each sequence's positions that hold each code, levels side by side; zeros for rows without tokens."""
    offsets = np.cumsum([0, *level_sizes])
    kept = tokens.attention_mask.cpu().numpy()
    row, _ = np.nonzero(kept)
    columns = tokens.codes.cpu().numpy()[kept] + offsets[:-1]
    fractions = np.repeat(1.0 / np.maximum(kept.sum(axis=1), 1)[row], len(level_sizes))
    shape = (len(kept), int(offsets[-1]))
    return csr_matrix((fractions, (np.repeat(row, len(level_sizes)), columns.ravel())), shape=shape)


def mean_code_vector(tokenizer: Tokenizer, tokens: Tokens) -> Float[ndarray, "row width"]:
    """Mean over each sequence's positions of their merged code vectors; zero for rows without tokens."""
    # Double precision: sums of like codes then agree to the last printed digit whatever the padding behind them.
    kept = tokens.attention_mask[..., None].double()
    total = (tokenizer.code_vectors(tokens.codes).double() * kept).sum(dim=1)
    mean: ndarray = (total / kept.sum(dim=1).clamp(min=1)).cpu().numpy()
    return mean


def fit_probe(
    train: Features,
    train_labels: Int[ndarray, "row"],
    dev: Features,
    dev_labels: Int[ndarray, "dev_row"],
    num_classes: int,
) -> FittedProbe:
    """Logistic regression on standardized features, its C the one with the highest dev MCC (ties: the smallest C)."""
    # Sparse columns are not centered, which would fill the matrix; the unpenalized intercept takes up the difference.
    scaler = StandardScaler(with_mean=not isinstance(train, csr_matrix)).fit(train)
    train, dev = scaler.transform(train), scaler.transform(dev)
    candidates = []
    start = None
    for inverse_regularization in INVERSE_REGULARIZATIONS:
        classifier, converged = _fit(train, train_labels, inverse_regularization, start)
        start = classifier
        metrics = _score(classifier, dev, dev_labels, num_classes)
        candidates.append(FittedProbe(scaler, classifier, num_classes, inverse_regularization, converged, metrics))
    return max(candidates, key=lambda probe: metric_value(probe.dev, SELECTION_METRIC))


def _fit(
    features: Features,
    labels: Int[ndarray, "row"],
    inverse_regularization: float,
    start: LogisticRegression | None,
) -> tuple[LogisticRegression, bool]:
    """Classifier, and whether it converged; it begins at the weights of `start`, fitted with a smaller C.

    lbfgs, because it is the fastest solver here that reads sparse features and leaves the intercept free: on 32,378
    sequences by 4,101 6-mer counts, C from 0.001 to 10 took it 5 s, liblinear 21 s, and saga 169 s without converging.
    """
    classifier = LogisticRegression(C=inverse_regularization, solver="lbfgs", tol=1e-5, max_iter=1000, warm_start=True)
    if start is not None:
        classifier.coef_, classifier.intercept_ = start.coef_.copy(), start.intercept_.copy()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        classifier.fit(features, labels)
    return classifier, not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def _score(
    classifier: LogisticRegression, features: Features, labels: Int[ndarray, "row"], num_classes: int
) -> Metrics:
    return classification_metrics(labels, _class_probabilities(classifier, features, num_classes))


def _class_probabilities(
    classifier: LogisticRegression, features: Features, num_classes: int
) -> Float[ndarray, "row class"]:
    """Probability of every class, 0 for those without a training sequence."""
    probabilities: Float[ndarray, "row class"] = np.zeros((features.shape[0], num_classes))
    probabilities[:, classifier.classes_] = classifier.predict_proba(features)
    return probabilities


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
