"""FINETUNE in the report: dev metric and training loss over epochs, all runs of a dataset in one picture.

Owns the flow runs of stage 3 -> a block per dataset; every system has a color, which its seeds share. The
test scores stand in the comparison. Must not know heads or adapters.
"""

from __future__ import annotations

from collections.abc import Sequence

from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.comparison import METRICS, NOT_A_PERCENTAGE, dataset_of, kind_of, metric_order
from vqdna.reports.content import Block, Cell, Figure, Section, Table, decimal, duration, number_cell
from vqdna.reports.runs import Run

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


def finetune_section(runs: Sequence[Run]) -> Section | None:
    """Curves of the fine-tuned systems by dataset, or None without a run of stage 3."""
    datasets: dict[str, list[Run]] = {}
    for run in runs:
        if run.stage == "finetune" or (run.stage == "benchmark" and run.metrics):
            datasets.setdefault(dataset_of(run), []).append(run)
    if not datasets:
        return None
    blocks = [_dataset_block(dataset, datasets[dataset]) for dataset in sorted(datasets)]
    return Section("finetune", "Stage 3: finetune", list(INTRODUCTION), blocks)


def _dataset_block(dataset: str, runs: list[Run]) -> Block:
    """Table and pictures of one dataset."""
    figures = [figure for figure in (_dev_figure(runs), _loss_figure(runs)) if figure is not None]
    return Block(dataset, tables=[_table(dataset, runs)], rows=[figures])


def _dev_metric(runs: Sequence[Run]) -> str | None:
    """Metric that decides on the epoch, or the first that the runs' dev scores or curves have."""
    for metric in metric_order(runs[0]):
        if any(run.value("dev", metric) is not None or run.series(f"dev_{metric}")[0] for run in runs):
            return metric
    return None


def _dev_figure(runs: Sequence[Run]) -> Figure | None:
    """Dev metric per epoch, one line per run."""
    metric = _dev_metric(runs)
    if metric is None:
        return None
    is_share = metric not in NOT_A_PERCENTAGE
    name = f"dev {METRICS[metric]}" + (" × 100" if is_share else "")
    lines = _lines(runs, f"dev_{metric}", scale=100 if is_share else 1)
    return (
        line_chart(f"Dev {METRICS[metric]} by epoch", lines, x="epoch", y=name, caption=DEV_CAPTION) if lines else None
    )


def _loss_figure(runs: Sequence[Run]) -> Figure | None:
    """Training loss over epochs, one line per run."""
    lines = _lines(runs, "loss", scale=1)
    return line_chart("Training loss", lines, x="epoch", y="loss", caption=LOSS_CAPTION) if lines else None


def _lines(runs: Sequence[Run], key: str, *, scale: float) -> list[Line]:
    """A metric over epochs (steps where a run counts no epochs), one line per run, one color per system."""
    groups = list(dict.fromkeys(_group(run) for run in runs))
    lines = []
    for run in runs:
        x, y = run.series(key, "epoch")
        if not x:
            x, y = run.series(key)
        if x:
            group = _group(run)
            name = group if run.seed is None else f"{group}, seed {run.seed}"
            lines.append(Line(name, x, [scale * value for value in y], groups.index(group), group=group))
    return lines


def _group(run: Run) -> str:
    """System with how it was trained."""
    return f"{run.system} · {kind_of(run)}"


def _table(dataset: str, runs: Sequence[Run]) -> Table:
    """A row per run: the epoch kept, and its dev score."""
    metric = _dev_metric(runs)
    columns = ["run", "system", "seed", "epoch kept", f"dev {METRICS[metric]}" if metric else "dev score", "time"]
    rows = []
    for run in runs:
        epoch, epochs, seconds = run.value("best_epoch"), run.value("epochs"), run.value("seconds")
        of = f" of {epochs:g}" if epochs is not None else ""
        score = run.value("dev", metric) if metric else None
        if score is not None and metric not in NOT_A_PERCENTAGE:
            score *= 100
        rows.append([
            Cell(run.name),
            Cell(_group(run)),
            number_cell(run.seed, str(run.seed)),
            number_cell(epoch, f"{epoch:g}{of}" if epoch is not None else ""),
            number_cell(score, decimal(score, 2)),
            number_cell(seconds, duration(seconds)),
        ])  # fmt: skip
    scale = " × 100" if metric not in NOT_A_PERCENTAGE else ""
    return Table(
        f"Runs fine-tuned on {dataset}; dev score{scale} of the epoch kept.", columns, rows, num_text_columns=2
    )
