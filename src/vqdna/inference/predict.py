"""Predictions of a fine-tuned model, for sequences in memory or in a file.

Flow: base ids per sequence -> predictions [row, class], averaged over both strands where the model was trained so ->
an array, or a table with `name`, `prediction` and a `probability_...` column per class, for regression `name` and
`value`. Rows keep the order of the input. The file appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from transformers import PreTrainedModel

from vqdna.errors import InputError, check_name
from vqdna.finetune.evaluation import predict_sequences
from vqdna.finetune.heads import SequenceClassifierConfig
from vqdna.genome.bases import Gaps
from vqdna.inference.embed import PRECISIONS
from vqdna.inference.inputs import Sequences, is_single, named_sequences
from vqdna.inference.output_table import STANDARD_STREAM, Columns, table_writer
from vqdna.models import classifier_of, evaluating
from vqdna.tasks.loading import LABEL_SEPARATOR, read_unlabelled
from vqdna.tokenizers.padding import BATCH_SIZE

THRESHOLD = 0.5
"""Probability from which a label belongs to a multilabel prediction."""


def predict(
    sequences: Sequences,
    model: PreTrainedModel | str | Path,
    *,
    batch_size: int = BATCH_SIZE,
    precision: str = "fp32",
    device: str | torch.device | None = None,
) -> Float[ndarray, "*sequence class"]:
    """Class probabilities of sequences by a fine-tuned model, the numbers that `vqdna predict` writes.

    A model that was trained to average both strands does so here too.

    Args:
        sequences: a str, an array of base ids (A C G T = 0 to 3, N = 4) or a record of `read_sequences`; or a list,
            a 2-D array or an iterator of these.
        model: a fine-tuned model, or its run folder.
        batch_size: sequences at once, fewer where they are long; changes nothing but speed and memory.
        precision: "fp32", "bf16", or "auto" for the fastest that the processor has.
        device: where to compute. None leaves a model where it is, and opens a named one on the GPU if there is one.

    Returns:
        float32 [sequence, class] for many sequences, [class] for one. Classes are in the order of
        `model.config.class_names`. A regression has one column, the value.

    Raises:
        InputError: no fine-tuned model, an empty sequence, a letter that is no base, or a sequence that is too long for
            the encoder; names the sequence.

    Example:
        >>> import vqdna
        >>> from vqdna.finetune import GenomeEncoderForSequenceClassification
        >>> model = GenomeEncoderForSequenceClassification.from_encoder(vqdna.load("small"), class_names=("no", "yes"))
        >>> vqdna.predict(["ACGTTGCANNACGT", "GATTACAGATTACA"], model).shape
        (2, 2)
    """
    check_name("precision", precision, PRECISIONS)
    if batch_size < 1:
        raise InputError(f"batch_size: got {batch_size}, expected at least 1")
    named = list(named_sequences(sequences))
    classifier = classifier_of(model, device)
    if not named:
        return np.empty((0, len(classifier.config.class_names)), dtype=np.float32)
    with evaluating(classifier):
        predicted = predict_sequences(
            classifier,
            [one.base_ids for one in named],
            lambda row: named[row].place,
            batch_size=batch_size,
            precision=precision,
        )
    return predicted[0] if is_single(sequences) else predicted


def predict_file(
    model: PreTrainedModel | str | Path,
    input: Path | str,
    output: Path | str,
    *,
    batch_size: int = BATCH_SIZE,
    precision: str = "fp32",
    gaps: Gaps = "error",
) -> int:
    """Writes the model's predictions for every sequence of `input` to `output` and returns their number.

    Args:
        model: a fine-tuned model, or the run folder of one.
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
    classifier = classifier_of(model)
    names, base_ids = read_unlabelled(input if input == STANDARD_STREAM else Path(input), gaps=gaps)
    with evaluating(classifier):
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
