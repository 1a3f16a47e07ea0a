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


def _attention(query: Shape, key: Shape, value: Shape, *rest: Any, **kwargs: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(gradient: Shape, query: Shape, key: Shape, value: Shape, *rest: Any, **kwargs: Any) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


def _distances(rows: Shape, others: Shape, *rest: Any, **kwargs: Any) -> int:
    """A difference, a square and an addition for each coordinate of each pair."""
    return 3 * math.prod(rows[:-1]) * others[-2] * rows[-1]


def _distances_by_a_product(rows: Shape, others: Shape, **kwargs: Any) -> int:
    """One product in which the squared lengths of both ride along as two more coordinates."""
    return 2 * math.prod(rows[:-1]) * others[-2] * (rows[-1] + 2)


def _matrix_by_vector(matrix: Shape, vector: Shape, **kwargs: Any) -> int:
    return 2 * math.prod(matrix)


def _added_matrix_by_vector(added: Shape, matrix: Shape, vector: Shape, **kwargs: Any) -> int:
    return 2 * math.prod(matrix)


def _dot(one: Shape, other: Shape, **kwargs: Any) -> int:
    return 2 * math.prod(one)


def _fourier(shape: Shape, axes: Sequence[int]) -> float:
    """Complex transform over some axes, one for each index of the others."""
    length = math.prod(shape[axis] for axis in axes)
    return fourier_operations(length) * math.prod(shape) / max(1, length)


def _complex_fourier(features: Shape, axes: Sequence[int], *rest: Any, **kwargs: Any) -> int:
    return round(_fourier(features, axes))


def _real_fourier(features: Shape, axes: Sequence[int], *rest: Any, **kwargs: Any) -> int:
    return round(_fourier(features, axes) / 2)


def _inverse_real_fourier(
    features: Shape, axes: Sequence[int], *rest: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """The real side counts, which the given half of the frequencies does not tell exactly."""
    return round(_fourier(out_shape, axes) / 2)


FORMULAS: dict[Any, Any] = {
    torch.ops.aten.convolution_backward: _convolution_backward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    torch.ops.aten._cdist_forward: _distances,
    torch.ops.aten._euclidean_dist: _distances_by_a_product,
    torch.ops.aten.mv: _matrix_by_vector,
    torch.ops.aten.addmv: _added_matrix_by_vector,
    torch.ops.aten.dot: _dot,
    torch.ops.aten._fft_c2c: _complex_fourier,
    torch.ops.aten._fft_r2c: _real_fourier,
    torch.ops.aten._fft_c2r: _inverse_real_fourier,
}
"""Operations that torch's counter does not know, or counts wrongly."""
