"""What a stage's results.json says, as typed records.

Flow: JSON object -> `read_results` -> the record of its stage. Reading is tolerant, since folders are old or made by
hand: a key that is missing, and a value of the wrong kind, reads as None, as "" or as an empty list or record. Keys
that are not named here stay among the extras. Must not know who writes or reads a record.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ModelWrapValidatorHandler, model_validator

Item = TypeVar("Item")


def finite(value: object) -> int | float | None:
    """The value where it is a finite number, else None (text, booleans, NaN, nothing)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _numbers(value: object) -> dict[str, int | float | None] | None:
    return {str(name): finite(item) for name, item in value.items()} if isinstance(value, Mapping) else None


def _whole_numbers(value: object) -> list[int]:
    items = value if isinstance(value, list | tuple) else []
    return [int(number) for item in items if (number := finite(item)) is not None]


Number = Annotated[int | float | None, BeforeValidator(finite)]
Text = Annotated[str, BeforeValidator(_text)]
Numbers = Annotated[dict[str, int | float | None] | None, BeforeValidator(_numbers)]
NumberOrParts = Annotated[
    int | float | dict[str, int | float | None] | None,
    BeforeValidator(lambda value: _numbers(value) if isinstance(value, Mapping) else finite(value)),
]
Items = Annotated[list[Item], BeforeValidator(lambda value: value if isinstance(value, list) else [])]
WholeNumbers = Annotated[list[int], BeforeValidator(_whole_numbers)]
ByName = Annotated[dict[str, Item], BeforeValidator(lambda value: value if isinstance(value, Mapping) else {})]


class Record(BaseModel):
    """A JSON object of which nothing is demanded; what is no object reads as an empty one."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _tolerant(cls, value: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return handler(value if isinstance(value, Mapping | cls) else {})

    def to_json(self) -> dict[str, Any]:
        """The keys that were given, as JSON has them."""
        return self.model_dump(mode="json", exclude_unset=True)


class MeanAndSd(Record):
    """Mean over seeds, and sample standard deviation (n - 1) where there are two or more."""

    mean: Number = None
    sd: Number = None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Self:
        known = [value for value in values if value is not None]
        return cls(
            mean=statistics.fmean(known) if known else None, sd=statistics.stdev(known) if len(known) > 1 else None
        )

    def text(self, digits: int = 1, scale: float = 100.0, *, with_sd: bool = True, missing: str = "") -> str:
        """The mean times `scale`, and its deviation: `45.0 ± 1.4`."""
        if self.mean is None:
            return missing
        spread = "" if self.sd is None or not with_sd else f" ± {scale * self.sd:,.{digits}f}"
        return f"{scale * self.mean:,.{digits}f}{spread}"


class DataSource(Record):
    """Where sequences came from: `simulated`, `data root` or a name, and a sentence on it."""

    source: Text = ""
    description: Text = ""


class GenomesRead(Record):
    species: Items[Text] = []
    num_bases: Number = None


class StageResults(Record):
    stage: Text = ""
    system: Text = ""
    command: Text = ""
    seed: Number = None
    seconds: Number = None
    data: DataSource = DataSource()
    genomes: GenomesRead = GenomesRead()
    parameters: NumberOrParts = None

    @property
    def num_parameters(self) -> int | float | None:
        """All parameters: the number itself, or the `total` of its parts."""
        return self.parameters.get("total") if isinstance(self.parameters, dict) else self.parameters


class LevelUsage(Record):
    size: Number = None
    usage: Number = None
    perplexity: Number = None
    dead_codes: Number = None


class VocabularyEvaluation(Record):
    """A vocabulary on held-out sequences; `reconstruction` in nats per base, both over the bases that are no N."""

    reconstruction_accuracy: Number = None
    reconstruction: Number = None
    bits_per_base: Number = None
    levels: Items[LevelUsage] = []
    num_bases: Number = None

    def numbers(self) -> dict[str, float]:
        """What a run notes at each evaluation; what is no finite number, which the record leaves empty, as NaN."""
        found = {"reconstruction_accuracy": self.reconstruction_accuracy, "reconstruction": self.reconstruction}
        for level, use in enumerate(self.levels):
            found |= {f"usage_level_{level}": use.usage, f"perplexity_level_{level}": use.perplexity}
        return {name: math.nan if value is None else value for name, value in found.items()}


class CodeOnMap(Record):
    """A code that occurred, on two principal axes of its level's vectors, with its most frequent k-mer."""

    level: Number = None
    code: Number = None
    x: Number = None
    y: Number = None
    count: Number = None
    top_kmer: Text = ""


class VocabularyResults(StageResults):
    """Results of stage 1; `code_usage` counts every code of every level."""

    steps: Number = None
    bases_seen: Number = None
    bases_per_position: Number = None
    evaluation: VocabularyEvaluation = VocabularyEvaluation()
    code_usage: Items[Items[Number]] = []
    code_map: Items[CodeOnMap] = []


class Masking(Record):
    """What was hidden: the unit, and the share of the bases."""

    unit: Text = ""
    fraction: Number = None


class PretrainEvaluation(Record):
    """A genome encoder on held-out sequences; accuracy per level, level 0 the coarsest."""

    masked_accuracy: Items[Number] = []
    base_nats: Number = None
    nats_per_base: Number = None
    loss: Number = None
    contrast_accuracy: Number = None


class LeakPoint(Record):
    """Masked accuracy per level at a distance from the nearest visible position, over `count` positions."""

    distance: Number = None
    accuracy: Items[Number] = []
    count: Number = None


class PretrainResults(StageResults):
    masking: Masking = Masking()
    evaluation: PretrainEvaluation = PretrainEvaluation()
    leak: Items[LeakPoint] = []


class LabelledResults(StageResults):
    """Results on labelled sequences: fine-tuning, a probe, or a run of the benchmark; scores by metric."""

    dataset: Text = ""
    task: Text = ""
    method: Text = ""
    features: Text = ""
    dev: Numbers = None
    test: Numbers = None
    epochs: Number = None
    best_epoch: Number = None

    def test_score(self, metric: str) -> int | float | None:
        return (self.test or {}).get(metric)

    def dev_score(self, metric: str) -> int | float | None:
        return (self.dev or {}).get(metric)


class AuditedUsage(Record):
    levels: Items[LevelUsage] = []


class AuditedChanges(Record):
    altered_fraction: Number = None


class AuditedTokenizer(Record):
    name: Text = ""
    usage: AuditedUsage = AuditedUsage()
    sensitivity: AuditedChanges = AuditedChanges()


class AuditOverview(StageResults):
    """Main numbers of an audit, whose page beside it has the rest."""

    tokenizers: Items[AuditedTokenizer] = []


RECORDS: Mapping[str, type[StageResults]] = {
    "vocabulary": VocabularyResults,
    "pretrain": PretrainResults,
    "finetune": LabelledResults,
    "probe": LabelledResults,
    "benchmark": LabelledResults,
    "audit": AuditOverview,
}


def read_results(record: Mapping[str, object]) -> StageResults:
    """The typed record of a results.json by its `stage`; what all stages share for one that is not named here."""
    return RECORDS.get(str(record.get("stage")), StageResults).model_validate(record)
