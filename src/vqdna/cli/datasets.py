"""`vqdna datasets`: the datasets by name, what lies of them in the data root, and fetching what does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from vqdna.cli import options as opt
from vqdna.cli.application import app
from vqdna.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel

datasets = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The 32 datasets of the paper and your own: list, check, get.",
    epilog="Example: `vqdna datasets check tf/0 mouse/3`",
)
app.add_typer(datasets, name="datasets")

Names = Annotated[list[str] | None, Argument(help="Names of datasets; all of those that lie there without any.")]
Root = Annotated[Path | None, Option("--root", help="Data root; without it VQDNA_DATA, else ../shared/data.")]


def _root(given: Path | None) -> Path:
    from vqdna.data_root import find_data_root

    root = given if given is not None else find_data_root()
    if root is None:
        raise InputError("no data root: give --root DIR, or set VQDNA_DATA")
    return root


def _json(records: Sequence[BaseModel]) -> str:
    return json.dumps([record.model_dump(mode="json") for record in records], indent=2)


@datasets.command("list", epilog="Example: `vqdna datasets list --json`")
def list_datasets(root: Root = None, as_json: opt.AsJson = False) -> None:
    """Every dataset: task, classes, length, records, metric, best published score, and which splits are there."""
    from vqdna.data_root import find_data_root
    from vqdna.tasks.inventory import inventory, inventory_table

    rows = inventory(root if root is not None else find_data_root())
    opt.print_result(_json(rows) if as_json else inventory_table(rows))


@datasets.command("check", epilog="Example: `vqdna datasets check prom_core_tata --json`")
def check_datasets(names: Names = None, root: Root = None, as_json: opt.AsJson = False) -> None:
    """Records, labels, letters, repeated and shared sequences against what is known; exit code 1 where they differ."""
    from vqdna.tasks.inventory import DatasetCheck, check_dataset, check_lines
    from vqdna.tasks.registry import dataset, present_datasets

    place = _root(root)
    rows = [dataset(name, place) for name in names] if names else present_datasets(place)
    if not rows:
        raise InputError(f"{place}: no split of any dataset lies there")
    checks: list[DatasetCheck] = []
    for row in rows:
        check = check_dataset(row, place / row.folder)
        if not check.splits:
            raise InputError(
                f"{row.name}: no split in {place / row.folder}; `vqdna datasets get {row.name}` may fetch it"
            )
        checks.append(check)
        if not as_json:
            opt.print_result("\n".join(check_lines(check)))
    if as_json:
        opt.print_result(_json(checks))
    if any(check.faults for check in checks):
        raise typer.Exit(1)


@datasets.command("get", epilog="Example: `vqdna datasets get EMP/H3 splice --root data`")
def get_datasets(
    names: Annotated[list[str], Argument(help="Names of datasets.")], root: Root = None, quiet: opt.Quiet = False
) -> None:
    """Fetch what is not there; a cut transfer is gone on from, and records that are not the known ones are refused."""
    from vqdna.tasks.download import get_dataset
    from vqdna.tasks.registry import dataset

    opt.prepare(quiet)
    place = _root(root)
    for row in [dataset(name, place) for name in names]:
        for split, path, fetched in get_dataset(row, place):
            opt.print_result(f"{row.name} {split}: {'fetched' if fetched else 'is there'} -> {path}")
