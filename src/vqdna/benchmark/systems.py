"""The systems under test, by name.

Flow: name, or an object with `fit` and `predict_proba` -> System, whose `run` is one of `vqdna.benchmark.running`'s
functions, made for a budget.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vqdna.benchmark import running
from vqdna.benchmark.budget import Budget
from vqdna.benchmark.encoders import OWN_ENCODERS
from vqdna.benchmark.outcomes import Outcome
from vqdna.benchmark.running import ONLY, STRANDS, Classifier, Order
from vqdna.config import load_config
from vqdna.errors import InputError, nearest_name_hint

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
NUMBER = r"[1-9]\d*"


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        run: makes an outcome; None of an average, which is made of its members' outcomes.
        candidates: settings among which dev chooses, see `vqdna.benchmark.trials`.
        is_seedless: whether every seed gives the same outcome.
        encoder: name of the encoder that has to be made first, or None.
        tokenizer: spec of the one that is loaded when the system runs, or None.
        epochs: passes over the training split, at most; None for as many as the budget gives to an encoder.
    """

    name: str
    run: Callable[[Order], Outcome] | None
    candidates: tuple[str, ...] = (ONLY,)
    is_seedless: bool = False
    encoder: str | None = None
    tokenizer: str | None = None
    members: tuple[System, ...] = ()
    epochs: int | None = None

    @property
    def singles(self) -> tuple[System, ...]:
        """The systems that run: its members, or itself."""
        return self.members or (self,)


def find_system(name: str, budget: Budget, out: Path) -> System:
    """System called `name`, one of SYSTEM_NAMES; `kmer-logreg` without K chooses k on dev.

    EPOCHS is how long a network (any of the encoders made here, too) trains whatever the budget says. CONFIG is a
    fine-tuning configuration by path or by its name in `configs/finetune/`; without it the budget's is taken, its
    epochs, and its search. DIMENSIONS is how many a representation may have at most. An average takes any two systems
    and more.

    Raises:
        InputError: no such system; names the nearest one. A folder that is not there.
    """
    kind, colon, argument = name.partition(":")
    number = int(argument) if re.fullmatch(NUMBER, argument) else None
    is_plain_or_numbered = not colon or number is not None
    if kind in OWN_ENCODERS and is_plain_or_numbered:
        run = partial(running.run_own_encoder, kind, budget, out)
        return System(name, run, tuple(STRANDS), encoder=kind, epochs=number)
    if kind == "cnn" and is_plain_or_numbered:
        return System(name, running.run_network, tuple(STRANDS), epochs=number or budget.cnn_epochs)
    if kind == "cnn-words" and argument:
        tokenizer = _built_in_or_named(argument)
        run = partial(running.run_network, tokenizer=tokenizer)
        return System(name, run, tuple(STRANDS), tokenizer=tokenizer, epochs=budget.cnn_epochs)
    if name == "kmer-lightgbm":
        return System(name, running.run_boosted_trees, epochs=1)
    if name == "kmer-logreg":
        return System(name, running.run_best_kmer, is_seedless=True, epochs=1)
    if kind == "kmer-logreg" and number:
        return _token_system(name, f"kmer:{argument}")
    if kind == "probe" and argument:
        tokenizer, at, dimensions = argument.rpartition("@")
        if at and tokenizer and re.fullmatch(NUMBER, dimensions):
            return _token_system(name, tokenizer, int(dimensions))
        return _token_system(name, argument)
    if kind == "encoder" and argument:
        return _encoder_system(name, *argument.partition("@")[::2], budget)
    if kind == "average" and "+" in argument:
        members = tuple(find_system(member, budget, out) for member in argument.split("+"))
        if len({member.name for member in members}) < len(members):
            raise InputError(f"{name}: names a system twice")
        return System(name, None, is_seedless=all(member.is_seedless for member in members), members=members)
    raise InputError(
        f"no system '{name}', expected one of {', '.join(SYSTEM_NAMES)}{nearest_name_hint(name, SYSTEM_NAMES)}"
    )


def system_of(name: str, classifier: Classifier) -> System:
    """A system of one's own: every run fits a copy of the object on `train` alone and predicts dev and test."""
    return System(name, partial(running.run_classifier, classifier), epochs=1)


def _token_system(name: str, tokenizer: str, most_features: int | None = None) -> System:
    spec = _built_in_or_named(tokenizer)
    run = partial(running.run_tokens, spec, most_features=most_features)
    return System(name, run, is_seedless=True, tokenizer=spec, epochs=1)


def _built_in_or_named(tokenizer: str) -> str:
    """Spec of the built-in vocabulary of that name, else the spec itself."""
    from vqdna.weights import built_in_folder, built_in_names

    return f"vq:{built_in_folder(tokenizer, 'vocabulary')}" if tokenizer in built_in_names("vocabulary") else tokenizer


def _encoder_system(name: str, folder: str, config: str, budget: Budget) -> System:
    from vqdna.finetune.settings import FinetuneConfig
    from vqdna.weights import part_folder

    source = part_folder(folder, "encoder")
    if not config:
        return System(name, partial(running.run_budgeted, source, budget.finetune), tuple(STRANDS))
    epochs = load_config(FinetuneConfig, config, "finetune").training.epochs
    return System(name, partial(running.run_encoder, source, config), epochs=epochs)
