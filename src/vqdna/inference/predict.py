"""A fine-tuned model applied to a file of sequences.

Flow: FASTA, FASTQ or table -> base ids per record -> predictions [row, class] -> table with `name`, `prediction` and a
`probability_...` column per class, for regression `name` and `value`. Rows keep the order of the input. The file
appears whole or not at all.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from jaxtyping import Float
from numpy import ndarray

from vqdna.devices import own_device
from vqdna.errors import InputError, nearest_name_hint
from vqdna.finetune.evaluation import BATCH_SIZE, predict_sequences
from vqdna.finetune.heads import SequenceClassifierConfig
from vqdna.finetune.loading import load_classifier
from vqdna.genome.bases import Gaps
from vqdna.results import atomic_output
from vqdna.tasks.loading import LABEL_SEPARATOR, read_unlabelled
from vqdna.tasks.tables import table_suffix

Columns = dict[str, Sequence[Any] | ndarray]

STANDARD_STREAM = "-"
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
PARQUET = (".parquet", ".pq")
THRESHOLD = 0.5
"""Probability from which a label belongs to a multilabel prediction."""


def predict(
    model: Path,
    input: Path | str,
    output: Path | str,
    *,
    batch_size: int = BATCH_SIZE,
    precision: str = "fp32",
    gaps: Gaps = "error",
) -> int:
    """Writes the model's predictions for every sequence of `input` to `output` and returns their number.

    Args:
        model: run folder of a fine-tuning, or its `model/`.
        input: FASTA, FASTQ, CSV, TSV or Parquet with a `sequence` column; `-` is FASTA or FASTQ on standard input.
        output: CSV, TSV or Parquet by its suffix, gzipped text where it ends in `.gz`; `-` is CSV on standard
            output.
        batch_size: sequences at once; changes nothing but speed and memory.
        precision: "fp32", "bf16", or "auto" for the fastest that the processor has.
        gaps: whether `-`, `.` and `*` in a sequence are an error or dropped.

    Raises:
        InputError: no model, unreadable input, an unknown table format, or a sequence too long for the backbone.
    """
    if batch_size < 1:
        raise InputError(f"batch size: got {batch_size}, expected at least 1")
    write = _writer(output)
    classifier = load_classifier(model)
    classifier.to(own_device())  # type: ignore[arg-type]
    names, base_ids = read_unlabelled(input if input == STANDARD_STREAM else Path(input), gaps=gaps)
    predictions = predict_sequences(
        classifier,
        base_ids,
        lambda row: f"{input}: record '{names[row]}'",
        batch_size=batch_size,
        precision=precision,
        description="predict",
    )
    write(prediction_columns(names, predictions, classifier.config))
    return len(names)


def prediction_columns(
    names: Sequence[str], predictions: Float[ndarray, "row class"], config: SequenceClassifierConfig
) -> Columns:
    """Columns of the output table; a multilabel prediction lists its labels with `;`, a lone `;` is the empty set."""
    if config.task == "regression":
        return {"name": names, "value": predictions[:, 0]}
    classes = config.class_names
    if config.task == "classification":
        labels = [classes[number] for number in predictions.argmax(axis=1)]
    else:
        labels = [_label_set(classes, row) for row in predictions >= THRESHOLD]
    probabilities = {f"probability_{label}": predictions[:, number] for number, label in enumerate(classes)}
    return {"name": names, "prediction": labels, **probabilities}


def _label_set(classes: Sequence[str], chosen: Iterable[Any]) -> str:
    return LABEL_SEPARATOR.join(label for label, is_in in zip(classes, chosen) if is_in) or LABEL_SEPARATOR


def _writer(output: Path | str) -> Callable[[Columns], None]:
    """Function that writes a table to `output`.

    Raises:
        InputError: no known format, or no folder to write to.
    """
    if str(output) == STANDARD_STREAM:
        return lambda columns: _write_delimited(sys.stdout, columns, ",")
    path = Path(output)
    suffix, known = table_suffix(path), (*DELIMITERS, *PARQUET)
    if suffix not in known:
        raise InputError(
            f"{path}: got the suffix '{suffix}', expected one of {', '.join(known)}{nearest_name_hint(suffix, known)}"
        )
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file to write")
    return lambda columns: _write_file(path, columns, suffix)


def _write_file(path: Path, columns: Columns, suffix: str) -> None:
    with atomic_output(path) as temporary:
        if suffix in PARQUET:
            pyarrow.parquet.write_table(pyarrow.table(columns), temporary)
            return
        compressed = path.suffix.lower() in (".gz", ".bgz")
        with gzip.open(temporary, "wt") if compressed else temporary.open("w", newline="") as stream:
            _write_delimited(stream, columns, DELIMITERS[suffix])


def _write_delimited(stream: Any, columns: Columns, delimiter: str) -> None:
    """Header and rows; numbers with as many digits as float32 needs to be read back the same."""
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    texts = [
        [str(number) for number in column] if isinstance(column, np.ndarray) else column for column in columns.values()
    ]
    writer.writerows(zip(*texts))
