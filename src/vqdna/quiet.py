"""Whether anybody wants to hear how far a command is. It must not know commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

QUIET = "VQDNA_QUIET"  # set to anything: what `--quiet` sets, for processes that are started too


def is_quiet() -> bool:
    """Whether nothing but results and errors is wanted."""
    return bool(os.environ.get(QUIET))


def is_watched() -> bool:
    """Whether a progress bar has a terminal to stand on, and somebody who wants it."""
    return sys.stderr.isatty() and not is_quiet()


@contextmanager
def no_bars_unwatched(bars: Any) -> Iterator[None]:
    """Within, transformers shows no progress bar unless somebody watches; `bars` is `transformers.utils.logging`."""
    # Its functions that switch bars also switch those of huggingface_hub, and forget what the caller set there.
    before = bars._tqdm_active
    bars._tqdm_active = before and is_watched()
    try:
        yield
    finally:
        bars._tqdm_active = before


@contextmanager
def silenced() -> Iterator[None]:
    before = os.environ.get(QUIET)
    os.environ[QUIET] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[QUIET]
        else:
            os.environ[QUIET] = before
