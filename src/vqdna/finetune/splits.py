"""Labelled data in memory, whatever holds it, as the train, dev and test splits of stage 3.

Flow: (sequences, labels), columns, LabelledSequences or a path, for each split -> Splits -> what a run folder records
of them, by which the same data resumes a run and other data is refused. It must not know training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.saved_models import add_weights
from vqdna.errors import InputError, nearest_name_hint
from vqdna.tasks.loading import LabelledSequences, Splits, Task, labelled_from_text, read_labelled, split_off
from vqdna.tokenizers import Tokenizer

SPLIT_NAMES = ("train", "dev", "test")
COLUMNS = ("sequence", "label")

GivenSplit: TypeAlias = Any
"""LabelledSequences, a path, a pair (sequences, labels), or anything with columns `sequence` and `label`."""
GivenSplits: TypeAlias = Splits | Mapping[str, GivenSplit] | Sequence[GivenSplit]


def as_splits(given: GivenSplits, *, task: Task | None = None, seed: int = 0) -> Splits:
    """The splits that a caller gave; dev and test get the classes of train.

    Args:
        given: a mapping with `train` and perhaps `dev` and `test`, or a tuple of them in that order.
        task: None reads it off the training labels.
        seed: of the tenth of train that serves as dev where none is given.

    Raises:
        InputError: no training split, a split without sequences or labels, or a label that train does not know.
    """
    if isinstance(given, Splits):
        return given
    named = dict(given) if isinstance(given, Mapping) else dict(zip(SPLIT_NAMES, given))
    unknown = [name for name in named if name not in SPLIT_NAMES]
    if unknown or named.get("train") is None:
        got = f"got '{unknown[0]}'{nearest_name_hint(str(unknown[0]), SPLIT_NAMES)}" if unknown else "got no 'train'"
        raise InputError(f"splits: {got}, expected 'train' and perhaps 'dev' and 'test'")
    train = labelled(named["train"], "train", task=task)
    test = None if named.get("test") is None else labelled(named["test"], "test", like=train)
    if named.get("dev") is not None:
        return Splits(train, labelled(named["dev"], "dev", like=train), test)
    return Splits(*split_off(train, seed=seed), test)


def labelled(
    given: GivenSplit, place: str, *, task: Task | None = None, like: LabelledSequences | None = None
) -> LabelledSequences:
    """One split in any of its forms, with the task and classes of `like`; messages call it `place`."""
    if isinstance(given, LabelledSequences):
        if like is not None and (given.task, given.class_names) != (like.task, like.class_names):
            raise InputError(f"{place}: its task or classes are not those of train; read it with like=train")
        return given
    if isinstance(given, str | Path):
        return read_labelled(given, task=task, like=like)
    sequences, labels = _pair(given, place)
    for number, sequence in enumerate(sequences):
        if not isinstance(sequence, str | np.ndarray):
            kind = type(sequence).__name__
            raise InputError(f"{place}: record {number}: got {kind}, expected bases as text or an array of base ids")
    try:
        return labelled_from_text(sequences, labels, task=task, like=like)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _pair(given: GivenSplit, place: str) -> tuple[list[Any], list[Any]]:
    try:
        if isinstance(given, tuple | list):
            sequences, labels = given
        else:
            sequences, labels = (given[column] for column in COLUMNS)
    except (KeyError, TypeError, ValueError, IndexError):
        raise InputError(
            f"{place}: got {type(given).__name__}, expected a pair (sequences, labels), columns 'sequence' and"
            " 'label', LabelledSequences or a path"
        ) from None
    # Columns of pyarrow give Python's values by a method of their own. A missing label is empty text in a table; None
    # and NaN of columns are told by labelled_from_text alike.
    texts, told = (list(part.to_pylist() if hasattr(part, "to_pylist") else part) for part in (sequences, labels))
    return texts, ["" if label is None else label for label in told]


def data_inputs(source: Path | GenomeEncoder | Tokenizer, splits: Splits, dataset: str | None) -> dict[str, str]:
    """What run.yaml records of a run on data in memory: its source, the data's name, count and hash of each split."""
    found = {"encoder": str(source) if isinstance(source, Path) else _weights_hash(source)}
    if dataset:
        found["dataset"] = dataset
    for name in SPLIT_NAMES:
        split = getattr(splits, name)
        if split is not None:
            found[name] = f"{len(split)} sequences, sha256 {_hash(split)}"
    return found


def _hash(records: LabelledSequences) -> str:
    """Hash of everything about the records that a run depends on; their names are not among it."""
    digest = hashlib.sha256(json.dumps([records.task, *records.class_names]).encode())
    digest.update(records.lengths.tobytes())  # or two sequences joined would pass for one
    for bases in records.base_ids:
        digest.update(np.ascontiguousarray(bases, dtype=np.uint8).tobytes())
    digest.update(np.ascontiguousarray(records.labels, dtype=np.float64).tobytes())
    return digest.hexdigest()


def _weights_hash(source: GenomeEncoder | Tokenizer) -> str:
    settings = source.settings() if isinstance(source, Tokenizer) else source.config.encoder_settings()
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    add_weights(digest, source)
    return f"sha256 {digest.hexdigest()}"
