"""Stage 2: masked code modelling over a frozen tokenizer.

Flow: genomes -> windows [batch, base] + masked bases -> loss per level -> a run folder whose `model/` is the genome
encoder (what stage 3 takes) and whose `masked_model/` has the prediction heads too. Paper: section 4.1 (stage 2).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from jaxtyping import UInt8
from pydantic import Field
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed

from vqdna.config import StrictModel
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.saved_models import MASKED_MODEL_FOLDER
from vqdna.encoder.stem import StemSettings
from vqdna.errors import InputError
from vqdna.genome.corpus import Corpus
from vqdna.pretrain.contrast import NO_GROUP, ContrastSettings, contrast_views, is_contrasted
from vqdna.pretrain.evaluation import ACCURACIES, Batch, evaluate_masked, evaluate_question, term_names
from vqdna.pretrain.masking import MaskingSettings, draw_masked_bases
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.pretrain.shuffling import NOT_ASKED, ShufflingSettings, shuffled_windows
from vqdna.results import command_line
from vqdna.tokenizers import Tokenizer, load_tokenizer
from vqdna.training.plan import Plan, Reading, announce, plan_training
from vqdna.training.run_folder import RunFolder, is_main_process
from vqdna.training.settings import TrainingSettings
from vqdna.training.sharding import full_weights
from vqdna.training.trainer import train
from vqdna.training.window_batches import (
    CorpusSettings,
    WindowDataset,
    describe_genomes,
    evaluation_windows,
    window_sampler,
)

EVALUATION_BATCH, LOGGED_BATCHES = 16, 4
NO_SHUFFLING, NO_CONTRAST = ShufflingSettings(), ContrastSettings()
SNAPSHOT = "snapshot"

NumberedWindow = tuple[int, UInt8[np.ndarray, "base"]]


class PretrainConfig(StrictModel):
    """A whole stage-2 run.

    Attributes:
        backbone: transformers configuration of the encoder, with its `model_type` ("modernbert" or "bert").
        code_embedding: how codes enter the backbone, see `GenomeEncoderConfig`.
        fixed_embedding: the tables of `code_embedding` keep their random vectors in this stage (stage 3 may learn
            them): learned ones make words alike that stand in like surroundings, and forget which word is which.
        stem: what merges neighboring tokens, see `StemSettings`; None for one position per token.
        num_levels: the encoder reads (and predicts) the first so many levels of the vocabulary; None for all.
        shuffling: which windows ask what is real and what is shuffled, instead of what is masked.
        contrast: which windows ask what views are of one span, instead of what is masked or shuffled.
        snapshot_every: the encoder is kept in `snapshot-N` every so many steps; 0 keeps none.
    """

    backbone: dict[str, Any]
    code_embedding: Literal["vectors", "table", "both"] = "vectors"
    fixed_embedding: bool = False
    stem: StemSettings | None = None
    num_levels: int | None = Field(default=None, ge=1)
    masking: MaskingSettings = MaskingSettings()
    shuffling: ShufflingSettings = ShufflingSettings()
    contrast: ContrastSettings = ContrastSettings()
    target: Literal["levels", "joint", "bases"] = "levels"  # what is predicted, see `vqdna.pretrain.objective.TARGETS`
    data: CorpusSettings = CorpusSettings()
    snapshot_every: int = Field(default=0, ge=0)
    training: TrainingSettings


class MaskedCollator:
    """Batches of numbered windows, each masked, shuffled in part, or cut into augmented views, by its number."""

    def __init__(
        self,
        masking: MaskingSettings,
        tokenizer: Tokenizer,
        seed: int,
        shuffling: ShufflingSettings = NO_SHUFFLING,
        contrast: ContrastSettings = NO_CONTRAST,
    ) -> None:
        self.masking, self.seed, self.shuffling, self.contrast = masking, seed, shuffling, contrast
        self.stride = max(1, round(tokenizer.bases_per_position)) if tokenizer.kind != "bpe" else 1

    def __call__(self, items: Sequence[NumberedWindow]) -> Batch:
        """`base_ids` and `masked_bases`; `shuffled_bases`, `contrast_views` and `contrast_groups` where asked for."""
        # Every batch must feed every head: a head without a row has no gradient, and DDP waits for one on each rank.
        # So another window fills the place, masks and groups saying that it does not count.
        contrasted = is_contrasted(self.contrast, [number for number, _ in items])
        to_match = [item for item, taken in zip(items, contrasted, strict=True) if taken]
        rest = [item for item, taken in zip(items, contrasted, strict=True) if not taken]
        batch = self._masked(rest or items[:1])
        if not rest:
            batch["masked_bases"][:] = False
            if "shuffled_bases" in batch:
                batch["shuffled_bases"][:] = NOT_ASKED
        if self.contrast.fraction:
            numbers, windows = zip(*(to_match or items[:1]), strict=True)
            views, groups = contrast_views(self.contrast, self.seed, numbers, np.stack(windows))
            batch["contrast_views"] = views
            batch["contrast_groups"] = groups if to_match else np.full_like(groups, NO_GROUP)
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def _masked(self, items: Sequence[NumberedWindow]) -> dict[str, np.ndarray]:
        windows = np.stack([window for _, window in items])
        numbers = [number for number, _ in items]
        masks = draw_masked_bases(self.masking, self.seed, numbers, windows.shape[1], self.stride)
        if not self.shuffling.fraction:
            return {"base_ids": windows, "masked_bases": masks}
        windows, kinds = shuffled_windows(self.shuffling, self.seed, numbers, windows)
        masks &= kinds == NOT_ASKED
        return {"base_ids": windows, "masked_bases": masks, "shuffled_bases": kinds}


@dataclass(frozen=True)
class Start:
    """What a run starts from: the untrained model over its frozen tokenizer, and the windows of all its steps."""

    config: PretrainConfig
    model: GenomeEncoderForMaskedModeling
    corpus: Corpus
    dataset: WindowDataset
    collate: MaskedCollator

    def plan(self, within: float | None = None) -> Plan:
        """What the run will take, see `plan_training`."""
        bases = len(self.dataset) * self.config.data.window
        stride = self.model.encoder.tokenizer.bases_per_position
        reading = Reading(bases, int(self.corpus.num_bases), stride, self._bases_of)
        parts = {name: count for name, count in parameter_counts(self.model).items() if name != "total"}
        return plan_training(
            "pretrain", self.model, self.dataset, self.config.training, reading,
            collate=self.collate, parameters=parts, within=within,
        )  # fmt: skip

    def _bases_of(self, batch: Batch) -> float:
        window, views = self.config.data.window, batch.get("contrast_views")
        spans = 0 if views is None else len(views) // (window // self.config.contrast.stretch)
        return float(batch["base_ids"].numel() + spans * window)


def frozen_tokenizer(config: PretrainConfig, tokenizer: str) -> Tokenizer:
    """The tokenizer of this name or folder, with as many levels as the run reads."""
    frozen = load_tokenizer(tokenizer)
    return frozen if config.num_levels is None else frozen.with_levels(config.num_levels)


def start_of_pretraining(config: PretrainConfig, frozen: Tokenizer, genomes: Sequence[Path | str], seed: int) -> Start:
    """Untrained encoder over a frozen tokenizer, and its masked windows; writes nothing."""
    batch_size, parts, contrast = config.training.batch_size, config.training.parts, config.contrast
    if contrast.fraction and batch_size % (parts * contrast.group):
        raise InputError(
            f"contrast.group: {contrast.group} windows stay together, but training.batch_size {batch_size} in {parts} "
            f"part(s) (ranks x gradient_accumulation) is no multiple of that; choose another group or batch size"
        )
    if contrast.fraction and contrast.stretch > config.data.window:
        got, most = contrast.stretch, config.data.window
        raise InputError(f"contrast.stretch: got {got} bases, expected at most data.window ({most})")
    corpus = Corpus.build(genomes, gaps=config.data.gaps, repeated_names=config.data.repeated_names)
    set_seed(seed)
    model = untrained_model(config, frozen)
    sampler = window_sampler(corpus, config.data, seed, "train")
    dataset = WindowDataset(sampler, config.training.steps * batch_size)
    return Start(
        config, model, corpus, dataset, MaskedCollator(config.masking, frozen, seed, config.shuffling, contrast)
    )


def plan_pretrain(config: PretrainConfig, *, tokenizer: str, genomes: Sequence[Path | str], seed: int) -> Plan:
    """What `run_pretrain` with the same arguments will take; writes nothing."""
    return start_of_pretraining(config, frozen_tokenizer(config, tokenizer), genomes, seed).plan()


def run_pretrain(
    config: PretrainConfig, *, tokenizer: str, genomes: Sequence[Path | str], out: Path, seed: int
) -> dict[str, Any]:
    """Pre-trains (or resumes, or finds finished) a genome encoder and returns its results record.

    Args:
        tokenizer: directory of a trained vocabulary, or a hand-made tokenizer's name, see `load_tokenizer`.
        genomes: FASTA or FASTQ files.
        seed: of initialization, windows and masks.

    Raises:
        InputError: unreadable input, a folder of another run, a loss that is no number.
    """
    folder = RunFolder(out)
    frozen = frozen_tokenizer(config, tokenizer)
    parents = {"tokenizer": Path(tokenizer)} if Path(tokenizer).is_dir() else {}
    inputs = {"genomes": [str(path) for path in genomes], "tokenizer": tokenizer}
    folder.check(config, seed=seed, inputs=inputs)
    held = folder.finished()
    if held is not None:
        return held
    started = time.monotonic()
    start = start_of_pretraining(config, frozen, genomes, seed)
    model, corpus = start.model, start.corpus
    batches = _evaluation_batches(corpus, config, frozen, seed)
    asked = [name for name in batches if name in ACCURACIES]
    folder.open(config, seed=seed, parents=parents, inputs=inputs)
    announce(start.plan)
    train(
        model,
        start.dataset,
        config.training,
        folder,
        seed=seed,
        collate=start.collate,
        loss_terms=("loss_level", "masked_accuracy_level", *(name for term in asked for name in term_names(term))),
        evaluate=lambda trained: _logged(cast(GenomeEncoderForMaskedModeling, trained), batches),
        callbacks=[SnapshotCallback(folder, config.snapshot_every)] if config.snapshot_every else [],
        description="pretrain",
    )
    evaluation, leak = evaluate_masked(model, batches["masks"])
    for term in asked:
        evaluation |= evaluate_question(model, batches[term], term)
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
        "target": config.target,
        "evaluation": evaluation,
        "leak": leak,
        "genomes": dict(describe_genomes(genomes, corpus)),
    }
    if is_main_process():
        folder.save_model(model.encoder)
        folder.save_model(model, MASKED_MODEL_FOLDER)
        folder.write_results(results)
    return results


class SnapshotCallback(TrainerCallback):
    """Keeps the encoder as it is after every so many steps, for curves of what pre-training is worth."""

    def __init__(self, folder: RunFolder, every: int) -> None:
        self.folder, self.every = folder, every

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.every:
            return
        encoder = kwargs["model"].encoder
        weights = full_weights(encoder)
        if state.is_world_process_zero:
            self.folder.save_model(encoder, f"{SNAPSHOT}-{state.global_step}", weights)


def untrained_model(config: PretrainConfig, tokenizer: Tokenizer) -> GenomeEncoderForMaskedModeling:
    """Encoder of random initialization over a tokenizer, under new prediction heads."""
    stem = None if config.stem is None else config.stem.model_dump()
    encoder = GenomeEncoder.from_tokenizer(tokenizer, config.backbone, config.code_embedding, stem)
    encoder.embedding.tables.requires_grad_(not config.fixed_embedding)
    unit = config.masking.unit
    return GenomeEncoderForMaskedModeling.from_encoder(
        encoder,
        hide_from_tokenizer=unit == "bases",
        hide_fields=unit == "fields",
        target=config.target,
        shuffling_weight=config.shuffling.weight if config.shuffling.fraction else 0.0,
        contrast_weight=config.contrast.weight if config.contrast.fraction else 0.0,
        contrast_temperature=config.contrast.temperature,
    )


def parameter_counts(model: GenomeEncoderForMaskedModeling) -> dict[str, int]:
    """Parameters by part; the tokenizer's count includes its code vectors, which are no trained parameters here."""
    encoder = model.encoder
    parts = {"embedding": encoder.embedding, "stem": encoder.stem, "backbone": encoder.backbone}
    parts["prediction"] = model.prediction
    counts = {
        "tokenizer": sum(held.numel() for name, held in encoder.tokenizer.state_dict().items() if "ema_" not in name)
    }
    for name, part in parts.items():
        if part is not None:
            counts[name] = sum(parameter.numel() for parameter in part.parameters())
    return {**counts, "total": sum(counts.values())}


