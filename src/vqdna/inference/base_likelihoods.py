"""How much more a masked model expects a variant's alternate than its reference, from the bases around it.

Flow: pairs of windows -> the reference's window with the variant's bases hidden -> log-probability of every base, or of
every token, there -> log-likelihood ratio. Only substitutions have one: with other lengths the hidden bases are not the
same ones. It must not know files.

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
from torch.nn import functional

from vqdna.encoder.genome_encoder import UNKNOWN_BASE, num_held
from vqdna.inference.variant_windows import Pair
from vqdna.pretrain.objective import IGNORED, GenomeEncoderForMaskedModeling, MaskedModelingOutput
from vqdna.tokenizers import Tokens
from vqdna.tokenizers.padding import pad_rows, similar_batches


def has_ratios(model: GenomeEncoderForMaskedModeling) -> bool:
    """Whether the model's predictions tell alleles apart; codes predicted jointly are told the reference's."""
    return model.config.target in ("bases", "levels")


@torch.no_grad()
def log_likelihood_ratios(
    model: GenomeEncoderForMaskedModeling, pairs: Sequence[Pair], batch_size: int
) -> Float[ndarray, "pair"]:
    """Log-probability of ALT less that of REF in nats, summed over their bases; not a number for other lengths.

    Args:
        model: in evaluation mode, with ratios.
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
    output = model(ref, hidden, kept)
    if model.config.target == "bases":
        return ratios_of(output, ref, alt, hidden)
    ratios = ratios_of_words(output, model.encoder.tokenizer.encode(alt, kept), hidden)
    return ratios.masked_fill(((alt >= UNKNOWN_BASE) & hidden).any(dim=1), torch.nan)


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
    masked, spans, logits, targets = _asked(output)
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


def _asked(output: MaskedModelingOutput) -> tuple[Tensor, Tensor, tuple[Tensor, ...], Tensor]:
    """Masked positions, spans, logits and targets, which an output of the model always has."""
    masked, spans, logits, targets = output.masked_positions, output.spans, output.logits, output.targets
    assert masked is not None
    assert spans is not None
    assert logits is not None
    assert targets is not None
    return masked, spans, logits, targets


def ratios_of_words(
    output: MaskedModelingOutput, alt: Tokens, hidden: Bool[Tensor, "batch base"]
) -> Float[Tensor, "batch"]:
    """Sum over the tokens of hidden bases of log p(its codes with ALT) - log p(its codes with REF).

    Where tokens overlap, the sum is divided by how many of them hold a hidden base. A row is not a number where ALT
    moves a token's ends, or where a token of a hidden base is not predicted for an N beside it.
    """
    masked, spans, logits, targets = _asked(output)
    codes, is_same = _codes_at(alt, spans)
    chosen = codes[masked]
    differences = torch.stack(
        [
            (level.gather(1, chosen[:, number, None]) - level.gather(1, targets[:, number, None]))[:, 0].float()
            for number, level in enumerate(logits)
        ]
    ).sum(dim=0)  # of logits, for what makes them log-probabilities is the same for both
    sums = torch.zeros(len(masked), device=masked.device).index_add_(0, masked.nonzero()[:, 0], differences)
    held = num_held(hidden, spans)
    is_whole = ~((held > 0) & ~masked).any(dim=1)
    tokens = (held * masked).sum(dim=1) / hidden.sum(dim=1)
    return torch.where(is_same & is_whole, sums / tokens, torch.nan)


def _codes_at(
    tokens: Tokens, spans: Int[Tensor, "batch token 2"]
) -> tuple[Int[Tensor, "batch token level"], Bool[Tensor, "batch"]]:
    """Codes in as many places as there are spans, and whether a row's tokens have those very spans."""
    more = spans.shape[1] - tokens.spans.shape[1]
    theirs, ours = (
        functional.pad(tokens.spans, (0, 0, 0, max(0, more))),
        functional.pad(spans, (0, 0, 0, max(0, -more))),
    )
    codes = functional.pad(tokens.codes, (0, 0, 0, max(0, more)))[:, : spans.shape[1]]
    return codes, (theirs == ours).all(dim=2).all(dim=1)


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
