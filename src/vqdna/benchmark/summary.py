"""All trials of a benchmark as one result: means over seeds, spread and intervals; ranks; published numbers beside.

Flow: TrialRecord [trial] -> SummaryRow [protocol, dataset, system] -> BenchmarkResult -> OUT/summary.json (what the
report reads) and summary.md. Protocols are never mixed in one table. It must not know how a trial runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from vqdna.benchmark.budget import BUDGET_FILE
from vqdna.benchmark.confidence import METRICS, score_intervals, unpacked_classes
from vqdna.benchmark.cost import published_cost, relative_flops
from vqdna.benchmark.encoders import OWN_ENCODERS
from vqdna.benchmark.protocols import COVID_LIKE, PROTOCOLS
from vqdna.benchmark.ranking import metric_of, rank_rows
from vqdna.benchmark.results import (
    DeduplicatedScores,
    PosterComparison,
    PosterCost,
    Ranking,
    Score,
    Scores,
    SummaryRow,
    TrialRecord,
)
from vqdna.errors import InputError
from vqdna.experiments.records import StoredRecord
from vqdna.results import RESULTS_FILE, command_line, read_json, read_record
from vqdna.tasks.metrics import task_metrics
from vqdna.tasks.published import poster_rows, published_systems
from vqdna.tasks.registry import COVID_WINDOWS

SUMMARY_FILE = "summary.json"
OURS = {
    "DNABERT 3-mer": "kmer3",
    "NT-500M-1000g": "kmer6",
    "NT-2500M-1000g": "kmer6",
    "DNABERT-2": "bpe",
    "VQDNA-VQ": "vqdna-vq",
    "VQDNA-HRQ": "vqdna-hrq",
}
"""System here that has the tokenizer of a row of the poster."""

SCORES = ("mcc", "f1_macro", "accuracy", "auroc", "spearman", "pearson")
OF_REGRESSION = ("spearman", "pearson")
ENOUGH_TO_VOTE = 3
COSTS = ("seconds", "peak_memory", "flops_per_base", "training_bases", "pretraining_bases")


class BenchmarkResult(StoredRecord):
    """What a benchmark found; scores are fractions, published ones x 100.

    Attributes:
        budget: limits that all systems shared.
        rows: a system on a dataset over its seeds.
        rankings: by protocol; None where too little is there to rank.
        published: scores by protocol, system and dataset.
        published_cost: `parameters` and `flops_per_base` by system.
        poster: the efficiency table of the poster, ours beside.
        metric_by_dataset: of those whose published metric is not MCC.
    """

    study: str = "benchmark"
    command: str = ""
    budget: dict[str, Any] | str | None = None
    rows: list[SummaryRow]
    rankings: dict[str, Ranking | None] = Field(default_factory=dict)
    published: dict[str, dict[str, dict[str, float]]] = Field(default_factory=dict)
    published_cost: dict[str, dict[str, float]] = Field(default_factory=dict)
    poster: list[PosterComparison] = Field(default_factory=list)
    metric_by_dataset: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def from_rows(
        cls, rows: Sequence[SummaryRow], command: str = "", budget: dict[str, Any] | str | None = None
    ) -> BenchmarkResult:
        """The rows with their ranks, and with what was published of the same datasets."""
        protocols = [name for name in (*PROTOCOLS, COVID_LIKE) if any(row.protocol == name for row in rows)]
        rankings = {name: rank_rows(row for row in rows if row.protocol == name) for name in protocols}
        names = dict.fromkeys(row.dataset for row in rows)
        return cls(
            study="benchmark",
            command=command,
            budget=budget,
            rows=list(rows),
            rankings=rankings,
            published={"full": _published({row.dataset for row in rows if row.protocol == "full"})},
            published_cost=published_cost(),
            poster=_poster(rows, rankings.get("full")),
            metric_by_dataset={name: metric for name in names if (metric := metric_of(name)) != "mcc"},
        )

    @classmethod
    def from_disk(cls, path: Path) -> BenchmarkResult:
        """The result in a benchmark's folder, or in a file.

        Raises:
            InputError: there is none, or it is damaged.
        """
        return read_record(path / SUMMARY_FILE if path.is_dir() else path, cls, "the summary of a benchmark")

    def to_disk(self, path: Path) -> None:
        """Writes the result to a file, or into a folder as summary.json."""
        self.write(path if path.suffix == ".json" else path / SUMMARY_FILE)

    def merge(self, other: BenchmarkResult) -> BenchmarkResult:
        """Both results as one, ranked anew; where both have a system on a dataset, the other's row counts.

        Raises:
            InputError: they were made under different budgets, so that their scores do not compare.
        """
        if self.budget != other.budget:
            raise InputError("cannot merge results of two budgets: their scores do not compare")
        rows = {(row.protocol, row.dataset, row.system): row for row in (*self.rows, *other.rows)}
        return BenchmarkResult.from_rows([rows[key] for key in sorted(rows)], self.command, self.budget)

    def of_protocol(self, protocol: str) -> list[SummaryRow]:
        return [row for row in self.rows if row.protocol == protocol]


def summarize(out: Path) -> BenchmarkResult:
    """The result of all trials under `out`.

    Raises:
        InputError: no trial under `out`, or one whose file is damaged.
    """
    budget = out / BUDGET_FILE
    held = read_json(budget) if budget.is_file() else None
    return BenchmarkResult.from_rows(summary_rows(read_trials(out)), command_line(), held)


def read_trials(out: Path) -> list[TrialRecord]:
    """Records of all finished trials under `out`.

    Raises:
        InputError: there is none, or a file is damaged.
    """
    paths = [path for name in PROTOCOLS for path in sorted((out / name).rglob(f"seed-*/{RESULTS_FILE}"))]
    if not paths:
        raise InputError(
            f"{out}: holds no benchmark results (expected full/<system>/<dataset>/seed-<n>/{RESULTS_FILE})"
        )
    return [read_trial(path) for path in paths]


def read_trial(path: Path) -> TrialRecord:
    """Record of a trial.

    Raises:
        InputError: its file is damaged.
    """
    return read_record(path, TrialRecord, "a run of a benchmark", "; delete its folder to run it again")


def summary_rows(records: Iterable[TrialRecord]) -> list[SummaryRow]:
    """A row for each protocol, dataset and system; systems in the order of their names.

    The variant windows count as a protocol of their own, so that means and ranks of the paper's datasets are theirs.
    """
    groups: dict[tuple[str, str, str], list[TrialRecord]] = {}
    for record in records:
        protocol = COVID_LIKE if record.dataset == COVID_WINDOWS else record.protocol
        groups.setdefault((protocol, record.dataset, record.system), []).append(record)
    return [_row(*key, sorted(group, key=lambda record: record.seed)) for key, group in sorted(groups.items())]


def _row(protocol: str, name: str, system: str, records: Sequence[TrialRecord]) -> SummaryRow:
    ends, vote = _interval_and_vote(records)
    scores = {key: Score.over([record.test.get(key) for record in records], ends.get(key)) for key in SCORES}
    repeats = [record.deduplicated for record in records if record.deduplicated]
    without = {key: Score.over([one.get(key) for one in repeats]) for key in METRICS}
    encoder = OWN_ENCODERS.get(system.partition(":")[0])
    row = {
        "protocol": protocol,
        "system": system,
        "dataset": name,
        "seeds": [record.seed for record in records],
        **{key: score for key, score in scores.items() if key not in OF_REGRESSION or score.mean is not None},
        "vote": vote,
        "dev_mcc": Score.over(record.dev.mcc for record in records),
        "deduplicated": DeduplicatedScores(dropped=repeats[0].dropped, **without) if repeats else None,
        "parts": {
            part: {key: Score.over(record.parts[part].test.get(key) for record in records) for key in METRICS[:2]}
            for part in records[0].parts
        },
        "collapsed": [record.seed for record in records if record.collapsed],
        "candidates": sorted({record.candidate for record in records if record.candidate is not None}),
        "num_sequences": records[0].num_sequences,
        "parameters": records[0].parameters,
        # A cost that a record does not name is unknown, which is not the default of its field.
        **{key: _mean(getattr(one, key) for one in records if key in one.model_fields_set) for key in COSTS},
        **({"tokenizer": encoder.stands_for} if encoder else {}),
    }
    return SummaryRow.model_validate(row)


def _interval_and_vote(records: Sequence[TrialRecord]) -> tuple[dict[str, tuple[float, float]], Scores | None]:
    """Bootstrap interval of each metric's mean over seeds, and scores of the seed ensemble (majority vote).

    Neither where a record lacks its predictions, no vote for fewer than three seeds.
    """
    held = [unpacked_classes(record.predicted) for record in records if record.predicted]
    num_classes = records[0].num_classes
    if records[0].labels is None or len(held) < len(records):
        return {}, None
    labels, predicted = unpacked_classes(records[0].labels), np.stack(held)
    intervals = score_intervals(labels, predicted, num_classes=num_classes)
    if len(records) < ENOUGH_TO_VOTE:
        return intervals, None
    # Votes for each class stand for its probability; a tie goes to the class with the lowest number, as argmax does.
    metrics = task_metrics("classification", labels, np.eye(num_classes)[predicted].mean(axis=0))
    return intervals, Scores(**{key: metrics[key] for key in METRICS})


def _mean(values: Iterable[float | None]) -> float | None:
    return Score.of(values).mean


def _published(names: set[str]) -> dict[str, dict[str, float]]:
    """Published scores x 100 of the datasets, by system; third parties' numbers left out."""
    rows = {
        system.name: {name: score for name, score in system.scores.items() if name in names}
        for system in published_systems().values()
        if system.origin != "third-party"
    }
    return {system: scores for system, scores in rows.items() if scores}


