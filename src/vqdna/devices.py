"""Where a process computes, in which precision, as machine code or not, and how much memory it took."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

Function = TypeVar("Function", bound=Callable[..., Any])


def machine_code(function: Function) -> Function:
    """The function compiled by numba when first called, and kept on disk where there is a place for it."""
    import numba  # by those alone who loop over bases

    plain = inspect.unwrap(function)  # without the wrapper by which tests check shapes
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(plain))
    except RuntimeError:  # neither the package's folder nor the user's own can be written
        return cast(Function, numba.njit(nogil=True)(plain))


def own_device() -> torch.device:
    """This process's GPU where there are some, the first unless `torchrun` gave it another; otherwise the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def uses_bfloat16(precision: str) -> bool:
    """Whether `precision` ("fp32", "bf16" or "auto") means bfloat16 autocast on this machine."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


STATUS_FILE, RESET_FILE = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What Linux takes in `clear_refs` as the order to start the mark of the highest memory anew (see proc(5))."""


def reset_peak_memory(device: torch.device | str = "cpu") -> bool:
    """Starts the mark of `peak_memory` anew, at what is in use now; whether that was possible.

    It is on a GPU, and on a processor under Linux where the process may write its own `clear_refs`. Elsewhere the mark
    is that of the whole process, and says nothing of a part of its life.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        RESET_FILE.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def peak_memory(device: torch.device | str = "cpu") -> int:
    """Most bytes in use at once since the mark was last started anew.

    On a GPU those that torch allocated; on a processor all that the process held in memory, Python and the libraries
    included.
    """
    if torch.device(device).type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    # The kernel's high-water mark, unlike that of `getrusage`, can be started anew.
    known = memory_status("VmHWM")
    if known is not None:
        return known
    import resource  # not on Windows, where nothing else here tells either

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # macOS counts bytes, others kilobytes


def memory_status(key: str) -> int | None:
    """Bytes under a key of Linux's account of the process, such as `VmRSS`, what it holds now; None elsewhere."""
    try:
        lines = STATUS_FILE.read_text().splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith(f"{key}:")]
    return int(sizes[0]) * 1024 if sizes else None
