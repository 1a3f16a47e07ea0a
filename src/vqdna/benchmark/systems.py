"""The systems under test by name: what each does with a dataset, given a seed and settings that were chosen on dev.

Flow: name -> System; System.run(data, candidate, seed, folder) -> Outcome, predictions without scores. Dev serves to
choose (the epoch, k, the share of the encoder); test labels are never looked at here. The heavy stages are imported
when a system runs.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy import ndarray

from vqdna.benchmark.blending import averaged
from vqdna.benchmark.budget import Budget
from vqdna.benchmark.encoders import RIVALS, encoder_folder, tokenizer_spec
from vqdna.benchmark.outcomes import Outcome, Record, kept_or_made
from vqdna.benchmark.protocols import TaskData
from vqdna.config import load_config
from vqdna.errors import InputError, nearest_name_hint
from vqdna.experiments.records import slug
from vqdna.finetune.starting_weights import fresh_encoder
from vqdna.results import RESULTS_FILE, read_json
from vqdna.tasks.loading import Splits
from vqdna.tasks.metrics import primary_score

Run = Callable[[TaskData, str, int, Path], Outcome]

KMER_SIZES = (3, 4, 5, 6)
ONLY = "default"
"""Candidate of systems that have nothing to search but what they choose within a run."""

STRANDS: Mapping[str, tuple[str, ...]] = {
    "both-strands": ("reverse_complement.augment=true", "reverse_complement.average=true"),
    "one-strand": ("reverse_complement.augment=false", "reverse_complement.average=false"),
}
"""Settings searched for every network: whether the two strands of a sequence mean the same."""

SYSTEM_NAMES = (
    *RIVALS,
    "vqdna-views:EPOCHS",
    "kmer-logreg",
    "kmer-logreg:K",
    "kmer-lightgbm",
    "cnn",
    "cnn:EPOCHS",
    "cnn-words:TOKENIZER",
    "probe:TOKENIZER",
    "probe:TOKENIZER@DIMENSIONS",
    "encoder:DIR",
    "encoder:DIR@CONFIG",
    "average:SYSTEM+SYSTEM",
)


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        name: as given.
        run: makes an outcome; its folder is the run's own.
        candidates: settings among which dev chooses, see `vqdna.benchmark.search`.
        is_seedless: whether every seed gives the same outcome.
        rival: name of the encoder that has to be made first, or None.
        tokenizer: spec of the one that is loaded when the system runs, or None.
        members: systems whose outcomes are averaged; such a system makes nothing itself.
        epochs: passes over the training split, at most; None for as many as the budget gives to an encoder.
        trial: the same with a single pass, whose time is taken; None where `run` makes no more, or asks the budget.
    """

    name: str
    run: Run
    candidates: tuple[str, ...] = (ONLY,)
    is_seedless: bool = False
    rival: str | None = None
    tokenizer: str | None = None
    members: tuple[System, ...] = ()
    epochs: int | None = None
    trial: Run | None = None

    @property
    def singles(self) -> tuple[System, ...]:
        """The systems that run: its members, or itself."""
        return self.members or (self,)

    @property
    def rivals(self) -> tuple[str, ...]:
        """Encoders that have to be made first."""
        return tuple(single.rival for single in self.singles if single.rival)

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """Specs of those that have to be there."""
        return tuple(single.tokenizer for single in self.singles if single.tokenizer)


