"""The species study: HyenaDNA's protocol at every length, for systems from k-mer counts to genome encoders.

Flow: species sets x systems -> a plan that says at once what does not fit -> OUT/<set>/<system>-<length>/seed-<n> with
a results.json each -> summary.json, summary.md. All runs of a system on a set stand under one lock, since a system
reads the genomes of a set once for all of them. Paper: section 5.7.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from vqdna.baselines.logistic_regression import FittedProbe, fit_probe
from vqdna.experiments.cells import Cell, LeftOutError, run_cells
from vqdna.experiments.records import known_record
from vqdna.genome.corpus import Corpus
from vqdna.results import RESULTS_FILE, command_line, write_json
from vqdna.studies.species.cells import Preset, length_name, within_budget
from vqdna.studies.species.cost import known_costs
from vqdna.studies.species.features import SpeciesFeatures, TokenFeatures
from vqdna.studies.species.finetuning import finetuned_scores, seconds_per_window
from vqdna.studies.species.plan import Plan, plan_study
from vqdna.studies.species.results import (
    STUDY,
    RepresentationScores,
    SpeciesResult,
    SpeciesRow,
    SpeciesScores,
    SystemAbout,
    WindowCost,
)
from vqdna.studies.species.sets import SpeciesSet
from vqdna.studies.species.splits import SPLITS, SpeciesSplit, Windows
from vqdna.studies.species.summary import write_summary
from vqdna.studies.species.systems import (
    ENCODER,
    FINETUNED,
    LEARNED,
    SystemSpec,
    choose_systems,
    system_spec,
    train_tokenizer,
)
from vqdna.tasks.metrics import metric_value

METRIC = "accuracy"
TOKENIZERS, COSTS = "tokenizers", "costs"


@dataclass(frozen=True)
class Study:
    """What all runs of a folder have in common.

    Attributes:
        sets: species sets.
        out: folder of the study.
        lengths: of windows, in bases.
        preset: how much is looked at, its seeds and its budget those of the study.
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
        """Files of all sets, each once."""
        files = [path for one in self.sets for paths in one.files.values() for path in paths]
        return list(dict.fromkeys(files))

    def split(self, species_set: SpeciesSet, seed: int) -> SpeciesSplit:
        """Split of a set's contigs with one seed."""
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

    def spec(self, name: str, kind: str) -> SystemSpec:
        """System of that name."""
        return system_spec(name, kind, self.tokenizers, self.encoders, self.out / TOKENIZERS)

    def is_trained_here(self, name: str) -> bool:
        """Whether the system's tokenizer is one that the study trains."""
        return name in LEARNED and name not in self.tokenizers

    def features(self, spec: SystemSpec) -> SpeciesFeatures:
        """What the system makes of windows, its tokenizer trained if need be."""
        if self.is_trained_here(spec.name):
            is_quick = self.preset.name == "quick"
            train_tokenizer(spec.name, self.out / TOKENIZERS / spec.name, self.genomes, is_quick=is_quick)
        return spec.features()

    def settings(self, species_set: SpeciesSet, spec: SystemSpec) -> dict[str, Any]:
        """Everything that decides a run's numbers; a folder holds runs of one kind alone."""
        files = {name: [path.name for path in paths] for name, paths in species_set.files.items()}
        own = {"budget": self.preset.budget} if spec.kind in (ENCODER, FINETUNED) else {}
        sizes = {key: value for key, value in asdict(self.preset).items() if key not in ("seeds", "budget")}
        return {
            "lengths": list(self.lengths),
            "preset": sizes,
            "min_fill": self.min_fill,
            "files": files,
            "split": species_set.split,
            "source": spec.source,
            **own,
        }


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
        console: where plan and progress are shown; None is standard error.
        plan_only: shows the plan and runs nothing.

    Raises:
        InputError: an unknown system, results of other settings or damaged ones, no length that fits any set.
    """
    console = console or Console(stderr=True)
    kinds, missing = choose_systems(systems, study.tokenizers, study.encoders, finetuned=study.finetune_up_to > 0)
    splits = {one.name: study.split(one, 0) for one in study.sets}
    plan = plan_study(splits, kinds, missing, study.lengths, study.preset, study.finetune_up_to)
    _announce(study, plan, console)
    if plan_only:
        return []
    systems_on_sets = [
        SystemOnSet(study, species_set, study.spec(name, kind), plan)
        for species_set in study.sets
        for name, kind in kinds.items()
    ]
    cells = [
        SpeciesRun(system, length, seed)
        for system in systems_on_sets
        for length in plan.lengths_of(system.species_set.name, system.spec.name)
        for seed in range(study.preset.seeds)
    ]

    def finish() -> None:
        # What a system read of a set is large: it goes before the next one reads.
        for system in systems_on_sets:
            system.forget()
        write_summary(study.out, command_line(), plan.left_out)

    run_cells(cells, lambda text: console.print(text, markup=False, soft_wrap=True), after=finish)
    return write_summary(study.out, command_line(), plan.left_out)


def _announce(study: Study, plan: Plan, console: Console) -> None:
    """Shows the plan, with the memory of the systems that are there already, and refuses what cannot run."""
    plan.show(console)
    ready = {
        name: (spec, spec.features())
        for name, kind in plan.kinds.items()
        if not study.is_trained_here(name)
        for spec in [study.spec(name, kind)]
    }
    for spec, system in ready.values():
        for species_set in plan.splits:
            plan.refuse_memory(species_set, spec, system, study.memory)
    plan.show_memory(console, ready)
    plan.show_left_out(console)
    plan.check()


class SystemOnSet:
    """One system on one set: what all of its runs share, worked out by the first that is made."""

    def __init__(self, study: Study, species_set: SpeciesSet, spec: SystemSpec, plan: Plan) -> None:
        self.study, self.species_set, self.spec, self.plan = study, species_set, spec, plan
        self.place = study.out / species_set.name
        self.settings = study.settings(species_set, spec)
        self.reading_seconds = 0.0
        self._system: SpeciesFeatures | None = None
        self._splits: dict[int, SpeciesSplit] = {}

    @cached_property
    def about(self) -> SystemAbout:
        """What results say of the system."""
        return self.spec.describe()

    @cached_property
    def costs(self) -> dict[int, WindowCost]:
        """Cost of a window of each length; measured once for all sets."""
        path = self.study.out / COSTS / f"{self.spec.name}.json"
        lengths = self.plan.lengths_of(self.species_set.name, self.spec.name)
        return known_costs(path, self.spec, lengths, most_seconds=max(60.0, self.study.preset.budget))

    def split(self, seed: int) -> SpeciesSplit:
        """Split of the set with one seed."""
        if seed not in self._splits:
            self._splits[seed] = self.study.split(self.species_set, seed)
        return self._splits[seed]

    def system(self) -> SpeciesFeatures:
        """The system, the set's genomes read where it reads them once."""
        if self._system is None:
            system = self.study.features(self.spec)
            self.plan.refuse_memory(self.species_set.name, self.spec, system, self.study.memory)
            started = time.process_time()
            if isinstance(system, TokenFeatures):
                split = self.split(0)
                system.read(split.corpus, split.used)
            self.reading_seconds = time.process_time() - started
            self._system = system
        return self._system

    def forget(self) -> None:
        """Drops what was read."""
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
            seconds = seconds_per_window(seconds)
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
        """Set, system, length and seed."""
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
        """Folder of the result."""
        return self.on.place / self.row / f"seed-{self.seed}"

    def known(self) -> SpeciesResult | None:
        """Result of an earlier call."""
        return known_record(self.folder / RESULTS_FILE, SpeciesResult, self.on.settings, "the species study")

    def run(self) -> SpeciesResult:
        """Draws windows, scores the system on them, and writes the result."""
        on, set_name = self.on, self.on.species_set.name
        system, split = on.system(), on.split(self.seed)
        # A tokenizer that the study trains says its memory only now.
        reasons = [
            one
            for one in on.plan.left_out
            if (one.set, one.system, one.length) == (set_name, on.spec.name, self.length)
        ]
        if reasons:
            raise LeftOutError(reasons[0].reason)
        counts, why = on.counts(self.length, split)
        if why:
            on.plan.leave_out(set_name, on.spec.name, self.length, why)
            raise LeftOutError(why)
        cost = on.costs.get(self.length)
        started = time.process_time()
        drawn = {name: split.windows(self.length, name, counts[name]) for name in SPLITS}
        if on.spec.kind == FINETUNED:
            scores = finetuned_scores(on.spec, split.corpus, drawn, self.folder, self.seed)
        else:
            scores = probe_windows(system, split, drawn)
        record = {
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
            "about": on.about.model_dump(mode="json", exclude_unset=True),
            "classes": list(drawn["train"].classes),
            "windows": counts,
            "independent_windows": {name: split.independent(self.length, name) for name in SPLITS},
            "padded_share": {name: float((drawn[name].padding > 0).mean()) for name in SPLITS},
            "cost": None if cost is None else cost.model_dump(mode="json", exclude_unset=True),
            **scores.model_dump(mode="json", exclude_unset=True),
            "settings": on.settings,
        }
        write_json(self.folder / RESULTS_FILE, record)
        return SpeciesResult.model_validate(record)

    def told(self, record: SpeciesResult) -> str:
        """Score and time."""
        return f"accuracy {100 * (record.test_score(METRIC) or 0):.1f} ({record.seconds or 0:.0f} s)"


