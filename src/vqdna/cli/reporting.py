"""`vqdna report`: one page from run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from vqdna.cli.application import app
from vqdna.cli.options import print_result


@app.command(epilog="Example: `vqdna report runs/ -o report.html`")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders of run folders.")],
    output: Annotated[Path, Option("--output", "-o", help="HTML file to write; it works offline.")] = Path(
        "report.html"
    ),
    title: Annotated[str, Option("--title", help="Title of the page.")] = "VQDNA report",
    summary: Annotated[
        Path | None, Option("--summary", help="Also write the main numbers of all runs to this JSON file.")
    ] = None,
) -> None:
    """Make one HTML page from run folders: curves, code usage, scores, configurations."""
    from vqdna.reports.main_numbers import write_summary
    from vqdna.whole_report import write_report

    write_report(runs, output, title=title)
    if summary is not None:
        write_summary(runs, summary)
    print_result(str(output))