def find_system(name: str, budget: Budget, out: Path) -> System:
    """System called `name`, one of SYSTEM_NAMES; `kmer-logreg` without K chooses k on dev.

    EPOCHS is how long a network (any of the encoders made here, too) trains whatever the budget says. CONFIG is a
    fine-tuning configuration by path or by its name in `configs/finetune/`; without it the budget's is taken, its
    epochs, and its search. DIMENSIONS is how many a representation may have at most. An average takes any two systems
    and more.

    Raises:
        InputError: no such system; names the nearest one. A folder that is not there.
    """
    kind, _, argument = name.partition(":")
    if kind in RIVALS and re.fullmatch(r"|[1-9]\d*", argument) and (argument or name == kind):
        epochs = int(argument) if argument else None
        run = partial(run_rival, kind, budget, out)
        once = partial(run, epochs=1)
        return System(name, partial(run, epochs=epochs), tuple(STRANDS), rival=kind, epochs=epochs, trial=once)
    if name == "cnn":
        return _network_system(name, budget.cnn_epochs)
    if kind == "cnn" and re.fullmatch(r"[1-9]\d*", argument):
        return _network_system(name, int(argument))
    if kind == "cnn-words" and argument:
        return _network_system(name, budget.cnn_epochs, _shipped_or_named(argument))
    if name == "kmer-lightgbm":
        return System(name, run_boosted_trees, epochs=1)
    if name == "kmer-logreg":
        return System(name, run_best_kmer, is_seedless=True, epochs=1)
    if kind == "kmer-logreg" and re.fullmatch(r"[1-9]\d*", argument):
        return _token_system(name, f"kmer:{argument}")
    if kind == "probe" and argument:
        return _probe_system(name, argument)
    if kind == "encoder" and argument:
        return _encoder_system(name, *argument.partition("@")[::2], budget)
    if kind == "average" and "+" in argument:
        return _average_system(name, [find_system(member, budget, out) for member in argument.split("+")])
    raise InputError(
        f"no system '{name}', expected one of {', '.join(SYSTEM_NAMES)}{nearest_name_hint(name, SYSTEM_NAMES)}"
    )


def run_network(
    epochs: int, data: TaskData, candidate: str, seed: int, folder: Path, words: str | None = None
) -> Outcome:
    """The one-hot convolutional network trained from scratch, beside words of a tokenizer; `folder` stays unused."""
    from vqdna.baselines.cnn import CnnConfig, Network, run_cnn
    from vqdna.baselines.word_cnn import WordNetwork
    from vqdna.benchmark.cost import flops_per_base
    from vqdna.devices import own_device
    from vqdna.tokenizers import load_tokenizer

    config = CnnConfig(shares_strands=candidate == "both-strands", precision="bf16" if words else "fp32")
    network = WordNetwork(load_tokenizer(words)) if words else Network()
    record = run_cnn(data.train, data.dev, data.test, seed=seed, epochs=epochs, config=config, network=network)
    seen = record["epochs"] * int(data.train.lengths.sum())
    model = network.model(data.train.num_classes, config).to(own_device())  # where a tokenizer of it is already
    operations = flops_per_base(model, typical_length(data))
    details = {"flops_per_base": operations, "best_epoch": record["best_epoch"], "epochs": record["epochs"]}
    return _from_scratch(record["predictions"], record["seconds"], record["parameters"], seen, details)


def typical_length(data: TaskData) -> int:
    """Median number of bases of the training sequences, for which operations are counted."""
    return int(np.median(data.train.lengths))


def run_tokens(
    tokenizer: str, data: TaskData, candidate: str, seed: int, folder: Path, most_features: int | None = None
) -> Outcome:
    """Logistic regression on the codes of `tokenizer` alone: k-mer counts for `kmer:K`."""
    from vqdna.baselines.probe import Limits, run_probe
    from vqdna.tokenizers import load_tokenizer

    limits = Limits(features=most_features)
    record = run_probe(load_tokenizer(tokenizer), data.train, data.test, data.dev, seed=seed, limits=limits)
    outputs = 1 if data.train.num_classes == 2 else data.train.num_classes
    size = outputs * (record.num_features + 1)
    chosen = record.representations[record.features].inverse_regularization
    details = {"features": record.features, "inverse_regularization": chosen}
    return _from_scratch(record.predictions, record.seconds, size, int(data.train.lengths.sum()), details)


