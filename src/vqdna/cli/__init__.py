"""The command line: one function per command, each importing its stage only when called.

`vqdna vocabulary -> pretrain -> finetune -> predict` is the pipeline. Results go to standard output (`--json` for
machines), progress and errors to standard error. `app` holds all commands; `main` loads the one it is to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vqdna.cli.application import load_commands, main, spread_options

if TYPE_CHECKING:
    from vqdna.cli.application import app as app

__all__ = ["app", "main", "spread_options"]


def __getattr__(name: str) -> Any:
    if name == "app":
        return load_commands()
    raise AttributeError(f"module 'vqdna.cli' has no attribute '{name}'")
