"""The species study: HyenaDNA's protocol at every length, for systems from k-mer counts to genome encoders.

Flow: species sets x systems -> a plan that says at once what does not fit -> cells OUT/<set>/<system>-<length>/seed-<n>
with a results.json each -> summary.json, summary.md. Cells that are there are kept; processes share a folder by
claiming the systems of a set, since a system reads the genomes of a set once for all its cells. Paper: section 5.7.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from vqdna.baselines.logistic_regression import FittedProbe, fit_probe
from vqdna.experiments.locks import claimed
from vqdna.experiments.records import held_cell
from vqdna.genome.corpus import Corpus
from vqdna.results import RESULTS_FILE, command_line, write_json
from vqdna.studies.species.cells import Cell, Preset, length_name, within_budget
from vqdna.studies.species.cost import Cost, known_costs
from vqdna.studies.species.features import SpeciesFeatures, TokenFeatures
from vqdna.studies.species.finetuning import finetuned_scores, seconds_per_window
from vqdna.studies.species.plan import Plan, plan_study
from vqdna.studies.species.sets import SpeciesSet
from vqdna.studies.species.splits import SPLITS, SpeciesSplit, Windows
from vqdna.studies.species.summary import STUDY, write_summary
from vqdna.studies.species.systems import ENCODER, FINETUNED, LEARNED, SystemSpec, choose_systems, system_spec
from vqdna.tasks.metrics import metric_value

Record = dict[str, Any]
Drawn = Mapping[str, Windows]

METRIC = "accuracy"
TOKENIZERS, COSTS = "tokenizers", "costs"


@dataclass(frozen=True)
class Study:
    """What all cells of a folder have in common.

    Attributes:
        sets: species sets.
        out: folder of the study.
        lengths: of windows, in bases.
        preset: how much is looked at, its seeds and its budget those of the study.
        tokenizers: specs by the name of the system.
        encoders: folders by the name of the system.
        min_fill: least share of a window that is DNA.
        finetune_up_to: bases of the longest windows that encoders are also fine-tuned on; 0 for none.
        memory: bytes that a cell may take; None is what the system has free.
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
        """System of that name, its tokenizer trained if need be."""
        return system_spec(
            name,
            kind,
            self.tokenizers,
            self.encoders,
            folder=self.out / TOKENIZERS,
            genomes=self.genomes,
            quick=self.preset.name == "quick",
        )

    def settings(self, species_set: SpeciesSet, spec: SystemSpec) -> Record:
        """Everything that decides a cell's numbers; a folder holds cells of one kind alone."""
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
) -> list[Record]:
    """Summary rows of the study, after running every cell that neither is there nor is another process's.

    Args:
        study: what to run, and where.
        systems: names; None is the standard ones and all that were given.
        console: where plan and progress are shown; None is standard error.
        plan_only: shows the plan and runs nothing.

    Raises:
        InputError: an unknown system, cells of other settings or damaged ones, no length that fits any set.
    """
    console = console or Console(stderr=True)
    kinds, missing = choose_systems(systems, study.tokenizers, study.encoders, finetuned=study.finetune_up_to > 0)
    splits = {one.name: study.split(one, 0) for one in study.sets}
    plan = plan_study(splits, kinds, missing, study.lengths, study.preset, study.finetune_up_to)
    _announce(study, plan, console)
    if plan_only:
        return []
    for species_set in study.sets:
        for name, kind in kinds.items():
            _run_unclaimed(study, species_set, name, kind, plan, console)
    return write_summary(study.out, command_line(), plan.left_out)


def _announce(study: Study, plan: Plan, console: Console) -> None:
    """Shows the plan, with the memory of the systems that are there already, and refuses what cannot run."""
    plan.show(console)
    ready = {
        name: (spec, spec.features())
        for name, kind in plan.kinds.items()
        if name not in LEARNED or name in study.tokenizers
        for spec in [study.spec(name, kind)]
    }
    for spec, system in ready.values():
        for species_set in plan.splits:
            plan.refuse_memory(species_set, spec, system, study.memory)
    plan.show_memory(console, ready)
    plan.show_left_out(console)
    plan.check()


def _run_unclaimed(study: Study, species_set: SpeciesSet, name: str, kind: str, plan: Plan, console: Console) -> None:
    """Cells of one system on one set, unless another process is at them."""
    place = study.out / species_set.name
    with claimed(place / ".claims" / name) as ours:
        if not ours:
            console.print(f"{species_set.name}, {name}: another process is at it", markup=False, soft_wrap=True)
            return
        runner = _SystemRunner(study, species_set, study.spec(name, kind), plan)
        for cell, outcome in runner.run():
            text = f"{species_set.name}, {name}, {length_name(cell.length)}, seed {cell.seed}: {outcome}"
            console.print(text, markup=False, soft_wrap=True)
        write_summary(study.out, command_line(), plan.left_out)


