"""Locks on folders, so that several processes can share the work of one experiment.

A lock is the operating system's, on a file in the folder: it ends with its process, however that ends. `filelock`
makes it the same on Linux, macOS and Windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_FILE = ".lock"


class BusyError(Exception):
    """Another process is making something that this one needs too; it will be there later."""


@contextmanager
def locked(folder: Path, *, waits: bool = False) -> Iterator[bool]:
    """Whether the folder is this process's until the block ends; False where another process holds it.

    Args:
        folder: created if need be. The lock's file stays in it.
        waits: until the other process is done, so that the answer is always True.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=-1 if waits else 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
