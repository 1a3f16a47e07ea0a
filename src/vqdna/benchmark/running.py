"""What each kind of system does with a dataset, given a seed and settings that were chosen on dev.

Flow: Order (data, candidate, seed, folder) -> Outcome, predictions on dev and test without scores. Dev serves to choose
(the epoch, k, the share of the encoder); test labels are never looked at here. The heavy stages are imported when a
system runs.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy import ndarray

from vqdna.benchmark.blending import averaged
from vqdna.benchmark.budget import Budget
from vqdna.benchmark.encoders import OWN_ENCODERS, encoder_folder, tokenizer_spec
from vqdna.benchmark.outcomes import Outcome, kept_or_made
from vqdna.benchmark.protocols import TaskData
from vqdna.benchmark.results import Details
from vqdna.config import load_config
from vqdna.errors import InputError
from vqdna.experiments.records import slug
from vqdna.finetune.starting_weights import random_encoder
from vqdna.genome.bases import from_base_ids
from vqdna.results import RESULTS_FILE, read_json
from vqdna.tasks.loading import LabelledSequences, Splits
from vqdna.tasks.metrics import primary_score

if TYPE_CHECKING:
    from vqdna.encoder.genome_encoder import GenomeEncoder

KMER_SIZES = (3, 4, 5, 6)
MANY_SEQUENCES, EPOCHS_OF_MANY = 10_000, 8
"""Training sequences above which so many epochs suffice a network that reads tokens: it learns those by heart."""
ONLY = "default"
"""Candidate of systems that have nothing to search but what they choose within a run."""

STRANDS: Mapping[str, tuple[str, ...]] = {
    "both-strands": ("reverse_complement.augment=true", "reverse_complement.average=true"),
    "one-strand": ("reverse_complement.augment=false", "reverse_complement.average=false"),
}
"""Settings searched for every network: whether the two strands of a sequence mean the same."""


@dataclass(frozen=True)
class Order:
    """One run that a system is asked for.

    Attributes:
        candidate: the settings, one of the system's.
        epochs: passes over the training split of a network; None for as many as the budget gives to an encoder.
    """

    data: TaskData
    candidate: str
    seed: int
    folder: Path
    epochs: int | None = None

    @property
    def num_epochs(self) -> int:
        return self.epochs or self.data.epochs

    @property
    def training_bases(self) -> int:
        """Bases of the training split, once."""
        return int(self.data.train.lengths.sum())


@runtime_checkable
class Classifier(Protocol):
    """What a system of one's own has to have: scikit-learn's contract on lists of sequences as text."""

    def fit(self, sequences: list[str], labels: ndarray, /) -> Any:
        """Learns from sequences and the numbers of their classes, anew at each call."""

    def predict_proba(self, sequences: list[str], /) -> ndarray:
        """Probabilities [sequence, class]."""


def run_classifier(classifier: Classifier, order: Order) -> Outcome:
    """An object with scikit-learn's `fit` and `predict_proba` on lists of sequences.

    Raises:
        InputError: it cannot say how probable each class is.
    """
    own, data = copy.deepcopy(classifier), order.data
    if "random_state" in getattr(own, "get_params", dict)():
        own.set_params(random_state=order.seed)  # type: ignore[attr-defined]
    started = time.monotonic()
    own.fit(_texts(data.train), data.train.labels)
    dev, test = (_probabilities(own, split, data.train) for split in (data.dev, data.test))
    return _from_scratch(order, dev, test, time.monotonic() - started, None)


def _texts(records: LabelledSequences) -> list[str]:
    return [from_base_ids(bases) for bases in records.base_ids]


def _probabilities(classifier: Classifier, split: LabelledSequences, train: LabelledSequences) -> ndarray:
    """Probability of each class of the task; of regression what `predict` gives."""
    if train.task == "regression":
        return np.asarray(classifier.predict(_texts(split)), dtype=np.float64).reshape(-1, 1)  # type: ignore[attr-defined]
    given = np.asarray(classifier.predict_proba(_texts(split)), dtype=np.float64)
    classes = np.asarray(getattr(classifier, "classes_", range(train.num_classes)))
    if given.shape != (len(split), len(classes)):
        raise InputError(
            f"predict_proba gave {given.shape}, expected {(len(split), len(classes))}: sequences x classes"
        )
    # A class without a training record has no column of its own: nobody can predict it.
    whole = np.zeros((len(split), train.num_classes))
    whole[:, classes.astype(int)] = given
    return whole


def run_tokens(tokenizer: str, order: Order, most_features: int | None = None) -> Outcome:
    """Logistic regression on the codes of `tokenizer` alone: k-mer counts for `kmer:K`."""
    from vqdna.baselines.probe import Limits, run_probe
    from vqdna.tokenizers import load_tokenizer

    data, limits = order.data, Limits(features=most_features)
    record = run_probe(load_tokenizer(tokenizer), data.train, data.test, data.dev, seed=order.seed, limits=limits)
    outputs = 1 if data.train.num_classes == 2 else data.train.num_classes
    return _from_scratch(
        order, record.predictions["dev"], record.predictions["test"], record.seconds,
        outputs * (record.num_features + 1),
        features=record.features,
        inverse_regularization=record.representations[record.features].inverse_regularization,
    )  # fmt: skip


def run_best_kmer(order: Order) -> Outcome:
    """Logistic regression on counts of that k of 3 to 6 which has the best dev MCC, the smallest k on a tie."""
    runs = {k: run_tokens(f"kmer:{k}", order) for k in KMER_SIZES}
    dev = order.data.dev
    scores = {k: primary_score(dev.task, dev.labels, outcome.dev) for k, outcome in runs.items()}
    best = max(scores, key=lambda k: scores[k])
    details = runs[best].details.more(
        k=best,
        dev_by_k={str(k): score for k, score in scores.items()},
        seconds=sum(outcome.details.seconds for outcome in runs.values()),
    )
    return replace(runs[best], details=details)


def run_boosted_trees(order: Order) -> Outcome:
    """Boosted trees on k-mer counts, k and their number chosen on dev."""
    from vqdna.baselines.boosted_trees import grow_trees

    started = time.monotonic()
    trees = grow_trees(order.data.train, order.data.dev, seed=order.seed)
    test = trees.predict(order.data.test.base_ids)
    seconds = time.monotonic() - started
    return _from_scratch(order, trees.dev, test, seconds, trees.parameters, k=trees.k, num_trees=trees.num_trees)


def _from_scratch(order: Order, dev: ndarray, test: ndarray, seconds: float, size: int | None, **more: Any) -> Outcome:
    """Outcome of a baseline, whose `size` weights learn from the task's sequences alone."""
    details = {
        "seconds": seconds,
        "parameters": None if size is None else {"total": size, "trainable": size},
        "training_bases": order.training_bases,
        "pretraining_bases": 0,
        **more,
    }
    return Outcome(dev, test, Details.model_validate(details))


