"""One name means one thing: a file name that occurs again, and a class name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from documents import PACKAGE

ROLES = {
    "__init__": "what a package gives",
    # The product
    "train": "a stage: configuration, data and model to a run folder",
    "settings": "keys of a configuration",
    "evaluation": "numbers on held-out data",
    "results": "records that runs write and reports read",
    "contract": "what every member of a family does",
    "loading": "from a name or a file to an object in memory",
    "published": "what others have published about it",
    "nucleotide_transformer": "the published model of this name: its layers, and its checkpoints",
    "splits": "train, dev and test",
    "plan": "what a run will take",
    "cost": "time, memory and operations",
    # Benchmark, studies and audit: each has what it takes of these
    "study": "a study from its options to its summary, and its command",
    "cells": "parts of an experiment that are run once",
    "systems": "what is compared",
    "summary": "results of all parts in one record",
    # Pages
    "page": "a whole HTML page",
    "section": "a part of a page on one subject",
    "sections": "the parts of a page",
    "rows": "records as the rows of a page's tables",
    "tables": "tables: of a page, and of labelled sequences",
    "figures": "drawings of a page",
    "genomes": "whole genomes of a study: simulated, or read",
    "features": "what is measured on windows",
}
"""File names that several folders have, and the one meaning of each."""

REPEATED_CLASSES = {
    "Cell": "of an experiment; of a table",
    "Feature": "of audited windows",
    "LevelUsage": "of a level, in an audit and of a stage",
    "Plan": "of a training, of the species study",
    "Preset": "of a study",
    "Reading": "of a plan, of a checkpoint's description",
    "Record": "a JSON object of one kind",
    "Representation": "of sequences for the baselines, of genomes for a study",
    "Start": "what a stage starts from",
    "Study": "one of each study",
    "System": "of the benchmark, of a study",
    "Windows": "audited ones; those of a species split",
}
"""Classes that still have namesakes. This list may only become shorter."""


def sources_by_name() -> dict[str, list[Path]]:
    found = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        found[path.stem].append(path)
    return found


def test_a_file_name_means_one_thing():
    """A name that occurs again has a role that is written down; a new repeat needs one, or a better name."""
    again = {name for name, paths in sources_by_name().items() if len(paths) > 1}
    assert sorted(again - set(ROLES)) == []


def test_no_two_files_of_a_room_have_one_name():
    """Within a room a name is the room's own; only its pages have rooms of their own, and each study is one."""

    def room(path: Path) -> tuple[str, ...]:
        parts = path.relative_to(PACKAGE).parts[:-1]
        return parts[:2] if parts[:1] in (("studies",), ("reports",)) else parts[:1]

    rooms = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        if path.stem != "__init__" and "report" not in path.relative_to(PACKAGE).parts[:-1]:
            rooms[room(path), path.stem].append(path)
    assert [paths for paths in rooms.values() if len(paths) > 1] == []


def test_a_class_is_defined_once():
    """Private classes stand aside, for nobody else meets them."""
    owners = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners[node.name].add(str(path.relative_to(PACKAGE)))
    again = {name: sorted(files) for name, files in owners.items() if len(files) > 1 and name not in REPEATED_CLASSES}
    assert again == {}
