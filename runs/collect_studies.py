"""Studies as the results files that the documents cite, and a benchmark's cells as one file and back.

    python runs/collect_studies.py pretraining work docs/results/pretraining.json
    python runs/collect_studies.py masking work/masking docs/results/masking.json
    python runs/collect_studies.py species work/species docs/results/species.json
    python runs/collect_studies.py variants work/variants docs/results/sars_cov_2.json
    python runs/collect_studies.py benchmark work/bench docs/results/benchmark.json
    python runs/collect_studies.py cells work/bench docs/results/benchmark_cells.jsonl
    python runs/collect_studies.py restore docs/results/benchmark_cells.jsonl work/bench

`pretraining` takes what runs/small.sh left, `masking` what runs/masking.sh left, `species` what runs/species.sh left,
`variants` what `vqdna study sars-cov-2` left, `benchmark` and `cells` what runs/benchmark.sh left.
`restore` puts cells back where a benchmark finds them, so that it goes on from there on another machine.
"""

import argparse
import json
from pathlib import Path

from result_tables import MASKING

from vqdna.benchmark.budget import BUDGET_FILE
from vqdna.benchmark.grid import Trial
from vqdna.benchmark.summary import read_trials, summarize
from vqdna.results import RESULTS_FILE, read_json, write_atomically, write_json


def masking(folder: Path) -> dict:
    """Rows of the ablation, and what each run says of its held-out windows."""
    runs = {}
    for name, what in MASKING.items():
        evaluation = read_json(folder / name / "results.json")["evaluation"]
        kept = {key: evaluation[key] for key in ("base_nats", "contrast_accuracy") if key in evaluation}
        runs[name] = {"what": what, **kept}
    return {**summary(folder / "finetuned"), "runs": runs}


def pretraining(folder: Path) -> dict:
    """The study of the model that ships, and its own results."""
    run = read_json(folder / "small" / "results.json")
    about = {key: run[key] for key in ("command", "seed", "seconds", "steps", "bases_seen", "parameters", "evaluation")}
    return {"run": about, **summary(folder / "worth")}


def species(folder: Path) -> dict:
    """Rows of the species study, what was left out, how each tokenizer came to be, and the time it all took."""
    study = folder / "study"
    cells = [read_json(path) for path in sorted(study.glob("*/*/seed-*/results.json"))]
    commands = list(dict.fromkeys(cell["command"] for cell in cells))
    reading = {(cell["set"], cell["system"]): cell["reading_seconds"] for cell in cells}
    trained = {}
    for path in sorted(folder.glob("trained/*/results.json")):
        run = read_json(path)
        about = {key: run[key] for key in ("seed", "seconds", "evaluation")}
        shown = ("reconstruction_accuracy", "bits_per_base", "nats_per_base", "contrast_accuracy")
        about["evaluation"] = {key: value for key, value in about["evaluation"].items() if key in shown}
        trained[path.parent.name] = {**about, "species": run["genomes"]["species"]}
    return {
        "commands": commands,
        "processor_seconds": sum(cell["seconds"] for cell in cells) + sum(reading.values()),
        "cells": len(cells),
        "preset": cells[0]["settings"]["preset"],
        "trained": trained,
        "costs": {path.stem: read_json(path)["lengths"] for path in sorted((study / "costs").glob("*.json"))},
        "rows": read_json(study / "summary.json")["rows"],
        "left_out": read_json(study / "summary.json")["left_out"],
    }


def variants(folder: Path) -> dict:
    """The study of variants without the points of its pictures, and what its vocabularies were trained on."""
    record = read_json(folder / "summary.json")
    steps = {name: held for name, held in record["steps"].items() if name != "plane"}
    for name, held in steps["tracks"].items():
        for track in held["result"]["variants"]:
            del track["start"], track["share"]
            if name != record["shown"]:
                del track["mutations"]
    for held in steps["markers"].values():
        for variant in held["result"]["placed"] or ():
            variant["best"] = variant["best"][:1]
    trained = {}
    for path in sorted((folder / "vocabularies").glob("*/results.json")):
        run = read_json(path)
        kept = {key: run[key] for key in ("seconds", "steps", "bases_seen", "parameters")}
        trained[path.parent.name] = {**kept, "evaluation": run["evaluation"]}
    without_settings = {
        step: {name: {key: held[key] for key in ("seconds", "result")} for name, held in by_system.items()}
        for step, by_system in steps.items()
    }
    return {**record, "steps": without_settings, "vocabularies": trained}


def summary(folder: Path) -> dict:
    """Summary of a study, with one of its cells' settings."""
    cell = read_json(next(folder.glob("*/*-seed-0/results.json")))
    return {**read_json(folder / "summary.json"), "settings": cell["settings"]}


def in_this_folder(record: object) -> object:
    """The record with paths below the working folder written from there."""
    return json.loads(json.dumps(record).replace(f"{Path.cwd()}/", ""))


def write_cells(folder: Path, out: Path) -> None:
    """All cells of a benchmark as lines of JSON, its budget first."""
    records = [
        {"budget": read_json(folder / BUDGET_FILE)},
        *(trial.model_dump(mode="json", exclude_unset=True) for trial in read_trials(folder)),
    ]
    write_atomically(out, "".join(json.dumps(in_this_folder(record)) + "\n" for record in records).encode())


def restore(cells: Path, folder: Path) -> None:
    """Cells back in the folder of a benchmark; those that are there stay."""
    first, *records = map(json.loads, cells.read_text().splitlines())
    if not (folder / BUDGET_FILE).is_file():
        write_json(folder / BUDGET_FILE, first["budget"])
    for record in records:
        cell = Trial(record["protocol"], record["system"], record["dataset"], record["seed"])
        if not (cell.folder(folder) / RESULTS_FILE).is_file():
            write_json(cell.folder(folder) / RESULTS_FILE, record)


COLLECTED = {
    "pretraining": pretraining,
    "masking": masking,
    "species": species,
    "variants": variants,
    "benchmark": lambda folder: summarize(folder).model_dump(mode="json", exclude_unset=True),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=(*COLLECTED, "cells", "restore"))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.study in COLLECTED:
        write_json(arguments.out, in_this_folder(COLLECTED[arguments.study](arguments.source)))
    else:
        {"cells": write_cells, "restore": restore}[arguments.study](arguments.source, arguments.out)
