"""What a stage-1 run leaves in results.json: the codes' use, reconstruction, a map of the code vectors.

Flow: evaluation -> records -> results.json, which the runner, its report and users read. Keys are the saved ones; those
that older files lack may be None. It must not know models.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A saved record; keys of later versions are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)


class LevelUse(Record):
    """Use of one level's codes.

    Attributes:
        size: number of codes.
        usage: share of them that occurred.
        perplexity: number of equally frequent codes that would say as much.
        dead_codes: codes that never occurred.
    """

    size: int
    usage: float
    perplexity: float
    dead_codes: int | None = None


class VocabularyEvaluation(Record):
    """Reconstruction and use of the codes over all evaluation windows.

    Attributes:
        reconstruction_accuracy: share of the bases that are no N and come back right.
        reconstruction: cross-entropy in nats per base that is no N.
        bits_per_base: rate of the codes if each were equally frequent.
        levels: coarsest first.
        num_bases: bases that are no N.
    """

    reconstruction_accuracy: float
    reconstruction: float
    bits_per_base: float
    levels: list[LevelUse]
    num_bases: int | None = None

    def numbers(self) -> dict[str, float]:
        """What a training run writes down at each evaluation."""
        found = {"reconstruction_accuracy": self.reconstruction_accuracy, "reconstruction": self.reconstruction}
        for level, use in enumerate(self.levels):
            found |= {f"usage_level_{level}": use.usage, f"perplexity_level_{level}": use.perplexity}
        return found


class MappedCode(Record):
    """A code that occurred, on two principal axes of its level's vectors, with count and most frequent k-mer."""

    level: int
    code: int
    x: float
    y: float
    count: int
    top_kmer: str


class VocabularyResults(Record):
    """A whole stage-1 run."""

    stage: str
    system: str | None = None
    command: str | None = None
    seed: int | None = None
    seconds: float | None = None
    steps: int | None = None
    bases_seen: int | None = None
    parameters: dict[str, int] | None = None
    evaluation: VocabularyEvaluation
    genomes: Any = None
    code_usage: list[list[int]] | None = None
    code_map: list[MappedCode] | None = None