def probe_windows(system: SpeciesFeatures, split: SpeciesSplit, drawn: Mapping[str, Windows]) -> SpeciesScores:
    """Scores of the logistic regression and the representation that do best on dev; test is scored once for each.

    Args:
        system: what reads the windows.
        split: whose corpus they lie in.
        drawn: windows of train, dev and test.
    """
    features = {name: system.of_windows(split.corpus, windows) for name, windows in drawn.items()}
    labels, num_classes = {name: windows.labels for name, windows in drawn.items()}, len(drawn["train"].classes)
    fitted: dict[str, FittedProbe] = {
        name: fit_probe(values, labels["train"], features["dev"][name], labels["dev"], num_classes, METRIC)
        for name, values in features["train"].items()
    }
    tests = {name: probe.score(features["test"][name], labels["test"]) for name, probe in fitted.items()}
    best = max(fitted, key=lambda name: metric_value(fitted[name].dev, METRIC))
    representations = {
        name: RepresentationScores(
            dev=probe.dev[METRIC],
            test=tests[name][METRIC],
            num_features=features["train"][name].shape[1],
            inverse_regularization=probe.inverse_regularization,
        )
        for name, probe in fitted.items()
    }
    return SpeciesScores(
        dev=fitted[best].dev,
        test=tests[best],
        features=best,
        num_features=features["train"][best].shape[1],
        representations=representations,
    )


def with_options(preset: Preset, seeds: int | None, budget: float | None, max_bases: int | None) -> Preset:
    """The preset with what was asked for in place of its own."""
    return replace(
        preset,
        seeds=preset.seeds if seeds is None else seeds,
        budget=preset.budget if budget is None else budget,
        max_bases=preset.max_bases if max_bases is None else max_bases,
    )
