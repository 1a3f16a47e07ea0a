"""Stage 1: a vocabulary learned from genomes.

Flow: FASTA/FASTQ -> corpus -> windows [batch, base] -> VQVAE losses -> a run folder with the model, its usage and its
code map. Paper: section 3 and 4.1 (AdamW, cosine schedule).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import set_seed

from vqdna.config import StrictModel
from vqdna.genome.corpus import Corpus
from vqdna.results import command_line
from vqdna.stage_results import VocabularyResults
from vqdna.training.plan import Plan, Reading, announce, plan_training
from vqdna.training.run_folder import RunFolder, is_main_process
from vqdna.training.settings import TrainingSettings
from vqdna.training.trainer import train
from vqdna.training.window_batches import (
    CorpusSettings,
    WindowDataset,
    collate_windows,
    describe_genomes,
    evaluation_windows,
    window_sampler,
)
from vqdna.vocabulary.autoencoder import VQVAE
from vqdna.vocabulary.compiled import CompiledVocabulary
from vqdna.vocabulary.configuration import VocabularySettings, VQVAEConfig
from vqdna.vocabulary.evaluation import code_map, evaluate_vocabulary
from vqdna.vocabulary.exact_codes import fits_tables
from vqdna.vocabulary.objectives import draw_hidden_bases

MOST_DISTANCES = 2**31
"""Words times codes of levels that are compiled as soon as they are trained; larger ones when they are first used."""


class VocabularyConfig(StrictModel):
    """A whole stage-1 run."""

    model: VocabularySettings
    data: CorpusSettings = CorpusSettings()
    training: TrainingSettings


def loss_terms(settings: VocabularySettings) -> tuple[str, ...]:
    """Names of the loss terms that the settings ask for."""
    asked = {
        "codebook": settings.codebook_learning == "gradient",
        "strand": settings.strand_weight > 0,
        "neighbor": settings.neighbor_weight > 0,
    }
    return ("reconstruction", "commitment", *(name for name, is_asked in asked.items() if is_asked))


def collate_vocabulary(items: Sequence[tuple[int, Any]], settings: VocabularySettings, seed: int) -> dict[str, Any]:
    """Batch with `base_ids` and, where some are to be hidden from the latent encoder, `hidden_bases`."""
    batch = collate_windows(items)
    if settings.masked_base_fraction > 0:
        drawn = draw_hidden_bases(
            seed,
            [number for number, _ in items],
            batch["base_ids"].shape[1],
            settings.masked_base_fraction,
            settings.masked_base_span,
        )
        batch["hidden_bases"] = torch.from_numpy(drawn)
    return batch


def build_vocabulary(settings: VocabularySettings, seed: int) -> VQVAE:
    """Untrained vocabulary; the same settings and seed give the same weights."""
    set_seed(seed)
    return VQVAE(VQVAEConfig(**settings.model_dump(), codebook_seed=seed))


@dataclass(frozen=True)
class Start:
    """What a run starts from: the untrained model and the windows of all its steps."""

    config: VocabularyConfig
    model: VQVAE
    corpus: Corpus
    dataset: WindowDataset
    collate: Callable[[Sequence[tuple[int, Any]]], dict[str, Any]]

    @property
    def title(self) -> str:
        """What is to run."""
        return f"vocabulary ({self.config.model.quantizer})"

    def plan(self, within: float | None = None) -> Plan:
        """What the run will take, see `plan_training`."""
        config = self.config
        bases = len(self.dataset) * config.data.window
        stride = config.model.bases_per_position
        reading = Reading(bases, int(self.corpus.num_bases), stride, lambda batch: batch["base_ids"].numel())
        parts = parameter_counts(self.model)
        return plan_training(
            self.title, self.model, self.dataset, config.training, reading,
            collate=self.collate, parameters=parts, within=within,
        )  # fmt: skip


def start_of_vocabulary(config: VocabularyConfig, genomes: Sequence[Path | str], seed: int) -> Start:
    """Untrained vocabulary and its windows; writes nothing.

    Raises:
        InputError: a shape that contradicts itself, unreadable genomes.
    """
    model = build_vocabulary(config.model, seed)  # first: a shape that contradicts itself is refused before all reading
    corpus = Corpus.build(genomes, gaps=config.data.gaps, repeated_names=config.data.repeated_names)
    sampler = window_sampler(corpus, config.data, seed, "train")
    dataset = WindowDataset(sampler, config.training.steps * config.training.batch_size)
    collate = partial(collate_vocabulary, settings=config.model, seed=seed)
    return Start(config, model, corpus, dataset, collate)


def plan_vocabulary(config: VocabularyConfig, *, genomes: Sequence[Path | str], seed: int) -> Plan:
    """What `run_vocabulary` with the same arguments will take; writes nothing.

    Raises:
        InputError: a shape that contradicts itself, unreadable genomes.
    """
    return start_of_vocabulary(config, genomes, seed).plan()


def run_vocabulary(
    config: VocabularyConfig, *, genomes: Sequence[Path | str], out: Path, seed: int
) -> VocabularyResults:
    """Trains (or resumes, or finds finished) a vocabulary and returns its results record.

    Args:
        config: resolved configuration.
        genomes: FASTA or FASTQ files, one species each.
        out: run folder.
        seed: of initialization, windows and codebooks.

    Raises:
        InputError: unreadable genomes, a folder of another run, a loss that is no number.
    """
    folder = RunFolder(out)
    inputs = {"genomes": [str(path) for path in genomes]}
    folder.check(config, seed=seed, inputs=inputs)
    held = folder.finished()
    if held is not None:
        return VocabularyResults.model_validate(held)
    started = time.monotonic()
    start = start_of_vocabulary(config, genomes, seed)
    model, corpus = start.model, start.corpus
    windows = evaluation_windows(corpus, config.data, seed)
    folder.open(config, seed=seed, parents={}, inputs=inputs)
    announce(start.plan)
    train(
        model,
        start.dataset,
        config.training,
        folder,
        seed=seed,
        collate=start.collate,
        loss_terms=loss_terms(config.model),
        evaluate=lambda trained: evaluate_vocabulary(cast(VQVAE, trained), windows[:64])[0].numbers(),
        description=start.title,
    )
    results = _results(config, model, windows, seed, time.monotonic() - started, describe_genomes(genomes, corpus))
    if is_main_process():
        folder.save_model(model)
        if fits_tables(model.config):
            compiled = CompiledVocabulary(model.config, model.latent_encoder, model.quantizer)
            compiled.write_known(folder.path / "model" / "tables", most_distances=MOST_DISTANCES)
        folder.write_results(results.model_dump(mode="json", exclude_unset=True))
    return results


def parameter_counts(model: VQVAE) -> dict[str, int]:
    """Parameters by part; those of the quantizer include its code vectors, however they learn."""
    parts: dict[str, nn.Module] = dict(model.named_children())
    counts = {name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()}
    learned = sum(w.numel() for name, w in model.quantizer.named_parameters() if "code_vectors" in name)
    counts["quantizer"] += model.quantizer.num_code_values - learned
    return counts


def _results(
    config: VocabularyConfig, model: VQVAE, windows: Tensor, seed: int, seconds: float, genomes: Any
) -> VocabularyResults:
    evaluation, statistics = evaluate_vocabulary(model, windows)
    code_vectors = model.quantizer.num_code_values
    weights = sum(parameter.numel() for name, parameter in model.named_parameters() if "code_vectors" not in name)
    return VocabularyResults(
        stage="vocabulary",
        system=config.model.quantizer,
        command=command_line(),
        seed=seed,
        seconds=round(seconds, 1),
        steps=config.training.steps,
        bases_seen=config.training.steps * config.training.batch_size * config.data.window,
        parameters={"weights": weights, "code_vectors": code_vectors, "total": weights + code_vectors},
        evaluation=evaluation,
        genomes=genomes,
        code_usage=[level.counts.tolist() for level in statistics],
        code_map=code_map(model, statistics),
    )
