"""What was published about the datasets: scores of systems, their cost, and where each group of datasets comes from.

Flow: published.yaml, poster.yaml, sources.yaml -> Published(name, scores by dataset), PosterRow(parameters, operations,
tokens, rank) and Source(repository, files). Numbers only; how sure they are travels with them. It must not read files
of the data root.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from vqdna.tasks.registry import Dataset, package_table


@dataclass(frozen=True)
class Published:
    """A system as published; the head of published.yaml says how sure the numbers are by their `origin`.

    `scores` are x 100 by dataset, in the dataset's metric. `cost` has `parameters` in millions, `relative_flops`
    (DNABERT-2 is 1) and `tokens` of pre-training in billions.
    """

    name: str
    origin: str
    scores: Mapping[str, float]
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PosterRow:
    """A row of the poster's efficiency table, as printed."""

    method: str
    tokenizer: str
    system: str  # name that `published_systems` knows it by
    # in millions; of the genome encoder, then of the vocabulary where the poster adds one
    parameters: tuple[float, ...]
    # operations of a forward pass, DNABERT-2's being 1; in two parts like `parameters`. The poster heads the column
    # "FLOPs (G)", but prints DNABERT-2's relative figures
    relative_flops: tuple[float, ...]
    tokens: float  # of pre-training, in billions
    average_rank: int
    confidence: str  # "S" for what the authors state themselves


@dataclass(frozen=True)
class Source:
    """Where a group of datasets comes from."""

    name: str
    title: str
    license: str
    reference: str
    groups: tuple[str, ...]  # of the registry
    repository: str | None = None  # dataset on the Hugging Face Hub, or None where nothing can be fetched
    revision: str | None = None
    files: str | None = None  # path of a split in it, with {remote} and {split}


@cache
def published_systems() -> dict[str, Published]:
    rows = package_table("published.yaml").items()
    return {
        name: Published(name, row["from"], _floats(row["scores"]), _floats(row.get("cost", {}))) for name, row in rows
    }


@cache
def poster_rows() -> tuple[PosterRow, ...]:
    rows = []
    for system, row in package_table("poster.yaml").items():
        parts = {name: tuple(map(float, row[name])) for name in ("parameters", "relative_flops")}
        rows.append(PosterRow(system=system, **{**row, **parts, "tokens": float(row["tokens"])}))
    return tuple(rows)


@cache
def sources() -> dict[str, Source]:
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
