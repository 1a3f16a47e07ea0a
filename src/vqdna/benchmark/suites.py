"""Named sets of datasets: what `--suite` stands for, and under which protocol a dataset's files can be used.

Flow: suite -> names, kept where files of the data root allow a protocol, the others named as absent.
"""

from __future__ import annotations

from pathlib import Path

from vqdna.benchmark.protocols import COVID_LIKE, Protocol, dataset_folder
from vqdna.errors import InputError, nearest_name_hint
from vqdna.tasks.registry import COVID_WINDOWS, GUE_13, SPLITS, dataset, datasets, own_datasets, split_file

NOT_LABELLED_TABLES = ("species",)
"""Rows of the registry that have a study of their own in place of split tables."""


def suite_names(suite: str, data_root: Path | None = None) -> list[str]:
    """Names of a suite's datasets.

    Args:
        suite: `gue` (28 sets), `gue-13` (those with a training split of at most 4 MiB), `eep`, `paper` (all 32 but
            species, which has a study of its own), `covid-like` (variant windows), `own` (rows of one's own table).
        data_root: for `own`.

    Raises:
        InputError: no such suite; names the nearest.
    """
    labelled = [row for row in datasets().values() if row.name not in NOT_LABELLED_TABLES]
    suites = {
        "gue": [row.name for row in labelled if row.group != "EEP"],
        "gue-13": list(GUE_13),
        "eep": [row.name for row in labelled if row.group == "EEP"],
        "paper": [row.name for row in labelled],
        COVID_LIKE: [COVID_WINDOWS],
        "own": list(own_datasets(data_root)),
    }
    if suite not in suites:
        raise InputError(f"no suite '{suite}', expected one of {', '.join(suites)}{nearest_name_hint(suite, suites)}")
    return suites[suite]


def with_protocols(
    names: list[str], protocol: Protocol | None, data_root: Path | None = None, *, all_needed: bool = True
) -> tuple[dict[str, Protocol], dict[str, str]]:
    """Protocol of each dataset, and why others were left out.

    Args:
        names: as `dataset` takes them.
        protocol: None takes what the files allow, `full` where all three splits are there.
        data_root: None is where `find_data_root` finds it.
        all_needed: an absent dataset is an error rather than left out.

    Raises:
        InputError: unknown name; with `all_needed` a dataset without the files of its protocol.
    """
    chosen: dict[str, Protocol] = {}
    left_out: dict[str, str] = {}
    for name in names:
        row, absent = dataset(name, data_root), []
        if row.name != COVID_WINDOWS:  # cut from genomes when first asked for
            folder = dataset_folder(row, data_root)
            absent = [split for split in SPLITS if split_file(folder, split) is None]
        lacking = [split for split in absent if split != "train" or protocol == "full"]
        reason = f"no {' or '.join(absent)} file"
        if not lacking:
            chosen[row.name] = protocol or ("reduced" if absent else "full")
        elif not all_needed:
            left_out[row.name] = reason
        elif lacking == ["train"]:
            raise InputError(f"{row.name}: {reason}, which the protocol full needs; --protocol reduced does without")
        else:
            raise InputError(f"{row.name}: {reason} in {folder}; `vqdna datasets get {row.name}` fetches it")
    return chosen, left_out
