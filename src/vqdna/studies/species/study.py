"""The species study: HyenaDNA's protocol at every length, for systems from k-mer counts to genome encoders.

Flow: species sets x systems -> a plan that says at once what does not fit -> OUT/<set>/<system>-<length>/seed-<n> with
a results.json each -> summary.json, summary.md. All runs of a system on a set stand under one lock, since a system
reads the genomes of a set once for all of them. Paper: section 5.7.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console

from vqdna.experiments.cells import Cell, LeftOutError, progress_on, run_cells
from vqdna.experiments.records import known_record
from vqdna.results import RESULTS_FILE, command_line, write_json
from vqdna.studies.species.cells import length_name, within_budget
from vqdna.studies.species.cost import known_costs
from vqdna.studies.species.features import SpeciesFeatures, TokenFeatures
from vqdna.studies.species.plan import Plan, Study, plan_study
from vqdna.studies.species.results import STUDY, SpeciesResult, SpeciesRow, SystemAbout, WindowCost
from vqdna.studies.species.scoring import METRIC, finetuned_scores, finetuning_seconds, probe_windows
from vqdna.studies.species.sets import SpeciesSet
from vqdna.studies.species.splits import SPLITS, SpeciesSplit
from vqdna.studies.species.summary import write_summary
from vqdna.studies.species.systems import ENCODER, FINETUNED, SystemSpec


def run_species_study(
    study: Study,
    *,
    systems: Sequence[str] | None = None,
    console: Console | None = None,
    plan_only: bool = False,
) -> list[SpeciesRow]:
    """Summary rows of the study, after every run that neither is there nor is another process's.

    Args:
        study: what to run, and where.
        systems: names; None is the standard ones and all that were given.
        plan_only: shows the plan and runs nothing.

    Raises:
        InputError: an unknown system, results of other settings or damaged ones, no length that fits any set.
    """
    plan = plan_study(study, systems)
    plan.announce(console or Console(stderr=True))
    if plan_only:
        return []
    on_sets = [SystemOnSet(plan, one, spec) for one in study.sets for spec in plan.specs.values()]
    cells = [
        SpeciesRun(on, length, seed)
        for on in on_sets
        for length in plan.lengths_of(on.species_set.name, on.spec.name)
        for seed in range(study.preset.seeds)
    ]

    def finish() -> None:
        # What a system read of a set is large: it goes before the next one reads.
        for on in on_sets:
            on.forget()
        write_summary(study.out, command_line(), plan.left_out)

    run_cells(cells, progress_on(console), after=finish)
    return write_summary(study.out, command_line(), plan.left_out)


class SystemOnSet:
    """One system on one set: what all of its runs share, worked out by the first that is made."""

    def __init__(self, plan: Plan, species_set: SpeciesSet, spec: SystemSpec) -> None:
        self.plan, self.study, self.species_set, self.spec = plan, plan.study, species_set, spec
        self.place = self.study.out / species_set.name
        self.settings = self.study.settings(species_set, spec)
        self.reading_seconds = 0.0
        self._system: SpeciesFeatures | None = None
        self._splits: dict[int, SpeciesSplit] = {}

    @cached_property
    def about(self) -> SystemAbout:
        return self.spec.describe()

    @cached_property
    def costs(self) -> dict[int, WindowCost]:
        """Cost of a window of each length; measured once for all sets."""
        path = self.study.out / "costs" / f"{self.spec.name}.json"
        lengths = self.plan.lengths_of(self.species_set.name, self.spec.name)
        return known_costs(path, self.spec, lengths, most_seconds=max(60.0, self.study.preset.budget))

    def split(self, seed: int) -> SpeciesSplit:
        if seed not in self._splits:
            self._splits[seed] = self.study.split(self.species_set, seed)
        return self._splits[seed]

    def system(self) -> SpeciesFeatures:
        """The system, the set's genomes read where it reads them once."""
        if self._system is None:
            system = self.study.features(self.spec)
            # A tokenizer that the study trains says its memory only now.
            self.plan.refuse_memory(self.species_set.name, self.spec, system)
            started = time.process_time()
            if isinstance(system, TokenFeatures):
                split = self.split(0)
                system.read(split.corpus, split.used)
            self.reading_seconds = time.process_time() - started
            self._system = system
        return self._system

    def forget(self) -> None:
        self._system = None
        self._splits.clear()

    def counts(self, length: int, split: SpeciesSplit) -> tuple[dict[str, int], str | None]:
        """Windows of each split, of encoders as many as their budget allows; and why none, where there are none."""
        wanted = self.study.preset.counts(length)
        if self.spec.kind not in (ENCODER, FINETUNED):
            return wanted, None
        cost = self.costs.get(length)
        if cost is None or cost.seconds is None:
            return wanted, "a window of this length takes too long to be measured"
        seconds = cost.seconds
        if self.spec.kind == FINETUNED:
            seconds = finetuning_seconds(seconds)
        elif cost.bases_per_second:  # windows that overlap share their pieces
            once = sum(part.length for part in split.used) / cost.bases_per_second / sum(wanted.values())
            seconds = min(seconds, once)
        return within_budget(wanted, len(split.classes(length)), seconds, self.study.preset.budget)


