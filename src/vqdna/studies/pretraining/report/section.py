"""What pre-training is worth, in the report: dev scores over the bases seen, against fresh weights.

Owns the flow run of a pre-training study -> verdict, learning curve, and the table of encoders and datasets. Scores
stand times 100. Must not know how a cell was fine-tuned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.content import Block, Cell, Figure, Section, Table, duration, known, magnitude, number_cell, plural
from vqdna.reports.runs import Run, nested, number

INTRODUCTION = (
    "The same fine-tuning, on the same sequences, from encoders that saw more or less of the genomes. 0 bases means "
    "the same architecture with fresh weights; no bases at all, logistic regression on the codes of a tokenizer. "
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

Record = Mapping[str, Any]


def pretraining_study_section(runs: Sequence[Run]) -> Section | None:
    """Curve and table of each such study, or None without one."""
    blocks = [_block(run) for run in runs if run.text("study") == "pretraining" and _rows(run)]
    return Section("pretraining", "What pre-training is worth", list(INTRODUCTION), blocks) if blocks else None


def _rows(run: Run) -> list[Record]:
    """Rows of the summary that have a mean."""
    return [row for row in run.items("rows") if isinstance(row, Mapping) and number(row.get("mean")) is not None]


def _block(run: Run) -> Block:
    rows = _rows(run)
    figures = _curve(rows)
    return Block(run.name, _verdict(rows), _facts(run), [_table(rows)], [figures] if figures else [])


def _facts(run: Run) -> list[tuple[str, str]]:
    sequences = [number(nested(cell, "sequences", "train")) for cell in run.items("cells")]
    most = max((count for count in sequences if count is not None), default=None)
    return known([
        ("cells", str(len(run.items("cells")))),
        ("training sequences, most", magnitude(most)),
        ("time, all cells", duration(run.value("seconds"))),
    ])  # fmt: skip


def _verdict(rows: Sequence[Record]) -> list[str]:
    """How the encoder that saw most stands to fresh weights."""
    fresh = [row for row in rows if row.get("bases_seen") == 0]
    trained = [row for row in rows if row.get("bases_seen")]
    if not fresh or not trained:
        return []
    last = max(trained, key=lambda row: float(row["bases_seen"]))
    lead = 100 * (float(last["mean"]) - float(fresh[0]["mean"]))
    sets, held = _datasets([last]), _datasets(fresh[:1])
    ahead = [name for name in sets if name in held and sets[name] > held[name]]
    controls = [row for row in rows if row.get("bases_seen") is None]
    best = max(controls, key=lambda row: float(row["mean"]), default=None)
    return [
        f"After {magnitude(float(last['bases_seen']))} bases pre-training is worth {lead:+.1f} points of mean dev MCC: "
        f"{100 * float(last['mean']):.1f} against {100 * float(fresh[0]['mean']):.1f} from fresh weights, and ahead on "
        f"{len(ahead)} of {plural(len(sets), 'dataset')}."
        + (
            f" The best control without an encoder ({best['encoder']}) has {100 * float(best['mean']):.1f}."
            if best
            else ""
        )
    ]


def _datasets(rows: Sequence[Record]) -> dict[str, float]:
    """Known scores by dataset of the first row."""
    values = rows[0].get("datasets") if rows else None
    scores = values if isinstance(values, Mapping) else {}
    return {str(name): float(score) for name, score in scores.items() if number(score) is not None}


def _curve(rows: Sequence[Record]) -> list[Figure]:
    """Mean and every dataset over the bases seen, where several amounts are there."""
    ordered = sorted(
        (row for row in rows if row.get("bases_seen") is not None), key=lambda row: float(row["bases_seen"])
    )
    seen = [float(row["bases_seen"]) / 1e6 for row in ordered]
    if len(set(seen)) != len(seen) or len(seen) < 2:
        return []
    names = list(_datasets(ordered[:1]))
    lines = [Line("mean", seen, [100 * float(row["mean"]) for row in ordered], color=0)]
    for name in names:
        points = [(at, scores[name]) for at, row in zip(seen, ordered) if name in (scores := _datasets([row]))]
        lines.append(
            Line(name, [at for at, _ in points], [100 * score for _, score in points], color=1, group="each dataset")
        )
    chart = line_chart("Learning curve", lines, x="million bases seen", y="dev MCC x 100", caption=CURVE_CAPTION)
    return [chart]


def _table(rows: Sequence[Record]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in _datasets([row])))
    columns = ["encoder", "million bases", "seeds", "mean", *names]
    scores = [[float(row["mean"]), *(_datasets([row]).get(name) for name in names)] for row in rows]
    best = [max((value for value in column if value is not None), default=None) for column in zip(*scores)]
    return Table(TABLE_CAPTION, columns, [_cells(row, values, best) for row, values in zip(rows, scores)])


def _cells(row: Record, values: Sequence[float | None], best: Sequence[float | None]) -> list[Cell]:
    seen, seeds, deviation = number(row.get("bases_seen")), len(row["seeds"]), number(row.get("sd"))
    texts = [None if value is None else f"{100 * value:.1f}" for value in values]
    if deviation is not None:
        texts[0] = f"{texts[0]} ± {100 * deviation:.1f}"
    scores = [
        Cell(text, 100 * value, value == top) if value is not None and text is not None else number_cell(None, "")
        for text, value, top in zip(texts, values, best)
    ]
    bases = number_cell(None, "") if seen is None else Cell(f"{seen / 1e6:.1f}", seen / 1e6)
    return [Cell(str(row["encoder"])), bases, Cell(str(seeds), seeds), *scores]
