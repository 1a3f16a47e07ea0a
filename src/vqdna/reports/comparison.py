"""COMPARISON: scores of every labelled run, grouped by dataset and system, with the spread over seeds.

Owns the flow runs of finetune, probe and benchmark -> `Group` (same dataset, stage, system and method) -> table,
picture and verdict per dataset. Scores stand times 100, errors (`mse`) as they are. Must not know what a system is.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from vqdna.reports.charts.score_chart import Bar, score_chart
from vqdna.reports.content import Block, Cell, Section, Table, decimal, duration, listed, magnitude, number_cell, plural
from vqdna.reports.runs import LABELLED_STAGES, Run

METRICS = {
    "mcc": "MCC",
    "f1_macro": "macro-F1",
    "f1_micro": "micro-F1",
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "spearman": "Spearman ρ",
    "pearson": "Pearson r",
    "mse": "mean squared error",
}
NOT_A_PERCENTAGE = ("mse",)
DECIDING_METRICS = {"classification": "mcc", "multilabel": "f1_macro", "regression": "spearman"}
KINDS = {"finetune": "fine-tuned", "probe": "probe", "benchmark": "benchmark"}
METHODS = {"lora": "LoRA", "full": "full", "linear": "linear"}
UNNAMED_DATASET = "labelled sequences"
INTRODUCTION = (
    "Every system answers the same question about sequences that none of them saw in training. MCC is 100 for perfect "
    "answers and 0 for guessing, whatever the balance of the classes; macro-F1 averages over classes; AUROC is 50 for "
    "guessing. A probe is a logistic regression on the tokenizer's output alone; a fine-tuned system learns further.",
    "A cell reads mean ± standard deviation over seeds. A single seed has no spread, and a difference smaller than "
    "the spread says little.",
)


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed, as far as their results tell."""

    dataset: str
    system: str
    kind: str
    runs: list[Run]

    @property
    def name(self) -> str:
        """Name of the system with how it was trained."""
        return f"{self.system} · {self.kind}"

    @property
    def num_seeds(self) -> int:
        """Number of different seeds; runs without a seed count as one."""
        return len({run.seed for run in self.runs})

    def values(self, metric: str) -> list[float]:
        """Test scores of the runs that have them, percentages for all but errors."""
        scale = 1 if metric in NOT_A_PERCENTAGE else 100
        found = [run.value("test", metric) for run in self.runs]
        return [scale * value for value in found if value is not None]

    def mean(self, metric: str) -> float | None:
        """Mean test score over the runs, or None where none has it."""
        values = self.values(metric)
        return statistics.fmean(values) if values else None

    def deviation(self, metric: str) -> float | None:
        """Sample standard deviation over the runs (n - 1), or None for fewer than two."""
        values = self.values(metric)
        return statistics.stdev(values) if len(values) > 1 else None


def dataset_of(run: Run) -> str:
    """Name of the dataset a labelled run was scored on."""
    return run.text("dataset") or UNNAMED_DATASET


def kind_of(run: Run) -> str:
    """How a labelled run was trained, in words: `fine-tuned (LoRA)`, `probe`, `benchmark`."""
    method = run.text("method")
    if method:
        return f"{KINDS['finetune']} ({METHODS.get(method, method)})"
    return KINDS["probe"] if run.text("features") else KINDS[run.stage]


def group_runs(runs: Sequence[Run]) -> dict[str, list[Group]]:
    """Groups with test scores by dataset, datasets by name, the best group first."""
    members: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        if run.stage in LABELLED_STAGES and any(run.value("test", metric) is not None for metric in METRICS):
            members.setdefault((dataset_of(run), run.system, kind_of(run)), []).append(run)
    datasets: dict[str, list[Group]] = {}
    for (dataset, system, kind), grouped in members.items():
        datasets.setdefault(dataset, []).append(Group(dataset, system, kind, grouped))
    return {dataset: _best_first(datasets[dataset]) for dataset in sorted(datasets)}


def main_metric(groups: Sequence[Group]) -> str:
    """Metric by which the groups are ordered: the one that decides in their task, or the first that any of them has."""
    order = metric_order(groups[0].runs[0])
    return next(metric for metric in order if any(group.values(metric) for group in groups))


def metric_order(run: Run) -> list[str]:
    """Metrics with the one first that decides in the run's task."""
    deciding = DECIDING_METRICS.get(run.text("task"))
    return sorted(METRICS, key=lambda metric: metric != deciding)


def comparison_section(runs: Sequence[Run]) -> Section | None:
    """Table, picture and verdict for each dataset, or None without a scored run."""
    datasets = group_runs(runs)
    if not datasets:
        return None
    blocks = [_dataset_block(dataset, groups) for dataset, groups in datasets.items()]
    return Section("comparison", "Comparison", list(INTRODUCTION), blocks)