@dataclass(frozen=True)
class SpeciesRun(Cell[SpeciesResult]):
    """One system on one set at one length with one seed."""

    on: SystemOnSet
    length: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.on.species_set.name}, {self.on.spec.name}, {length_name(self.length)}, seed {self.seed}"

    @property
    def lock(self) -> Path:
        """One folder for all runs of a system on a set."""
        return self.on.place / ".claims" / self.on.spec.name

    @property
    def row(self) -> str:
        """Folder that the seeds of a system and a length share."""
        return f"{self.on.spec.name}-{length_name(self.length)}"

    @property
    def folder(self) -> Path:
        return self.on.place / self.row / f"seed-{self.seed}"

    def known(self) -> SpeciesResult | None:
        return known_record(self.folder / RESULTS_FILE, SpeciesResult, self.on.settings, "the species study")

    def told(self, record: SpeciesResult) -> str:
        return f"accuracy {100 * (record.test_score(METRIC) or 0):.1f} ({record.seconds or 0:.0f} s)"

    def run(self) -> SpeciesResult:
        """Draws windows, scores the system on them, and writes the result."""
        on, set_name = self.on, self.on.species_set.name
        system, split = on.system(), on.split(self.seed)
        if refused := on.plan.refusal(set_name, on.spec.name, self.length):
            raise LeftOutError(refused)
        counts, why = on.counts(self.length, split)
        if why:
            on.plan.leave_out(why, species_set=set_name, system=on.spec.name, length=self.length)
            raise LeftOutError(why)
        cost = on.costs.get(self.length)
        started = time.process_time()
        drawn = {name: split.windows(self.length, name, counts[name]) for name in SPLITS}
        if on.spec.kind == FINETUNED:
            scores = finetuned_scores(on.spec, split.corpus, drawn, self.folder, self.seed)
        else:
            scores = probe_windows(system, split.corpus, drawn)
        result = SpeciesResult.model_validate({
            "stage": "study",
            "study": STUDY,
            "cell": self.row,
            "set": set_name,
            "system": on.spec.name,
            "length": self.length,
            "seed": self.seed,
            "command": command_line(),
            "seconds": time.process_time() - started,
            "reading_seconds": on.reading_seconds,
            "about": on.about,
            "classes": list(drawn["train"].classes),
            "windows": counts,
            "independent_windows": {name: split.independent(self.length, name) for name in SPLITS},
            "padded_share": {name: float((drawn[name].padding > 0).mean()) for name in SPLITS},
            "cost": cost,
            **scores.to_json(),
            "settings": on.settings,
        })  # fmt: skip
        write_json(self.folder / RESULTS_FILE, result.to_json())
        return result
