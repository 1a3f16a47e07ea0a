"""What the species study is about to do, shown before it does: classes, windows and memory of every length.

Flow: splits x systems x lengths -> tables of what fits; a length or a system that cannot run says why at once, and the
reason stands in the summary. A tokenizer that the study is to train says its memory once it is trained. It must not
know how a run is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table

from vqdna.errors import InputError
from vqdna.quantities import bytes_of
from vqdna.studies.species.cells import Preset, length_name
from vqdna.studies.species.cost import (
    available_bytes,
    feature_bytes,
    foreseen_bytes,
    held_bytes,
    num_features,
    training_bytes,
)
from vqdna.studies.species.features import EncoderFeatures, SpeciesFeatures
from vqdna.studies.species.results import LeftOut
from vqdna.studies.species.splits import SpeciesSplit
from vqdna.studies.species.systems import FINETUNED, SystemSpec


@dataclass
class Plan:
    """What will run and what will not.

    Attributes:
        splits: of each set, with one seed.
        kinds: of the systems that run.
        lengths: of the study.
        preset: how much is looked at.
        left_out: set, system, length and reason of what does not run; None stands for all.
    """

    splits: Mapping[str, SpeciesSplit]
    kinds: Mapping[str, str]
    lengths: tuple[int, ...]
    preset: Preset
    left_out: list[LeftOut] = field(default_factory=list)

    def leave_out(self, species_set: str | None, system: str | None, length: int | None, reason: str) -> None:
        """Notes what does not run, and why; once."""
        one = LeftOut(set=species_set, system=system, length=length, reason=reason)
        if one not in self.left_out:
            self.left_out.append(one)

    def lengths_of(self, species_set: str, system: str) -> list[int]:
        """Lengths of a set that a system runs at."""
        refused = {
            one.length for one in self.left_out if one.set in (species_set, None) and one.system in (system, None)
        }
        return [length for length in self.lengths if length not in refused]

    def refuse_memory(
        self, species_set: str, spec: SystemSpec, system: SpeciesFeatures, memory: int | None
    ) -> dict[int, str]:
        """Lengths whose windows a system cannot read or that take more memory than there is, with the reason."""
        limit = available_bytes() if memory is None else memory
        refused: dict[int, str] = {}
        for length in self.lengths_of(species_set, spec.name):
            positions, needed = _positions(spec, system), self.memory(species_set, spec, system, length)
            if positions is not None and length > positions:
                refused[length] = f"its backbone has positions for {positions:,} bases"
            elif limit is not None and needed > limit:
                refused[length] = f"it takes about {bytes_of(needed)} of memory, and there are {bytes_of(limit)}"
        for length, reason in refused.items():
            self.leave_out(species_set, spec.name, length, reason)
        return refused

    def memory(self, species_set: str, spec: SystemSpec, system: SpeciesFeatures, length: int) -> int:
        """Bytes that a run takes beyond weights and libraries."""
        if spec.kind == FINETUNED:
            return training_bytes(system, length)
        num_bases = sum(part.length for part in self.splits[species_set].used)
        num_windows = sum(self.preset.counts(length).values())
        features = feature_bytes(num_features(system), num_windows)
        return held_bytes(system, num_bases) + foreseen_bytes(system, length) + features

    def check(self) -> None:
        """Refuses a study in which nothing runs.

        Raises:
            InputError: no length fits any set, or no system can run.
        """
        if not self.kinds:
            raise InputError(f"the species study has no system to run: {self.left_out[0].reason}")
        if not any(self.lengths_of(name, system) for name in self.splits for system in self.kinds):
            raise InputError(f"the species study has nothing to run: {self.left_out[0].reason}")

    def show(self, console: Console) -> None:
        """Table of the sets: classes and windows of each length."""
        table = Table(title="species study", title_justify="left", box=box.SIMPLE)
        for name in ("set", "length", "species", "windows", "side by side in test", "bases used"):
            table.add_column(name)
        for name, split in self.splits.items():
            for length in self.lengths:
                table.add_row(name, length_name(length), *self._row(split, length))
        console.print(table)

    def show_left_out(self, console: Console) -> None:
        """A line for everything that does not run."""
        for one in self.left_out:
            console.print(f"left out: {one}", markup=False, soft_wrap=True)

    def show_memory(self, console: Console, systems: Mapping[str, tuple[SystemSpec, SpeciesFeatures]]) -> None:
        """Table of the memory that each system takes at each length, over the sets the most."""
        table = Table(title="memory foreseen, beyond weights and libraries", title_justify="left", box=box.SIMPLE)
        for column in ("system", *map(length_name, self.lengths)):
            table.add_column(column)
        for name, (spec, system) in systems.items():
            table.add_row(name, *(self._most_memory(spec, system, length) for length in self.lengths))
        if systems:
            console.print(table)

    def _most_memory(self, spec: SystemSpec, system: SpeciesFeatures, length: int) -> str:
        sets = [name for name in self.splits if length in self.lengths_of(name, spec.name)]
        return bytes_of(max(self.memory(name, spec, system, length) for name in sets)) if sets else "-"

    def _row(self, split: SpeciesSplit, length: int) -> Sequence[str]:
        if split.refusal(length):
            return ("does not fit", "", "", "")
        counts = " + ".join(str(count) for count in self.preset.counts(length).values())
        bases = sum(part.length for part in split.used)
        return (str(len(split.classes(length))), counts, str(split.independent(length, "test")), f"{bases / 1e6:.1f} M")


def _positions(spec: SystemSpec, system: SpeciesFeatures) -> int | None:
    """Bases of the longest window that a system reads; fine-tuning reads windows whole."""
    if spec.kind == FINETUNED and isinstance(system, EncoderFeatures):
        return system.backbone_bases()
    return system.positions_limit()


def plan_study(
    splits: Mapping[str, SpeciesSplit],
    kinds: Mapping[str, str],
    missing: Mapping[str, str],
    lengths: tuple[int, ...],
    preset: Preset,
    finetune_up_to: int,
) -> Plan:
    """Plan of the study, with what is known to be left out before anything is loaded.

    Args:
        splits: of each set, with one seed.
        kinds: of the systems that run.
        missing: reason by name of those that cannot.
        lengths: of the study.
        preset: how much is looked at.
        finetune_up_to: bases of the longest windows that encoders are fine-tuned on.
    """
    plan = Plan(splits, kinds, lengths, preset)
    for name, reason in missing.items():
        plan.leave_out(None, name, None, reason)
    for name, split in splits.items():
        for length in lengths:
            reason_of_set = split.refusal(length)
            if reason_of_set:
                plan.leave_out(name, None, length, reason_of_set)
    for system, kind in kinds.items():
        for length in lengths:
            if kind == FINETUNED and length > finetune_up_to:
                plan.leave_out(None, system, length, f"fine-tuning is asked for up to {length_name(finetune_up_to)}")
    return plan
