"""The study of variants: genomes in, every question asked of every system, one results file each, and their summary.

Flow: genomes -> splits -> systems -> (separation, claims, sites, markers, tree, linear) for each, and the fine-tuned
encoder -> OUT/steps/<system>/<step>.json -> OUT/summary.json. A step whose file is there with the same settings is not
run again; all steps of a system stand under one lock, since they share its codes. It must not know the page.
Paper: section 6.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from vqdna.config import load_config
from vqdna.errors import InputError
from vqdna.experiments.cells import Cell, run_cells
from vqdna.experiments.locks import locked
from vqdna.experiments.records import known_record
from vqdna.finetune.settings import FinetuneConfig
from vqdna.results import command_line, read_json, write_json
from vqdna.studies.sars_cov_2 import questions
from vqdna.studies.sars_cov_2.genomes import Intake, read_genomes, read_labels, read_reference
from vqdna.studies.sars_cov_2.knowledge import SARS_COV_2, Knowledge, read_knowledge
from vqdna.studies.sars_cov_2.questions import Material, Sizes
from vqdna.studies.sars_cov_2.results import StepRecord
from vqdna.studies.sars_cov_2.splits import date_split, random_split
from vqdna.studies.sars_cov_2.systems import (
    BPE,
    TRAINED,
    System,
    check_held_out,
    given_systems,
    is_trained,
    kmer_system,
    train_systems,
)

Record = dict[str, Any]

SUMMARY_FILE = "summary.json"
FINE_TUNED = "fine-tuned encoder"
FULL = Sizes()
QUICK = Sizes(
    genomes=(10, 4, 8), windows_per_genome=1, tuned_windows=2, planted=60, calibration=400, tree_genomes=6,
    whole_genomes=2, overrides=("training.epochs=1",),
)  # fmt: skip
QUICK_TRAINED = ("hrq",)
QUICK_VOCABULARY = ("training.steps=40", "training.batch_size=16", "data.evaluation_windows=16")
STEPS: dict[str, Callable[[Material, System], questions.Answer | None]] = {
    "separation": questions.separation_step,
    "plane": questions.plane_step,
    "claims": questions.claims_step,
    "tracks": questions.tracks_step,
    "markers": questions.markers_step,
    "tree": questions.tree_step,
    "linear": questions.linear_step,
}


@dataclass(frozen=True)
class Inputs:
    """What the user gives.

    Attributes:
        genomes: FASTA files of the variants.
        reference: file of the reference genome.
        labels: table of names and labels; None reads the headers.
        training: genomes that vocabularies and BPE learn from; without any none is trained.
        vocabularies: folders of vocabularies by name.
        encoder: folder of the encoder that is fine-tuned; None leaves it out.
        knowledge: file of genes, variants and mutations.
    """

    genomes: tuple[Path, ...]
    reference: Path
    labels: Path | None = None
    training: tuple[Path, ...] = ()
    vocabularies: dict[str, Path] = field(default_factory=dict)
    encoder: Path | None = None
    knowledge: Path = SARS_COV_2


def run_lineage_study(
    inputs: Inputs,
    out: Path,
    *,
    sizes: Sizes = FULL,
    trained: Sequence[str] = (*TRAINED, BPE),
    vocabulary_overrides: Sequence[str] = (),
    seed: int = 0,
    console: Console | None = None,
) -> Record:
    """Summary of the study, also written to `out`/summary.json, after running every step that is not there.

    Args:
        inputs: files.
        out: folder of the study.
        sizes: how much is looked at.
        trained: systems to train; only where there are genomes to learn from.
        vocabulary_overrides: changes to the configurations of the vocabularies.
        seed: of every draw.
        console: where progress is shown; None is standard error.

    Processes that are started on one folder at once share the systems; the summary of the last to end is whole.

    Raises:
        InputError: files at fault, no usable genomes, training genomes that hold the virus, a folder with steps of
            other settings, or with vocabularies that another process is training.
    """
    console = console or Console(stderr=True)
    started = time.monotonic()
    knowledge, intake = read_inputs(inputs)
    split = random_split(intake.kept, sizes.genomes, seed)
    later = date_split(intake.kept, sizes.genomes, seed)
    _tell(console, f"{len(intake.kept)} genomes kept, {sum(intake.refused.values())} refused; {len(split.all)} drawn")
    systems = _systems(inputs, knowledge, out, trained, vocabulary_overrides, seed)
    material = Material(knowledge, intake.kept, split, later, sizes, seed, shown_system(systems))
    steps, tuning = _steps(inputs, material, systems, out)
    run_cells([*steps, *tuning], lambda text: _tell(console, text), after=material.forget)
    found: dict[str, dict[str, Record]] = {step: {} for step in STEPS}
    for one in steps:
        record = one.known()
        if record is not None and record.result is not None:
            found[one.step][one.system] = record.model_dump(mode="json")
    tuned = next((record.model_dump(mode="json") for one in tuning if (record := one.known()) is not None), None)
    summary = {
        **_about(inputs, intake, material),
        "systems": [system.record().model_dump(mode="json") for system in systems],
        "steps": found,
        "fine_tuned": tuned,
        "seconds": round(_total_seconds(found, tuned), 1),
        "wall_seconds": round(time.monotonic() - started, 1),
    }
    write_json(out / SUMMARY_FILE, summary)
    return read_json(out / SUMMARY_FILE)


@dataclass(frozen=True)
class Step(Cell[StepRecord]):
    """One question asked of one system.

    Attributes:
        step: name of the question.
        system: name of the system.
        folder: of the system's files.
        settings: everything that decides the numbers.
        ask: gives the answer.
    """

    step: str
    system: str
    folder: Path
    settings: Record
    ask: Callable[[], questions.Answer | None]

    @property
    def name(self) -> str:
        """Question and system."""
        return f"{self.step} of {self.system}"

    @property
    def lock(self) -> Path:
        """One for all questions of a system."""
        return self.folder

    def known(self) -> StepRecord | None:
        """The answer of an earlier call."""
        return known_record(self.folder / f"{self.step}.json", StepRecord, self.settings, "the study")

    def run(self) -> StepRecord:
        """Asks, and writes the answer."""
        started = time.monotonic()
        result = questions.as_json(self.ask())
        record = StepRecord(settings=self.settings, seconds=round(time.monotonic() - started, 2), result=result)
        record.write(self.folder / f"{self.step}.json")
        return record

    def told(self, record: StepRecord) -> str:
        """Its time."""
        return "cannot be asked" if record.result is None else f"{record.seconds:.0f} s"


def _steps(inputs: Inputs, material: Material, systems: Sequence[System], out: Path) -> tuple[list[Step], list[Step]]:
    """Every question of every system, and the fine-tuning where an encoder was given."""
    shared = _shared_settings(inputs, material)
    steps = [
        Step(
            step,
            system.name,
            _folder(out, system.name),
            {**shared, "system": system.digest},
            partial(ask, material, system),
        )
        for system in systems
        for step, ask in STEPS.items()
    ]
    if inputs.encoder is None:
        return steps, []
    config = load_config(FinetuneConfig, material.sizes.config, "finetune", material.sizes.overrides)
    tuning = {
        **shared,
        "encoder": "/".join(inputs.encoder.parts[-2:]),
        "fine_tuning": config.model_dump(mode="json"),
    }
    tune = partial(questions.fine_tuned_step, material, inputs.encoder, out / "fine_tuned")
    return steps, [Step("scores", FINE_TUNED, _folder(out, FINE_TUNED), tuning, tune)]


def _about(inputs: Inputs, intake: Intake, material: Material) -> Record:
    """What the summary says of the study as a whole."""
    later = material.later
    return {
        "study": "sars-cov-2",
        "virus": material.knowledge.file.name,
        "command": command_line(),
        "seed": material.seed,
        "sizes": asdict(material.sizes),
        "inputs": _input_record(inputs, intake),
        "splits": {
            "random": material.split.record(intake.kept).model_dump(mode="json"),
            "by date": later.record(intake.kept).model_dump(mode="json") if later else None,
        },
        "shown": material.shown,
        "knowledge": _knowledge_record(material.knowledge),
    }


def read_inputs(inputs: Inputs) -> tuple[Knowledge, Intake]:
    """What is known of the virus, and its genomes.

    Raises:
        InputError: see `read_knowledge` and `read_genomes`.
    """
    knowledge = read_knowledge(read_reference(inputs.reference), inputs.knowledge)
    return knowledge, read_genomes(inputs.genomes, knowledge, read_labels(inputs.genomes, inputs.labels))


def shown_system(systems: Sequence[System]) -> str:
    """The system of the pictures: the first of several levels with a code for every base, else the first."""
    several = [s.name for s in systems if len(s.tokenizer.level_sizes) > 1 and s.tokenizer.bases_per_position == 1]
    return several[0] if several else systems[0].name


def _systems(
    inputs: Inputs, knowledge: Knowledge, out: Path, trained: Sequence[str], overrides: Sequence[str], seed: int
) -> list[System]:
    learned: list[System] = []
    if inputs.training and trained:
        folder = out / "vocabularies"
        with locked(folder) as ours:
            if not all(is_trained(folder / name) for name in trained):
                if not ours:
                    raise InputError(f"{folder}: another process is training; start this one again when it is done")
                check_held_out(inputs.training, knowledge.reference, knowledge.file.name)
            learned = train_systems(trained, inputs.training, folder, overrides=overrides, seed=seed)
    vocabularies = [system for system in learned if system.name != BPE]
    others = [system for system in learned if system.name == BPE]
    return [*vocabularies, *given_systems(inputs.vocabularies), kmer_system(), *others]


def _folder(out: Path, name: str) -> Path:
    return out / "steps" / name.replace(":", "-")


def _shared_settings(inputs: Inputs, material: Material) -> Record:
    """All that decides the numbers of a step, but the system."""
    names = "\n".join(genome.name for genome in material.genomes)
    sizes = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(material.sizes).items()}
    return {
        "genomes": hashlib.blake2b(names.encode(), digest_size=8).hexdigest(),
        "reference": hashlib.blake2b(material.knowledge.reference.tobytes(), digest_size=8).hexdigest(),
        "knowledge": hashlib.blake2b(inputs.knowledge.read_bytes(), digest_size=8).hexdigest(),
        "sizes": sizes,
        "seed": material.seed,
    }


def _input_record(inputs: Inputs, intake: Intake) -> Record:
    return {
        **intake.record(),
        "files": [path.name for path in inputs.genomes],
        "labels": inputs.labels.name if inputs.labels else "headers",
        "training_files": len(inputs.training),
        "encoder": inputs.encoder.parent.name if inputs.encoder else None,
    }


def _knowledge_record(knowledge: Knowledge) -> Record:
    return {
        "num_bases": len(knowledge.reference),
        "genes": [gene.model_dump() for gene in knowledge.file.genes],
        "variants": [{"name": v.name, "lineage": v.lineage} for v in knowledge.file.variants],
        "num_defining": len(knowledge.defining),
    }


def _total_seconds(found: dict[str, dict[str, Record]], tuned: Record | None) -> float:
    records = [record for by_system in found.values() for record in by_system.values()]
    return float(sum(record["seconds"] for record in [*records, *([tuned] if tuned else [])]))


def _tell(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True, highlight=False)
