"""The pre-training study's results as one table: mean dev MCC of each encoder, and of each dataset.

Flow: OUT/<encoder>/<dataset>-seed-<n>/results.json -> a row per encoder -> summary.json and summary.md. Only seeds that
have all datasets count towards a row's mean, so that encoders are compared on the same sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqdna.quantities import markdown_table
from vqdna.results import RESULTS_FILE, read_json, write_atomically, write_json
from vqdna.stage_results import MeanAndSd
from vqdna.studies.pretraining.results import STUDY, PretrainingResult, PretrainingRow


def write_summary(out: Path, command: str) -> list[PretrainingRow]:
    """Rows of `summarize(out)`, also written to `out`/summary.json and `out`/summary.md."""
    rows = summarize(out)
    dumped = [row.model_dump(mode="json") for row in rows]
    write_json(out / "summary.json", {"study": STUDY, "command": command, "rows": dumped})
    write_atomically(out / "summary.md", markdown_summary(rows).encode())
    return rows


def summarize(out: Path) -> list[PretrainingRow]:
    """A row for each encoder under `out`: controls without one first, then those that saw fewer bases."""
    results = [
        PretrainingResult.model_validate(read_json(path)) for path in sorted(out.glob(f"*/*-seed-*/{RESULTS_FILE}"))
    ]
    names = sorted({result.dataset for result in results})
    encoders: dict[str, list[PretrainingResult]] = {}
    for result in results:
        encoders.setdefault(result.encoder, []).append(result)
    rows = [_row(encoder, names, group) for encoder, group in encoders.items()]
    return sorted(rows, key=lambda row: (-1 if row.bases_seen is None else row.bases_seen, row.encoder))


def markdown_summary(rows: Sequence[PretrainingRow]) -> str:
    """The table, scores x 100 as mean ± standard deviation over seeds; then every dataset's mean."""
    names = list(rows[0].datasets or ()) if rows else []
    totals = [
        [
            row.encoder,
            "-" if row.million_bases is None else f"{row.million_bases:.1f} M",
            str(len(row.seeds)),
            row.score.text(missing="-"),
        ]
        for row in rows
    ]
    details = [[row.encoder, *(row.score_on(name).text(missing="-") for name in names)] for row in rows]
    head = "What pre-training is worth: dev MCC x 100 after the same fine-tuning, mean ± standard deviation over seeds."
    return (
        f"{head}\n\n"
        + markdown_table(["encoder", "bases seen", "seeds", f"mean of {len(names)} sets"], totals)
        + "\nEach dataset, mean over seeds:\n\n"
        + markdown_table(["encoder", *names], details)
    )


def _row(encoder: str, names: Sequence[str], results: Sequence[PretrainingResult]) -> PretrainingRow:
    scores = {(result.dataset, result.seed): result.mcc for result in results}
    seeds = sorted({int(result.seed) for result in results if result.seed is not None})
    whole = [seed for seed in seeds if all((name, seed) in scores for name in names)]
    total = MeanAndSd.of(MeanAndSd.of(scores[name, seed] for name in names).mean for seed in whole)
    return PretrainingRow(
        encoder=encoder,
        bases_seen=results[0].bases_seen,
        seeds=whole,
        mean=total.mean,
        sd=total.sd,
        datasets={name: MeanAndSd.of(scores.get((name, seed)) for seed in seeds).mean for name in names},
        seconds=sum(result.seconds or 0 for result in results),
        sequences={result.dataset: (result.sequences or {}).get("train") for result in results},
        parameters=results[0].parameters,
    )
