"""The codebook study's results as one table: mean and standard deviation over seeds, per row.

Flow: OUT/<row>/seed-<n>/results.json -> summary rows -> summary.json and summary.md. It must not know how a result is
made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vqdna.errors import InputError
from vqdna.quantities import markdown_table
from vqdna.results import RESULTS_FILE, read_json, write_atomically, write_json
from vqdna.stage_results import MeanAndSd
from vqdna.studies.codebook.results import BEST_KMER, STUDY, CodebookAbout, CodebookResult, CodebookRow, ProbeScores

LIN_TITLES = {"f1_macro": "Lin. variants, macro-F1", "mcc": "Lin. GUE, mean MCC"}


def write_summary(out: Path, command: str) -> list[CodebookRow]:
    """Rows of `summarize(out)`, also written to `out`/summary.json and `out`/summary.md; none where nothing is done."""
    rows = summarize(out)
    write_json(out / "summary.json", {"command": command, "rows": [row.model_dump(mode="json") for row in rows]})
    write_atomically(out / "summary.md", markdown_summary(rows).encode())
    return rows


def summarize(out: Path) -> list[CodebookRow]:
    """A row for each name under `out`, and one for the best k-mer where several k are there.

    Raises:
        InputError: a results file is damaged.
    """
    results = []
    for path in sorted(out.glob(f"*/seed-*/{RESULTS_FILE}")):
        result = CodebookResult.model_validate(read_json(path))
        if result.study != STUDY or result.lin is None:
            raise InputError(f"{path}: not a result of the codebook study; delete it to run this again")
        results.append(result)
    rows = rows_of(results)
    kmers = {result.cell: result for result in reversed(results) if result.cell.startswith("kmer_")}
    if len(kmers) > 1:
        rows.append(_row(BEST_KMER, [_best_kmer([kmers[name] for name in sorted(kmers)])]))
    return sorted(rows, key=lambda row: (row.is_learned, row.cell))


def rows_of(results: Sequence[CodebookResult]) -> list[CodebookRow]:
    groups: dict[str, list[CodebookResult]] = {}
    for result in results:
        groups.setdefault(result.cell, []).append(result)
    return [_row(name, group) for name, group in groups.items()]


def markdown_summary(rows: Sequence[CodebookRow]) -> str:
    """The table, scores x 100 as mean ± sd, a line for each row; then every dataset's score."""
    metrics = [metric for metric in LIN_TITLES if any(metric in row.lin for row in rows)]
    titles = [LIN_TITLES[metric] for metric in metrics]
    columns = ["cell", "seeds", "codes", "width (paper's)", "Rec.", "usage", "perplexity", *titles, "dimensions"]
    lines = [
        [
            row.cell,
            str(len(row.seeds)),
            " + ".join(map(str, row.level_sizes)),
            row.width_text,
            row.reconstruction_accuracy.text(2),
            " / ".join(usage.text() for usage in row.usage),
            " / ".join(f"{value.mean:.0f}" for value in row.perplexity),
            *(row.lin_score(metric).text() for metric in metrics),
            str(row.num_features),
        ]
        for row in rows
    ]
    names = list(dict.fromkeys(name for row in rows for name in row.datasets))
    details = [[row.cell, *(row.datasets.get(name, MeanAndSd()).text() for name in names)] for row in rows]
    presets = ", ".join(sorted({row.preset for row in rows}))
    head = f"Codebook study, preset `{presets}`: test scores x 100, mean ± standard deviation over seeds.\n\n"
    return f"{head}{markdown_table(columns, lines)}\nEach dataset:\n\n{markdown_table(['cell', *names], details)}"


def mean_scores(probes: Sequence[ProbeScores]) -> dict[str, int | float | None]:
    """Mean test score over the datasets of each metric: macro-F1 of the variant windows, MCC of the GUE sets."""
    by_metric: dict[str, list[float | None]] = {}
    for probe in probes:
        by_metric.setdefault(probe.metric, []).append(probe.test_score)
    means = {metric: MeanAndSd.of(scores).mean for metric, scores in by_metric.items()}
    return {metric: mean for metric, mean in means.items() if mean is not None}


def _row(name: str, results: Sequence[CodebookResult]) -> CodebookRow:
    first = results[0]
    levels = range(max(len(result.levels) for result in results))

    def over_seeds(value: Callable[[CodebookResult], float | None]) -> MeanAndSd:
        return MeanAndSd.of(map(value, results))

    def of_level(level: int, key: str) -> MeanAndSd:
        return MeanAndSd.of(getattr(r.levels[level], key) for r in results if level < len(r.levels))

    features = [probe.num_features for result in results for probe in result.datasets.values()]
    lin = {metric: MeanAndSd.of((r.lin or {}).get(metric) for r in results) for metric in first.lin or {}}
    about = {key: getattr(first, key) for key in CodebookAbout.model_fields}
    return CodebookRow(
        **{**about, "cell": name},
        preset=str(first.settings.get("preset", "")),
        seeds=sorted({int(result.seed) for result in results if result.seed is not None}),
        reconstruction_accuracy=over_seeds(lambda r: r.reconstruction_accuracy),
        usage=[of_level(level, "usage") for level in levels],
        perplexity=[of_level(level, "perplexity") for level in levels],
        lin={metric: score for metric, score in lin.items() if score.mean is not None},
        datasets={
            dataset: MeanAndSd.of(r.datasets[dataset].test_score for r in results if dataset in r.datasets)
            for dataset in first.datasets
        },
        num_features=max((count for count in features if count is not None), default=None),
        seconds=over_seeds(lambda r: r.seconds).mean,
        nats=over_seeds(lambda r: r.reconstruction),
    )


def _best_kmer(results: Sequence[CodebookResult]) -> CodebookResult:
    """Result whose datasets are those of the k with the best dev score, of the smallest k on a tie."""
    shared = [name for name in results[0].datasets if all(name in result.datasets for result in results)]
    chosen = {name: max((r.datasets[name] for r in results), key=lambda probe: probe.dev_score) for name in shared}
    lin = mean_scores(list(chosen.values()))
    return results[0].model_copy(update={"level_sizes": [], "lin": lin, "datasets": chosen})
