"""A fine-tuned model applied to a file of sequences.

Flow: FASTA, FASTQ or table -> base ids per record -> predictions [row, class] -> table with `name`, `prediction` and a
`probability_...` column per class, for regression `name` and `value`. Rows keep the order of the input. The file
appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from vqdna.devices import own_device
from vqdna.errors import InputError
from vqdna.finetune.evaluation import predict_sequences
from vqdna.finetune.heads import SequenceClassifierConfig, load_classifier
from vqdna.genome.bases import Gaps
from vqdna.inference.output_table import STANDARD_STREAM, Columns, table_writer
from vqdna.tasks.loading import LABEL_SEPARATOR, read_unlabelled
from vqdna.tokenizers.padding import BATCH_SIZE

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
    write = table_writer(output)
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
