"""How many floating-point operations a computation takes, counted while it runs.

Flow: a call -> every tensor operation that torch dispatches -> formula for its shapes -> sum; one multiplication and
one addition are two. Counted: matrix products, convolutions, attention (fused too, on a processor as on a GPU),
pairwise distances, products with a vector, Fourier transforms. Not counted, for they are few beside these: what works
element by element (activations, norms, softmax), sums, look-ups and sorts; nor torch's fused recurrent layers, nor a
kernel of one's own. It must not know models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

Shape = Sequence[int]


def counted_operations(run: Callable[[], object]) -> int:
    """Floating-point operations of one call of `run`, of its backward passes too if it has any."""
    with operation_counter() as counter:
        run()
    return int(counter.get_total_flops())


def operation_counter() -> FlopCounterMode:
    """Context within which `get_total_flops()` grows with every operation, for counts at several points of a run."""
    return FlopCounterMode(display=False, custom_mapping=FORMULAS)


def fourier_operations(length: int) -> float:
    """Operations of a complex Fourier transform of so many numbers, `5 n log2 n`; of real ones half as many.

    Reference: the convention of the FFTW benchmarks, which counts a radix-2 transform whatever the algorithm.
    """
    return 5 * length * math.log2(length) if length > 1 else 0.0


def _convolution_backward(
    gradient: Shape, features: Shape, weight: Shape, *rest: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """Of both products where asked for; torch's own count takes a depth-wise convolution's weights for dense ones."""
    transposed, needed = rest[4], rest[7]
    positions = math.prod((features if transposed else gradient)[2:])
    return int(2 * features[0] * positions * math.prod(weight) * sum(needed[:2]))


def _fourier(shape: Shape, axes: Sequence[int]) -> float:
    """Complex transform over some axes, one for each index of the others."""
    length = math.prod(shape[axis] for axis in axes)
    return fourier_operations(length) * math.prod(shape) / max(1, length)


FORMULAS: dict[Any, Any] = {
    torch.ops.aten.convolution_backward: _convolution_backward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda query, key, value, *_, **__: sdpa_flop_count(
        query, key, value
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda gradient, query, key, value, *_, **__: (
        sdpa_backward_flop_count(gradient, query, key, value)
    ),
    # A difference, a square and an addition for each coordinate of each pair.
    torch.ops.aten._cdist_forward: lambda rows, others, *_, **__: 3 * math.prod(rows) * others[-2],
    # One product in which the squared lengths of both ride along as two more coordinates.
    torch.ops.aten._euclidean_dist: lambda rows, others, **_: 2 * math.prod(rows[:-1]) * others[-2] * (rows[-1] + 2),
    torch.ops.aten.mv: lambda matrix, vector, **_: 2 * math.prod(matrix),
    torch.ops.aten.addmv: lambda added, matrix, vector, **_: 2 * math.prod(matrix),
    torch.ops.aten.dot: lambda one, other, **_: 2 * math.prod(one),
    torch.ops.aten._fft_c2c: lambda features, axes, *_, **__: round(_fourier(features, axes)),
    torch.ops.aten._fft_r2c: lambda features, axes, *_, **__: round(_fourier(features, axes) / 2),
    # The real side counts, which the given half of the frequencies does not tell exactly.
    torch.ops.aten._fft_c2r: lambda features, axes, *_, out_shape=None, **__: round(_fourier(out_shape, axes) / 2),
}
"""Operations that torch's counter does not know, or counts wrongly; each formula takes the shapes."""
