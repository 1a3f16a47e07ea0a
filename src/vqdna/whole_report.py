"""The report on any runs: run folders -> the sections of stages, benchmark and studies -> one HTML page.

It knows every kind of page section; the toolkit in `reports` knows none. The same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqdna.benchmark.report.section import benchmark_sections
from vqdna.reports.comparison import comparison_section
from vqdna.reports.page import TITLE, render_page
from vqdna.reports.runs import find_runs
from vqdna.reports.stages.finetune import finetune_section
from vqdna.reports.stages.pretrain import pretrain_section
from vqdna.reports.stages.vocabulary import vocabulary_section
from vqdna.results import write_atomically, write_json
from vqdna.studies.codebook.report.section import study_section
from vqdna.studies.pretraining.report.section import pretraining_study_section
from vqdna.studies.species.report.section import species_section

SECTIONS = (
    comparison_section,
    study_section,
    species_section,
    vocabulary_section,
    pretrain_section,
    pretraining_study_section,
    finetune_section,
)
"""Makers of sections, in reading order, behind the overview and the benchmark; None where runs have nothing to say."""

LONG_LISTS = ("code_usage", "code_map", "cells", "codes")


def write_report(runs: Sequence[Path], out: Path, *, title: str = TITLE) -> None:
    """One self-contained HTML page at `out` on every run in and below the folders `runs`."""
    found = find_runs([Path(path) for path in runs])
    sections = [section for make in SECTIONS if (section := make(found)) is not None]
    page = render_page(found, [*benchmark_sections(found), *sections], title=title)
    write_atomically(Path(out), page.encode())


def write_main_numbers(runs: Sequence[Path], out: Path) -> None:
    """JSON object at `out`: each run's name below the folder they share, and its results without the long lists.

    Raises:
        InputError: a path does not exist, no run is found, or a run's file is broken.
    """
    records = {run.name: without_long_lists(run.record) for run in find_runs([Path(path) for path in runs])}
    write_json(out, {"runs": records})


def without_long_lists(record: object) -> Any:
    """Record without its long lists, at any depth: usage and map of codes, a study's cells, an audit's codes."""
    if isinstance(record, Mapping):
        kept = {key: value for key, value in record.items() if key not in LONG_LISTS or not isinstance(value, list)}
        return {key: without_long_lists(value) for key, value in kept.items()}
    return [without_long_lists(item) for item in record] if isinstance(record, list) else record
