"""Stage 3: a pre-trained genome encoder learns a labelled task.

Flow: labelled sequences -> codes, computed once -> epochs of training, each scored on dev -> the best epoch's weights
-> a run folder whose `model/` is complete (an adapter merged into it) and whose `adapter/` holds what learned alone.
The scores of results.json are those of the saved `model/` applied to DNA. Paper: section "stage 3".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from transformers import PreTrainedModel, set_seed

from vqdna.devices import own_device
from vqdna.encoder.encoded_sequences import encode_sequences
from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig, load_encoder
from vqdna.encoder.saved_models import model_folder
from vqdna.errors import InputError
from vqdna.finetune.adapters import (
    BestEpoch,
    has_adapter,
    merge_adapter,
    num_parameters,
    prepare_trainable,
    save_adapter,
)
from vqdna.finetune.batches import EpochDataset, collate
from vqdna.finetune.evaluation import coding_batches, predict_codes, predict_sequences, score
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, load_classifier
from vqdna.finetune.results import FinetuneResults
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.splits import data_inputs
from vqdna.finetune.starting_weights import mix_with_random, probe_head, random_network
from vqdna.results import command_line
from vqdna.tasks.loading import LabelledSequences, Splits, check_trainable
from vqdna.tokenizers.loading import tokenizer_name
from vqdna.training.plan import Plan, Reading, announce, plan_training
from vqdna.training.run_folder import RunFolder, is_main_process
from vqdna.training.settings import TrainingSettings
from vqdna.training.trainer import train as train_model

__all__ = ["Plan", "class_weights", "plan_finetune", "run_finetune"]

ADAPTER_FOLDER = "adapter"
BEST_FILE = "best.safetensors"
STANDARDIZED_ON = 512  # training sequences whose pooled features the head is standardized by

SPLIT_NAMES = {"train": "train", "dev": "dev", "test": "test"}


def run_finetune(
    config: FinetuneConfig,  # resolved configuration
    splits: Splits,  # `train` is learned, `dev` picks the epoch, `test`, where there is one, is scored once, at the end
    *,
    encoder: Path | GenomeEncoder,  # run folder of a pre-training, its `model/`, or the encoder itself, which is copied
    out: Path,  # run folder
    seed: int,  # of the head, the order of the sequences and dropout
    dataset: str | None = None,  # name under which reports list the scores
    # what messages call the splits, such as the files that they were read from
    places: Mapping[str, str] = SPLIT_NAMES,
    # what run.yaml records, by which a later call tells this run from another one; None records the number of sequences
    # in each split and a hash of them
    inputs: Mapping[str, str] | None = None,
    announces: bool = True,  # shows first what the run will take; studies of many runs do not
) -> FinetuneResults:
    """Fine-tunes (or resumes, or finds finished) an encoder on labelled sequences and returns the results record.

    Returns:
        The record that results.json holds; under torchrun the first rank alone has scores.

    Raises:
        InputError: no encoder, a folder of another run, a sequence too long for it, a loss that is no number.
    """
    started = time.monotonic()
    check_trainable(splits.train, places["train"])
    weights = class_weights(splits.train, config.class_weights)
    source = _source(encoder)
    folder = RunFolder(out)
    # A network in the encoder's place takes its tokenizer alone, so nothing else of it tells one run from another.
    counts = source.tokenizer if isinstance(source, GenomeEncoder) and config.network is not None else encoder
    folder.open(
        config,
        seed=seed,
        parents={"encoder": source} if isinstance(source, Path) else {},
        inputs=data_inputs(counts, splits, dataset) if inputs is None else inputs,
    )
    held = folder.finished()
    if held is not None:
        return FinetuneResults.model_validate({**held, "folder": out})
    set_seed(seed)
    model = _untrained_model(config, source, splits.train, weights, seed)
    sizes = num_parameters(model)
    best = _fit(_Start(config, splits, places, model, seed), folder, announces=announces)
    scores: dict[str, Any] = {"dev": {}, "test": None}
    if is_main_process():
        _save_best(model, best, folder)
        # The scores are those of the model as it was saved, applied to DNA: what a user of the folder will get.
        saved = load_classifier(folder.model_folder)
        saved.to(model.device)  # type: ignore[arg-type]
        for name, split in (("dev", splits.dev), ("test", splits.test)):
            if split is not None:
                names = record_names(split, places[name])
                scores[name] = score(split, predict_sequences(saved, split.base_ids, names, keep=True))
    results = FinetuneResults(
        system=tokenizer_name(model.encoder.tokenizer),
        dataset=dataset,
        command=command_line(),
        seed=seed,
        seconds=round(time.monotonic() - started, 1),
        method=config.method,
        task=splits.train.task,
        num_classes=splits.train.num_classes,
        best_epoch=best.epoch,
        epochs=config.training.epochs,
        parameters=sizes,
        sequences={"train": len(splits.train), "dev": len(splits.dev), "test": len(splits.test or ())},
        **scores,
        folder=out,
    )
    if is_main_process():
        folder.write_results(results.to_json())
    return results


def plan_finetune(
    config: FinetuneConfig,
    splits: Splits,
    *,
    encoder: Path | GenomeEncoder,
    seed: int,
    places: Mapping[str, str] = SPLIT_NAMES,
) -> Plan:
    """What `run_finetune` with the same arguments will take; leaves no run folder, and raises what it raises."""
    set_seed(seed)
    weights = class_weights(splits.train, config.class_weights)
    model = _untrained_model(config, _source(encoder), splits.train, weights, seed)
    start = _Start(config, splits, places, model, seed)
    return start.plan(start.items())


def class_weights(train: LabelledSequences, kind: Literal["none", "balanced"]) -> list[float] | None:
    """Weight of each class in the loss: n / (classes x count), in multilabel negatives / positives; None for "none"."""
    if kind == "none":
        return None
    if train.task == "regression":
        raise InputError("class_weights: 'balanced' needs classes, and this task is regression; set it to 'none'")
    if train.task == "multilabel":
        positive = train.labels.sum(axis=0).clip(min=1)
        return [float(weight) for weight in (len(train) - positive).clip(min=1) / positive]
    counts = np.bincount(train.labels, minlength=train.num_classes).clip(min=1)
    return [float(weight) for weight in len(train) / (train.num_classes * counts)]


def record_names(records: LabelledSequences, place: str) -> Callable[[int], str]:
    """What messages call record i of a split that they call `place`."""
    names = records.names
    return lambda row: f"{place}: record " + (f"'{names[row]}'" if names else f"{row + 1}")


def _source(encoder: Path | GenomeEncoder) -> Path | GenomeEncoder:
    return encoder if isinstance(encoder, GenomeEncoder) else model_folder(encoder, GenomeEncoderConfig.model_type)


def _untrained_model(
    config: FinetuneConfig,
    source: Path | GenomeEncoder,
    train: LabelledSequences,
    weights: list[float] | None,
    seed: int,
) -> GenomeEncoderForSequenceClassification:
    """Pre-trained encoder, or a network in its place, under a new head, with the trainable weights of the method."""
    encoder = source if isinstance(source, GenomeEncoder) else load_encoder(source)
    if config.network is not None:
        encoder = random_network(encoder, config.network)
    scale = {"label_mean": float(train.labels.mean()), "label_deviation": float(train.labels.std())}
    model: GenomeEncoderForSequenceClassification = GenomeEncoderForSequenceClassification.from_encoder(
        encoder,
        task=train.task,
        class_names=train.class_names,
        **(scale if train.task == "regression" else {}),
        class_weights=weights,
        pooling=config.head.pooling,
        head_hidden_size=config.head.hidden_size,
        head_dropout=config.head.dropout,
        standardize=config.head.standardize,
        reverse_complement_average=config.reverse_complement.average,
        shares_strands=config.reverse_complement.share,
    )
    mix_with_random(model.encoder, config.fresh_share, seed)
    prepare_trainable(model, config)
    return model


@dataclass(frozen=True)
class _Start:
    """What a run starts from: the model as it is before training, and its data."""

    config: FinetuneConfig
    splits: Splits
    places: Mapping[str, str]
    model: GenomeEncoderForSequenceClassification
    seed: int

    def items(self) -> EpochDataset:
        """Codes and labels of the training sequences, in the order of each epoch."""
        strands, train = self.config.reverse_complement, self.splits.train
        names, both = record_names(train, self.places["train"]), strands.augment or strands.share
        codes = encode_sequences(self.model.encoder, train.base_ids, names, both_strands=both, keep=True)
        return EpochDataset(
            codes, train.labels, batch_size=self.config.training.batch_size, seed=self.seed,
            augment=strands.augment, pairs=strands.share,
        )  # fmt: skip

    def in_steps(self, items: EpochDataset) -> TrainingSettings:
        longest = -(-int(items.lengths.max()) // self.model.encoder.merge)
        return self.config.training.in_steps(len(items), longest * (2 if items.pairs else 1))

    def plan(self, items: EpochDataset, within: float | None = None) -> Plan:
        """What the run will take, see `plan_training`."""
        bases, stride = sum(map(len, self.splits.train.base_ids)), self.model.encoder.tokenizer.bases_per_position
        share = 0.5 if items.pairs else 1.0  # of a batch's bases, for those of a pair count once
        reading = Reading(
            self.config.training.epochs * bases,
            bases,
            stride,
            lambda batch: float(batch["position_mask"].sum()) * stride * share,
        )
        return plan_training(
            f"finetune ({self.config.method})", self.model, items, self.in_steps(items), reading,
            collate=collate, parameters=parameters_by_part(self.model), within=within,
        )  # fmt: skip


def _fit(start: _Start, folder: RunFolder, *, announces: bool) -> BestEpoch:
    """Trains the model in place and returns the keeper of its best epoch."""
    model, head, dev, train = start.model, start.config.head, start.splits.dev, start.splits.train
    model.to(own_device())  # type: ignore[arg-type]  # codes and the standardizer are worked out there too
    items = start.items()
    dev_names, both_strands = record_names(dev, start.places["dev"]), model.config.reads_both_strands
    dev_codes = encode_sequences(model.encoder, dev.base_ids, dev_names, both_strands=both_strands, keep=True)
    settings = start.in_steps(items)
    model.fit_standardizer(coding_batches(items.encoded, STANDARDIZED_ON, pairs=items.pairs))
    if announces:
        announce(lambda within: start.plan(items, within))
    best = BestEpoch(folder.checkpoints / BEST_FILE, train.task)
    checkpoint = folder.last_checkpoint()
    # A resumed run has a checkpoint, whose head has learned already: probing again would only cost time.
    if head.start.epochs and checkpoint is None:
        probe_head(model, items.encoded, train.labels, head.start, start.seed)
        model.train(False)
        # Epoch 0: where the fine-tuning after it only spoils things, the probed head is what is kept.
        best.offer(0, score(dev, predict_codes(model, dev_codes)), model)
    # Epochs are counted here, not by the Trainer: a resumed run goes on after those that its checkpoint has seen.
    epochs_done = int(checkpoint.name.split("-")[1]) // settings.evaluate_every if checkpoint else 0
    epochs = count(epochs_done + 1)

    def evaluate(trained: PreTrainedModel) -> Mapping[str, float]:
        classifier = cast(GenomeEncoderForSequenceClassification, trained)
        metrics = score(dev, predict_codes(classifier, dev_codes))
        best.offer(next(epochs), metrics, classifier)
        return {name: value for name, value in metrics.items() if value is not None}

    train_model(
        model, items, settings, folder, seed=start.seed, collate=collate, loss_terms=(),
        evaluate=evaluate, evaluation_prefix="dev_", description="finetune",
    )  # fmt: skip
    return best


def parameters_by_part(model: GenomeEncoderForSequenceClassification) -> dict[str, int]:
    """Parameters by part, adapters among the backbone's; those of the tokenizer include its code vectors."""
    parts = {**dict(model.encoder.named_children()), "head": model.head}
    tensors = {name: part.state_dict().items() for name, part in parts.items()}
    return {
        name: sum(tensor.numel() for key, tensor in held if "ema_" not in key and tensor.is_floating_point())
        for name, held in tensors.items()
    }


def _save_best(model: GenomeEncoderForSequenceClassification, best: BestEpoch, folder: RunFolder) -> None:
    """Writes `adapter/`, where there is one, and `model/` with the best epoch's weights."""
    best.restore(model)
    if has_adapter(model):
        save_adapter(model, folder.path / ADAPTER_FOLDER)
        merge_adapter(model)
    folder.save_model(model)
