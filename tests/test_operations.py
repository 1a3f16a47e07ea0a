"""Counts against what is worked out by hand for small shapes."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from vqdna.operations import counted_operations, fourier_operations

BATCH, HEADS, LENGTH, SIZE = 2, 3, 10, 4
CHANNELS, KERNEL = 6, 5


def heads(**options) -> torch.Tensor:
    return torch.randn(BATCH, HEADS, LENGTH, SIZE, **options)


def features() -> torch.Tensor:
    return torch.randn(BATCH, CHANNELS, LENGTH)


ATTENTION = BATCH * HEADS * 2 * (2 * LENGTH * LENGTH * SIZE)  # scores, and the mean of the values by them
MASKS = {
    "none": {},
    "causal": {"is_causal": True},
    "bias": {"attn_mask": torch.zeros(BATCH, 1, LENGTH, LENGTH)},
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_attention_on_a_processor_is_counted(mask, context):
    with context():
        query = heads()
        run = lambda: functional.scaled_dot_product_attention(query, query, query, **MASKS[mask])  # noqa: E731
        assert counted_operations(run) == ATTENTION


def test_attention_written_out_counts_as_the_fused_one():
    query = heads()
    assert counted_operations(lambda: (query @ query.mT).softmax(-1) @ query) == ATTENTION


def test_the_backward_pass_of_a_run_is_counted_too():
    query = heads(requires_grad=True)
    count = counted_operations(lambda: functional.scaled_dot_product_attention(query, query, query).sum().backward())
    assert count == ATTENTION + ATTENTION // 2 * 5  # the scores once more, and four products for the gradients


PRODUCTS = {
    "linear": (lambda x: functional.linear(x.mT, torch.ones(7, CHANNELS)), 2 * BATCH * LENGTH * CHANNELS * 7),
    "dense convolution": (
        lambda x: functional.conv1d(x, torch.ones(8, CHANNELS, KERNEL), padding=2),
        2 * BATCH * LENGTH * CHANNELS * 8 * KERNEL,
    ),
    "depth-wise convolution": (
        lambda x: functional.conv1d(x, torch.ones(CHANNELS, 1, KERNEL), padding=2, groups=CHANNELS),
        2 * BATCH * LENGTH * CHANNELS * KERNEL,
    ),
    "strided convolution": (
        lambda x: functional.conv1d(x, torch.ones(8, CHANNELS, 2), stride=2),
        2 * BATCH * (LENGTH // 2) * CHANNELS * 8 * 2,
    ),
    "transposed convolution": (
        lambda x: functional.conv_transpose1d(x, torch.ones(CHANNELS, 8, 2), stride=2),
        2 * BATCH * LENGTH * CHANNELS * 8 * 2,
    ),
    "distances": (
        lambda x: torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist"),
        3 * BATCH * CHANNELS**2 * LENGTH,
    ),
    "distances by a product": (
        lambda x: torch.cdist(x, x, compute_mode="use_mm_for_euclid_dist"),
        2 * BATCH * CHANNELS**2 * (LENGTH + 2),  # both squared norms ride along as two more coordinates
    ),
    "matrix by vector": (lambda x: torch.mv(x[0], x[0, 0]), 2 * CHANNELS * LENGTH),
    "dot": (lambda x: torch.dot(x[0, 0], x[0, 1]), 2 * LENGTH),
    "element by element": (lambda x: functional.gelu(functional.layer_norm(x, (LENGTH,)) + x), 0),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_by_hand(name):
    run, expected = PRODUCTS[name]
    given = features()
    with torch.no_grad():
        assert counted_operations(lambda: run(given)) == expected


def test_fourier_transforms_follow_the_usual_convention():
    given = torch.randn(3, 16)
    whole = 3 * 5 * 16 * math.log2(16)
    assert counted_operations(lambda: torch.fft.fft(given.to(torch.complex64))) == whole
    assert counted_operations(lambda: torch.fft.rfft(given)) == whole / 2
    frequencies = torch.fft.rfft(given)
    assert counted_operations(lambda: torch.fft.irfft(frequencies, n=16)) == whole / 2
    assert counted_operations(lambda: torch.fft.fft2(given.to(torch.complex64))) == round(5 * 48 * math.log2(48))
    assert fourier_operations(1) == 0


def test_a_long_convolution_by_fourier_transform_is_not_free():
    """What Hyena's filters do: two transforms there, one back."""
    signal, kernel = torch.randn(2, 256), torch.randn(2, 256)

    def convolve() -> torch.Tensor:
        return torch.fft.irfft(torch.fft.rfft(signal, n=512) * torch.fft.rfft(kernel, n=512), n=512)

    assert counted_operations(convolve) == 2 * 3 * round(fourier_operations(512) / 2)


def test_counting_changes_no_result():
    given = heads()
    held = []
    counted_operations(lambda: held.append(functional.scaled_dot_product_attention(given, given, given)))
    assert torch.equal(held[0], functional.scaled_dot_product_attention(given, given, given))
