"""The systems under test, by name.

Flow: name, or an object with `fit` and `predict_proba` -> System, whose `run` is one of `vqdna.benchmark.running`'s
functions, made for a budget.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vqdna.benchmark.budget import Budget
from vqdna.benchmark.encoders import OWN_ENCODERS
from vqdna.benchmark.outcomes import Outcome
from vqdna.benchmark.protocols import TaskData
from vqdna.benchmark.running import (
    ONLY,
    STRANDS,
    Classifier,
    run_best_kmer,
    run_boosted_trees,
    run_budgeted,
    run_classifier,
    run_encoder,
    run_network,
    run_own_encoder,
    run_tokens,
)
from vqdna.config import load_config
from vqdna.errors import InputError, nearest_name_hint

Run = Callable[[TaskData, str, int, Path], Outcome]


SYSTEM_NAMES = (
    *OWN_ENCODERS,
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
        encoder: name of the encoder that has to be made first, or None.
        tokenizer: spec of the one that is loaded when the system runs, or None.
        members: systems whose outcomes are averaged; such a system makes nothing itself.
        epochs: passes over the training split, at most; None for as many as the budget gives to an encoder.
        trial: the same with a single pass, whose time is taken; None where `run` makes no more, or asks the budget.
    """

    name: str
    run: Run
    candidates: tuple[str, ...] = (ONLY,)
    is_seedless: bool = False
    encoder: str | None = None
    tokenizer: str | None = None
    members: tuple[System, ...] = ()
    epochs: int | None = None
    trial: Run | None = None

    @property
    def singles(self) -> tuple[System, ...]:
        """The systems that run: its members, or itself."""
        return self.members or (self,)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Encoders that have to be made first."""
        return tuple(single.encoder for single in self.singles if single.encoder)

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
    if kind in OWN_ENCODERS and re.fullmatch(r"|[1-9]\d*", argument) and (argument or name == kind):
        epochs = int(argument) if argument else None
        run = partial(run_own_encoder, kind, budget, out)
        once = partial(run, epochs=1)
        return System(name, partial(run, epochs=epochs), tuple(STRANDS), encoder=kind, epochs=epochs, trial=once)
    if name == "cnn":
        return _network_system(name, budget.cnn_epochs)
    if kind == "cnn" and re.fullmatch(r"[1-9]\d*", argument):
        return _network_system(name, int(argument))
    if kind == "cnn-words" and argument:
        return _network_system(name, budget.cnn_epochs, _built_in_or_named(argument))
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


def system_of(name: str, classifier: Classifier) -> System:
    """A system of one's own: every run fits a copy of the object on `train` alone and predicts dev and test."""
    return System(name, partial(run_classifier, classifier), epochs=1)


def _average_system(name: str, members: Sequence[System]) -> System:
    if len({member.name for member in members}) < len(members):
        raise InputError(f"{name}: names a system twice")
    return System(name, _not_run, is_seedless=all(member.is_seedless for member in members), members=tuple(members))


def _not_run(data: TaskData, candidate: str, seed: int, folder: Path) -> Outcome:
    """Averages are made of their members' outcomes, see `vqdna.benchmark.trials`."""
    raise TypeError("an average is made of outcomes, it has no run of its own")


def _probe_system(name: str, argument: str) -> System:
    tokenizer, at, dimensions = argument.rpartition("@")
    if at and tokenizer and re.fullmatch(r"[1-9]\d*", dimensions):
        return _token_system(name, _built_in_or_named(tokenizer), most_features=int(dimensions))
    return _token_system(name, _built_in_or_named(argument))


def _network_system(name: str, epochs: int, tokenizer: str | None = None) -> System:
    run, once = (partial(run_network, passes, tokenizer=tokenizer) for passes in (epochs, 1))
    return System(name, run, tuple(STRANDS), tokenizer=tokenizer, epochs=epochs, trial=once)


def _token_system(name: str, tokenizer: str, most_features: int | None = None) -> System:
    run = partial(run_tokens, tokenizer, most_features=most_features)
    return System(name, run, is_seedless=True, tokenizer=tokenizer, epochs=1)


def _built_in_or_named(tokenizer: str) -> str:
    """Spec of the built-in vocabulary of that name, else the spec itself."""
    from vqdna.weights import shipped, shipped_names

    return f"vq:{shipped(tokenizer, 'vocabulary')}" if tokenizer in shipped_names("vocabulary") else tokenizer


def _encoder_system(name: str, folder: str, config: str, budget: Budget) -> System:
    from vqdna.finetune.settings import FinetuneConfig
    from vqdna.weights import part_folder

    source = part_folder(folder, "encoder")
    if not config:
        return System(name, partial(run_budgeted, source, budget.finetune), tuple(STRANDS))
    epochs = load_config(FinetuneConfig, config, "finetune").training.epochs
    run, once = (partial(run_encoder, source, config, changes) for changes in ((), ("training.epochs=1",)))
    return System(name, run, epochs=epochs, trial=once)