def _poster(rows: Sequence[SummaryRow], ranking: Ranking | None) -> list[PosterComparison]:
    """The poster's efficiency table row for row; a token counts as many bases as it did there."""
    comparisons = []
    for row in poster_rows():
        published = {
            "parameters": [millions * 1e6 for millions in row.parameters],
            "relative_flops": list(row.relative_flops),
            "training_bases": row.tokens * 1e9,
            "average_rank": row.average_rank,
            "confidence": row.confidence,
        }
        ours = _cost_of(rows, OURS[row.system], ranking) if row.system in OURS else None
        comparisons.append({"system": row.system, "published": published, "ours": ours})
    return [PosterComparison.model_validate(comparison) for comparison in comparisons]


def _cost_of(rows: Sequence[SummaryRow], system: str, ranking: Ranking | None) -> PosterCost | None:
    """What a system cost, averaged over its datasets, those of the protocol `full` if there are any."""
    own = [row for row in rows if row.system == system]
    own = [row for row in own if row.protocol == "full"] or own
    if not own:
        return None
    operations = _mean(row.flops_per_base for row in own)
    found = {
        "system": system,
        "parameters": own[0].parameters.total if own[0].parameters else None,
        "training_bases": own[0].pretraining_bases,
        "flops_per_base": operations,
        "relative_flops": None if operations is None else relative_flops(operations),
        "mcc": _mean(row.of("mcc").mean for row in own),
        "average_rank": ranking.average.get(system) if ranking else None,
    }
    return PosterCost.model_validate(found)