class _SystemRunner:
    """Runs the cells of one system on one set."""

    def __init__(self, study: Study, species_set: SpeciesSet, spec: SystemSpec, plan: Plan) -> None:
        self.study, self.species_set, self.spec, self.plan = study, species_set, spec, plan
        self.place = study.out / species_set.name
        self.settings = study.settings(species_set, spec)
        self.reading_seconds = 0.0

    def run(self) -> Iterator[tuple[Cell, str]]:
        """Each cell and what became of it."""
        lengths = self.plan.lengths_of(self.species_set.name, self.spec.name)
        seeds = range(self.study.preset.seeds)
        cells = [Cell(self.spec.name, length, seed) for length in lengths for seed in seeds]
        waiting = [cell for cell in cells if self.known(cell) is None]
        if not waiting:
            return
        system, about = self.spec.features(), self.spec.describe()
        refused = self.plan.refuse_memory(self.species_set.name, self.spec, system, self.study.memory)
        waiting = [cell for cell in waiting if cell.length not in refused]
        for length, why in refused.items():
            yield Cell(self.spec.name, length, 0), f"left out, {why}"
        costs = self.costs(sorted({cell.length for cell in waiting}))
        splits = {seed: self.study.split(self.species_set, seed) for seed in seeds}
        self.read(system, splits[0])
        for cell in waiting:
            yield cell, self.run_cell(cell, system, about, splits[cell.seed], costs.get(cell.length))

    def costs(self, lengths: Sequence[int]) -> dict[int, Cost]:
        """Cost of a window of each length; measured once for all sets."""
        path = self.study.out / COSTS / f"{self.spec.name}.json"
        return known_costs(path, self.spec, lengths, most_seconds=max(60.0, self.study.preset.budget))

    def known(self, cell: Cell) -> Record | None:
        """Record of the cell as an earlier call wrote it, or None."""
        return held_cell(
            cell.folder(self.place) / RESULTS_FILE,
            self.settings,
            STUDY,
            lambda record: record.get("study") == STUDY and "test" in record,
        )

    def read(self, system: SpeciesFeatures, split: SpeciesSplit) -> None:
        """Reads the genomes by systems that read them once."""
        started = time.process_time()
        if isinstance(system, TokenFeatures):
            system.read(split.corpus, split.used)
        self.reading_seconds = time.process_time() - started

    def run_cell(
        self, cell: Cell, system: SpeciesFeatures, about: Record, split: SpeciesSplit, cost: Cost | None
    ) -> str:
        """What to tell of the cell, which is run and written to its folder."""
        counts, why = self.counts(cell, split, cost)
        if why:
            self.plan.leave_out(self.species_set.name, cell.system, cell.length, why)
            return f"left out, {why}"
        started = time.process_time()
        drawn = {name: split.windows(cell.length, name, counts[name]) for name in SPLITS}
        if self.spec.kind == FINETUNED:
            scores = finetuned_scores(self.spec, split.corpus, drawn, cell.folder(self.place), cell.seed)
        else:
            scores = probe_windows(system, split, drawn)
        record = {
            "stage": "study",
            "study": STUDY,
            "cell": cell.row,
            "set": self.species_set.name,
            "system": cell.system,
            "length": cell.length,
            "seed": cell.seed,
            "command": command_line(),
            "seconds": time.process_time() - started,
            "reading_seconds": self.reading_seconds,
            "about": about,
            "classes": list(drawn["train"].classes),
            "windows": dict(counts),
            "independent_windows": {name: split.independent(cell.length, name) for name in SPLITS},
            "padded_share": {name: float((drawn[name].padding > 0).mean()) for name in SPLITS},
            "cost": cost,
            **scores,
            "settings": self.settings,
        }
        write_json(cell.folder(self.place) / RESULTS_FILE, record)
        return f"accuracy {100 * record['test'][METRIC]:.1f} ({record['seconds']:.0f} s)"

    def counts(self, cell: Cell, split: SpeciesSplit, cost: Cost | None) -> tuple[dict[str, int], str | None]:
        """Windows of each split; of encoders as many as their budget allows."""
        wanted = self.study.preset.counts(cell.length)
        if self.spec.kind not in (ENCODER, FINETUNED):
            return wanted, None
        if cost is None:
            return wanted, "a window of this length takes too long to be measured"
        if self.spec.kind == ENCODER:  # windows that overlap share their pieces
            once = sum(part.size for part in split.used) / cost["bases_per_second"] / sum(wanted.values())
            seconds = min(cost["seconds"], once)
        else:
            seconds = seconds_per_window(cost["seconds"])
        return within_budget(wanted, len(split.classes(cell.length)), seconds, self.study.preset.budget)


def probe_windows(system: SpeciesFeatures, split: SpeciesSplit, drawn: Drawn) -> Record:
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
        name: {
            "dev": probe.dev[METRIC],
            "test": tests[name][METRIC],
            "num_features": features["train"][name].shape[1],
            "inverse_regularization": probe.inverse_regularization,
        }
        for name, probe in fitted.items()
    }
    return {
        "dev": fitted[best].dev,
        "test": tests[best],
        "features": best,
        "num_features": features["train"][best].shape[1],
        "representations": representations,
    }


def with_options(preset: Preset, seeds: int | None, budget: float | None, max_bases: int | None) -> Preset:
    """The preset with what was asked for in place of its own."""
    return replace(
        preset,
        seeds=preset.seeds if seeds is None else seeds,
        budget=preset.budget if budget is None else budget,
        max_bases=preset.max_bases if max_bases is None else max_bases,
    )
