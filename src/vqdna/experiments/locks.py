"""Claims on cells of a study, so that several processes can work on one folder.

A claim is a lock of the operating system on a file in the cell's folder: it ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLAIM_FILE = ".claim"


class BusyError(Exception):
    """Another process is at what a cell needs; the cell's turn comes later."""


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether the folder is this process's until the block ends; False where another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    # The file stays: were it removed, two processes could hold locks on two files of one name.
    with (folder / CLAIM_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
