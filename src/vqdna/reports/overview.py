"""OVERVIEW of the report: what was run, on which data, with which seeds and versions, and the result in short.

Flow: all runs -> the page's first section, and the table of runs and their settings at its end. Must not repeat what a
section says in detail.
"""

from __future__ import annotations

from collections.abc import Sequence

from vqdna.reports.comparison import METRICS, group_runs, main_metric, metric_order, scale_of
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
from vqdna.reports.runs import STAGES, Run, is_benchmark, nested
from vqdna.stage_results import AuditOverview, LabelledResults, LevelUsage, PretrainResults, VocabularyResults

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
SOURCES = {"simulated": "Simulated sequences, no real genomes", "data root": "Real sequences from the data root"}


def overview_section(runs: Sequence[Run]) -> Section:
    """First section: what was run on which data, the result in short, seeds, time and versions."""
    counts = {stage: sum(run.stage == stage for run in runs) for stage in STAGES}
    parts = [f"{count} {NOUNS[stage][count > 1]}" for stage, count in counts.items() if count]
    told = f"This page tells of {listed(parts)}, and is made from their result files alone."
    scored = group_runs(runs)
    seeds = sorted({run.seed for run in runs if run.seed is not None})
    facts = known([
        ("runs", str(len(runs))),
        ("labelled datasets", str(len(scored) or MISSING)),
        ("seed" if len(seeds) == 1 else "seeds", ", ".join(map(str, seeds)) or MISSING),
        ("time, all runs", duration(sum(run.results.seconds or 0 for run in runs) or None)),
    ])  # fmt: skip
    best = [
        f"{groups[0].name} on {dataset} ({METRICS[metric]} {groups[0].mean(metric):.2f})"
        for dataset, groups in scored.items()
        for metric in [main_metric(groups)]
    ]
    sentences = [told, *_data_sentences(runs), *([f"Best on the test sequences: {listed(best)}."] if best else [])]
    return Section("overview", "Overview", sentences, [Block(facts=facts, sentences=_version_sentences(runs))])


def runs_table(runs: Sequence[Run]) -> Table:
    columns = ["stage", "run", "system", "outcome", "seed", "time"]
    rows = [
        [
            Cell(run.stage),
            Cell(run.name),
            Cell(run.results.system),
            Cell(_outcome(run)),
            number_cell(run.seed, str(run.seed)),
            number_cell(run.results.seconds, duration(run.results.seconds)),
        ]
        for run in runs
    ]
    return Table("Every run of this page.", columns, rows, num_text_columns=4)


def _data_sentences(runs: Sequence[Run]) -> list[str]:
    """Where the sequences came from, each source once."""
    sentences: dict[str, None] = {}
    for data, genomes in ((run.results.data, run.results.genomes) for run in runs):
        if {"source", "description"} <= data.model_fields_set:
            # Says outright when genomes are not real.
            sentences[f"{SOURCES.get(data.source, data.source)}: {data.description.rstrip('.')}."] = None
        if genomes.species and genomes.num_bases is not None:
            named = genomes.species[:MAX_SPECIES]
            named += [f"{len(genomes.species) - MAX_SPECIES} more"] if len(genomes.species) > MAX_SPECIES else []
            sentences[f"Genomes learned from: {listed(named)}, {magnitude(genomes.num_bases)} bases in all."] = None
    return list(sentences)


def _outcome(run: Run) -> str:
    """The one number that says how the run came out, as far as it has it."""
    results = run.results
    if isinstance(results, VocabularyResults):
        accuracy = results.evaluation.reconstruction_accuracy
        parts = [f"{percent(accuracy, 2)} reconstructed"] if accuracy is not None else []
        return ", ".join([*parts, *_used_codes(results.evaluation.levels)])
    if isinstance(results, PretrainResults):
        accuracies = [percent(value) for value in results.evaluation.masked_accuracy if value is not None]
        return f"{listed(accuracies)} of masked codes right" if accuracies else ""
    if isinstance(results, AuditOverview):
        audited = []
        for record in results.tokenizers:
            seen = record.sensitivity.altered_fraction
            parts = _used_codes(record.usage.levels)
            parts += [f"{percent(seen)} of single-base changes seen"] if seen is not None else []
            audited.append(f"{record.name or 'tokenizer'}: {', '.join(parts) or MISSING}")
        return "; ".join(audited)
    if is_benchmark(run):
        rows = [row for row in run.items("rows") if isinstance(row, dict)]
        systems, datasets = (len({str(row.get(key)) for row in rows}) for key in ("system", "dataset"))
        return f"{plural(systems, 'system')} on {plural(datasets, 'dataset')}, see the benchmark"
    if isinstance(results, LabelledResults):
        for metric in metric_order(results):
            if (score := results.test_score(metric)) is not None:
                return f"test {METRICS[metric]} {scale_of(metric) * score:.2f}"
        return ""
    return f"{plural(len(run.items('cells')), 'run')}, see the {run.text('study')} study"


def _used_codes(levels: Sequence[LevelUsage]) -> list[str]:
    usages = [percent(level.usage) for level in levels if level.usage is not None]
    return [f"{listed(usages)} of codes used"] if usages else []


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
