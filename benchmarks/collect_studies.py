"""Studies of stage 2 as the results files that the documents cite.

    python benchmarks/collect_studies.py pretraining work docs/results/pretraining.json
    python benchmarks/collect_studies.py masking work/masking docs/results/masking.json

`pretraining` takes what runs/small.sh left, `masking` what runs/masking.sh left.
"""

import argparse
from pathlib import Path

from vqdna.results import read_json, write_json

CHOICES = {
    "preset": "the preset: fields, 15 %, bases, half of the windows asked about crops",
    "unit_codes": "single positions, the vocabulary sees all (leaks)",
    "unit_spans": "stretches, the vocabulary sees all (leaks)",
    "unit_bases": "stretches, the vocabulary reads N",
    "fraction_20": "20 % masked",
    "fraction_25": "25 % masked",
    "fraction_30": "30 % masked",
    "target_levels": "codes, level by level, in place of bases",
    "target_joint": "codes jointly, by the chain rule",
    "learned_embedding": "code tables that learn",
    "masked_alone": "masks alone, no crops",
    "half_shuffled": "real or drawn in place of crops",
    "all_cropped": "crops alone, no masks",
    "substituted_02": "crops with up to 2 % of the bases substituted",
    "substituted_20": "crops with up to 20 % of the bases substituted",
}
"""What each row of runs/masking.sh changes."""


def masking(folder: Path) -> dict:
    """Rows of the ablation, and what each run says of its held-out windows."""
    runs = {}
    for name, what in CHOICES.items():
        evaluation = read_json(folder / name / "results.json")["evaluation"]
        kept = {key: evaluation[key] for key in ("base_nats", "contrast_accuracy") if key in evaluation}
        runs[name] = {"what": what, **kept}
    return {**summary(folder / "finetuned"), "runs": runs}


def pretraining(folder: Path) -> dict:
    """The study of the model that ships, and its own results."""
    run = read_json(folder / "small" / "results.json")
    about = {key: run[key] for key in ("command", "seed", "seconds", "steps", "bases_seen", "parameters", "evaluation")}
    return {"run": about, **summary(folder / "worth")}


def summary(folder: Path) -> dict:
    """Summary of a study, with one of its cells' settings."""
    cell = read_json(next(folder.glob("*/*-seed-0/results.json")))
    return {**read_json(folder / "summary.json"), "settings": cell["settings"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("pretraining", "masking"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    write_json(arguments.out, {"pretraining": pretraining, "masking": masking}[arguments.study](arguments.folder))
