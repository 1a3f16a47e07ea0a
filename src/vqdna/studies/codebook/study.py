"""The codebook study: every row of the ablation table trained, measured, and probed on the same sequences.

Flow: cells -> (vocabulary trained in the cell's own run folder | BPE learned | nothing) -> the probe on each dataset
-> OUT/<row>/seed-<n>/results.json, written when the run is done -> summary.json and summary.md. Paper: section 5.6,
columns Rec. and Lin.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vqdna.baselines.probe import Limits, run_probe
from vqdna.config import completed
from vqdna.errors import InputError
from vqdna.experiments import cells as engine
from vqdna.experiments.records import known_record
from vqdna.results import RESULTS_FILE, command_line, write_json
from vqdna.studies.codebook.cells import BPE, HAND_MADE, Cell, Preset, cells, find_preset, paper_width, row_config
from vqdna.studies.codebook.results import STUDY, CodebookResult, CodebookRow, ProbeScores
from vqdna.studies.codebook.summary import mean_scores, write_summary
from vqdna.tasks.loading import LabelledSequences, read_dataset
from vqdna.tasks.registry import GUE_13, DatasetFiles, _files, dataset
from vqdna.tokenizers import Tokenizer, load_tokenizer
from vqdna.tokenizers.learning import learn_bpe
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

DATASETS = ("covid-windows", *GUE_13)


@dataclass(frozen=True)
class Probing:
    """One dataset as every cell is probed on it."""

    name: str
    metric: str
    limits: Limits
    splits: tuple[LabelledSequences, LabelledSequences, LabelledSequences]


@dataclass(frozen=True)
class Study:
    """What all cells of a folder have in common."""

    genomes: tuple[Path, ...]
    out: Path
    preset: Preset
    rows: Path | None
    datasets: tuple[str, ...]
    max_train: int | None

    def settings(self, cell: Cell) -> dict[str, Any]:
        """Everything that decides a cell's numbers; a folder holds cells of one kind alone."""
        probing = {name: asdict(self.preset.limits_of(name, self.max_train)) for name in self.datasets}
        settings: dict[str, Any] = {"preset": self.preset.name, "datasets": probing}
        if cell.row not in HAND_MADE:
            settings["genomes"] = sorted(path.name for path in self.genomes)
        if cell.row not in (*HAND_MADE, *BPE):
            settings["configuration"] = row_config(cell.row, self.preset, self.rows).model_dump(mode="json")
        return settings


