"""Stage 1: a vocabulary learned from genomes.

Flow: FASTA/FASTQ -> corpus -> windows [batch, base] -> VQVAE losses -> a run folder with the model, its usage and its
code map. Paper: section 3 and 4.1 (AdamW, cosine schedule).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from transformers import PreTrainedModel, set_seed

from vqdna.config import StrictModel
from vqdna.genome import Corpus
from vqdna.results import command_line
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
from vqdna.vocabulary.audit import code_map, evaluate_vocabulary
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

LOSS_TERMS = ("reconstruction", "commitment")


class VocabularySettings(StrictModel):
    """Shape and losses of a vocabulary; see `VQVAEConfig` for what each means."""

    quantizer: Literal["vq", "hrq"]
    level_sizes: tuple[int, ...]
    taps: tuple[int, ...] | None = None
    width: int = Field(default=384, ge=1)
    stem_width: int = Field(default=256, ge=1)
    stem_kernel_size: int = Field(default=5, ge=1)
    num_blocks: int = Field(default=6, ge=1)
    kernel_size: int = Field(default=7, ge=1)
    expansion: int = Field(default=4, ge=1)
    bases_per_position: int = Field(default=1, ge=1)
    commitment_weight: float = Field(default=0.5, ge=0)
    codebook_weight: float = Field(default=1.0, ge=0)
    codebook_learning: Literal["ema", "gradient"] = "ema"
    codebook_decay: float = 0.99
    dead_code_threshold: float = Field(default=0.5, ge=0)
    stop_residual_gradient: bool = True


class VocabularyConfig(StrictModel):
    """A whole stage-1 run."""

    model: VocabularySettings
    data: CorpusSettings = CorpusSettings()
    training: TrainingSettings


def build_vocabulary(settings: VocabularySettings, seed: int) -> VQVAE:
    """Untrained vocabulary; the same settings and seed give the same weights."""
    set_seed(seed)
    return VQVAE(VQVAEConfig(**settings.model_dump(), codebook_seed=seed))


def run_vocabulary(config: VocabularyConfig, *, genomes: Sequence[Path | str], out: Path, seed: int) -> dict[str, Any]:
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
        return held
    started = time.monotonic()
    corpus = Corpus.build(genomes, gaps=config.data.gaps)
    model = build_vocabulary(config.model, seed)
    windows = evaluation_windows(corpus, config.data, seed)
    sampler = window_sampler(corpus, config.data, seed, "train")
    dataset = WindowDataset(sampler, config.training.steps * config.training.batch_size)
    folder.open(config, seed=seed, parents={}, inputs=inputs)
    train(
        model,
        dataset,
        config.training,
        folder,
        seed=seed,
        collate=collate_windows,
        loss_terms=LOSS_TERMS if config.model.codebook_learning == "ema" else (*LOSS_TERMS, "codebook"),
        evaluate=lambda trained: _evaluation_numbers(trained, windows[:64]),
        description=f"vocabulary ({config.model.quantizer})",
    )
    results = _results(config, model, windows, seed, time.monotonic() - started, describe_genomes(genomes, corpus))
    if is_main_process():
        folder.save_model(model)
        folder.write_results(results)
    return results


def _evaluation_numbers(model: PreTrainedModel, windows: Any) -> Mapping[str, float]:
    if not isinstance(model, VQVAE):
        raise TypeError(f"expected a VQVAE, got {type(model).__name__}")
    evaluation, _ = evaluate_vocabulary(model, windows)
    numbers = {name: evaluation[name] for name in ("reconstruction_accuracy", "reconstruction")}
    for level, summary in enumerate(evaluation["levels"]):
        numbers[f"usage_level_{level}"] = summary["usage"]
        numbers[f"perplexity_level_{level}"] = summary["perplexity"]
    return numbers


def _results(
    config: VocabularyConfig, model: VQVAE, windows: Any, seed: int, seconds: float, data: Mapping[str, Any]
) -> dict[str, Any]:
    evaluation, statistics = evaluate_vocabulary(model, windows)
    code_vectors = sum(size * config.model.width for size in config.model.level_sizes)
    weights = sum(parameter.numel() for name, parameter in model.named_parameters() if "code_vectors" not in name)
    return {
        "stage": "vocabulary",
        "system": config.model.quantizer,
        "command": command_line(),
        "seed": seed,
        "seconds": round(seconds, 1),
        "steps": config.training.steps,
        "bases_seen": config.training.steps * config.training.batch_size * config.data.window,
        "parameters": {"weights": weights, "code_vectors": code_vectors, "total": weights + code_vectors},
        "evaluation": evaluation,
        "genomes": dict(data),
        "code_usage": [level.counts.tolist() for level in statistics],
        "code_map": code_map(model, statistics),
    }