def run_best_kmer(data: TaskData, candidate: str, seed: int, folder: Path) -> Outcome:
    """Logistic regression on counts of that k of 3 to 6 which has the best dev MCC, the smallest k on a tie."""
    runs = {k: run_tokens(f"kmer:{k}", data, candidate, seed, folder) for k in KMER_SIZES}
    scores = {k: primary_score(data.dev.task, data.dev.labels, outcome.dev) for k, outcome in runs.items()}
    best = max(scores, key=lambda k: scores[k])
    seconds = sum(outcome.details["seconds"] for outcome in runs.values())
    chosen = {"k": best, "dev_by_k": {str(k): score for k, score in scores.items()}, "seconds": seconds}
    return Outcome(runs[best].dev, runs[best].test, {**runs[best].details, **chosen})


def run_boosted_trees(data: TaskData, candidate: str, seed: int, folder: Path) -> Outcome:
    """Boosted trees on k-mer counts, k and their number chosen on dev; `folder` stays unused."""
    from vqdna.baselines.boosted_trees import run_trees

    record = run_trees(data.train, data.dev, data.test, seed=seed)
    details = {"k": record.k, "num_trees": record.num_trees}
    return _from_scratch(record.predictions, record.seconds, record.parameters, int(data.train.lengths.sum()), details)


def run_rival(
    name: str,
    budget: Budget,
    out: Path,
    data: TaskData,
    candidate: str,
    seed: int,
    folder: Path,
    *,
    epochs: int | None = None,
) -> Outcome:
    """A tokenizer's encoder fine-tuned, averaged with logistic regression on its tokens' counts.

    `epochs` are the budget's where they are None.

    Raises:
        BusyError: another process is at the counts, which encoders of one tokenizer share.
    """
    counts = _kept_counts(name, budget, data, out)
    source = encoder_folder(name, out)
    pretraining = {"pretraining_bases": 0, "pretraining_seconds": 0.0}
    if RIVALS[name].is_trained:
        known = read_json(source / RESULTS_FILE)
        pretraining = {"pretraining_bases": known["bases_seen"], "pretraining_seconds": known["seconds"]}
    else:
        source = fresh_encoder(source, folder / "encoder", seed)
    tuned = _run_budgeted(source, budget.finetune, data, candidate, seed, folder, epochs=epochs)
    shutil.rmtree(folder / "encoder", ignore_errors=True)
    return _with_counts(tuned, counts, data, pretraining)


