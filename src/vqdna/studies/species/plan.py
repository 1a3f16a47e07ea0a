"""What the species study is asked, and what of it will run, shown before it does: classes, windows and memory.

Flow: Study (sets, systems, lengths, preset) -> Plan -> tables of what fits; a length or a system that cannot run says
why at once, and the reason stands in the summary. A tokenizer that the study is to train says its memory once it is
trained. It must not know how a run is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from vqdna.config import Values
from vqdna.errors import InputError
from vqdna.genome.corpus import Corpus
from vqdna.quantities import bytes_of
from vqdna.studies.species.cells import Preset, length_name
from vqdna.studies.species.cost import available_bytes, run_bytes, training_bytes
from vqdna.studies.species.features import EncoderFeatures, SpeciesFeatures
from vqdna.studies.species.results import LeftOut
from vqdna.studies.species.sets import SpeciesSet
from vqdna.studies.species.splits import SpeciesSplit
from vqdna.studies.species.systems import ENCODER, FINETUNED, SystemSpec, choose_systems, train_tokenizer

TOKENIZERS = "tokenizers"


@dataclass(frozen=True)
class Study:
    """What all runs of the folder `out` have in common.

    Attributes:
        lengths: of windows, in bases.
        tokenizers: specs by the name of the system.
        encoders: folders by the name of the system.
        min_fill: least share of a window that is DNA.
        finetune_up_to: bases of the longest windows that encoders are also fine-tuned on; 0 for none.
        memory: bytes that a run may take; None is what the system has free.
    """

    sets: tuple[SpeciesSet, ...]
    out: Path
    lengths: tuple[int, ...]
    preset: Preset
    tokenizers: Mapping[str, str]
    encoders: Mapping[str, str]
    min_fill: float = 1.0
    finetune_up_to: int = 0
    memory: int | None = None
    _corpora: dict[str, Corpus] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def genomes(self) -> list[Path]:
        files = [path for one in self.sets for paths in one.files.values() for path in paths]
        return list(dict.fromkeys(files))

    def split(self, species_set: SpeciesSet, seed: int) -> SpeciesSplit:
        if species_set.name not in self._corpora:
            self._corpora[species_set.name] = species_set.corpus()
        return SpeciesSplit(
            self._corpora[species_set.name],
            self.lengths,
            seed,
            rule=species_set.split,
            chromosomes=species_set.chromosomes() if species_set.split == "chromosomes" else None,
            max_bases=self.preset.max_bases,
            min_fill=self.min_fill,
        )

    def features(self, spec: SystemSpec) -> SpeciesFeatures:
        """What the system makes of windows, its tokenizer trained if need be."""
        if spec.trained_by:
            train_tokenizer(spec, self.genomes, is_quick=self.preset.name == "quick")
        return spec.features()

    def settings(self, species_set: SpeciesSet, spec: SystemSpec) -> Values:
        """Everything that decides a run's numbers; a folder holds runs of one kind alone."""
        sizes = asdict(self.preset)
        own = {"budget": sizes["budget"]} if spec.kind in (ENCODER, FINETUNED) else {}
        return {
            "lengths": list(self.lengths),
            "preset": {key: value for key, value in sizes.items() if key not in ("seeds", "budget")},
            "min_fill": self.min_fill,
            "files": {name: [path.name for path in paths] for name, paths in species_set.files.items()},
            "split": species_set.split,
            "source": spec.source,
            **own,
        }


