"""Predictions of a classifier for many sequences, and their scores.

Flow: base_ids per record -> codes -> batches of similar length -> logits -> predictions [row, class], averaged over
both strands where the model was trained so. `vqdna predict` and the scores of a run come from the same function, and
neither padding nor the order of the records changes them. It must not know files or training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from vqdna.devices import uses_bfloat16
from vqdna.encoder.encoded_sequences import EncodedSequences, encode_sequences
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.quiet import is_watched
from vqdna.tasks.loading import LabelledSequences
from vqdna.tasks.metrics import Metrics, task_metrics
from vqdna.tokenizers.padding import BATCH_SIZE, TOKENS_PER_BATCH, pad_codes, similar_batches

Item = TypeVar("Item")

ON_GPU = 8  # times as many at once there, where small batches leave most of it idle

RECORDS_PER_CHUNK = 4096
BASES_PER_CHUNK = 1 << 24  # records, and bases, whose codes are in memory at once; a longer record alone


def predict_sequences(
    model: GenomeEncoderForSequenceClassification,  # in evaluation mode
    base_ids: Sequence[UInt8[ndarray, "_"]],
    place: Callable[[int], str],  # where record i comes from, for messages
    *,
    batch_size: int = BATCH_SIZE,  # sequences at once; fewer where they are long
    precision: str = "fp32",  # "fp32", "bf16", or "auto" for the fastest that the processor has
    description: str | None = None,  # shows a progress bar of this name on a terminal
    keep: bool = False,  # looks the codes up in the cache on disk, and puts them there
) -> Float[ndarray, "row class"]:
    """Class probabilities, or scores, of each sequence in the order given."""
    bar = _shown(list(_chunks([len(row) for row in base_ids])), description)
    both_strands = model.config.reads_both_strands
    chunks = []
    for chunk in bar:

        def name(row: int, start: int = chunk.start) -> str:
            return place(start + row)

        encoded = encode_sequences(model.encoder, base_ids[chunk], name, both_strands=both_strands, keep=keep)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=uses_bfloat16(precision)):
            chunks.append(predict_codes(model, encoded, batch_size=batch_size))
    return np.concatenate(chunks)


def _chunks(lengths: Sequence[int]) -> Iterator[slice]:
    """Runs of records whose codes are in memory at once."""
    start = bases = 0
    for end, length in enumerate(lengths):
        if end > start and (end - start == RECORDS_PER_CHUNK or bases + length > BASES_PER_CHUNK):
            yield slice(start, end)
            start, bases = end, 0
        bases += length
    if start < len(lengths):
        yield slice(start, len(lengths))


def predict_codes(
    model: GenomeEncoderForSequenceClassification, encoded: EncodedSequences, *, batch_size: int = BATCH_SIZE
) -> Float[ndarray, "row class"]:
    """Predictions for sequences that are encoded already, as float32."""
    read = [encoded]
    if model.config.reverse_complement_average and encoded.reverse_codes is not None:
        read.append(EncodedSequences(encoded.reverse_codes))

    def predictions(**batch: Tensor) -> Tensor:
        return model.predictions(model(**batch).logits)

    averaged = np.mean([in_batches(model, strand, predictions, batch_size).cpu().numpy() for strand in read], axis=0)
    return cast(ndarray, averaged.astype(np.float32))


@torch.no_grad()
def in_batches(
    model: GenomeEncoderForSequenceClassification,
    encoded: EncodedSequences,  # with both strands where the model shares them
    # takes `codes` and `position_mask` of a batch, on the model's device
    compute: Callable[..., Float[Tensor, "batch value"]],
    batch_size: int = BATCH_SIZE,  # records at once; fewer where they are long, more on a GPU
    description: str | None = None,  # shows a progress bar of this name on a terminal
) -> Float[Tensor, "row value"]:
    """What `compute` gives for the codes of each record, in the order given, records of similar length together."""
    scale = ON_GPU if model.device.type == "cuda" else 1
    pairs = model.config.shares_strands
    lengths = [len(row) * (2 if pairs else 1) for row in encoded.codes]
    batches = list(similar_batches(lengths, scale * batch_size, scale * TOKENS_PER_BATCH))
    values = []
    for batch in _shown(batches, description):
        codes, position_mask = pad_codes(encoded.rows(batch, pairs=pairs))
        values.append(compute(codes=codes.to(model.device), position_mask=position_mask.to(model.device)))
    back = np.argsort(np.concatenate(batches))
    return torch.cat(values)[torch.from_numpy(back).to(model.device)]


def _shown(items: Sequence[Item], description: str | None) -> Iterable[Item]:
    """The items, with a progress bar where one is named and somebody looks."""
    disable = description is None or not is_watched()
    return track(items, description or "", console=Console(stderr=True), disable=disable)


def coding_batches(encoded: EncodedSequences, most: int, *, pairs: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """Codes and position masks of at most so many records, taken evenly over all, in batches of similar length.

    With `pairs` each batch has the reverse complements behind the strands given.
    """
    chosen = np.linspace(0, len(encoded) - 1, min(most, len(encoded))).astype(int)
    for batch in similar_batches([len(encoded.codes[row]) for row in chosen], BATCH_SIZE):
        yield pad_codes(encoded.rows(chosen[batch], pairs=pairs))


def score(labelled: LabelledSequences, predictions: Float[ndarray, "row class"]) -> Metrics:
    return task_metrics(labelled.task, labelled.labels, predictions.astype(np.float64))
