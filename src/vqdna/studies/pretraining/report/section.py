"""What pre-training is worth, in the report: dev scores over the bases seen, against random initialization.

Owns the flow run of a pre-training study -> verdict, learning curve, and the table of encoders and datasets. Scores
stand times 100. Must not know how a cell was fine-tuned.
"""

from __future__ import annotations

from collections.abc import Sequence

from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.content import (
    Block,
    Cell,
    Figure,
    Section,
    Table,
    decimal,
    duration,
    known,
    magnitude,
    number_cell,
    plural,
    score_cell,
)
from vqdna.reports.runs import Run
from vqdna.studies.pretraining.results import STUDY, PretrainingResult, PretrainingRow

INTRODUCTION = (
    "The same fine-tuning, on the same sequences, from encoders that saw more or less of the genomes. 0 bases means "
    "the same architecture from random initialization; no bases at all, logistic regression on a tokenizer's codes. "
    "Scores are MCC on the dev splits, which also chose the epoch of each run (of a regression, its strength), alike "
    "for all; test splits were not read.",
)
CURVE_CAPTION = (
    "Dev MCC after fine-tuning against the bases seen in pre-training: the mean over all datasets, and each of them. "
    "Points before the last are snapshots of one run, taken while its learning rate was still high."
)
TABLE_CAPTION = (
    "Mean over the datasets, ± standard deviation over seeds that have all of them; then each dataset, mean over its "
    "seeds. Marked: the highest of a column."
)


def pretraining_study_section(runs: Sequence[Run]) -> Section | None:
    """Curve and table of each such study, or None without one."""
    studies = [(run, rows) for run in runs if run.text("study") == STUDY and (rows := _rows(run))]
    blocks = [_block(run, rows) for run, rows in studies]
    return Section("pretraining", "What pre-training is worth", list(INTRODUCTION), blocks) if blocks else None


def _rows(run: Run) -> list[PretrainingRow]:
    """Rows of the summary that have a mean."""
    rows = [PretrainingRow.model_validate(row) for row in run.items("rows")]
    return [row for row in rows if row.mean is not None]


def _block(run: Run, rows: Sequence[PretrainingRow]) -> Block:
    results = [PretrainingResult.model_validate(cell) for cell in run.items("cells")]
    sequences = [count for result in results if (count := (result.sequences or {}).get("train")) is not None]
    facts = known([
        ("cells", str(len(results))),
        ("training sequences, most", magnitude(max(sequences, default=None))),
        ("time, all cells", duration(run.results.seconds)),
    ])  # fmt: skip
    figures = _curve(rows)
    return Block(run.name, _verdict(rows), facts, [_table(rows)], [figures] if figures else [])


def _verdict(rows: Sequence[PretrainingRow]) -> list[str]:
    """How the encoder that saw most stands to random initialization."""
    first = next((row for row in rows if row.bases_seen == 0), None)
    last = max((row for row in rows if row.bases_seen), key=lambda row: row.bases_seen or 0, default=None)
    if first is None or last is None:
        return []
    ours, theirs = 100 * (last.mean or 0), 100 * (first.mean or 0)
    sets, before = last.known_scores, first.known_scores
    ahead = sum(name in before and sets[name] > before[name] for name in sets)
    controls = [row for row in rows if row.bases_seen is None]
    best = max(controls, key=lambda row: row.mean or 0, default=None)
    of_control = (
        f" The best control without an encoder ({best.encoder}) has {best.score.text(with_sd=False)}." if best else ""
    )
    return [
        f"After {magnitude(last.bases_seen)} bases pre-training is worth {ours - theirs:+.1f} points of mean dev MCC: "
        f"{ours:.1f} against {theirs:.1f} from random initialization, and ahead on {ahead} of "
        f"{plural(len(sets), 'dataset')}.{of_control}"
    ]


def _curve(rows: Sequence[PretrainingRow]) -> list[Figure]:
    """Mean and every dataset over the bases seen, where several amounts are there."""
    points = sorted(((at, row) for row in rows if (at := row.million_bases) is not None), key=lambda point: point[0])
    seen = [at for at, _ in points]
    if len(set(seen)) != len(seen) or len(seen) < 2:
        return []
    lines = [Line("mean", seen, [100 * (row.mean or 0) for _, row in points], color=0)]
    for name in points[0][1].known_scores:
        scores = {at: 100 * row.known_scores[name] for at, row in points if name in row.known_scores}
        lines.append(Line(name, list(scores), list(scores.values()), color=1, group="each dataset"))
    return [line_chart("Learning curve", lines, x="million bases seen", y="dev MCC x 100", caption=CURVE_CAPTION)]


def _table(rows: Sequence[PretrainingRow]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row.known_scores))
    scores = [[row.score, *map(row.score_on, names)] for row in rows]
    best = [max(score.mean for score in column if score.mean is not None) for column in zip(*scores)]
    cells = [
        [
            Cell(row.encoder),
            number_cell(row.million_bases, decimal(row.million_bases, 1)),
            Cell(str(len(row.seeds)), len(row.seeds)),
            *(score_cell(score, best=score.mean == top) for score, top in zip(own, best)),
        ]
        for row, own in zip(rows, scores)
    ]
    return Table(TABLE_CAPTION, ["encoder", "million bases", "seeds", "mean", *names], cells)
