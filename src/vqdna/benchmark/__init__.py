"""Systems x datasets x seeds under one protocol and one budget; what is named here loads when it is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqdna.benchmark.runner import evaluate as evaluate
    from vqdna.benchmark.summary import BenchmarkResult as BenchmarkResult

_PUBLIC = {"evaluate": "vqdna.benchmark.runner", "BenchmarkResult": "vqdna.benchmark.summary"}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
