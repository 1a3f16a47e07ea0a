"""The species study's cells as one table: accuracy by set, system and length, and what could not run with its reason.

Flow: OUT/<set>/<system>-<length>/seed-<n>/results.json -> summary rows -> OUT/<set>/summary.json, OUT/summary.json and
summary.md. It must not know how a cell runs.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqdna.errors import InputError
from vqdna.experiments.records import mean_and_sd
from vqdna.results import RESULTS_FILE, read_json, write_atomically, write_json
from vqdna.studies.species.cells import length_name

Record = dict[str, Any]

STUDY = "species"
SUMMARY, PAGE_TABLE = "summary.json", "summary.md"
NOT_AVAILABLE = "N/A"


def write_summary(out: Path, command: str, left_out: Sequence[Record] = ()) -> list[Record]:
    """Rows of all sets under `out`, also written to it and, set by set, to the folder of each.

    Args:
        out: folder of the study.
        command: that the rows were made with.
        left_out: what did not run and why.

    Raises:
        InputError: a cell's file is damaged.
    """
    rows = summarize(out)
    for name in dict.fromkeys(row["set"] for row in rows):
        reasons = [record for record in left_out if record["set"] in (name, None)]
        own = [row for row in rows if row["set"] == name]
        write_json(out / name / SUMMARY, {"command": command, "rows": [*own, *_reason_rows(name, reasons, own)]})
    write_json(out / SUMMARY, {"command": command, "rows": rows, "left_out": list(left_out)})
    write_atomically(out / PAGE_TABLE, markdown_summary(rows, left_out).encode())
    return rows


def summarize(out: Path) -> list[Record]:
    """A row for each set, system and length under `out`, seeds together.

    Raises:
        InputError: a cell's file is damaged.
    """
    groups: dict[tuple[str, str, int], list[Record]] = {}
    for path in sorted(out.glob(f"*/*/seed-*/{RESULTS_FILE}")):
        record = read_json(path)
        if record.get("study") != STUDY or "test" not in record:
            raise InputError(f"{path}: not a cell of the species study; delete it to run the cell again")
        groups.setdefault((record["set"], record["system"], int(record["length"])), []).append(record)
    return [_row(*key, groups[key]) for key in sorted(groups)]


def markdown_summary(rows: Sequence[Record], left_out: Sequence[Record] = ()) -> str:
    """A table for each set, systems by lengths, accuracy x 100 as mean ± sd; below, what did not run."""
    parts = ["Species classification: top-1 accuracy x 100, mean ± standard deviation over seeds.\n"]
    for name in dict.fromkeys(row["set"] for row in rows):
        parts.append(f"\n`{name}`\n\n{set_table([row for row in rows if row['set'] == name])}")
    reasons = [f"- {_reason_text(record)}\n" for record in left_out]
    return "".join(parts + (["\nNot run:\n\n", *reasons] if reasons else []))


def set_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Systems by lengths of one set, as Markdown."""
    lengths = sorted({int(row["length"]) for row in rows})
    cells = {(row["system"], int(row["length"])): row for row in rows}
    lines = [f"| system | {' | '.join(map(length_name, lengths))} |", "|---" * (len(lengths) + 1) + "|"]
    for system in dict.fromkeys(row["system"] for row in rows):
        shown = [_shown(cells.get((system, length))) for length in lengths]
        lines.append(f"| {system} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def how_it_came_to_be(about: Mapping[str, Any]) -> str:
    """What a system is and how it was trained, in a sentence, of what its cells say of it."""
    sizes, trained = about.get("level_sizes"), about.get("trained") or {}
    parameters, species = about.get("parameters"), (trained.get("genomes") or {}).get("species", ())
    facts = [f"{' + '.join(map(str, sizes))} codes"] if sizes else []
    facts += [f"{parameters:,} parameters"] if parameters else []
    facts += [f"{trained['steps']} training steps"] if trained.get("steps") else []
    facts += [f"on {len(species)} genomes"] if species else []
    return str(about["how"]) + (f" ({', '.join(facts)})" if facts else "")


def _row(species_set: str, system: str, length: int, records: list[Record]) -> Record:
    first = records[0]
    names = list(first.get("representations", ()))
    return {
        "cell": first["cell"],
        "set": species_set,
        "system": system,
        "length": length,
        "kind": first["about"]["kind"],
        "how": how_it_came_to_be(first["about"]),
        "seeds": sorted(record["seed"] for record in records),
        "classes": first["classes"],
        "windows": first["windows"],
        "independent_windows": first["independent_windows"],
        "accuracy": mean_and_sd(record["test"]["accuracy"] for record in records),
        "mcc": mean_and_sd(record["test"]["mcc"] for record in records),
        "dev_accuracy": mean_and_sd(record["dev"]["accuracy"] for record in records),
        "features": [record["features"] for record in records],
        "representations": {
            name: mean_and_sd(record["representations"][name]["test"] for record in records) for name in names
        },
        "cost": first["cost"],
        "seconds": statistics.fmean(record["seconds"] for record in records),
        "reading_seconds": max(record["reading_seconds"] for record in records),
        "preset": first["settings"]["preset"]["name"],
    }


def _reason_rows(name: str, reasons: Sequence[Record], rows: Sequence[Record]) -> list[Record]:
    """Rows that hold a reason in place of a score."""
    done = {(row["system"], row["length"]) for row in rows}
    return [
        {**record, "set": name, "accuracy": None}
        for record in reasons
        if (record["system"], record["length"]) not in done
    ]


def _reason_text(record: Mapping[str, Any]) -> str:
    length = record["length"]
    parts = [record["set"], record["system"], None if length is None else length_name(int(length))]
    return f"{', '.join(str(part) for part in parts if part is not None)}: {record['reason']}"


def _shown(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return NOT_AVAILABLE
    mean, deviation = row["accuracy"]["mean"], row["accuracy"]["sd"]
    return f"{100 * mean:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")
