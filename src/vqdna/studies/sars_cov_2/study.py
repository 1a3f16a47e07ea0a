"""The study of lineages: genomes in, every question asked of every system, one results file each, and their summary.

Flow: genomes -> splits -> systems -> (separation, coarse and fine, sites, markers, tree, linear) for each, and the
fine-tuned encoder -> OUT/steps/<system>/<step>.json -> OUT/summary.json. A step whose file is there with the same
settings is not run again; all steps of a system stand under one lock, since they share its codes. It must not know the
page. Paper: section 6.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from vqdna.config import load_config
from vqdna.experiments.cells import Cell, run_cells
from vqdna.experiments.records import known_record
from vqdna.finetune.settings import FinetuneConfig
from vqdna.results import command_line
from vqdna.studies.sars_cov_2 import questions, results, summary
from vqdna.studies.sars_cov_2.genomes import Intake, read_genomes, read_labels, read_reference
from vqdna.studies.sars_cov_2.knowledge import SARS_COV_2, Knowledge, read_knowledge
from vqdna.studies.sars_cov_2.questions import Asked, Material
from vqdna.studies.sars_cov_2.splits import date_split, random_split
from vqdna.studies.sars_cov_2.summary import BY_DATE, RANDOM, STUDY, Sizes, StepRecord, StepSettings, Summary
from vqdna.studies.sars_cov_2.systems import BPE, TRAINED, Training, open_systems, shown_system

SUMMARY_FILE = "summary.json"
SCORES, FINE_TUNED = "scores", "fine-tuned encoder"
"""Step and system of the fine-tuning."""

FULL = Sizes()
QUICK = Sizes(
    genomes=(10, 4, 8), windows_per_genome=1, tuned_windows=2, in_silico=60, calibration=400, tree_genomes=6,
    whole_genomes=2, overrides=("training.epochs=1",),
)  # fmt: skip
QUICK_TRAINED = ("hrq",)
QUICK_VOCABULARY = ("training.steps=40", "training.batch_size=16", "data.evaluation_windows=16")
STEPS: dict[str, tuple[type[StepRecord], Callable[[Asked], object]]] = {
    "separation": (StepRecord[results.Separation], questions.separation_step),
    "plane": (StepRecord[results.Plane], questions.plane_step),
    "claims": (StepRecord[results.CoarseAndFine], questions.coarse_and_fine_step),
    "tracks": (StepRecord[results.Tracks], questions.tracks_step),
    "markers": (StepRecord[results.Markers], questions.markers_step),
    "tree": (StepRecord[results.TreesBySource], questions.tree_step),
    "linear": (StepRecord[results.LinearScores], questions.linear_step),
}
"""The questions by the names of their files, with what each is answered by."""


@dataclass(frozen=True)
class Inputs:
    """Files and folders of the user.

    Attributes:
        labels: table of names and labels; None reads the headers.
        training: genomes that vocabularies and BPE learn from; without any none is trained.
        encoder: is fine-tuned; None leaves it out.
    """

    genomes: tuple[Path, ...]
    reference: Path
    labels: Path | None = None
    training: tuple[Path, ...] = ()
    vocabularies: dict[str, Path] = field(default_factory=dict)
    encoder: Path | None = None
    knowledge: Path = SARS_COV_2

    def read(self) -> tuple[Knowledge, Intake]:
        """What is known of the virus, and its genomes; raises what `read_knowledge` and `read_genomes` do."""
        knowledge = read_knowledge(read_reference(self.reference), self.knowledge)
        return knowledge, read_genomes(self.genomes, knowledge, read_labels(self.genomes, self.labels))


def run_lineage_study(
    inputs: Inputs,
    out: Path,
    *,
    sizes: Sizes = FULL,
    trained: Sequence[str] = (*TRAINED, BPE),
    vocabulary_overrides: Sequence[str] = (),
    seed: int = 0,
    console: Console | None = None,
) -> Summary:
    """Summary of the study, also written to `out`/summary.json, after running every step that is not there.

    Systems are trained only where there are genomes to learn from. Processes that are started on one folder at once
    share the systems; the summary of the last to end is whole.

    Raises:
        InputError: files at fault, no usable genomes, training genomes that hold the virus, a folder with steps of
            other settings, or with vocabularies that another process is training.
    """
    tell = partial((console or Console(stderr=True)).print, markup=False, soft_wrap=True, highlight=False)
    started = time.monotonic()
    knowledge, intake = inputs.read()
    splits = {RANDOM: random_split(intake.kept, sizes.genomes, seed)}
    if (later := date_split(intake.kept, sizes.genomes, seed)) is not None:
        splits[BY_DATE] = later
    tell(f"{len(intake.kept)} genomes kept, {intake.num_refused} refused; {len(splits[RANDOM].all)} drawn")
    training = Training(trained, inputs.training, out / "vocabularies", vocabulary_overrides, seed)
    systems = open_systems(training, inputs.vocabularies, knowledge)
    material = Material(knowledge, intake, splits, sizes, seed, shown_system(systems))
    asked = [Asked(material, system) for system in systems]
    steps = _steps(inputs, asked, out)

    def forget() -> None:
        for one in asked:
            one.forget()

    run_cells(steps, tell, after=forget)
    found = _summary(inputs, asked, steps, started)
    found.write(out / SUMMARY_FILE)
    return found


@dataclass(frozen=True)
class Step(Cell[StepRecord]):
    """One question asked of one system: its settings decide the numbers, `record` is what its file holds."""

    step: str
    system: str
    out: Path
    settings: StepSettings
    record: type[StepRecord]
    ask: Callable[[], object]

    @property
    def name(self) -> str:
        return f"{self.step} of {self.system}"

    @property
    def lock(self) -> Path:
        """One for all questions of a system: its folder."""
        return self.out / "steps" / self.system.replace(":", "-")

    def known(self) -> StepRecord | None:
        return known_record(self.lock / f"{self.step}.json", self.record, self.settings.as_json(), "the study")

    def run(self) -> StepRecord:
        started = time.monotonic()
        answer = self.ask()
        record = self.record(settings=self.settings, seconds=round(time.monotonic() - started, 2), result=answer)
        record.write(self.lock / f"{self.step}.json")
        return record

    def told(self, record: StepRecord) -> str:
        return "cannot be asked" if record.result is None else f"{record.seconds:.0f} s"


def _steps(inputs: Inputs, asked: Sequence[Asked], out: Path) -> list[Step]:
    """Every question of every system, and the fine-tuning where an encoder was given."""

    def digest(data: bytes) -> str:
        return hashlib.blake2b(data, digest_size=8).hexdigest()

    material = asked[0].material
    settings = StepSettings(
        genomes=digest("\n".join(genome.name for genome in material.intake.kept).encode()),
        reference=digest(material.knowledge.reference.tobytes()),
        knowledge=digest(inputs.knowledge.read_bytes()),
        sizes=material.sizes,
        seed=material.seed,
    )
    steps = []
    for one in asked:
        own = settings.model_copy(update={"system": one.system.digest})
        for name, (record, ask) in STEPS.items():
            steps.append(Step(name, one.system.name, out, own, record, partial(ask, one)))
    if inputs.encoder is not None:
        config = load_config(FinetuneConfig, material.sizes.config, "finetune", material.sizes.overrides)
        tuned = {"encoder": "/".join(inputs.encoder.parts[-2:]), "fine_tuning": config.model_dump(mode="json")}
        tune = partial(questions.fine_tuned_step, material, inputs.encoder, out / "fine_tuned")
        own = settings.model_copy(update=tuned)
        steps.append(Step(SCORES, FINE_TUNED, out, own, StepRecord[results.FineTuned], tune))
    return steps


def _summary(inputs: Inputs, asked: Sequence[Asked], steps: Sequence[Step], started: float) -> Summary:
    material, known = asked[0].material, asked[0].material.knowledge
    found: dict[str, dict[str, StepRecord]] = {name: {} for name in (*STEPS, SCORES)}
    for step in steps:
        answer = step.known()
        if answer is not None and answer.result is not None:
            found[step.step][step.system] = answer
    seconds = sum(answer.seconds for by_system in found.values() for answer in by_system.values())
    training, encoder = len(inputs.training), inputs.encoder.parent.name if inputs.encoder else None
    made = {name: split.record(material.intake.kept) for name, split in material.splits.items()}
    return Summary(
        study=STUDY,
        virus=known.file.name,
        command=command_line(),
        seed=material.seed,
        sizes=material.sizes,
        inputs=material.intake.record(inputs.genomes, inputs.labels, training, encoder),
        splits=summary.SplitsMade(random=made[RANDOM], by_date=made.get(BY_DATE)),
        shown=material.shown,
        knowledge=summary.KnowledgeUsed(
            num_bases=len(known.reference),
            genes=list(known.file.genes),
            lineages=[summary.NamedLineage(name=one.name, pango=one.pango) for one in known.file.lineages],
            num_defining=len(known.defining),
        ),
        systems=[one.system.record() for one in asked],
        fine_tuned=found.pop(SCORES).get(FINE_TUNED),
        steps=summary.Steps.model_validate(found),
        seconds=round(seconds, 1),
        wall_seconds=round(time.monotonic() - started, 1),
    )
