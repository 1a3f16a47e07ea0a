"""The page itself: run folders -> sections -> one HTML file that needs nothing from outside.

Style, drawing script and plotly.js are written into the page once; a content security policy in its head forbids every
load from elsewhere. The same files give the same bytes. Must not know what a section says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vqdna.benchmark.report.section import benchmark_sections
from vqdna.errors import InputError
from vqdna.reports.comparison import comparison_section
from vqdna.reports.content import Section
from vqdna.reports.overview import overview_section, runs_table, settings_of
from vqdna.reports.runs import Run, find_runs
from vqdna.reports.stages.finetune import finetune_section
from vqdna.reports.stages.pretrain import pretrain_section
from vqdna.reports.stages.vocabulary import vocabulary_section
from vqdna.results import write_atomically
from vqdna.studies.codebook.report.section import study_section
from vqdna.studies.pretraining.report.section import pretraining_study_section
from vqdna.studies.species.report.section import species_section

TITLE = "VQDNA: from bases to predictions"
NEEDED = ("plotly", "jinja2")


def write_report(runs: Sequence[Path], out: Path, *, title: str = TITLE) -> None:
    """One self-contained HTML page at `out` on every run in and below the folders `runs`.

    Raises:
        InputError: a path does not exist, no run is found, a run's file is broken, or plotly is not installed.
    """
    found = find_runs([Path(path) for path in runs])
    write_atomically(Path(out), render_report(found, title=title).encode())


def render_report(runs: Sequence[Run], *, title: str = TITLE) -> str:
    """HTML text of the report on `runs`.

    Raises:
        InputError: plotly or jinja2 is not installed.
    """
    check_packages(NEEDED, "a report")
    from plotly.offline import get_plotlyjs

    sections = report_sections(runs)
    template = page_environment().get_template("report.html.j2")
    records = {"table": runs_table(runs), "settings": settings_of(runs)}
    return str(template.render(title=title, sections=sections, records=records, plotly_js=get_plotlyjs()))


def check_packages(names: Sequence[str], what: str) -> None:
    """Checks that the packages that `what` needs are there.

    Raises:
        InputError: one is not installed.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise InputError(f"{what} needs {' and '.join(missing)}: pip install 'vqdna[report]'")


def report_sections(runs: Sequence[Run]) -> list[Section]:
    """Sections that the runs have something to say to, in reading order."""
    makers = (
        comparison_section,
        study_section,
        species_section,
        vocabulary_section,
        pretrain_section,
        pretraining_study_section,
        finetune_section,
    )
    sections = [section for make in makers if (section := make(runs)) is not None]
    return [overview_section(runs), *benchmark_sections(runs), *sections]


def breakable(text: str) -> Any:
    """The text, escaped, with leave to break a long name between its parts."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[:/_])(?=\w)|(?=@)", text))


def page_environment() -> Any:
    """Template environment that escapes every value and fails on a name it does not know."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vqdna.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment
