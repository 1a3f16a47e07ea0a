"""The species study's results as one table: accuracy by set, system and length, and what did not run, and why.

Flow: OUT/<set>/<system>-<length>/seed-<n>/results.json -> summary rows -> OUT/<set>/summary.json, OUT/summary.json and
summary.md. It must not know how a result is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqdna.errors import InputError
from vqdna.quantities import markdown_table
from vqdna.results import RESULTS_FILE, read_json, write_atomically, write_json
from vqdna.stage_results import MeanAndSd
from vqdna.studies.species.cells import length_name
from vqdna.studies.species.results import STUDY, LeftOut, SpeciesResult, SpeciesRow, SpeciesTask

SUMMARY, PAGE_TABLE = "summary.json", "summary.md"
NOT_AVAILABLE = "N/A"


def write_summary(out: Path, command: str, left_out: Sequence[LeftOut] = ()) -> list[SpeciesRow]:
    """Rows of all sets under `out`, also written to it and, set by set, to the folder of each."""
    rows = summarize(out)
    records = [row.to_json() for row in rows]
    reasons = [reason.model_dump(mode="json") for reason in left_out]
    for name in dict.fromkeys(row.set for row in rows):
        own = [record for record in records if record["set"] == name]
        done = {(record["system"], record["length"]) for record in own}
        own += [
            {**reason, "set": name, "accuracy": None}
            for reason in reasons
            if reason["set"] in (name, None) and (reason["system"], reason["length"]) not in done
        ]
        write_json(out / name / SUMMARY, {"command": command, "rows": own})
    write_json(out / SUMMARY, {"command": command, "rows": records, "left_out": reasons})
    write_atomically(out / PAGE_TABLE, markdown_summary(rows, left_out).encode())
    return rows


def summarize(out: Path) -> list[SpeciesRow]:
    """A row for each set, system and length under `out`, seeds together.

    Raises:
        InputError: a results file is damaged.
    """
    groups: dict[tuple[str, str, int], list[SpeciesResult]] = {}
    for path in sorted(out.glob(f"*/*/seed-*/{RESULTS_FILE}")):
        result = SpeciesResult.model_validate(read_json(path))
        if result.study != STUDY or result.test is None:
            raise InputError(f"{path}: not a result of the species study; delete it to run this again")
        groups.setdefault((result.set, result.system, result.length), []).append(result)
    return [_row(groups[key]) for key in sorted(groups)]


def markdown_summary(rows: Sequence[SpeciesRow], left_out: Sequence[LeftOut] = ()) -> str:
    """A table for each set, systems by lengths, accuracy x 100 as mean ± sd; below, what did not run."""
    parts = ["Species classification: top-1 accuracy x 100, mean ± standard deviation over seeds.\n"]
    for name in dict.fromkeys(row.set for row in rows):
        parts.append(f"\n`{name}`\n\n{set_table([row for row in rows if row.set == name])}")
    reasons = [f"- {reason}\n" for reason in left_out]
    return "".join(parts + (["\nNot run:\n\n", *reasons] if reasons else []))


def set_table(rows: Sequence[SpeciesRow]) -> str:
    lengths = sorted({row.length for row in rows})
    scores = {(row.system, row.length): row.accuracy.text() for row in rows}
    shown = [
        [system, *(scores.get((system, length), NOT_AVAILABLE) for length in lengths)]
        for system in dict.fromkeys(row.system for row in rows)
    ]
    return markdown_table(["system", *map(length_name, lengths)], shown)


def _row(results: Sequence[SpeciesResult]) -> SpeciesRow:
    first = results[0]
    return SpeciesRow(
        **{key: getattr(first, key) for key in SpeciesTask.model_fields},
        kind=first.about.kind,
        how=first.about.sentence,
        seeds=sorted(int(result.seed) for result in results if result.seed is not None),
        accuracy=MeanAndSd.of(result.test_score("accuracy") for result in results),
        mcc=MeanAndSd.of(result.test_score("mcc") for result in results),
        dev_accuracy=MeanAndSd.of((result.dev or {}).get("accuracy") for result in results),
        features=[result.features for result in results],
        representations={
            name: MeanAndSd.of(r.representations[name].test for r in results if name in r.representations)
            for name in first.representations
        },
        seconds=MeanAndSd.of(result.seconds for result in results).mean,
        reading_seconds=max(result.reading_seconds or 0.0 for result in results),
        preset=first.settings.get("preset", {}).get("name", ""),
    )