def _evaluation_batches(
    corpus: Corpus, config: PretrainConfig, tokenizer: Tokenizer, seed: int
) -> dict[str, list[Batch]]:
    """Held-out windows, all of them masked ("masks"), and once more for each question that the run asks beside that."""
    windows = list(enumerate(evaluation_windows(corpus, config.data, seed).numpy()))
    batches = {}
    for kind in ("masks", *(term for term in ACCURACIES if getattr(config, term).fraction)):
        shuffling = config.shuffling.model_copy(update={"fraction": float(kind == "shuffling")})
        contrast = config.contrast.model_copy(update={"fraction": float(kind == "contrast")})
        collate = MaskedCollator(config.masking, tokenizer, seed, shuffling, contrast)
        starts = range(0, len(windows), EVALUATION_BATCH)
        batches[kind] = [collate(windows[start : start + EVALUATION_BATCH]) for start in starts]
    return batches


def _logged(model: GenomeEncoderForMaskedModeling, batches: Mapping[str, list[Batch]]) -> Mapping[str, float]:
    """Numbers of an evaluation during training, over the first batches of each kind."""
    first = {kind: some[:LOGGED_BATCHES] for kind, some in batches.items()}
    evaluation, _ = evaluate_masked(model, first.pop("masks"))
    numbers = {name: evaluation[name] for name in ("loss", "nats_per_base", "base_nats")}
    for term, asked in first.items():
        numbers |= evaluate_question(model, asked, term)
        numbers["loss"] += getattr(model.config, f"{term}_weight") * numbers[term]  # as the loss of training is
    return {**numbers, **{f"masked_accuracy_level_{n}": value for n, value in enumerate(evaluation["masked_accuracy"])}}