def run_network(order: Order, tokenizer: str | None = None) -> Outcome:
    """Stage 3's small convolutional network, from random initialization, on bases or also on a tokenizer's tokens."""
    from vqdna.encoder.genome_encoder import GenomeEncoder
    from vqdna.tokenizers import load_tokenizer

    # Of the encoder stage 3 keeps the tokenizer alone: the configuration's network takes the place of the rest.
    read = load_tokenizer(tokenizer or "nucleotide")
    encoder = GenomeEncoder.from_tokenizer(read, {"model_type": "vqdna_convolutions"})
    if tokenizer and len(order.data.train) > MANY_SEQUENCES:
        order = replace(order, epochs=min(order.num_epochs, EPOCHS_OF_MANY))
    shared = str(order.candidate == "both-strands").lower()
    config = "cnn-words" if tokenizer else "cnn"
    outcome = run_encoder(encoder, config, order, (f"reverse_complement.share={shared}",))
    return replace(outcome, details=outcome.details.more(pretraining_bases=0))


def run_own_encoder(name: str, budget: Budget, out: Path, order: Order) -> Outcome:
    """A tokenizer's encoder fine-tuned, averaged with logistic regression on its tokens' counts.

    Raises:
        BusyError: another process is at the counts, which encoders of one tokenizer share.
    """
    own, data = OWN_ENCODERS[name], order.data
    counts = None
    if data.train.task == "classification":
        shared = Order(data, ONLY, 0, data.folder / f"counts-{slug(own.tokenizer)}")
        spec = tokenizer_spec(own, budget, (), out)
        counts = kept_or_made(shared.folder, lambda: run_tokens(spec, shared))
    source = encoder_folder(name, out)
    pretraining = {"pretraining_bases": 0, "pretraining_seconds": 0.0}
    if own.is_trained:
        known = read_json(source / RESULTS_FILE)
        pretraining = {"pretraining_bases": known["bases_seen"], "pretraining_seconds": known["seconds"]}
    else:
        source = random_encoder(source, order.folder / "encoder", order.seed)
    tuned = run_budgeted(source, budget.finetune, order)
    shutil.rmtree(order.folder / "encoder", ignore_errors=True)
    details = tuned.details.more(**pretraining)
    if counts is None:
        return replace(tuned, details=details)
    average = averaged({"encoder": tuned, "counts": counts}, data.dev)
    of_both = average.details.model_dump(include={"seconds", "blend"})
    return replace(average, details=details.more(**of_both))


