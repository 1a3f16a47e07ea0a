"""How gradients pass a quantizer: straight through, or turned and scaled as the latent is onto its code vector.

Flow: latents and the code vectors chosen for them, both [batch, position, width] -> the code vectors again, carrying
the gradient to the latents, and the two distances that train latents and codebook. One difference serves all of it,
forward and backward. It must not know codes, codebooks nor levels. Paper: section 3.2; rotation: Fifty et al. 2024.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

Gradient = Literal["straight_through", "rotation"]

SHORTEST = 1e-6
"""Latents and sums of unit vectors shorter than this have no direction to turn from; the gradient then passes as is."""


class Settled(NamedTuple):
    """Chosen code vectors as the next layer sees them, and what they cost.

    Attributes:
        vectors: exactly the chosen code vectors; their gradient goes to the latents.
        commitment: mean squared distance; its gradient goes to the latents alone.
        codebook: the same number; its gradient goes to the chosen code vectors alone.
    """

    vectors: Float[Tensor, "*position width"]
    commitment: Float[Tensor, ""]
    codebook: Float[Tensor, ""]


def settle(
    latents: Float[Tensor, "*position width"],
    chosen: Float[Tensor, "*position width"],
    gradient: Gradient = "straight_through",
) -> Settled:
    """Latents replaced by their chosen code vectors, with the gradient estimator and the distances of training.

    Args:
        latents: in float32.
        chosen: code vector of each latent.
        gradient: "straight_through" copies the gradient; "rotation" turns and scales it as the latent would have to be
            to become its code vector.
    """
    return Settled(*cast(tuple[Tensor, Tensor, Tensor], _Settle.apply(latents, chosen, gradient == "rotation")))


class _Settle(torch.autograd.Function):
    """`vectors = chosen` and twice `mean((chosen - latents)^2)`, from one difference and without a copy."""

    @staticmethod
    def forward(ctx: Any, latents: Tensor, chosen: Tensor, rotates: bool) -> tuple[Tensor, Tensor, Tensor]:
        difference = chosen - latents
        flat = difference.view(-1)
        distance = torch.dot(flat, flat) / max(1, flat.numel())
        ctx.save_for_backward(difference, *((latents, chosen) if rotates else ()))
        ctx.set_materialize_grads(False)
        return chosen, distance, distance.clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, vectors: Tensor | None, commitment: Tensor | None, codebook: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients of latents and chosen vectors, from those of the vectors and of the two distances."""
        difference, *pair = ctx.saved_tensors
        slope = 2 / max(1, difference.numel())
        to_latents = to_chosen = None
        if ctx.needs_input_grad[0]:
            to_latents = turned_back(vectors, *pair) if pair and vectors is not None else vectors
            if commitment is not None:
                to_latents = _plus_scaled(to_latents, difference, commitment * -slope)
        if ctx.needs_input_grad[1] and codebook is not None:
            to_chosen = difference * (codebook * slope)
        return to_latents, to_chosen, None


def _plus_scaled(gradient: Tensor | None, difference: Tensor, factor: Tensor) -> Tensor:
    return difference * factor if gradient is None else torch.addcmul(gradient, difference, factor)


def turned_back(
    gradient: Float[Tensor, "*position width"],
    latents: Float[Tensor, "*position width"],
    chosen: Float[Tensor, "*position width"],
) -> Float[Tensor, "*position width"]:
    """Gradient of the latents under the rotation trick: the transposed turn and scaling of latent onto code vector.

    With unit vectors e and q of latent and code vector and r that of e + q, the turn is `R = 1 - 2 r r' + 2 q e'` and
    the scaling |q| / |e|, both held constant, so the gradient is `|q| / |e| (g - 2 r (r.g) + 2 e (q.g))`. Where a
    latent has no length the gradient passes unchanged; where the code vector lies right opposite, r is left out.

    Reference: Fifty et al. 2024, section 4.2.
    """
    length = latents.norm(dim=-1, keepdim=True)
    scale = chosen.norm(dim=-1, keepdim=True)
    e, q = latents / length.clamp_min(SHORTEST), chosen / scale.clamp_min(SHORTEST)
    halfway = e + q
    halfway = halfway / halfway.norm(dim=-1, keepdim=True).clamp_min(SHORTEST)
    turned = gradient - 2 * halfway * _dot(halfway, gradient) + 2 * e * _dot(q, gradient)
    return torch.where(length > SHORTEST, turned * (scale / length.clamp_min(SHORTEST)), gradient)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum(dim=-1, keepdim=True)
