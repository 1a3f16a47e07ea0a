"""How gradients pass a quantizer: straight through, or rotated and scaled as the latent is onto its code vector.

Flow: latents and the code vectors of their codes, both [batch, position, width] -> the code vectors again, carrying
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


class StraightThrough(NamedTuple):
    """Code vectors as the next layer sees them, and what they cost.

    Attributes:
        vectors: exactly the code vectors; their gradient goes to the latents.
        commitment: mean squared distance; its gradient goes to the latents alone.
        codebook: the same number; its gradient goes to the code vectors alone.
    """

    vectors: Float[Tensor, "*position width"]
    commitment: Float[Tensor, ""]
    codebook: Float[Tensor, ""]


def straight_through(
    latents: Float[Tensor, "*position width"],
    code_vectors: Float[Tensor, "*position width"],
    gradient: Gradient = "straight_through",
) -> StraightThrough:
    """Latents replaced by their code vectors, with the gradient estimator and the distances of training.

    Args:
        latents: in float32.
        code_vectors: of each latent's code.
        gradient: "straight_through" copies the gradient; "rotation" turns and scales it as the latent would have to be
            to become its code vector.
    """
    parts = _StraightThrough.apply(latents, code_vectors, gradient == "rotation")
    return StraightThrough(*cast(tuple[Tensor, Tensor, Tensor], parts))


class _StraightThrough(torch.autograd.Function):
    """`vectors = code_vectors` and twice `mean((code_vectors - latents)^2)`.

    The textbook form `latents + (code_vectors - latents).detach()` rounds, so a token would differ in its last bits
    from its own code vector, and it keeps three tensors of the batch's size where one difference is enough.
    """

    @staticmethod
    def forward(ctx: Any, latents: Tensor, code_vectors: Tensor, rotates: bool) -> tuple[Tensor, Tensor, Tensor]:
        difference = code_vectors - latents
        flat = difference.view(-1)
        distance = torch.dot(flat, flat) / max(1, flat.numel())
        ctx.save_for_backward(difference, *((latents, code_vectors) if rotates else ()))
        # A term without weight comes back as None instead of a tensor of zeros as large as the batch.
        ctx.set_materialize_grads(False)
        # Two outputs of one number, cloned: autograd could not tell their gradients apart if they were one tensor.
        return code_vectors, distance, distance.clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, vectors: Tensor | None, commitment: Tensor | None, codebook: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients of latents and code vectors, from those of the vectors and of the two distances."""
        difference, *pair = ctx.saved_tensors
        slope = 2 / max(1, difference.numel())
        to_latents = to_code_vectors = None
        if ctx.needs_input_grad[0]:
            # The estimator itself: argmin has no derivative, so the decoder's gradient passes to the latent as it is,
            # as if quantizing had done nothing.
            to_latents = rotated_gradient(vectors, *pair) if pair and vectors is not None else vectors
            if commitment is not None:
                # d/d latent of mean((code_vector - latent)^2), added in one pass over the batch.
                factor = commitment * -slope
                to_latents = (
                    difference * factor if to_latents is None else torch.addcmul(to_latents, difference, factor)
                )
        if ctx.needs_input_grad[1] and codebook is not None:
            # From the codebook loss alone: the decoder's gradient never moves a code vector.
            to_code_vectors = difference * (codebook * slope)
        return to_latents, to_code_vectors, None


def rotated_gradient(
    gradient: Float[Tensor, "*position width"],
    latents: Float[Tensor, "*position width"],
    code_vectors: Float[Tensor, "*position width"],
) -> Float[Tensor, "*position width"]:
    """Gradient of the latents under the rotation trick: the transposed turn and scaling of latent onto code vector.

    With unit vectors e and q of latent and code vector and r that of e + q, the turn is `R = 1 - 2 r r' + 2 q e'` and
    the scaling |q| / |e|, both held constant, so the gradient is `|q| / |e| (g - 2 r (r.g) + 2 e (q.g))`. Where a
    latent has no length the gradient passes unchanged; where the code vector lies right opposite, r is left out.

    Reference: Fifty et al. 2024, section 4.2.
    """

    def dot(one: Tensor, other: Tensor) -> Tensor:
        return (one * other).sum(dim=-1, keepdim=True)

    length = latents.norm(dim=-1, keepdim=True)
    scale = code_vectors.norm(dim=-1, keepdim=True)
    e, q = latents / length.clamp_min(SHORTEST), code_vectors / scale.clamp_min(SHORTEST)
    # Two reflections make the turn: no [width x width] matrix is ever built, only dot products per position.
    halfway = e + q
    halfway = halfway / halfway.norm(dim=-1, keepdim=True).clamp_min(SHORTEST)
    turned = gradient - 2 * halfway * dot(halfway, gradient) + 2 * e * dot(q, gradient)
    return torch.where(length > SHORTEST, turned * (scale / length.clamp_min(SHORTEST)), gradient)
