"""FINETUNE in the report: dev metric and training loss over epochs, all runs of a dataset in one picture.

Flow: runs of stage 3 -> a block per dataset; every system has a color, which its seeds share. The test scores stand in
the comparison. Must not know heads or adapters.
"""

from __future__ import annotations

from collections.abc import Sequence

from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.comparison import METRICS, dataset_of, group_name, metric_order, scale_of
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


Tuned = Sequence[tuple[Run, LabelledResults]]


def finetune_section(runs: Sequence[Run]) -> Section | None:
    datasets: dict[str, list[tuple[Run, LabelledResults]]] = {}
    for run, results in of_kind(runs, LabelledResults):
        if run.stage == "finetune" or (run.stage == "benchmark" and run.metrics):
            datasets.setdefault(dataset_of(results), []).append((run, results))
    if not datasets:
        return None
    blocks = [_dataset_block(dataset, datasets[dataset]) for dataset in sorted(datasets)]
    return Section("finetune", "Stage 3: finetune", list(INTRODUCTION), blocks)


def _dataset_block(dataset: str, runs: Tuned) -> Block:
    metric = _dev_metric(runs)
    figures = []
    if metric is not None and (lines := _lines(runs, f"dev_{metric}", scale=scale_of(metric))):
        name = f"dev {METRICS[metric]}" + (" × 100" if scale_of(metric) > 1 else "")
        title = f"Dev {METRICS[metric]} by epoch"
        figures.append(line_chart(title, lines, x="epoch", y=name, caption=DEV_CAPTION))
    if lines := _lines(runs, "loss", scale=1):
        figures.append(line_chart("Training loss", lines, x="epoch", y="loss", caption=LOSS_CAPTION))
    return Block(dataset, tables=[_table(dataset, runs, metric)], rows=[figures])


def _dev_metric(runs: Tuned) -> str | None:
    """Metric that decides on the epoch, or the first that the runs' dev scores or curves have."""
    for metric in metric_order(runs[0][1]):
        if any(results.dev_score(metric) is not None or run.series(f"dev_{metric}")[0] for run, results in runs):
            return metric
    return None


def _lines(runs: Tuned, key: str, *, scale: float) -> list[Line]:
    """A metric over epochs (steps where a run counts no epochs), one line per run, one color per system."""
    groups = list(dict.fromkeys(group_name(run, results) for run, results in runs))
    lines = []
    for run, results in runs:
        x, y = run.series(key, "epoch")
        if not x:
            x, y = run.series(key)
        if x:
            group = group_name(run, results)
            name = group if run.seed is None else f"{group}, seed {run.seed}"
            lines.append(Line(name, x, [scale * value for value in y], groups.index(group), group=group))
    return lines


def _table(dataset: str, runs: Tuned, metric: str | None) -> Table:
    scale = scale_of(metric) if metric else 100
    rows = []
    for run, results in runs:
        of = f" of {results.epochs:g}" if results.epochs is not None else ""
        score = results.dev_score(metric) if metric else None
        score = None if score is None else scale * score
        rows.append([
            Cell(run.name),
            Cell(group_name(run, results)),
            number_cell(run.seed, str(run.seed)),
            number_cell(results.best_epoch, f"{results.best_epoch or 0:g}{of}"),
            number_cell(score, decimal(score, 2)),
            number_cell(results.seconds, duration(results.seconds)),
        ])  # fmt: skip
    columns = ["run", "system", "seed", "epoch kept", f"dev {METRICS[metric]}" if metric else "dev score", "time"]
    caption = f"Runs fine-tuned on {dataset}; dev score{' × 100' if scale > 1 else ''} of the epoch kept."
    return Table(caption, columns, rows, num_text_columns=2)
