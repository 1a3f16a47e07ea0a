"""The codebook study: every row of the ablation table trained, measured, and probed on the same sequences.

Flow: cells -> (vocabulary trained in the cell's own run folder | BPE learned | nothing) -> the probe on each dataset
-> OUT/<row>/seed-<n>/results.json, written when the run is done -> summary.json and summary.md. Paper: section 5.6,
columns Rec. and Lin.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from rich.console import Console

from vqdna.baselines.probe import Limits, run_probe
from vqdna.config import Values, completed
from vqdna.errors import InputError
from vqdna.experiments.cells import Cell, progress_on, run_cells
from vqdna.experiments.records import known_record
from vqdna.results import RESULTS_FILE, command_line, write_json
from vqdna.studies.codebook.cells import BPE, HAND_MADE, Preset, chosen_cells, find_preset, paper_width, row_config
from vqdna.studies.codebook.results import STUDY, CodebookResult, CodebookRow, ProbeScores
from vqdna.studies.codebook.summary import mean_scores, write_summary
from vqdna.tasks.loading import LabelledSequences, read_dataset
from vqdna.tasks.registry import GUE_13, DatasetFiles, dataset, files_of
from vqdna.tokenizers import Tokenizer, load_tokenizer
from vqdna.tokenizers.learning import learn_bpe
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

DATASETS = ("covid-windows", *GUE_13)


@dataclass(frozen=True)
class Study:
    """What all cells of a folder have in common; `max_train` takes the place of the preset's where it is given."""

    genomes: tuple[Path, ...]
    out: Path
    preset: Preset
    files: dict[str, DatasetFiles]
    max_train: int | None

    @cached_property
    def splits(self) -> dict[str, tuple[LabelledSequences, LabelledSequences, LabelledSequences]]:
        return {name: read_dataset(files) for name, files in self.files.items()}

    def limits(self, dataset_name: str) -> Limits:
        limits = self.preset.dataset_limits.get(dataset_name, self.preset.limits)
        return limits if self.max_train is None else replace(limits, train=self.max_train)


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
        names: rows to run; None is all of the table.
        seeds: their number; hand-made tokenizers run once.
        datasets: names as `files_of` takes them.
        max_train: training sequences per dataset, in place of the preset's.
        rows: folder of the table; None is the project's own.

    Raises:
        InputError: an unknown row, preset or dataset, a damaged cell, or cells of other settings; before any cell runs.
    """
    sizes = find_preset(preset, rows)
    chosen = chosen_cells(names, seeds, sizes.folder)
    if not datasets:
        raise InputError("the codebook study needs at least one dataset")
    study = Study(tuple(genomes), out, sizes, {name: files_of(name, data_root) for name in datasets}, max_train)
    cells = [CodebookRun(study, row, seed) for row, seed in chosen]
    tell = progress_on(console)
    num_known = sum(cell.known() is not None for cell in cells)
    tell(f"{len(cells)} cells, {num_known} known")
    if num_known < len(cells):
        _ = study.splits  # a dataset that cannot be read is told before anything is trained
    # A training that diverges is that run's result; the others do not wait for it.
    failed = run_cells(cells, tell, keeps_going=True, after=lambda: write_summary(out, command_line()))
    done = write_summary(out, command_line())
    if failed:
        raise InputError(f"{out}: {len(failed)} cells failed ({', '.join(failed)}), the others are done; see above")
    return done


@dataclass(frozen=True)
class CodebookRun(Cell[CodebookResult]):
    """One row of the table with one seed."""

    study: Study
    row: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.row} seed {self.seed}"

    @property
    def lock(self) -> Path:
        return self.study.out / self.row / f"seed-{self.seed}"

    @property
    def settings(self) -> Values:
        """Everything that decides the numbers; a folder holds cells of one kind alone."""
        limits = {name: asdict(self.study.limits(name)) for name in self.study.files}
        settings: Values = {"preset": self.study.preset.name, "datasets": limits}
        if self.row not in HAND_MADE:
            settings["genomes"] = sorted(path.name for path in self.study.genomes)
        if self.row not in (*HAND_MADE, *BPE):
            settings["configuration"] = row_config(self.row, self.study.preset).model_dump(mode="json")
        return settings

    def known(self) -> CodebookResult | None:
        path = self.lock / RESULTS_FILE
        return known_record(path, CodebookResult, self.settings, "the codebook study", _completed)

    def told(self, record: CodebookResult) -> str:
        scores = ", ".join(f"{metric} {100 * (value or 0):.1f}" for metric, value in (record.lin or {}).items())
        return f"Lin. {scores} ({record.seconds:.0f} s)"

    def run(self) -> CodebookResult:
        started = time.monotonic()
        tokenizer, about = self._tokenizer()
        trained = time.monotonic()
        probes = {name: self._probe(tokenizer, name) for name in self.study.files}
        result = CodebookResult(
            stage="study",
            study=STUDY,
            cell=self.row,
            seed=self.seed,
            command=command_line(),
            seconds=time.monotonic() - started,
            training_seconds=trained - started,
            encoding_seconds=sum(probe.encoding_seconds or 0 for probe in probes.values()),
            lin=mean_scores(list(probes.values())),
            datasets=probes,
            settings=self.settings,
            **about,
        )
        write_json(self.lock / RESULTS_FILE, result.to_json())
        return result

    def _tokenizer(self) -> tuple[Tokenizer, Values]:
        """The row's tokenizer, trained if need be, and what results say of it beside its probes."""
        genomes, preset = self.study.genomes, self.study.preset
        if self.row in HAND_MADE:
            tokenizer = load_tokenizer(HAND_MADE[self.row])
            return tokenizer, {"kind": "hand-made", "level_sizes": list(tokenizer.level_sizes)}
        if self.row in BPE:
            learned = learn_bpe(genomes, vocabulary_size=BPE[self.row], max_bases=4_000_000, seed=self.seed)
            return learned, {"kind": "bpe", "level_sizes": list(learned.level_sizes)}
        config, folder = row_config(self.row, preset), self.lock / "vocabulary"
        results = run_vocabulary(config, genomes=genomes, out=folder, seed=self.seed)
        measured = ("reconstruction_accuracy", "reconstruction", "bits_per_base", "levels")
        return load_tokenizer(f"vq:{folder}"), {
            "kind": config.model.quantizer,
            "level_sizes": list(config.model.level_sizes),
            "width": config.model.width,
            "paper_width": paper_width(self.row, preset),
            "parameters": results.parameters,
            **results.evaluation.model_dump(mode="json", include=set(measured)),
        }

    def _probe(self, tokenizer: Tokenizer, name: str) -> ProbeScores:
        train, dev, test = self.study.splits[name]
        metric = "mcc" if Path(name).is_dir() else dataset(name).metric
        limits = self.study.limits(name)
        record = run_probe(tokenizer, train, test, dev, seed=self.seed, limits=limits, metric=metric)
        left_out = ("stage", "system", "seed", "dev_source")
        kept = {key: value for key, value in record.to_json().items() if key not in left_out}
        return ProbeScores.model_validate({"metric": metric, **kept})


def _completed(settings: Values) -> Values:
    """Settings with today's defaults for the options that were not there yet when they were written."""
    datasets = {name: {**asdict(Limits()), **limits} for name, limits in settings.get("datasets", {}).items()}
    filled = {**settings, "datasets": datasets}
    if "configuration" in settings:
        filled["configuration"] = completed(VocabularyConfig, settings["configuration"])
    return filled
