"""The `vqdna` application: which module holds which command, how arguments are spread, and how a mistake is told.

Flow: arguments -> the module of the command asked for is imported, and registers itself with `app` -> it runs. Bad
input is one line on standard error and exit code 2. It must not know what any command does.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module

import typer
from typer import Option

from vqdna import __version__
from vqdna.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="A learned vocabulary for DNA: from bases to codes, embeddings and predictions.",
    epilog="Start here: `vqdna vocabulary --config demo --genomes genome.fa --out runs/vocabulary`",
)

MODULES = {
    "stages": ("vocabulary", "pretrain", "finetune"),
    "applying": ("encode", "embed", "predict", "variants"),
    "checkpoints": ("import", "pack"),
    "preparing": ("bpe", "simulate"),
    "benchmarking": ("benchmark", "probe"),
    "datasets": ("datasets",),
    "audit": ("audit", "report"),
    "study": ("study",),
    "study_sars_cov_2": ("study",),
    "study_species": ("study",),
    "installation": ("doctor", "cache"),
}
"""Modules of `vqdna.cli` and the commands that each registers, in the order in which help lists them."""

SPREADING = ("--genomes", "--set", "--systems", "--datasets", "--cells", "--encoders")
"""Options that take several values behind one name, as in `--genomes a.fa b.fa`."""

STOPPED = 130  # exit code of a command that was interrupted, as of a shell's


@app.callback(invoke_without_command=True)
def _version(version: bool = Option(False, "--version", is_eager=True, help="Show the version and stop.")) -> None:
    if version:
        print(__version__, flush=True)
        raise typer.Exit


def load_commands(command: str = "") -> typer.Typer:
    """The application with the command; with all of them where it is none of these, as help needs them."""
    holding = [module for module, commands in MODULES.items() if command in commands]
    for module in holding or MODULES:
        import_module(f"vqdna.cli.{module}")
    return app


def spread_options(arguments: Sequence[str]) -> list[str]:
    """Arguments with `--genomes a b` written out as `--genomes a --genomes b`, which is what the parser takes."""
    spread: list[str] = []
    repeating: str | None = None
    for argument in arguments:
        if argument.startswith("-") and argument != "-":
            repeating = argument if argument in SPREADING else None
            spread.append(argument)
        elif repeating and spread[-1] != repeating:
            spread.extend([repeating, argument])
        else:
            spread.append(argument)
    return spread


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs a command; a user's mistake becomes one line on standard error and exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        load_commands(given[0] if given else "")(args=spread_options(given), prog_name="vqdna")
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    except SystemExit as end:
        if end.code == STOPPED:  # typer turns an interrupt into this code and says nothing
            print("vqdna: stopped; a training resumes from its last checkpoint with the same command", file=sys.stderr)
        raise
    finally:
        _leave_group()


def _leave_group() -> None:
    """Ends the ranks' connections, whose threads may else abort a process while its interpreter shuts down."""
    distributed = sys.modules.get("torch.distributed")  # loaded where a command trained
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
        gc.collect()  # the wrapped model holds the group, in a cycle; its threads end with the last who holds it


def _fail(message: str) -> None:
    print(f"vqdna: error: {message}", file=sys.stderr)
    raise SystemExit(2)
