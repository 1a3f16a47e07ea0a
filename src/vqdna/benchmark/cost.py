"""What a system costs: parameters, operations per base, memory; measured for ours, worked out for published ones.

Flow: model + number of bases -> one counted forward pass -> operations per base; layer sizes -> the same without a
model; process or GPU -> highest memory so far. One multiplication and one addition are two operations. It must not
know how a system is trained or scored.

Reference: the efficiency table of the poster, see `vqdna.tasks.published.poster_rows`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from vqdna.errors import InputError
from vqdna.operations import counted_operations
from vqdna.tasks.published import published_systems

PUBLISHED_BASES = 500
"""Length of the input for which DNABERT-2's paper, and the poster after it, give operations."""


def flops_per_base(model: nn.Module, bases: int = 1024) -> float:
    """Operations of a forward pass over one sequence, for each of its bases.

    A pass that is not counted goes first, for tables are filled in it once. Attention to a whole row grows with the
    row, so give the length of the dataset where costs are compared on one.

    Args:
        model: a `GenomeEncoder`, a fine-tuned model, or another that takes `(base_ids, attention_mask)`. It is run in
            evaluation mode, and left in the mode that it was in.
        bases: length of the sequence, of random bases.

    Raises:
        InputError: fewer bases than one.
    """
    if bases < 1:
        raise InputError(f"operations per base: got a sequence of {bases} bases, expected at least 1")
    device = next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))
    base_ids = torch.randint(0, 4, (1, bases), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).to(device)
    attention_mask = torch.ones_like(base_ids, dtype=torch.bool)
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.inference_mode():
            model(base_ids, attention_mask)
            return counted_operations(lambda: model(base_ids, attention_mask)) / bases
    finally:
        for module, mode in modes.items():
            module.training = mode


def transformer_flops(
    layers: int, hidden: int, intermediate: int, length: int, bases_per_token: int | float, *, gated: bool = False
) -> float:
    """Operations of one sequence's pass through the layers of a Transformer that attends to whole rows.

    Counts the four projections, both products of attention and the feed-forward layers; neither word embeddings nor a
    head, nor special tokens.

    Args:
        layers: number of them.
        hidden: width of a position.
        intermediate: width inside a feed-forward layer.
        length: in bases.
        bases_per_token: mean bases by which a token advances, 1 for overlapping k-mers.
        gated: whether the feed-forward layer has a third matrix, for the gate.
    """
    tokens = math.ceil(length / bases_per_token)
    matrices = 4 * hidden * hidden + (3 if gated else 2) * hidden * intermediate
    attention = 2 * tokens * hidden
    return 2.0 * layers * tokens * (matrices + attention)


def _published(layers: int, hidden: int, intermediate: int, bases_per_token: int, *, gated: bool = False) -> float:
    """Operations per base of a published Transformer on the published length."""
    whole = transformer_flops(layers, hidden, intermediate, PUBLISHED_BASES, bases_per_token, gated=gated)
    return whole / PUBLISHED_BASES


# At four bases a token DNABERT costs 3.26 times DNABERT-2; its paper prints 3.27.
_DNABERT_2 = _published(12, 768, 3072, 4, gated=True)
_OPERATIONS: Mapping[str, float] = {
    **{f"DNABERT {k}-mer": _published(12, 768, 3072, 1) for k in (3, 4, 5, 6)},
    **dict.fromkeys(("NT-500M-human", "NT-500M-1000g"), _published(24, 1280, 5120, 6)),
    **dict.fromkeys(("NT-2500M-1000g", "NT-2500M-multi"), _published(32, 2560, 10240, 6)),
    **dict.fromkeys(("DNABERT-2", "DNABERT-2 (further pre-trained on GUE)"), _DNABERT_2),
}


def published_cost() -> dict[str, dict[str, float]]:
    """`parameters` and `flops_per_base` of published systems by name, those left out that nothing was published of.

    Parameters are counts, as published. Operations are for 500 bases: worked out from the sizes of the layers where
    these are known; VQDNA's are the poster's relative ones times DNABERT-2's, its vocabulary included.
    """
    costs: dict[str, dict[str, float]] = {}
    for name, system in published_systems().items():
        cost = {"parameters": system.cost["parameters"] * 1e6} if "parameters" in system.cost else {}
        if name in _OPERATIONS:
            cost["flops_per_base"] = _OPERATIONS[name]
        elif "relative_flops" in system.cost:
            cost["flops_per_base"] = system.cost["relative_flops"] * _DNABERT_2
        if cost:
            costs[name] = cost
    return costs


def relative_flops(operations_per_base: float) -> float:
    """The same in the poster's unit: how many times those of DNABERT-2 on 500 bases, per base of each.

    That is the poster's own reckoning where `operations_per_base` is for 500 bases too.
    """
    return operations_per_base / _DNABERT_2
