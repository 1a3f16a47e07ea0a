"""What was published about the datasets: scores of systems, their cost, and where each group of datasets comes from.

Flow: published.yaml, sources.yaml -> Published(name, scores by dataset) and Source(repository, files). Numbers only;
how sure they are travels with them. It must not read files of the data root.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from vqdna.tasks.registry import Dataset, package_table


@dataclass(frozen=True)
class Published:
    """A system as published.

    Attributes:
        name: as its authors call it.
        origin: how sure the numbers are, see the head of published.yaml.
        scores: x 100 by dataset, in the dataset's metric.
        cost: `parameters` in millions, `relative_flops` (DNABERT-2 is 1), `tokens` of pre-training in billions.
    """

    name: str
    origin: str
    scores: Mapping[str, float]
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where a group of datasets comes from.

    Attributes:
        name: key in sources.yaml.
        title: in words.
        license: of the data.
        reference: page about it.
        groups: of the registry.
        repository: dataset on the Hugging Face Hub, or None where nothing can be fetched.
        revision: commit of it.
        files: path of a split in it, with {remote} and {split}.
    """

    name: str
    title: str
    license: str
    reference: str
    groups: tuple[str, ...]
    repository: str | None = None
    revision: str | None = None
    files: str | None = None


@cache
def published_systems() -> dict[str, Published]:
    """Published systems by name, in the order of the published tables."""
    rows = package_table("published.yaml").items()
    return {
        name: Published(name, row["from"], _floats(row["scores"]), _floats(row.get("cost", {}))) for name, row in rows
    }


@cache
def sources() -> dict[str, Source]:
    """Sources by name."""
    rows = package_table("sources.yaml").items()
    return {name: Source(name, **{**row, "groups": tuple(row["groups"])}) for name, row in rows}


def source_of(row: Dataset) -> Source | None:
    """Source of the dataset's group; None for a row of one's own."""
    return next((source for source in sources().values() if row.group in source.groups), None)


def best_published(name: str) -> tuple[str, float] | None:
    """System with the highest score published for a dataset, third parties' numbers left out, and that score x 100."""
    known = {
        system.name: system.scores[name]
        for system in published_systems().values()
        if name in system.scores and system.origin != "third-party"
    }
    return max(known.items(), key=lambda item: item[1]) if known else None


def _floats(numbers: Mapping[str, float | int]) -> dict[str, float]:
    return {name: float(number) for name, number in numbers.items()}
