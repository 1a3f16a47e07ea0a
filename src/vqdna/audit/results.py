"""The records of an audit, as results.json holds them: read by the audit, its command and its page alike.

Fields are the JSON's keys, in its order. What stands in long lists may be missing, as in the main numbers that the
project keeps of its own audits. Must not know how anything is measured or drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from vqdna.errors import InputError
from vqdna.results import RESULTS_FILE, read_json, validated

STAGE = "audit"
Value = TypeVar("Value")


class Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class RankFrequency(Record):
    """Share of the positions at some ranks, most used code first."""

    rank: list[int] = []
    share: list[float] = []


class LevelUsage(Record):
    """How the codes of one level are used; `usage` is the share of them that occur."""

    size: int
    usage: float
    dead_codes: int
    perplexity: float
    entropy_bits_per_base: float
    rank_frequency: RankFrequency = RankFrequency()


class JointUsage(Record):
    used_combinations: int
    perplexity: float
    entropy_bits_per_base: float


class Usage(Record):
    """Use of the codes per level and jointly, and the rate that the sizes of the levels would allow."""

    num_positions: int
    bases_per_position: float
    nominal_bits_per_base: float
    levels: list[LevelUsage]
    joint: JointUsage


class CodeCost(Record):
    """Nats per base of the codes: each level given the coarser ones, and their sum."""

    order: int
    num_folds: int
    levels: list[float]
    total: float


class ChangeResponse(Record):
    """What a single changed base does to one level, or to all jointly; distances in bases, lists from distance 0."""

    altered_fraction: float
    flips_per_change: float
    farthest: int
    mean_distance: float
    flips_by_distance: list[float] = []
    flip_probability_by_distance: list[float] = []


class Sensitivity(Record):
    """Single-base changes: the share that alters a code, with its standard error, and the response per column."""

    num_changes: int
    altered_fraction: float
    altered_standard_error: float
    columns: dict[str, ChangeResponse]


class ShiftAgreement(Record):
    """Share of positions with the same span in a reading `shift` bases later, and with the same code, per column."""

    shift: int
    aligned_fraction: float
    columns: dict[str, float]


class StrandRelation(Record):
    """How the codes of the other strand relate to those of this one; None where no position was aligned."""

    same_code: float
    partner_consistency: float | None
    normalized_information: float | None


class StrandAgreement(Record):
    aligned_fraction: float
    columns: dict[str, StrandRelation]


class Information(Record):
    """Mutual information in bits, its part by chance, and the share of the feature's entropy told beyond that."""

    bits: float
    null_bits: float
    null_deviation: float | None = None
    excess_bits: float
    share: float | None = None


class FeatureInformation(Record):
    """What the codes tell about one feature of the bases, per column."""

    name: str
    meaning: str
    entropy_bits: float
    value_names: list[str] = []
    value_shares: list[float] = []
    columns: dict[str, Information]


class LevelInformation(Record):
    """What two neighboring levels share, and what each adds to the other."""

    coarse_level: int
    fine_level: int
    bits: float
    null_bits: float
    coarse_entropy_bits: float
    fine_entropy_bits: float
    fine_given_coarse_bits: float
    coarse_given_fine_bits: float


class EnrichedKmer(Record):
    """A k-mer at a code's positions; enrichment is its share there over its share of all positions."""

    kmer: str
    count: int
    enrichment: float


class Partner(Record):
    """The code most often opposite, on the other strand, and how often."""

    code: int
    share: float | None = None


class CodeMotif(Record):
    """What one code stands for: its use, its k-mers, and base frequencies [place][A C G T] around its middle."""

    code: int
    count: int
    share: float | None = None
    information_bits: float
    kmers: list[EnrichedKmer]
    matrix: list[list[float]]
    partner: Partner | None


class TokenizerAudit(Record):
    """Every measure of one tokenizer. A column is a level or, with several, `joint`, which is the last."""

    name: str
    spec: str = ""
    kind: str
    level_sizes: list[int]
    context_bases: int
    usage: Usage
    nats_per_base: CodeCost
    sensitivity: Sensitivity
    shift: list[ShiftAgreement]
    reverse_complement: StrandAgreement
    information: list[FeatureInformation]
    between_levels: list[LevelInformation]
    codes: list[list[CodeMotif]] = []

    def column_name(self, column: str) -> str:
        """How a column reads beside those of other tokenizers: `hrq, level 0`, or the name alone for one level."""
        return f"{self.name}, {column}" if len(self.level_sizes) > 1 else self.name


class AuditInput(Record):
    files: list[str]
    num_sequences: int
    num_bases: int
    num_ambiguous: int = 0
    soft_masked: bool = False
    num_windows: int
    num_possible_windows: int
    whole_input: bool
    window: int
    margin: int
    num_counted_bases: int
    annotation: str | None
    num_features: int | None
    num_features_elsewhere: int | None


class CoderCosts(Record):
    """Nats per base of the bases themselves under general coders, on `num_bases` of them."""

    num_bases: int
    uniform: float
    gzip: float
    xz: float
    context_mixing: float
    orders: list[int] = []


class BaseCosts(CoderCosts):
    """The same with the order-2 model that prices the codes, and the share of each base."""

    order_2: float
    composition: list[float] = Field(default=[0.25] * 4, min_length=4, max_length=4)


class AuditResults(Record):
    stage: str = STAGE
    command: str = ""
    seed: int
    input: AuditInput
    bases: BaseCosts
    tokenizers: list[TokenizerAudit]
    seconds: float


def whole(columns: Mapping[str, Value]) -> Value:
    """The column of all levels together."""
    return list(columns.values())[-1]


def read_audit(folder: Path) -> AuditResults:
    """Results of the audit in `folder`.

    Raises:
        InputError: it holds no audit, or one with a value missing or out of place.
    """
    file = folder / RESULTS_FILE
    record = read_json(file)
    if record.get("stage") != STAGE:
        raise InputError(f"{file}: the results of '{record.get('stage')}', wanted an audit's")
    return validated(record, AuditResults, str(file), "the results of an audit")