def run_budgeted(source: Path, config: str, order: Order) -> Outcome:
    """An encoder fine-tuned with the candidate's strands and the budget's batches."""
    batches = () if order.data.batch_size is None else (f"training.batch_size={order.data.batch_size}",)
    return run_encoder(source, config, order, (*STRANDS[order.candidate], *batches))


def run_encoder(encoder: Path | GenomeEncoder, config: str, order: Order, overrides: tuple[str, ...] = ()) -> Outcome:
    """A genome encoder, given or in its folder, fine-tuned; the run stays in `folder`/run, but for its weights."""
    from vqdna.benchmark.cost import flops_per_base
    from vqdna.devices import own_device
    from vqdna.finetune.evaluation import predict_sequences
    from vqdna.finetune.heads import load_classifier
    from vqdna.finetune.settings import FinetuneConfig
    from vqdna.finetune.train import run_finetune

    data, run = order.data, order.folder / "run"
    # A run that ended, but was cut off before its outcome was written, has lost its weights: it starts anew.
    if (run / RESULTS_FILE).is_file() and not (run / "model").is_dir():
        shutil.rmtree(run)
    settings = load_config(FinetuneConfig, config, "finetune", (f"training.epochs={order.num_epochs}", *overrides))
    record = run_finetune(
        settings, Splits(data.train, data.dev, None), encoder=encoder, out=run, seed=order.seed, dataset=data.dataset,
        announces=False,
    )  # fmt: skip
    started = time.monotonic()
    model = load_classifier(run)
    model.to(own_device())  # type: ignore[arg-type]
    dev, test = (
        predict_sequences(model, split.base_ids, lambda row: f"{data.dataset}: record {row + 1}", keep=True)
        for split in (data.dev, data.test)
    )
    for weights in ("model", "adapter", "checkpoints"):
        shutil.rmtree(run / weights, ignore_errors=True)
    known = record.model_dump(include={"parameters", "best_epoch", "epochs", "method"})
    details = Details.model_validate(known).more(
        # Attention to whole rows grows with the row, so operations are counted at the dataset's own length.
        flops_per_base=flops_per_base(model, int(np.median(data.train.lengths))),
        seconds=record.seconds + time.monotonic() - started,
        training_bases=record.epochs * order.training_bases,
        pretraining_bases=None,
    )
    return Outcome(dev, test, details)
