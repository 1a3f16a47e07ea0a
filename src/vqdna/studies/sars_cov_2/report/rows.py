"""Records of the study as cells and words of its page's tables. Must not know how anything was measured."""

from __future__ import annotations

from collections.abc import Mapping

from vqdna.reports.content import MISSING, Cell, decimal, number_cell, percent
from vqdna.studies.sars_cov_2.results import AnswerT, ScoreInterval
from vqdna.studies.sars_cov_2.summary import StepRecord, Summary

LEVEL_WORDS = {"all": "all levels", "coarse": "coarse level", "fine": "fine level"}
KIND_WORDS = {"counts": "code counts", "vectors": "mean code vectors"}


def answers(records: Mapping[str, StepRecord[AnswerT]]) -> dict[str, AnswerT]:
    """What a step found of each system that it could be asked of."""
    return {name: record.result for name, record in records.items() if record.result is not None}


def score_cell(score: ScoreInterval | None, scale: float = 100, digits: int = 1) -> Cell:
    return Cell(MISSING) if score is None else Cell(score.text(scale=scale, digits=digits), score.value)


def share_cell(share: float | None, digits: int = 1) -> Cell:
    return number_cell(share, percent(share, digits))


def decimal_cell(value: float | None, digits: int) -> Cell:
    return number_cell(value, decimal(value, digits))


def count_cell(count: int, text: str = "") -> Cell:
    return number_cell(float(count), text or f"{count:,}")


def level_name(level: int, count: int) -> str:
    if count == 1:
        return "its codes"
    end = " (coarse)" if level == 0 else " (fine)" if level == count - 1 else ""
    return f"level {level}{end}"


def representation_words(name: str) -> str:
    kind, _, levels = name.partition(", ")
    return f"{KIND_WORDS[kind]}, {LEVEL_WORDS[levels]}"


def unit_words(summary: Summary) -> dict[str, str]:
    return {"genomes": "whole genomes", "windows": f"windows of {summary.sizes.window:,} bases"}