@dataclass(frozen=True)
class Plan:
    """What of a study will run: sets and systems by name, and what is left out, which grows while the study runs."""

    study: Study
    splits: Mapping[str, SpeciesSplit]
    specs: Mapping[str, SystemSpec]
    left_out: list[LeftOut] = field(default_factory=list)

    def leave_out(
        self, reason: str, *, species_set: str | None = None, system: str | None = None, length: int | None = None
    ) -> None:
        """Notes once what does not run, and why; None stands for all."""
        one = LeftOut(set=species_set, system=system, length=length, reason=reason)
        if one not in self.left_out:
            self.left_out.append(one)

    def refusal(self, species_set: str, system: str, length: int) -> str | None:
        """Why a system does not run on a set at a length; None where it does."""
        wanted = (species_set, system, length)
        for one in self.left_out:
            if all(held in (None, name) for held, name in zip((one.set, one.system, one.length), wanted, strict=True)):
                return one.reason
        return None

    def lengths_of(self, species_set: str, system: str) -> list[int]:
        return [length for length in self.study.lengths if self.refusal(species_set, system, length) is None]

    def refuse_memory(self, species_set: str, spec: SystemSpec, system: SpeciesFeatures) -> None:
        """Leaves out the lengths whose windows a system cannot read or that take more memory than there is."""
        limit = available_bytes() if self.study.memory is None else self.study.memory
        positions = system.positions_limit()
        if spec.kind == FINETUNED and isinstance(system, EncoderFeatures):
            positions = system.backbone_bases()  # fine-tuning reads windows whole
        for length in self.lengths_of(species_set, spec.name):
            needed, reason = self.memory(species_set, spec, system, length), None
            if positions is not None and length > positions:
                reason = f"its backbone has positions for {positions:,} bases"
            elif limit is not None and needed > limit:
                reason = f"it takes about {bytes_of(needed)} of memory, and there are {bytes_of(limit)}"
            if reason:
                self.leave_out(reason, species_set=species_set, system=spec.name, length=length)

    def memory(self, species_set: str, spec: SystemSpec, system: SpeciesFeatures, length: int) -> int:
        """Bytes that a run takes beyond weights and libraries."""
        if spec.kind == FINETUNED:
            return training_bytes(system, length)
        num_bases = sum(part.length for part in self.splits[species_set].used)
        return run_bytes(system, length, num_bases, sum(self.study.preset.counts(length).values()))

    def announce(self, console: Console) -> None:
        """Shows what will run, with the memory of the systems that are there already, and what will not.

        Raises:
            InputError: no length fits any set, or no system can run.
        """
        lengths = self.study.lengths
        rows = [
            (name, length_name(length), *self._shown(split, length))
            for name, split in self.splits.items()
            for length in lengths
        ]
        columns = ["set", "length", "species", "windows", "side by side in test", "bases used"]
        _show(console, "species study", columns, rows)
        ready = [(spec, spec.features()) for spec in self.specs.values() if not spec.trained_by]
        for spec, system in ready:
            for name in self.splits:
                self.refuse_memory(name, spec, system)
        rows = []
        for spec, system in ready:
            sizes = [
                [self.memory(name, spec, system, n) for name in self.splits if self.refusal(name, spec.name, n) is None]
                for n in lengths
            ]
            rows.append((spec.name, *(bytes_of(max(needed)) if needed else "-" for needed in sizes)))
        if rows:
            title = "memory foreseen, beyond weights and libraries"
            _show(console, title, ["system", *map(length_name, lengths)], rows)
        for one in self.left_out:
            console.print(f"left out: {one}", markup=False, soft_wrap=True)
        if not any(self.lengths_of(name, system) for name in self.splits for system in self.specs):
            what = "nothing" if self.specs else "no system"
            raise InputError(f"the species study has {what} to run: {self.left_out[0].reason}")

    def _shown(self, split: SpeciesSplit, length: int) -> tuple[str, ...]:
        """Species, windows, windows side by side, and bases of a set at a length."""
        if split.refusal(length):
            return ("does not fit", "", "", "")
        counts = " + ".join(str(count) for count in self.study.preset.counts(length).values())
        bases = sum(part.length for part in split.used)
        return (str(len(split.classes(length))), counts, str(split.independent(length, "test")), f"{bases / 1e6:.1f} M")


def plan_study(study: Study, systems: Sequence[str] | None = None) -> Plan:
    """Plan of the study, with what is known to be left out before anything is loaded; see `choose_systems`."""
    specs, missing = choose_systems(
        systems, study.tokenizers, study.encoders, study.out / TOKENIZERS, finetuned=study.finetune_up_to > 0
    )
    plan = Plan(study, {one.name: study.split(one, 0) for one in study.sets}, specs)
    for name, reason in missing.items():
        plan.leave_out(reason, system=name)
    for name, split in plan.splits.items():
        for length in study.lengths:
            if reason_of_set := split.refusal(length):
                plan.leave_out(reason_of_set, species_set=name, length=length)
    too_long = f"fine-tuning is asked for up to {length_name(study.finetune_up_to)}"
    for spec in specs.values():
        for length in study.lengths:
            if spec.kind == FINETUNED and length > study.finetune_up_to:
                plan.leave_out(too_long, system=spec.name, length=length)
    return plan


def _show(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE)
    for row in rows:
        table.add_row(*row)
    console.print(table)
