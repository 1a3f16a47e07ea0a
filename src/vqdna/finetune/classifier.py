"""A genome encoder as an estimator of scikit-learn: `fit` on sequences and labels, then `predict`.

Flow: X [row] of text, y [row] -> class ids, a held-out share for the best epoch -> `run_finetune` in a folder of its
own -> the fine-tuned model, kept in memory -> probabilities [row, class]. It fits into pipelines, grid searches and
cross-validation like any other classifier.
"""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from numpy import ndarray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from vqdna.config import load_config
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.evaluation import predict_sequences
from vqdna.finetune.heads import load_classifier
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.splits import labelled
from vqdna.finetune.train import run_finetune
from vqdna.tasks.loading import LabelledSequences, Splits, split_off
from vqdna.weights import DEFAULT, part_folder


class SequenceClassifier(ClassifierMixin, BaseEstimator):
    """What all classifiers of sequences share: checks, labels to class ids and back, the share that chooses.

    A subclass names `dev_fraction` and `random_state` among its parameters, and gives `_fit` and `_probabilities`.

    Attributes:
        classes_: the labels in order, as they were given.
    """

    dev_fraction: float
    random_state: int

    def fit(self, X: Any, y: Any, dev: tuple[Any, Any] | None = None) -> SequenceClassifier:
        """Learns sequences X (text, or arrays of base ids, in a list, an array or a column) and their labels y.

        Args:
            dev: sequences and labels by which epochs and settings are chosen; None holds `dev_fraction` of X out.

        Raises:
            ValueError: no text, labels of one class, as many labels as there are no sequences.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        check_classification_targets(y)
        self.classes_, ids = np.unique(np.asarray(y).ravel(), return_inverse=True)
        train = labelled((_texts(X), ids.tolist()), "X", task="classification")
        if len(self.classes_) < 2:
            raise ValueError(f"got labels of one class only ({self.classes_[0]!r}), expected at least two classes")
        self.n_features_in_ = 1
        if dev is not None:
            known = {label: number for number, label in enumerate(self.classes_.tolist())}
            chosen_by = [known.get(label, label) for label in np.asarray(dev[1]).ravel().tolist()]
            self._fit(train, labelled((_texts(dev[0]), chosen_by), "dev", like=train))
        elif np.bincount(train.labels).max() < 2:  # a single sequence of each class: none can be spared
            self._fit(train, train)
        else:
            self._fit(*split_off(train, self.dev_fraction, self.random_state))
        return self

    def predict_proba(self, X: Any) -> Float[ndarray, "row class"]:
        """Probability of each class, columns in the order of `classes_`."""
        check_is_fitted(self, "classes_")
        texts = _texts(X)
        return self._probabilities(labelled((texts, ["0"] * len(texts)), "X", task="classification").base_ids)

    def predict(self, X: Any) -> Shaped[ndarray, "row"]:
        probabilities = self.predict_proba(X)
        predicted: Shaped[ndarray, "row"] = self.classes_[probabilities.argmax(axis=1)]
        return predicted

    @abstractmethod
    def _fit(self, train: LabelledSequences, dev: LabelledSequences) -> None: ...

    @abstractmethod
    def _probabilities(self, base_ids: list[UInt8[ndarray, "_"]]) -> Float[ndarray, "row class"]: ...

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, True, False
        return tags


class VqdnaClassifier(SequenceClassifier):
    """Genome encoder under a head, fine-tuned on labelled sequences.

    Args:
        model: name of a built-in encoder, folder of a pre-training, or the encoder itself.
        config: configuration, its path, or its name in `configs/finetune/`. The default trains a linear head on the
            encoder's features: seconds. "small" trains the encoder too: minutes, and better scores.
        overrides: changes to the configuration, such as `("training.epochs=2",)`.
        dev_fraction: share of the training sequences that picks the best epoch, of each class alike.
        random_state: seed of the head, the order of the sequences, dropout and the held-out share.
        out: run folder that stays; None takes a temporary one.

    Attributes:
        model_: the fine-tuned model.
        results_: scores on the held-out share, and what training took.

    Example:
        >>> import vqdna
        >>> sequences, labels = ["ACGTACGTACGTACGT", "TTTTGGGGCCCCAAAA"] * 20, ["no", "yes"] * 20
        >>> vqdna.VqdnaClassifier().fit(sequences, labels).predict_proba(sequences[:3]).shape
        (3, 2)
    """

    def __init__(
        self,
        model: str | Path | GenomeEncoder = DEFAULT,
        config: str | Path | FinetuneConfig = "probe",
        overrides: Sequence[str] = (),
        dev_fraction: float = 0.1,
        random_state: int = 0,
        out: str | Path | None = None,
    ) -> None:
        self.model = model
        self.config = config
        self.overrides = overrides
        self.dev_fraction = dev_fraction
        self.random_state = random_state
        self.out = out

    def _fit(self, train: LabelledSequences, dev: LabelledSequences) -> None:
        config = self.config
        if not isinstance(config, FinetuneConfig):
            config = load_config(FinetuneConfig, str(config), "finetune", self.overrides)
        elif self.overrides:
            raise InputError("overrides go with a configuration's name or path, not with a FinetuneConfig")
        with tempfile.TemporaryDirectory(prefix="vqdna-") as temporary:
            folder = Path(self.out) if self.out else Path(temporary) / "run"
            self.results_ = run_finetune(
                config,
                Splits(train, dev, None),
                encoder=self.model if isinstance(self.model, GenomeEncoder) else part_folder(self.model, "encoder"),
                out=folder,
                seed=self.random_state,
                announces=False,
            )
            self.model_ = load_classifier(folder)

    def _probabilities(self, base_ids: list[UInt8[ndarray, "_"]]) -> Float[ndarray, "row class"]:
        return predict_sequences(self.model_, base_ids, lambda row: f"X: record {row}")


def _texts(X: Any) -> list[Any]:
    if getattr(X, "ndim", 1) == 2 and X.shape[1] == 1:
        X = X.iloc[:, 0] if hasattr(X, "iloc") else X[:, 0]
    if isinstance(X, str):
        raise InputError("X: got one text, expected a list of sequences")
    texts = X.tolist() if isinstance(X, ndarray) and X.dtype != object else list(X)
    for number, text in enumerate(texts):
        if not isinstance(text, str | ndarray) or (isinstance(text, ndarray) and text.dtype != np.uint8):
            kind = type(text).__name__
            raise InputError(f"X: record {number}: got {kind}, expected bases as text or an array of base ids (uint8)")
    if not texts:
        raise InputError("X: got no sequence, expected at least one")
    return texts
