"""FINETUNE in the report: dev metric and training loss over epochs, all runs of a dataset in one picture.

Flow: runs of stage 3 -> a block per dataset; every system has a color, which its seeds share. The test scores stand in
the comparison. Must not know heads or adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.comparison import METRICS, dataset_of, kind_of, metric_order, scale_of
from vqdna.reports.content import Block, Cell, Section, Table, decimal, duration, number_cell
from vqdna.reports.runs import Run, of_kind
from vqdna.stage_results import LabelledResults

INTRODUCTION = (
    "Stage 3 answers a question. The pre-trained encoder gets a small head and learns from labelled sequences: LoRA "
    "trains small adapters beside the encoder's weights, full all of its weights, linear the head alone. After each "
    "epoch the dev sequences, kept apart from training, are scored; the epoch that does best there is kept and then "
    "scored once on the test sequences, which gives the numbers of the comparison.",
)
DEV_CAPTION = (
    "One line per run; lines of one color are the seeds of one system. The epoch with the best score is the one kept."
)
LOSS_CAPTION = (
    "Should fall. When it keeps falling while the dev score does not improve, the training set is learned by heart."
)


@dataclass(frozen=True)
class _Tuned:
    """A fine-tuned run; `group` is its system with how it was trained."""

    run: Run
    results: LabelledResults
    group: str


def finetune_section(runs: Sequence[Run]) -> Section | None:
    datasets: dict[str, list[_Tuned]] = {}
    for run, results in of_kind(runs, LabelledResults):
        if run.stage == "finetune" or (run.stage == "benchmark" and run.metrics):
            tuned = _Tuned(run, results, f"{run.system} · {kind_of(results)}")
            datasets.setdefault(dataset_of(results), []).append(tuned)
    if not datasets:
        return None
    blocks = [_dataset_block(dataset, datasets[dataset]) for dataset in sorted(datasets)]
    return Section("finetune", "Stage 3: finetune", list(INTRODUCTION), blocks)


def _dataset_block(dataset: str, runs: list[_Tuned]) -> Block:
    metric = _dev_metric(runs)
    figures = []
    if metric is not None and (lines := _lines(runs, f"dev_{metric}", scale=scale_of(metric))):
        name = f"dev {METRICS[metric]}" + (" × 100" if scale_of(metric) > 1 else "")
        title = f"Dev {METRICS[metric]} by epoch"
        figures.append(line_chart(title, lines, x="epoch", y=name, caption=DEV_CAPTION))
    if lines := _lines(runs, "loss", scale=1):
        figures.append(line_chart("Training loss", lines, x="epoch", y="loss", caption=LOSS_CAPTION))
    return Block(dataset, tables=[_table(dataset, runs, metric)], rows=[figures])


def _dev_metric(runs: Sequence[_Tuned]) -> str | None:
    """Metric that decides on the epoch, or the first that the runs' dev scores or curves have."""
    for metric in metric_order(runs[0].results):
        if any(t.results.dev_score(metric) is not None or t.run.series(f"dev_{metric}")[0] for t in runs):
            return metric
    return None


def _lines(runs: Sequence[_Tuned], key: str, *, scale: float) -> list[Line]:
    """A metric over epochs (steps where a run counts no epochs), one line per run, one color per system."""
    groups = list(dict.fromkeys(tuned.group for tuned in runs))
    lines = []
    for tuned in runs:
        x, y = tuned.run.series(key, "epoch")
        if not x:
            x, y = tuned.run.series(key)
        if x:
            name = tuned.group if tuned.run.seed is None else f"{tuned.group}, seed {tuned.run.seed}"
            scaled = [scale * value for value in y]
            lines.append(Line(name, x, scaled, groups.index(tuned.group), group=tuned.group))
    return lines


def _table(dataset: str, runs: Sequence[_Tuned], metric: str | None) -> Table:
    scale = scale_of(metric) if metric else 100
    rows = []
    for tuned in runs:
        results, seed = tuned.results, tuned.run.seed
        of = f" of {results.epochs:g}" if results.epochs is not None else ""
        score = results.dev_score(metric) if metric else None
        score = None if score is None else scale * score
        rows.append([
            Cell(tuned.run.name),
            Cell(tuned.group),
            number_cell(seed, str(seed)),
            number_cell(results.best_epoch, f"{results.best_epoch or 0:g}{of}"),
            number_cell(score, decimal(score, 2)),
            number_cell(results.seconds, duration(results.seconds)),
        ])  # fmt: skip
    columns = ["run", "system", "seed", "epoch kept", f"dev {METRICS[metric]}" if metric else "dev score", "time"]
    caption = f"Runs fine-tuned on {dataset}; dev score{' × 100' if scale > 1 else ''} of the epoch kept."
    return Table(caption, columns, rows, num_text_columns=2)
