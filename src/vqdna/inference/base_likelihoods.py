"""How much more a masked model expects a variant's alternate than its reference, from the bases around it.

Flow: pairs of windows -> the reference's window with the variant's bases hidden -> log-probability of every base there
-> log-likelihood ratio. Only substitutions have one: with other lengths the hidden bases are not the same ones. It must
not know files.

Reference: Meier et al. 2021, "Language models enable zero-shot prediction of the effects of mutations on protein
function" (masked marginals).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from vqdna.finetune.evaluation import similar_batches
from vqdna.inference.variant_windows import Pair
from vqdna.pretrain.objective import IGNORED, GenomeEncoderForMaskedModeling, MaskedModelingOutput
from vqdna.tokenizers.padding import pad_rows


def predicts_bases(model: GenomeEncoderForMaskedModeling) -> bool:
    """Whether the model was trained to predict bases; one that predicts codes says nothing of single bases."""
    return model.config.target == "bases"


@torch.no_grad()
def log_likelihood_ratios(
    model: GenomeEncoderForMaskedModeling, pairs: Sequence[Pair], batch_size: int
) -> Float[ndarray, "pair"]:
    """Log-probability of ALT less that of REF in nats, summed over their bases; not a number for other lengths.

    Args:
        model: in evaluation mode, predicts bases.
        pairs: windows without and with the variants.
        batch_size: windows at once; fewer where they are long.
    """
    ratios = np.full(len(pairs), np.nan)
    rows = [row for row, pair in enumerate(pairs) if len(pair.ref) == len(pair.alt)]
    for batch in similar_batches([len(pairs[row].ref) for row in rows], batch_size):
        chosen = [rows[number] for number in batch]
        ratios[chosen] = _ratios(model, [pairs[row] for row in chosen]).cpu().numpy()
    return ratios


def _ratios(model: GenomeEncoderForMaskedModeling, pairs: Sequence[Pair]) -> Float[Tensor, "pair"]:
    ref, kept = (part.to(model.device) for part in pad_rows([pair.ref for pair in pairs]))
    alt = pad_rows([pair.alt for pair in pairs])[0].to(model.device)
    at = torch.arange(ref.shape[1], device=ref.device)
    start, end = (torch.tensor(ends, device=ref.device)[:, None] for ends in zip(*(_place(pair) for pair in pairs)))
    hidden = (at >= start) & (at < end)
    return ratios_of(model(ref, hidden, kept), ref, alt, hidden)


def _place(pair: Pair) -> tuple[int, int]:
    """The variant's bases in its window."""
    return pair.offset, pair.offset + len(pair.variant.ref)


def ratios_of(
    output: MaskedModelingOutput,
    ref: UInt8[Tensor, "batch base"],
    alt: UInt8[Tensor, "batch base"],
    hidden: Bool[Tensor, "batch base"],
) -> Float[Tensor, "batch"]:
    """Sum over hidden bases of log p(alt) - log p(ref); tokens that share a base are averaged.

    A row with a hidden base that no token predicts is not a number: N in place of a base, or a base beyond those that a
    long token predicts.
    """
    masked, spans, logits, targets = output.masked_positions, output.spans, output.logits, output.targets
    assert masked is not None
    assert spans is not None
    assert logits is not None
    assert targets is not None
    rows = masked.nonzero()[:, 0]
    log_probabilities = torch.stack(logits, dim=1).float().log_softmax(dim=-1)
    bases = spans[masked][:, :1] + torch.arange(log_probabilities.shape[1], device=ref.device)
    bases = bases.clamp_max(ref.shape[1] - 1)
    counts = hidden[rows[:, None], bases] & (targets != IGNORED)
    differences = _chosen(log_probabilities, alt, rows, bases) - _chosen(log_probabilities, ref, rows, bases)
    place = (rows[:, None] * ref.shape[1] + bases)[counts]
    sums = torch.zeros(ref.numel(), device=ref.device).index_add_(0, place, differences[counts])
    tokens = torch.zeros(ref.numel(), device=ref.device).index_add_(0, place, torch.ones_like(differences[counts]))
    return torch.where(hidden, (sums / tokens).view_as(ref), 0.0).sum(dim=1)


def _chosen(
    log_probabilities: Float[Tensor, "masked place 4"],
    base_ids: UInt8[Tensor, "batch base"],
    rows: Int[Tensor, "masked"],
    bases: Int[Tensor, "masked place"],
) -> Float[Tensor, "masked place"]:
    """Log-probability of the base that stands at each place; not a number for N."""
    wanted = base_ids[rows[:, None], bases].long()
    num_bases = log_probabilities.shape[2]
    found = log_probabilities.gather(2, wanted.clamp_max(num_bases - 1)[..., None])[..., 0]
    return found.masked_fill(wanted >= num_bases, torch.nan)
