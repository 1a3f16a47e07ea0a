"""What a benchmark is made of: systems x datasets x seeds, the budget that all share, and the data of each dataset.

Flow: Grid -> trials, seed by seed, so that a benchmark that is cut short has whole tables of fewer seeds. It must not
know how a trial runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqdna.benchmark.budget import Budget
from vqdna.benchmark.protocols import Protocol, TaskData, read_task_data, task_data
from vqdna.benchmark.running import Classifier
from vqdna.benchmark.systems import System, find_system, system_of
from vqdna.experiments.records import slug
from vqdna.tasks.loading import Splits


@dataclass(frozen=True)
class Trial:
    protocol: Protocol
    system: str
    dataset: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Folder of the trial under `out`; characters that do not belong in folder names become `-`."""
        return out / self.protocol / slug(self.system) / self.dataset / f"seed-{self.seed}"


@dataclass
class Grid:
    """Everything that is to be run.

    Attributes:
        systems: names as `find_system` takes them, or of `own`.
        datasets: names in the registry, or of `splits`, and the protocol of each.
        genomes: files from which tokenizers learn and encoders are pre-trained.
        own: systems that were given as objects, by name.
        splits: datasets that were given in memory, by name.
    """

    systems: Sequence[str]
    datasets: dict[str, Protocol]
    seeds: Sequence[int]
    budget: Budget
    out: Path
    genomes: Sequence[Path] = ()
    data_root: Path | None = None
    own: Mapping[str, Classifier] = field(default_factory=dict)
    splits: Mapping[str, Splits] = field(default_factory=dict)
    _data: dict[tuple[str, str], TaskData] = field(default_factory=dict, repr=False)

    def system(self, name: str) -> System:
        return system_of(name, self.own[name]) if name in self.own else find_system(name, self.budget, self.out)

    def trials(self) -> list[Trial]:
        """All trials, in the order in which they are run."""
        return [
            Trial(protocol, system, name, seed)
            for seed in self.seeds
            for name, protocol in self.datasets.items()
            for system in self.systems
        ]

    def encoders(self, names: Sequence[str] | None = None) -> list[str]:
        """Encoders that systems need (all of the grid's without names) and that the benchmark makes."""
        singles = (single for name in names or self.systems for single in self.system(name).singles)
        return list(dict.fromkeys(single.encoder for single in singles if single.encoder))

    def tokenizers(self) -> list[str]:
        singles = (single for name in self.systems for single in self.system(name).singles)
        return list(dict.fromkeys(single.tokenizer for single in singles if single.tokenizer))

    def data(self, protocol: Protocol, name: str, budget: Budget | None = None) -> TaskData:
        """Data of a dataset under the grid's budget or another; the last read one under the grid's from memory."""
        key = (protocol, name)
        if budget is None and key in self._data:
            return self._data[key]
        limits = budget or self.budget
        if name in self.splits:
            data = task_data(name, self.splits[name], limits, self.out, protocol)
        else:
            data = read_task_data(name, protocol, limits, self.out, self.data_root)
        if budget is None:
            self._data.clear()
            self._data[key] = data
        return data