def run_encoder(
    encoder: Path,
    config: str,
    overrides: tuple[str, ...],
    data: TaskData,
    candidate: str,
    seed: int,
    folder: Path,
) -> Outcome:
    """The genome encoder in `encoder` fine-tuned; the run stays in `folder`/run, but for its weights."""
    from vqdna.benchmark.cost import flops_per_base
    from vqdna.devices import own_device
    from vqdna.finetune.evaluation import predict_sequences
    from vqdna.finetune.heads import load_classifier
    from vqdna.finetune.settings import FinetuneConfig
    from vqdna.finetune.train import run_finetune

    run = folder / "run"
    if (run / RESULTS_FILE).is_file() and not (run / "model").is_dir():
        shutil.rmtree(run)  # cut off between the end of its training, when weights are dropped, and its outcome
    record = run_finetune(
        load_config(FinetuneConfig, config, "finetune", overrides), Splits(data.train, data.dev, None),
        encoder=encoder, out=run, seed=seed, dataset=data.dataset, announces=False,
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
    details = record.model_dump(include={"parameters", "best_epoch", "epochs", "method"})
    details["flops_per_base"] = flops_per_base(model, typical_length(data))
    seen = record.epochs * int(data.train.lengths.sum())
    seconds = record.seconds + time.monotonic() - started
    return Outcome(dev, test, {**details, "seconds": seconds, "training_bases": seen, "pretraining_bases": None})


def _kept_counts(name: str, budget: Budget, data: TaskData, out: Path) -> Outcome | None:
    """Logistic regression on the counts of a rival's tokens, from its file or made and kept; None without classes."""
    if data.train.task != "classification":
        return None
    folder = data.folder / f"counts-{slug(RIVALS[name].tokenizer)}"
    return kept_or_made(
        folder, lambda: run_tokens(tokenizer_spec(RIVALS[name], budget, (), out), data, ONLY, 0, folder)
    )


def _with_counts(tuned: Outcome, counts: Outcome | None, data: TaskData, about: Record) -> Outcome:
    """An encoder's outcome averaged with its tokenizer's counts, where there are such."""
    if counts is None:
        return Outcome(tuned.dev, tuned.test, {**tuned.details, **about})
    average = averaged({"encoder": tuned, "counts": counts}, data.dev)
    of_both = {key: average.details[key] for key in ("seconds", "blend")}
    return replace(average, details={**tuned.details, **about, **of_both})


def _from_scratch(
    predictions: Mapping[str, ndarray],
    seconds: float,
    size: int | Mapping[str, int],
    training_bases: int,
    details: Record,
) -> Outcome:
    """Outcome of a control, whose weights learn from the task's sequences alone; `size` is that of all of them."""
    cost = {
        "seconds": seconds,
        "parameters": {"total": size, "trainable": size} if isinstance(size, int) else dict(size),
        "training_bases": training_bases,
        "pretraining_bases": 0,
    }
    return Outcome(predictions["dev"], predictions["test"], {**cost, **details})


def _average_system(name: str, members: Sequence[System]) -> System:
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        raise InputError(f"{name}: names a system twice")
    return System(name, _not_run, is_seedless=all(member.is_seedless for member in members), members=tuple(members))


def _not_run(data: TaskData, candidate: str, seed: int, folder: Path) -> Outcome:
    """Averages are made of their members' outcomes, see `vqdna.benchmark.trials`."""
    raise TypeError("an average is made of outcomes, it has no run of its own")


def _probe_system(name: str, argument: str) -> System:
    tokenizer, at, dimensions = argument.rpartition("@")
    if at and tokenizer and re.fullmatch(r"[1-9]\d*", dimensions):
        return _token_system(name, _shipped_or_named(tokenizer), most_features=int(dimensions))
    return _token_system(name, _shipped_or_named(argument))


def _network_system(name: str, epochs: int, words: str | None = None) -> System:
    run, once = (partial(run_network, passes, words=words) for passes in (epochs, 1))
    return System(name, run, tuple(STRANDS), tokenizer=words, epochs=epochs, trial=once)


def _token_system(name: str, tokenizer: str, most_features: int | None = None) -> System:
    run = partial(run_tokens, tokenizer, most_features=most_features)
    return System(name, run, is_seedless=True, tokenizer=tokenizer, epochs=1)


def _shipped_or_named(tokenizer: str) -> str:
    """Spec of the shipped vocabulary of that name, else the spec itself."""
    from vqdna.weights import shipped, shipped_names

    return f"vq:{shipped(tokenizer, 'vocabulary')}" if tokenizer in shipped_names("vocabulary") else tokenizer


def _encoder_system(name: str, folder: str, config: str, budget: Budget) -> System:
    from vqdna.finetune.settings import FinetuneConfig
    from vqdna.weights import part_folder

    source = part_folder(folder, "encoder")
    if not config:
        return System(name, partial(_run_budgeted, source, budget.finetune), tuple(STRANDS))
    epochs = load_config(FinetuneConfig, config, "finetune").training.epochs
    run, once = (partial(run_encoder, source, config, changes) for changes in ((), ("training.epochs=1",)))
    return System(name, run, epochs=epochs, trial=once)


def _run_budgeted(
    source: Path, config: str, data: TaskData, candidate: str, seed: int, folder: Path, *, epochs: int | None = None
) -> Outcome:
    """An encoder fine-tuned with the candidate's strands, for the budget's epochs where `epochs` is None."""
    batches = () if data.batch_size is None else (f"training.batch_size={data.batch_size}",)
    overrides = (*STRANDS[candidate], f"training.epochs={epochs or data.epochs}", *batches)
    return run_encoder(source, config, overrides, data, candidate, seed, folder)