def verdict(groups: Sequence[Group]) -> str:
    """Sentence that names the best system on a dataset and how far ahead of the next it is."""
    metric = main_metric(groups)
    ranked = [group for group in groups if group.values(metric)]
    best = ranked[0]
    text = (
        f"{best.name} has the best mean {METRICS[metric]}, {_score(best, metric)} over {plural(best.num_seeds, 'seed')}"
    )
    if len(ranked) == 1:
        return text + "; nothing else was scored here."
    lead = abs(_mean(best, metric) - _mean(ranked[1], metric))
    spread = max(best.deviation(metric) or 0.0, ranked[1].deviation(metric) or 0.0)
    text += f"; next is {ranked[1].name}, {lead:.2f} behind"
    return text + ("; that is less than the spread over seeds, so it is not settled." if lead < spread else ".")


def _best_first(groups: list[Group]) -> list[Group]:
    """Groups by falling mean of the main metric (rising for an error), those without it last."""
    metric = main_metric(groups)
    sign = 1 if metric in NOT_A_PERCENTAGE else -1
    return sorted(groups, key=lambda group: (not group.values(metric), sign * (group.mean(metric) or 0.0)))


def _mean(group: Group, metric: str) -> float:
    """Mean of a group that is known to have the metric."""
    return statistics.fmean(group.values(metric))


def _score(group: Group, metric: str) -> str:
    """Mean ± standard deviation as text."""
    mean, deviation = group.mean(metric), group.deviation(metric)
    return decimal(mean, 2) + (f" ± {deviation:.2f}" if deviation is not None else "")


def _dataset_block(dataset: str, groups: list[Group]) -> Block:
    """Verdict, table and picture of one dataset."""
    metric = main_metric(groups)
    scored = [group for group in groups if group.values(metric)]
    bars = [Bar(g.name, g.kind, _mean(g, metric), g.deviation(metric), g.values(metric)) for g in scored]
    name = METRICS[metric] + ("" if metric in NOT_A_PERCENTAGE else " × 100")
    caption = "Length of a bar: mean over seeds. Whisker: one standard deviation to either side. Dots: the single runs."
    figure = score_chart(f"{name} on {dataset}", bars, x=name, caption=caption)
    return Block(dataset, [verdict(groups)], tables=[_table(dataset, groups, metric)], rows=[[figure]])


def _table(dataset: str, groups: list[Group], main: str) -> Table:
    """Table of one dataset: a row per system, a column per metric that any of them has."""
    metrics = [metric for metric in METRICS if any(group.values(metric) for group in groups)]
    with_parameters = any(_parameters(group.runs[0]) is not None for group in groups)
    names = [METRICS[metric] for metric in metrics]
    columns = ["system", "training", *names, "seeds", *(["parameters"] if with_parameters else []), "time per run"]
    rows = [_row(group, metrics, main, best=group is groups[0], with_parameters=with_parameters) for group in groups]
    unscaled = [METRICS[metric] for metric in metrics if metric in NOT_A_PERCENTAGE]
    scale = f"Test scores × 100 ({listed(unscaled)} as it is)" if unscaled else "Test scores × 100"
    caption = f"{scale} on {dataset}, best {METRICS[main]} first and marked; mean ± standard deviation over seeds."
    return Table(caption, columns, rows, num_text_columns=2)


def _row(group: Group, metrics: list[str], main: str, *, best: bool, with_parameters: bool) -> list[Cell]:
    """Row of one group."""
    cells = [Cell(group.system), Cell(group.kind)]
    for metric in metrics:
        mean = group.mean(metric)
        cells.append(Cell(_score(group, metric), mean, best and metric == main and mean is not None))
    num_seeds, num_runs = group.num_seeds, len(group.runs)
    # Reruns, or different settings under one system name: either way the reader should know.
    cells.append(Cell(f"{num_seeds}" if num_runs == num_seeds else f"{num_seeds} ({num_runs} runs)", num_seeds))
    if with_parameters:
        parameters = _parameters(group.runs[0])
        cells.append(number_cell(parameters, magnitude(parameters)))
    seconds = [value for run in group.runs if (value := run.value("seconds")) is not None]
    mean_seconds = statistics.fmean(seconds) if seconds else None
    cells.append(number_cell(mean_seconds, duration(mean_seconds)))
    return cells


def _parameters(run: Run) -> float | None:
    """Number of parameters: `parameters` itself, or its `total`."""
    whole = run.value("parameters")
    return whole if whole is not None else run.value("parameters", "total")
