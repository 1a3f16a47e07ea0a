"""Stage 2: masked code modelling over a frozen tokenizer.

Flow: genomes -> windows [batch, base] + masked bases -> loss per level -> a run folder whose `model/` is the genome
encoder (what stage 3 takes) and whose `masked_model/` has the prediction heads too. Paper: section 4.1 (stage 2).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from transformers import PreTrainedModel, set_seed

from vqdna.config import StrictModel
from vqdna.genome import Corpus
from vqdna.pretrain.encoder import GenomeEncoder
from vqdna.pretrain.evaluation import Batch, evaluate_masked
from vqdna.pretrain.masking import MaskingSettings, draw_masked_bases
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.results import command_line
from vqdna.tokenizers import Tokenizer, load_tokenizer
from vqdna.training.run_folder import RunFolder, is_main_process
from vqdna.training.settings import TrainingSettings
from vqdna.training.trainer import train
from vqdna.training.window_batches import (
    CorpusSettings,
    WindowDataset,
    describe_genomes,
    evaluation_windows,
    window_sampler,
)

EVALUATION_BATCH = 16


class PretrainConfig(StrictModel):
    """A whole stage-2 run.

    Attributes:
        backbone: transformers configuration of the encoder, with its `model_type` ("modernbert" or "bert").
        code_embedding: how codes enter the backbone, see `GenomeEncoderConfig`.
        masking: what is hidden.
        data: which windows.
        training: how long and how fast.
    """

    backbone: dict[str, Any]
    code_embedding: Literal["vectors", "table", "both"] = "vectors"
    masking: MaskingSettings = MaskingSettings()
    data: CorpusSettings = CorpusSettings()
    training: TrainingSettings


class MaskedCollator:
    """Batches of numbered windows, each with the mask drawn from its number."""

    def __init__(self, masking: MaskingSettings, tokenizer: Tokenizer, seed: int) -> None:
        self.masking, self.seed = masking, seed
        self.stride = max(1, round(tokenizer.bases_per_position)) if tokenizer.kind != "bpe" else 1

    def __call__(self, items: Sequence[tuple[int, UInt8[np.ndarray, "base"]]]) -> Batch:
        """`base_ids` and `masked_bases`."""
        windows = np.stack([window for _, window in items])
        numbers = [number for number, _ in items]
        masks = draw_masked_bases(self.masking, self.seed, numbers, windows.shape[1], self.stride)
        return {"base_ids": torch.from_numpy(windows), "masked_bases": torch.from_numpy(masks)}


def run_pretrain(
    config: PretrainConfig, *, tokenizer: str, genomes: Sequence[Path | str], out: Path, seed: int
) -> dict[str, Any]:
    """Pre-trains (or resumes, or finds finished) a genome encoder and returns its results record.

    Args:
        config: resolved configuration.
        tokenizer: directory of a trained vocabulary, or a hand-made tokenizer's name, see `load_tokenizer`.
        genomes: FASTA or FASTQ files.
        out: run folder.
        seed: of initialization, windows and masks.

    Raises:
        InputError: unreadable input, a folder of another run, a loss that is no number.
    """
    folder = RunFolder(out)
    frozen = load_tokenizer(tokenizer)
    parents = {"tokenizer": Path(tokenizer)} if Path(tokenizer).is_dir() else {}
    inputs = {"genomes": [str(path) for path in genomes], "tokenizer": tokenizer}
    folder.check(config, seed=seed, inputs=inputs)
    held = folder.finished()
    if held is not None:
        return held
    started = time.monotonic()
    corpus = Corpus.build(genomes, gaps=config.data.gaps, repeated_names=config.data.repeated_names)
    set_seed(seed)
    encoder = GenomeEncoder.from_tokenizer(frozen, config.backbone, config.code_embedding)
    model = GenomeEncoderForMaskedModeling.from_encoder(encoder, hide_from_tokenizer=config.masking.unit == "bases")
    collate = MaskedCollator(config.masking, frozen, seed)
    batches = _evaluation_batches(corpus, config, collate, seed)
    sampler = window_sampler(corpus, config.data, seed, "train")
    folder.open(config, seed=seed, parents=parents, inputs=inputs)
    train(
        model,
        WindowDataset(sampler, config.training.steps * config.training.batch_size),
        config.training,
        folder,
        seed=seed,
        collate=collate,
        loss_terms=("loss_level", "masked_accuracy_level"),
        evaluate=lambda trained: _evaluation_numbers(trained, batches[:4]),
        description="pretrain",
    )
    evaluation, leak = evaluate_masked(model, batches)
    results = {
        "stage": "pretrain",
        "system": tokenizer,
        "command": command_line(),
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        "steps": config.training.steps,
        "bases_seen": config.training.steps * config.training.batch_size * config.data.window,
        "parameters": parameter_counts(model),
        "masking": config.masking.model_dump(),
        "evaluation": evaluation,
        "leak": leak,
        "genomes": dict(describe_genomes(genomes, corpus)),
    }
    if is_main_process():
        folder.save_model(model.encoder)
        folder.save_model(model, "masked_model")
        folder.write_results(results)
    return results


def parameter_counts(model: GenomeEncoderForMaskedModeling) -> dict[str, int]:
    """Parameters by part; the tokenizer's count includes its code vectors, which are no trained parameters here."""
    encoder = model.encoder
    tokenizer = sum(tensor.numel() for name, tensor in encoder.tokenizer.state_dict().items() if "ema_" not in name)
    parts = {
        "tokenizer": tokenizer,
        "embedding": sum(parameter.numel() for parameter in encoder.embedding.parameters()),
        "backbone": sum(parameter.numel() for parameter in encoder.backbone.parameters()),
        "prediction": sum(parameter.numel() for parameter in model.prediction.parameters()),
    }
    return {**parts, "total": sum(parts.values())}


def _evaluation_batches(corpus: Corpus, config: PretrainConfig, collate: MaskedCollator, seed: int) -> list[Batch]:
    windows = evaluation_windows(corpus, config.data, seed).numpy()
    numbered = list(enumerate(windows))
    return [collate(numbered[start : start + EVALUATION_BATCH]) for start in range(0, len(numbered), EVALUATION_BATCH)]


def _evaluation_numbers(model: PreTrainedModel, batches: list[Batch]) -> Mapping[str, float]:
    if not isinstance(model, GenomeEncoderForMaskedModeling):
        raise TypeError(f"expected a GenomeEncoderForMaskedModeling, got {type(model).__name__}")
    evaluation, _ = evaluate_masked(model, batches)
    numbers = {name: evaluation[name] for name in ("loss", "nats_per_base", "base_nats")}
    return {**numbers, **{f"masked_accuracy_level_{n}": value for n, value in enumerate(evaluation["masked_accuracy"])}}
