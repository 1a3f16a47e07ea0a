"""The codebook study: every row of the ablation table trained, measured, and probed on the same sequences.

Flow: cells -> (vocabulary trained in the cell's own run folder | BPE learned | nothing) -> the probe on each dataset
-> OUT/<row>/seed-<n>/results.json, written when the cell is done -> summary.json and summary.md. Cells that are there
are kept; processes share a folder by claiming cells. Paper: section 5.6, columns Rec. and Lin.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vqdna.baselines.probe import Limits, run_probe
from vqdna.config import completed
from vqdna.errors import InputError
from vqdna.experiments.locks import claimed
from vqdna.experiments.records import held_cell
from vqdna.results import RESULTS_FILE, command_line, write_json
from vqdna.studies.codebook.cells import BPE, HAND_MADE, Cell, Preset, cells, find_preset, paper_width, row_config
from vqdna.studies.codebook.summary import write_summary
from vqdna.tasks.loading import LabelledSequences, read_dataset
from vqdna.tasks.registry import GUE_13, DatasetFiles, _files, dataset
from vqdna.tokenizers import Tokenizer, load_tokenizer
from vqdna.tokenizers.learning import learn_bpe
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

Record = dict[str, Any]


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

    def settings(self, cell: Cell) -> Record:
        """Everything that decides a cell's numbers; a folder holds cells of one kind alone."""
        probing = {name: asdict(self.preset.limits_of(name, self.max_train)) for name in self.datasets}
        settings: Record = {"preset": self.preset.name, "datasets": probing}
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
) -> list[Record]:
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
    waiting = [cell for cell in chosen if known_cell(cell, study) is None]
    console = console or Console(stderr=True)
    console.print(f"{len(chosen)} cells, {len(chosen) - len(waiting)} known", markup=False, soft_wrap=True)
    probings = [_probing(name, study, files[name]) for name in study.datasets] if waiting else []
    failures = []
    for number, cell in enumerate(waiting, 1):
        try:
            outcome = _run_unclaimed(cell, study, probings)
        except InputError as error:  # a training that diverges is that cell's result; the others do not wait for it
            outcome = f"failed, {error}"
            failures.append(f"{cell.row} seed {cell.seed}")
        console.print(f"[{number}/{len(waiting)}] {cell.row} seed {cell.seed}: {outcome}", markup=False, soft_wrap=True)
    rows_done = write_summary(out, command_line())
    if failures:
        raise InputError(f"{out}: {len(failures)} cells failed ({', '.join(failures)}), the others are done; see above")
    return rows_done


def known_cell(cell: Cell, study: Study) -> Record | None:
    """Record of the cell as an earlier call wrote it, or None.

    Raises:
        InputError: the file is damaged, or was made with other settings.
    """
    path, settings = cell.folder(study.out) / RESULTS_FILE, study.settings(cell)
    return held_cell(path, settings, "codebook", lambda record: "lin" in record, _filled_up)


def run_cell(cell: Cell, study: Study, probings: Sequence[Probing]) -> Record:
    """Record of one cell, also written to its folder."""
    started = time.monotonic()
    tokenizer, about = _tokenizer(cell, study)
    trained = time.monotonic()
    probes = {probing.name: _probe(tokenizer, probing, cell.seed) for probing in probings}
    record = {
        "stage": "study",
        "study": "codebook",
        "cell": cell.row,
        "seed": cell.seed,
        "command": command_line(),
        "seconds": time.monotonic() - started,
        "training_seconds": trained - started,
        "encoding_seconds": sum(probe["encoding_seconds"] for probe in probes.values()),
        **about,
        "lin": lin_scores(probes),
        "datasets": probes,
        "settings": study.settings(cell),
    }
    write_json(cell.folder(study.out) / RESULTS_FILE, record)
    return record


def lin_scores(probes: Mapping[str, Record]) -> dict[str, float]:
    """Mean test score over the datasets of each metric: macro-F1 of the variant windows, MCC of the GUE sets."""
    by_metric: dict[str, list[float]] = {}
    for probe in probes.values():
        by_metric.setdefault(probe["metric"], []).append(probe["test"][probe["metric"]])
    return {metric: sum(scores) / len(scores) for metric, scores in by_metric.items()}


def _run_unclaimed(cell: Cell, study: Study, probings: Sequence[Probing]) -> str:
    """What to tell of the cell, which is run unless another process has it or has finished it meanwhile."""
    with claimed(cell.folder(study.out)) as ours:
        if not ours:
            return "another process is at it"
        record, how = known_cell(cell, study), "known"
        if record is None:
            record = run_cell(cell, study, probings)
            how = f"{record['seconds']:.0f} s"
        write_summary(study.out, command_line())
    scores = ", ".join(f"{metric} {100 * value:.1f}" for metric, value in record["lin"].items())
    return f"Lin. {scores} ({how})"


def _tokenizer(cell: Cell, study: Study) -> tuple[Tokenizer, Record]:
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


def _probe(tokenizer: Tokenizer, probing: Probing, seed: int) -> Record:
    train, dev, test = probing.splits
    record = run_probe(tokenizer, train, test, dev, seed=seed, limits=probing.limits, metric=probing.metric)
    left_out = ("stage", "system", "seed", "dev_source")
    return {"metric": probing.metric, **{key: value for key, value in record.to_json().items() if key not in left_out}}


def _probing(name: str, study: Study, files: DatasetFiles) -> Probing:
    metric = "mcc" if Path(name).is_dir() else dataset(name).metric
    return Probing(name, metric, study.preset.limits_of(name, study.max_train), read_dataset(files))


def _filled_up(settings: Record) -> Record:
    """Settings with today's defaults for the options that were not there yet when they were written."""
    datasets = {name: {**asdict(Limits()), **limits} for name, limits in settings.get("datasets", {}).items()}
    filled = {**settings, "datasets": datasets}
    if "configuration" in settings:
        filled["configuration"] = completed(VocabularyConfig, settings["configuration"])
    return filled