def run_codebook_study(
    genomes: Sequence[Path],
    out: Path,
    *,
    names: Sequence[str] | None = None,
    seeds: int = 3,
    preset: str = "scaled",
    datasets: Sequence[str] = DATASETS,
    max_train: int | None = None,
    data_root: Path | None = None,
    rows: Path | None = None,
    console: Console | None = None,
) -> list[CodebookRow]:
    """Summary rows of the study under `out`, after running every cell that neither is there nor is another process's.

    Args:
        genomes: FASTA or FASTQ files that vocabularies and BPE learn from.
        out: folder of the study.
        names: rows to run; None is all of the table.
        seeds: their number; hand-made tokenizers run once.
        preset: sizes, see `find_preset`.
        datasets: names as `find_dataset` takes them, or folders with train, dev and test tables.
        max_train: training sequences per dataset, in place of the preset's.
        data_root: None is where `find_data_root` finds it.
        rows: folder of the table; None is the project's own.
        console: where progress is shown; None is standard error.

    Raises:
        InputError: an unknown row, preset or dataset, a damaged cell, or cells of other settings; before any cell runs.
    """
    study = Study(tuple(genomes), out, find_preset(preset, rows), rows, tuple(dict.fromkeys(datasets)), max_train)
    chosen = cells(names, range(seeds), rows)
    if not study.datasets:
        raise InputError("the codebook study needs at least one dataset")
    files = {name: _files(name, data_root) for name in study.datasets}
    console = console or Console(stderr=True)

    def tell(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    num_known = sum(known_cell(cell, study) is not None for cell in chosen)
    tell(f"{len(chosen)} cells, {num_known} known")
    is_done = num_known == len(chosen)
    probings = [] if is_done else [_probing(name, study, files[name]) for name in study.datasets]
    failed = engine.run_cells(
        [CodebookRun(cell, study, probings) for cell in chosen],
        tell,
        # A training that diverges is that run's result; the others do not wait for it.
        keeps_going=True,
        after=lambda: write_summary(out, command_line()),
    )
    rows_done = write_summary(out, command_line())
    if failed:
        raise InputError(f"{out}: {len(failed)} cells failed ({', '.join(failed)}), the others are done; see above")
    return rows_done


@dataclass(frozen=True)
class CodebookRun(engine.Cell[CodebookResult]):
    """A cell of the table as the engine runs it."""

    cell: Cell
    study: Study
    probings: Sequence[Probing]

    @property
    def name(self) -> str:
        """Row and seed."""
        return f"{self.cell.row} seed {self.cell.seed}"

    @property
    def lock(self) -> Path:
        """The cell's own folder."""
        return self.cell.folder(self.study.out)

    def known(self) -> CodebookResult | None:
        """Result of an earlier call."""
        return known_cell(self.cell, self.study)

    def run(self) -> CodebookResult:
        """Trains and probes."""
        return run_cell(self.cell, self.study, self.probings)

    def told(self, record: CodebookResult) -> str:
        """Scores and time."""
        scores = ", ".join(f"{metric} {100 * (value or 0):.1f}" for metric, value in (record.lin or {}).items())
        return f"Lin. {scores} ({record.seconds:.0f} s)"


def known_cell(cell: Cell, study: Study) -> CodebookResult | None:
    """Result of the cell as an earlier call wrote it, or None.

    Raises:
        InputError: the file is damaged, or was made with other settings.
    """
    path = cell.folder(study.out) / RESULTS_FILE
    return known_record(path, CodebookResult, study.settings(cell), "the codebook study", _filled_up)


def run_cell(cell: Cell, study: Study, probings: Sequence[Probing]) -> CodebookResult:
    """Result of one cell, also written to its folder."""
    started = time.monotonic()
    tokenizer, about = _tokenizer(cell, study)
    trained = time.monotonic()
    probes = {probing.name: _probe(tokenizer, probing, cell.seed) for probing in probings}
    record = {
        "stage": "study",
        "study": STUDY,
        "cell": cell.row,
        "seed": cell.seed,
        "command": command_line(),
        "seconds": time.monotonic() - started,
        "training_seconds": trained - started,
        "encoding_seconds": sum(probe.encoding_seconds or 0 for probe in probes.values()),
        **about,
        "lin": mean_scores(list(probes.values())),
        "datasets": {name: probe.model_dump(mode="json", exclude_unset=True) for name, probe in probes.items()},
        "settings": study.settings(cell),
    }
    write_json(cell.folder(study.out) / RESULTS_FILE, record)
    return CodebookResult.model_validate(record)


def _tokenizer(cell: Cell, study: Study) -> tuple[Tokenizer, dict[str, Any]]:
    """Tokenizer of a cell, trained if need be, and what is known of it beside its probes."""
    if cell.row in HAND_MADE:
        tokenizer = load_tokenizer(HAND_MADE[cell.row])
        return tokenizer, {"kind": "hand-made", "level_sizes": list(tokenizer.level_sizes)}
    if cell.row in BPE:
        learned = learn_bpe(study.genomes, vocabulary_size=BPE[cell.row], max_bases=4_000_000, seed=cell.seed)
        return learned, {"kind": "bpe", "level_sizes": list(learned.level_sizes)}
    config = row_config(cell.row, study.preset, study.rows)
    folder = cell.folder(study.out) / "vocabulary"
    results = run_vocabulary(config, genomes=study.genomes, out=folder, seed=cell.seed)
    evaluation = results.evaluation.model_dump(mode="json")
    about = {
        "kind": config.model.quantizer,
        "level_sizes": list(config.model.level_sizes),
        "width": config.model.width,
        "paper_width": paper_width(cell.row, study.rows),
        "reconstruction_accuracy": evaluation["reconstruction_accuracy"],
        "reconstruction": evaluation["reconstruction"],
        "bits_per_base": evaluation["bits_per_base"],
        "levels": evaluation["levels"],
        "parameters": results.parameters,
    }
    return load_tokenizer(f"vq:{folder}"), about


def _probe(tokenizer: Tokenizer, probing: Probing, seed: int) -> ProbeScores:
    train, dev, test = probing.splits
    record = run_probe(tokenizer, train, test, dev, seed=seed, limits=probing.limits, metric=probing.metric)
    left_out = ("stage", "system", "seed", "dev_source")
    kept = {key: value for key, value in record.to_json().items() if key not in left_out}
    return ProbeScores.model_validate({"metric": probing.metric, **kept})


def _probing(name: str, study: Study, files: DatasetFiles) -> Probing:
    metric = "mcc" if Path(name).is_dir() else dataset(name).metric
    return Probing(name, metric, study.preset.limits_of(name, study.max_train), read_dataset(files))


def _filled_up(settings: Any) -> Any:
    """Settings with today's defaults for the options that were not there yet when they were written."""
    datasets = {name: {**asdict(Limits()), **limits} for name, limits in settings.get("datasets", {}).items()}
    filled = {**settings, "datasets": datasets}
    if "configuration" in settings:
        filled["configuration"] = completed(VocabularyConfig, settings["configuration"])
    return filled
