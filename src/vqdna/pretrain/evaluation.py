"""How well masked codes are predicted: accuracy per level, nats per base, and the leak curve.

Flow: model + windows [batch, base] with their masks -> totals over all windows -> numbers of results.json.
Nats per base is given twice: of the codes (the objective, summed over levels), and of the bases themselves after each
code's probability is spread over the bases that it stands for. Only the second compares tokenizers: uniform guessing
is ln 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vqdna.encoder.genome_encoder import UNKNOWN_BASE
from vqdna.pretrain.masking import distance_to_visible
from vqdna.pretrain.objective import (
    IGNORED,
    MAX_TARGET_BASES,
    GenomeEncoderForMaskedModeling,
    MaskedModelingOutput,
    bases_of_spans,
)

Batch = dict[str, Tensor]

ACCURACIES = {"shuffling": "shuffling_accuracy", "contrast": "contrast_accuracy"}
"""The questions beside the masks: loss term and accuracy of each."""


class BaseFrequencies:
    """How often each code of a level stands for each base at each place of its span, with one count added to each."""

    def __init__(self, size: int) -> None:
        self.counts = torch.ones(size, MAX_TARGET_BASES, UNKNOWN_BASE)

    def add(
        self, codes: Int[Tensor, "token"], bases: Int[Tensor, "token place"], known: Bool[Tensor, "token place"]
    ) -> None:
        for place in range(MAX_TARGET_BASES):
            here = known[:, place]
            joint = codes[here] * UNKNOWN_BASE + bases[here, place]
            counts = torch.bincount(joint, minlength=len(self.counts) * UNKNOWN_BASE)
            self.counts[:, place] += counts.view(-1, UNKNOWN_BASE)

    def base_nats(
        self, logits: Float[Tensor, "token size"], bases: Int[Tensor, "token place"], known: Bool[Tensor, "token place"]
    ) -> Float[Tensor, ""]:
        """Summed cross-entropy in nats of the known bases under the predicted codes."""
        frequencies = self.counts / self.counts.sum(dim=-1, keepdim=True)
        predicted = torch.einsum("ts,spb->tpb", logits.float().softmax(dim=-1), frequencies)
        probability = predicted.gather(2, bases[..., None]).squeeze(2)
        return -(probability.log() * known).sum()


@torch.no_grad()
def count_base_frequencies(model: GenomeEncoderForMaskedModeling, batches: Iterable[Batch]) -> list[BaseFrequencies]:
    tables = [BaseFrequencies(size) for size in model.encoder.tokenizer.level_sizes]
    for batch in batches:
        tokens = model.encoder.tokenizer.encode(batch["base_ids"].to(model.device))
        bases, known = bases_of_spans(batch["base_ids"], tokens.spans.cpu())
        real = tokens.attention_mask.cpu()
        for level, table in enumerate(tables):
            table.add(tokens.codes.cpu()[..., level][real], bases[real], known[real])
    return tables


class MaskedTotals:
    """Sums over all evaluation windows, from which the numbers are made at the end.

    Args:
        num_levels: outputs per masked token.
        predicts_bases: they are the bases of its span, not codes.
        max_distance: last distance of the leak curve; farther ones count there.
    """

    def __init__(self, num_levels: int, *, predicts_bases: bool = False, max_distance: int = 32) -> None:
        self.predicts_bases = predicts_bases
        self.code_nats = torch.zeros(num_levels, dtype=torch.double)
        self.base_nats = torch.zeros(num_levels, dtype=torch.double)
        self.correct = torch.zeros(num_levels, dtype=torch.double)
        self.positions = self.span_bases = self.masked_bases = 0
        self.distance_correct = torch.zeros(max_distance + 1, num_levels, dtype=torch.double)
        self.distance_count = torch.zeros(max_distance + 1, dtype=torch.long)

    def add(self, output: MaskedModelingOutput, batch: Batch, tables: list[BaseFrequencies]) -> None:
        masked = _present(output.masked_positions).cpu()
        targets = _present(output.targets).cpu()
        bases, known = (part[masked] for part in bases_of_spans(batch["base_ids"], _present(output.spans).cpu()))
        self.positions += len(targets)
        self.span_bases += int(known.sum())
        self.masked_bases += int((batch["masked_bases"] & (batch["base_ids"] < UNKNOWN_BASE)).sum())
        hidden = _present(output.hidden_positions).cpu()
        distance = distance_to_visible(hidden, _present(output.attention_mask).cpu())[masked]
        distance = distance.clamp(0, len(self.distance_count) - 1)
        self.distance_count += torch.bincount(distance, minlength=len(self.distance_count))
        for level, logits in enumerate(_present(output.logits)):
            scores = logits.cpu().float()
            nats = torch.nn.functional.cross_entropy(scores, targets[:, level], ignore_index=IGNORED, reduction="sum")
            self.code_nats[level] += nats
            self.base_nats[level] += tables[level].base_nats(scores, bases, known) if tables else nats
            right = (scores.argmax(dim=-1) == targets[:, level]).double()
            self.correct[level] += right.sum()
            self.distance_correct[:, level].index_add_(0, distance, right)

    def evaluation(self) -> dict[str, Any]:
        positions, span_bases = max(1, self.positions), max(1, self.span_bases)
        # With bases as targets a "level" is a place of the span, and each base is in one of them alone.
        base_nats = self.base_nats.sum() if self.predicts_bases else self.base_nats.min()
        return {
            "masked_accuracy": (self.correct / positions).tolist(),
            "loss": float(self.code_nats.sum()) / positions,
            "nats_per_base": float(self.code_nats.sum()) / max(1, self.masked_bases),
            "base_nats_per_level": (self.base_nats / span_bases).tolist(),
            "base_nats": float(base_nats / span_bases),
            "masked_positions": self.positions,
            "masked_bases": self.masked_bases,
        }

    def leak(self) -> list[dict[str, Any]]:
        """Masked accuracy per level at each distance (in positions) to the nearest visible position."""
        return [
            {"distance": distance, "accuracy": (self.distance_correct[distance] / count).tolist(), "count": count}
            for distance, count in enumerate(self.distance_count.tolist())
            if count > 0 and distance > 0
        ]


@torch.no_grad()
def evaluate_masked(
    model: GenomeEncoderForMaskedModeling, batches: list[Batch]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Evaluation numbers and the leak curve over batches with `base_ids` and `masked_bases`."""
    was_training = model.training
    model.eval()
    predicts_bases = model.config.target == "bases"
    tables = [] if predicts_bases else count_base_frequencies(model, batches)
    totals = MaskedTotals(len(model.prediction.levels), predicts_bases=predicts_bases)
    for batch in batches:
        output = model(**{name: value.to(model.device) for name, value in batch.items()})
        totals.add(output, batch, tables)
    model.train(was_training)
    return totals.evaluation(), totals.leak()


def term_names(term: str) -> tuple[str, str]:
    """Fields of the model's output that a question beside the masks fills."""
    return term, ACCURACIES[term]


@torch.no_grad()
def evaluate_question(model: GenomeEncoderForMaskedModeling, batches: list[Batch], term: str) -> dict[str, float]:
    """Loss and accuracy of a question beside the masks, over batches of equal size."""
    was_training = model.training
    model.eval()
    outputs = [model(**{name: value.to(model.device) for name, value in batch.items()}) for batch in batches]
    model.train(was_training)
    names = term_names(term)
    return {name: float(torch.stack([_present(output[name]) for output in outputs]).mean()) for name in names}


def _present(value: Any) -> Any:
    if value is None:
        raise ValueError("the model's output lacks what evaluation needs")
    return value
