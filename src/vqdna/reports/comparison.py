"""COMPARISON: scores of every labelled run, grouped by dataset and system, with the spread over seeds.

Flow: results of finetune, probe and benchmark -> `Group` (same dataset, system and training) -> table, picture and
verdict per dataset. Scores stand times 100, errors (`mse`) as they are. Must not know what a system is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqdna.reports.charts.bar_charts import SeedBar, score_chart
from vqdna.reports.content import (
    MISSING,
    Block,
    Cell,
    Section,
    Table,
    duration,
    known_mean,
    listed,
    magnitude,
    number_cell,
    plural,
)
from vqdna.reports.runs import Run, of_kind
from vqdna.stage_results import LabelledResults, MeanAndSd

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
    "answers and 0 for guessing, whatever the balance of the classes. Macro-F1 averages over classes. AUROC is 50 for "
    "guessing. A probe is a logistic regression on the tokenizer's output alone; a fine-tuned system learns further.",
    "Each score reads mean ± standard deviation over seeds. A single seed has no spread. A difference smaller than "
    "the spread says little.",
)


@dataclass(frozen=True)
class Group:
    """Results that differ in nothing but the seed, as far as they tell."""

    dataset: str
    system: str
    kind: str
    name: str
    results: list[LabelledResults]

    @property
    def num_seeds(self) -> int:
        """Number of different seeds; runs without a seed count as one."""
        return len({results.seed for results in self.results})

    def values(self, metric: str) -> list[float]:
        """Test scores of the runs that have them, percentages for all but errors."""
        found = [results.test_score(metric) for results in self.results]
        return [scale_of(metric) * value for value in found if value is not None]

    def score(self, metric: str) -> MeanAndSd:
        """Mean and deviation of the values."""
        return MeanAndSd.of(self.values(metric))

    def mean(self, metric: str) -> float:
        """Mean of the values; 0 where there are none, which is asked of those that have some."""
        return self.score(metric).mean or 0.0

    def in_words(self, metric: str) -> str:
        return self.score(metric).text(2, 1, missing=MISSING)


def scale_of(metric: str) -> int:
    """What a score is multiplied by to be shown: 100, or 1 for an error."""
    return 1 if metric in NOT_A_PERCENTAGE else 100


def dataset_of(results: LabelledResults) -> str:
    return results.dataset or UNNAMED_DATASET


def kind_of(results: LabelledResults) -> str:
    """How a labelled run was trained, in words: `fine-tuned (LoRA)`, `probe`, `benchmark`."""
    if results.method:
        return f"{KINDS['finetune']} ({METHODS.get(results.method, results.method)})"
    return KINDS["probe" if results.features else results.stage]


def group_name(run: Run, results: LabelledResults) -> str:
    """Name of the system with how it was trained."""
    return f"{run.system} · {kind_of(results)}"


def metric_order(results: LabelledResults) -> list[str]:
    """Metrics with the one first that decides in the run's task."""
    deciding = DECIDING_METRICS.get(results.task)
    return sorted(METRICS, key=lambda metric: metric != deciding)


def main_metric(groups: Sequence[Group]) -> str:
    """Metric by which the groups are ordered: the one that decides in their task, or the first that any of them has."""
    order = metric_order(groups[0].results[0])
    return next(metric for metric in order if any(group.values(metric) for group in groups))


def group_runs(runs: Sequence[Run]) -> dict[str, list[Group]]:
    """Groups with test scores by dataset, datasets by name, the best group first and those without a score last."""
    groups: dict[tuple[str, ...], Group] = {}
    for run, results in of_kind(runs, LabelledResults):
        if any(results.test_score(metric) is not None for metric in METRICS):
            key = dataset_of(results), run.system, kind_of(results), group_name(run, results)
            groups.setdefault(key, Group(*key, [])).results.append(results)
    datasets: dict[str, list[Group]] = {}
    for group in groups.values():
        datasets.setdefault(group.dataset, []).append(group)
    for members in datasets.values():
        metric = main_metric(members)
        sign = 1 if metric in NOT_A_PERCENTAGE else -1
        members.sort(key=lambda group: (not group.values(metric), sign * group.mean(metric)))
    return dict(sorted(datasets.items()))


def comparison_section(runs: Sequence[Run]) -> Section | None:
    """Table, picture and verdict for each dataset, or None without a scored run."""
    blocks = [_dataset_block(dataset, groups) for dataset, groups in group_runs(runs).items()]
    return Section("comparison", "Comparison", list(INTRODUCTION), blocks) if blocks else None


def _dataset_block(dataset: str, groups: list[Group]) -> Block:
    metric = main_metric(groups)
    scored = [group for group in groups if group.values(metric)]
    bars = [SeedBar(g.name, g.kind, g.mean(metric), g.score(metric).sd, g.values(metric)) for g in scored]
    name = METRICS[metric] + ("" if metric in NOT_A_PERCENTAGE else " × 100")
    caption = "Length of a bar: mean over seeds. Whisker: one standard deviation to either side. Dots: the single runs."
    figure = score_chart(f"{name} on {dataset}", bars, x=name, caption=caption)
    return Block(dataset, [verdict(groups)], tables=[_table(dataset, groups, metric)], rows=[[figure]])


def verdict(groups: Sequence[Group]) -> str:
    """Sentence that names the best system on a dataset and how far ahead of the next it is."""
    metric = main_metric(groups)
    best, *others = [group for group in groups if group.values(metric)]
    seeds = plural(best.num_seeds, "seed")
    text = f"{best.name} has the best mean {METRICS[metric]}, {best.in_words(metric)} over {seeds}"
    if not others:
        return text + "; nothing else was scored here."
    lead = abs(best.mean(metric) - others[0].mean(metric))
    spread = max(group.score(metric).sd or 0.0 for group in (best, others[0]))
    text += f"; next is {others[0].name}, {lead:.2f} behind"
    return text + ("; that is less than the spread over seeds, so it is not settled." if lead < spread else ".")


def _table(dataset: str, groups: list[Group], main: str) -> Table:
    """A row per system, a column per metric that any of them has."""
    metrics = [metric for metric in METRICS if any(group.values(metric) for group in groups)]
    with_parameters = any(group.results[0].num_parameters is not None for group in groups)
    names = [METRICS[metric] for metric in metrics]
    rows = []
    for group in groups:
        cells = [Cell(group.system), Cell(group.kind)]
        for metric in metrics:
            mean = group.score(metric).mean
            is_best = group is groups[0] and metric == main and mean is not None
            cells.append(Cell(group.in_words(metric), mean, is_best))
        num_seeds, num_runs = group.num_seeds, len(group.results)
        # Reruns, or different settings under one system name: either way the reader should know.
        cells.append(Cell(f"{num_seeds}" if num_runs == num_seeds else f"{num_seeds} ({num_runs} runs)", num_seeds))
        if with_parameters:
            parameters = group.results[0].num_parameters
            cells.append(number_cell(parameters, magnitude(parameters)))
        seconds = known_mean(results.seconds for results in group.results)
        rows.append([*cells, number_cell(seconds, duration(seconds))])
    unscaled = [METRICS[metric] for metric in metrics if metric in NOT_A_PERCENTAGE]
    scale = f"Test scores × 100 ({listed(unscaled)} as it is)" if unscaled else "Test scores × 100"
    caption = f"{scale} on {dataset}, best {METRICS[main]} first and marked; mean ± standard deviation over seeds."
    columns = ["system", "training", *names, "seeds", *(["parameters"] if with_parameters else []), "time per run"]
    return Table(caption, columns, rows, num_text_columns=2)
