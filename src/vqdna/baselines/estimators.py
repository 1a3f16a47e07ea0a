"""The baselines as estimators of scikit-learn on sequences: what a benchmark takes, ours and an outsider's alike.

Flow: fit(X [row] of text or base ids, y [row], dev) -> the baseline's own training, by which dev chooses ->
predict_proba(X) [row, class], columns in the order of `classes_`. Without dev a tenth of X is held out for it. The
numbers are those of `run_probe`, `run_trees` and stage 3, which these call.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, UInt8
from numpy import ndarray

from vqdna.baselines.boosted_trees import KMER_SIZES, grow_trees
from vqdna.baselines.code_features import extract_features
from vqdna.baselines.probe import fit_probes
from vqdna.finetune.classifier import SequenceClassifier, VqdnaClassifier
from vqdna.tasks.loading import LabelledSequences
from vqdna.tasks.metrics import metric_value, primary_metric
from vqdna.tokenizers import load_tokenizer
from vqdna.weights import DEFAULT


class LinearProbe(SequenceClassifier):
    """Logistic regression on what a tokenizer gives, see `vqdna.baselines.probe`.

    Args:
        tokenizer: a spec as `load_tokenizer` takes it.
        max_features: dimensions that a representation may have; None takes any.
        dev_fraction: share of the training sequences that chooses, where `fit` gets no dev.
        random_state: seed of that share.
    """

    def __init__(
        self,
        tokenizer: str = "kmer:6",
        max_features: int | None = None,
        dev_fraction: float = 0.1,
        random_state: int = 0,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_features = max_features
        self.dev_fraction = dev_fraction
        self.random_state = random_state

    def _fit(self, train: LabelledSequences, dev: LabelledSequences) -> None:
        self.tokenizer_ = load_tokenizer(self.tokenizer)
        fitting, choosing = (extract_features(self.tokenizer_, split.base_ids) for split in (train, dev))
        self.probes_ = fit_probes(fitting, train, choosing, dev, most_features=self.max_features)

    def _probabilities(self, base_ids: list[UInt8[ndarray, "_"]]) -> Float[ndarray, "row class"]:
        return self.probes_.probabilities(extract_features(self.tokenizer_, base_ids))


class KmerRegression(SequenceClassifier):
    """Logistic regression on k-mer counts; k is the one that does best on dev, the smallest on a tie.

    Args:
        k: lengths to choose among.
        dev_fraction: see `LinearProbe`.
        random_state: see `LinearProbe`.
    """

    def __init__(self, k: Sequence[int] = KMER_SIZES, dev_fraction: float = 0.1, random_state: int = 0) -> None:
        self.k = k
        self.dev_fraction = dev_fraction
        self.random_state = random_state

    def _fit(self, train: LabelledSequences, dev: LabelledSequences) -> None:
        probes: dict[int, LinearProbe] = {}
        for size in sorted(self.k):
            probes[size] = LinearProbe(f"kmer:{size}")
            probes[size]._fit(train, dev)
        fitted = {size: probe.probes_.by_name[probe.probes_.best] for size, probe in probes.items()}
        metric = primary_metric(train.task)
        self.k_ = max(fitted, key=lambda size: metric_value(fitted[size].dev, metric))
        self.probe_ = probes[self.k_]

    def _probabilities(self, base_ids: list[UInt8[ndarray, "_"]]) -> Float[ndarray, "row class"]:
        return self.probe_._probabilities(base_ids)


class BoostedTrees(SequenceClassifier):
    """Gradient-boosted trees on k-mer counts, see `vqdna.baselines.boosted_trees`.

    Args:
        k: lengths to choose among.
        dev_fraction: see `LinearProbe`.
        random_state: seed of that share, and of the trees.
    """

    def __init__(self, k: Sequence[int] = KMER_SIZES, dev_fraction: float = 0.1, random_state: int = 0) -> None:
        self.k = k
        self.dev_fraction = dev_fraction
        self.random_state = random_state

    def _fit(self, train: LabelledSequences, dev: LabelledSequences) -> None:
        self.trees_ = grow_trees(train, dev, seed=self.random_state, k=self.k)

    def _probabilities(self, base_ids: list[UInt8[ndarray, "_"]]) -> Float[ndarray, "row class"]:
        return self.trees_.predict(base_ids)


class Cnn(VqdnaClassifier):
    """Small convolutional network from random initialization, on bases and, where asked for, on learned tokens.

    It is `VqdnaClassifier` with the configuration "cnn" or, with the tokens of `model`, "cnn-words".
    """

    def __init__(
        self,
        model: str = DEFAULT,
        config: str = "cnn",
        overrides: Sequence[str] = (),
        dev_fraction: float = 0.1,
        random_state: int = 0,
        out: str | None = None,
    ) -> None:
        super().__init__(model, config, overrides, dev_fraction, random_state, out)
