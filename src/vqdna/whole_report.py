"""The report on any runs: run folders -> the sections of stages, benchmark and studies -> one HTML page.

It knows every kind of page section; the toolkit in `reports` knows none. The same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqdna.benchmark.report.section import benchmark_sections
from vqdna.reports.comparison import comparison_section
from vqdna.reports.content import Section
from vqdna.reports.page import TITLE, render_page
from vqdna.reports.runs import Run, find_runs
from vqdna.reports.stages.finetune import finetune_section
from vqdna.reports.stages.pretrain import pretrain_section
from vqdna.reports.stages.vocabulary import vocabulary_section
from vqdna.results import write_atomically
from vqdna.studies.codebook.report.section import study_section
from vqdna.studies.pretraining.report.section import pretraining_study_section
from vqdna.studies.species.report.section import species_section


def write_report(runs: Sequence[Path], out: Path, *, title: str = TITLE) -> None:
    """One self-contained HTML page at `out` on every run in and below the folders `runs`.

    Raises:
        InputError: a path does not exist, no run is found, a run's file is broken, or plotly is not installed.
    """
    found = find_runs([Path(path) for path in runs])
    page = render_page(found, _sections(found), title=title)
    write_atomically(Path(out), page.encode())


def _sections(runs: Sequence[Run]) -> list[Section]:
    """Sections behind the overview that the runs have something to say to, in reading order."""
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
    return [*benchmark_sections(runs), *sections]
