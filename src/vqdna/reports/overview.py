"""OVERVIEW of the report: what was run, on which data, with which seeds and versions, and the result in short.

Owns the flow all runs -> the page's first section, and the table of runs and their settings at its end. Must not
repeat what a section says in detail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqdna.reports.comparison import METRICS, NOT_A_PERCENTAGE, group_runs, main_metric, metric_order
from vqdna.reports.content import (
    MISSING,
    Block,
    Cell,
    Section,
    Table,
    duration,
    known,
    listed,
    magnitude,
    number_cell,
    percent,
    plural,
)
from vqdna.reports.runs import STAGES, Run, benchmark_outcome, is_benchmark, nested, number
from vqdna.reports.stages.vocabulary import evaluated_levels

MAX_SPECIES = 8
NOUNS = {
    "vocabulary": ("vocabulary", "vocabularies"),
    "pretrain": ("pre-trained encoder", "pre-trained encoders"),
    "finetune": ("fine-tuning run", "fine-tuning runs"),
    "probe": ("probe", "probes"),
    "benchmark": ("benchmark run", "benchmark runs"),
    "study": ("study", "studies"),
    "audit": ("audit", "audits"),
}


@dataclass(frozen=True)
class Settings:
    """How a run was started: its command and its resolved configuration."""

    name: str
    command: str
    config: str


def overview_section(runs: Sequence[Run]) -> Section:
    """First section: what was run on which data, the result in short, seeds, time and versions."""
    sentences = [_counts_sentence(runs), *_data_sentences(runs), *_short_results(runs)]
    return Section("overview", "Overview", sentences, [Block(facts=_facts(runs), sentences=_version_sentences(runs))])


def runs_table(runs: Sequence[Run]) -> Table:
    """Every run with its outcome, seed and time."""
    columns = ["stage", "run", "system", "outcome", "seed", "time"]
    return Table("Every run of this page.", columns, [_run_row(run) for run in runs], num_text_columns=4)


def settings_of(runs: Sequence[Run]) -> list[Settings]:
    """Command and configuration of every run that recorded one of them."""
    settings = [Settings(run.name, run.text("command"), run.config) for run in runs]
    return [record for record in settings if record.command or record.config]


def _counts_sentence(runs: Sequence[Run]) -> str:
    """How many runs of each kind the page tells of."""
    counts = {stage: sum(run.stage == stage for run in runs) for stage in STAGES}
    parts = [f"{count} {NOUNS[stage][count > 1]}" for stage, count in counts.items() if count]
    return f"This page tells of {listed(parts)}, and is made from their result files alone."


def _data_sentences(runs: Sequence[Run]) -> list[str]:
    """Where the sequences came from, each source once."""
    sentences: dict[str, None] = {}
    for run in runs:
        source, description = (nested(run.results, "data", key) for key in ("source", "description"))
        if isinstance(source, str) and isinstance(description, str):
            sentences[_data_sentence(source, description)] = None
        species, num_bases = run.items("genomes", "species"), run.value("genomes", "num_bases")
        if species and num_bases is not None:
            named = [str(name) for name in species[:MAX_SPECIES]]
            named += [f"{len(species) - MAX_SPECIES} more"] if len(species) > MAX_SPECIES else []
            sentences[f"Genomes learned from: {listed(named)}, {magnitude(num_bases)} bases in all."] = None
    return list(sentences)


def _data_sentence(source: str, description: str) -> str:
    """Sentence on one source; says outright when genomes are not real."""
    kinds = {"simulated": "Simulated sequences, no real genomes", "data root": "Real sequences from the data root"}
    return f"{kinds.get(source, source)}: {description.rstrip('.')}."


def _short_results(runs: Sequence[Run]) -> list[str]:
    """The best system of each dataset, in one sentence."""
    parts = []
    for dataset, groups in group_runs(runs).items():
        metric, best = main_metric(groups), groups[0]
        mean = best.mean(metric)
        if mean is not None:
            parts.append(f"{best.name} on {dataset} ({METRICS[metric]} {mean:.2f})")
    return [f"Best on the test sequences: {listed(parts)}."] if parts else []


def _facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Number of runs, datasets, seeds and time."""
    seeds = sorted({run.seed for run in runs if run.seed is not None})
    seconds = [value for run in runs if (value := run.value("seconds")) is not None]
    return known([
        ("runs", str(len(runs))),
        ("labelled datasets", str(len(group_runs(runs)) or MISSING)),
        ("seed" if len(seeds) == 1 else "seeds", ", ".join(map(str, seeds)) or MISSING),
        ("time, all runs", duration(sum(seconds) if seconds else None)),
    ])  # fmt: skip


def _run_row(run: Run) -> list[Cell]:
    """Row of one run."""
    seconds = run.value("seconds")
    return [
        Cell(run.stage),
        Cell(run.name),
        Cell(run.text("system")),
        Cell(_outcome(run)),
        number_cell(run.seed, str(run.seed)),
        number_cell(seconds, duration(seconds)),
    ]


def _outcome(run: Run) -> str:
    """The one number that says how the run came out, as far as it has it."""
    if run.stage == "vocabulary":
        accuracy = run.value("evaluation", "reconstruction_accuracy")
        usages = [usage for level in evaluated_levels(run) if (usage := number(level.get("usage"))) is not None]
        parts = [f"{percent(accuracy, 2)} reconstructed"] if accuracy is not None else []
        parts += [f"{listed([percent(usage) for usage in usages])} of codes used"] if usages else []
        return ", ".join(parts)
    if run.stage == "pretrain":
        accuracies = [
            value for item in run.items("evaluation", "masked_accuracy") if (value := number(item)) is not None
        ]
        return f"{listed([percent(value) for value in accuracies])} of masked codes right" if accuracies else ""
    if run.stage == "study":
        return f"{plural(len(run.items('cells')), 'cell')}, see the {run.text('study')} study"
    if is_benchmark(run):
        return benchmark_outcome(run)
    if run.stage == "audit":
        return "; ".join(_audited(record) for record in run.items("tokenizers"))
    metric = next((metric for metric in metric_order(run) if run.value("test", metric) is not None), None)
    if metric is None:
        return ""
    score = run.value("test", metric) or 0.0
    return f"test {METRICS[metric]} {score if metric in NOT_A_PERCENTAGE else 100 * score:.2f}"


def _audited(record: object) -> str:
    """Codes in use and single-base changes seen of one audited tokenizer; the page beside the audit has the rest."""
    levels = nested(record, "usage", "levels")
    usages = [number(nested(level, "usage")) for level in levels] if isinstance(levels, list) else []
    seen = number(nested(record, "sensitivity", "altered_fraction"))
    parts = [f"{listed([percent(usage) for usage in usages])} of codes used"] if usages else []
    parts += [f"{percent(seen)} of single-base changes seen"] if seen is not None else []
    return f"{nested(record, 'name') or 'tokenizer'}: {', '.join(parts) or MISSING}"


def _version_sentences(runs: Sequence[Run]) -> list[str]:
    """Versions of what the runs were made with, every value that occurs; none where no manifest names any."""
    versions: dict[str, dict[str, None]] = {}
    for run in runs:
        named = nested(run.manifest, "versions")
        found = {"python": run.manifest.get("python"), **(named if isinstance(named, dict) else {})}
        for name, version in found.items():
            if isinstance(version, str):
                versions.setdefault(name, {})[version] = None
    named_versions = [f"{name} {' or '.join(values)}" for name, values in versions.items()]
    return [f"Made with {listed(named_versions)}."] if named_versions else []
