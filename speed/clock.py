"""What the speed benchmarks share: where they run, the time of a call, the fastest product, the results file."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from vqdna.devices import own_device

DEVICE = own_device()
ON_GPU = DEVICE.type == "cuda"

PRODUCTS = ((2048, 2048, 2048), (2048, 384, 1536), (2048, 1536, 384), (4096, 1024, 1024))
PRODUCTS_ON_GPU = ((8192, 8192, 8192), (65536, 384, 1536), (16384, 4096, 4096))
"""Rows, inner length and columns of the matrix products among which `product_rate` takes the fastest."""


def device_name() -> str:
    """The GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(DEVICE) if ON_GPU else "cpu"


def seconds(function: Callable[[], object]) -> float:
    """Time of one call: on a single thread the processor's own, so that waiting for other processes costs nothing;
    with more of them, or a GPU, that on the clock, the device's work included."""
    clock = time.perf_counter if ON_GPU or torch.get_num_threads() > 1 else time.process_time
    wait()
    started = clock()
    function()
    wait()
    return clock() - started


def product_rate(dtype: torch.dtype) -> float:
    """Floating-point operations a second of the fastest matrix product."""
    rates = []
    for rows, inner, columns in PRODUCTS_ON_GPU if ON_GPU else PRODUCTS:
        left = torch.randn(rows, inner, device=DEVICE).to(dtype)
        right = torch.randn(columns, inner, device=DEVICE).to(dtype)
        product = torch.empty(rows, columns, dtype=dtype, device=DEVICE)
        took = min(seconds(lambda a=left, b=right, c=product: torch.mm(a, b.T, out=c)) for _ in range(4))
        rates.append(2 * rows * inner * columns / took)
    return max(rates)


def hand_over(record: Mapping[str, Any], out: Path | None) -> None:
    """Prints the record, and writes it to `out` where that is a path."""
    text = json.dumps(record, indent=2)
    print(text)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")


def wait() -> None:
    """Returns when the device has done what it was given."""
    if ON_GPU:
        torch.cuda.synchronize()
