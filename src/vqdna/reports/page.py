"""The page itself: runs and their sections -> one HTML file that needs nothing from outside.

Style, drawing script and plotly.js are written into the page once; a content security policy in its head forbids every
load from elsewhere. The same files give the same bytes. Must not know what a section says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from vqdna.errors import InputError
from vqdna.reports.content import Section
from vqdna.reports.overview import overview_section, runs_table
from vqdna.reports.runs import Run

if TYPE_CHECKING:  # comes with the extra [report]
    from markupsafe import Markup

TITLE = "VQDNA: from bases to predictions"
NEEDED = ("plotly", "jinja2")


def render_page(runs: Sequence[Run], sections: Sequence[Section], *, title: str = TITLE) -> str:
    """HTML text of a page: an overview of the runs, the sections, then every run with its settings.

    Raises:
        InputError: plotly or jinja2 is not installed.
    """
    check_packages(NEEDED, "a report")
    shown = [overview_section(runs), *sections]
    started = [run for run in runs if run.results.command or run.config]
    return fill_template("report.html.j2", title, shown, table=runs_table(runs), settings=started)


def fill_template(template: str, title: str, sections: Sequence[Section], **more: object) -> str:
    """HTML text of a template that extends `page.html.j2`, or of that itself, which wants the `command`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("vqdna.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    # JSON inside a page: `tojson` escapes <, > and &, so that no text from a file can end the script. NaN, which Python
    # would write and browsers refuse, is an error here instead of an empty page there.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    page = environment.get_template(template)
    return str(page.render(title=title, sections=sections, plotly_js=get_plotlyjs(), **more))


def check_packages(names: Sequence[str], what: str, extras: str = "report") -> None:
    """Checks that the packages that `what` needs are there.

    Raises:
        InputError: one is not installed.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise InputError(f"{what} needs {' and '.join(missing)}: pip install 'vqdna[{extras}]'")


def _breakable(text: str) -> Markup:
    """The text, escaped, with leave to break a long name between its parts."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[:/_])(?=\w)|(?=@)", text))
