"""Stage 3: a pre-trained genome encoder learns a labelled task.

Flow: labelled sequences -> codes, computed once -> epochs of training, each scored on dev -> the best epoch's weights
-> a run folder whose `model/` is complete (an adapter merged into it) and whose `adapter/` holds what learned alone.
The scores of results.json are those of the saved `model/` applied to DNA. Paper: section "stage 3".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Literal, cast

import numpy as np
from transformers import PreTrainedModel, set_seed

from vqdna.devices import own_device
from vqdna.encoder.encoded_sequences import EncodedSequences, encode_sequences
from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig, load_encoder
from vqdna.encoder.saved_models import model_folder
from vqdna.errors import InputError
from vqdna.finetune.adapters import has_adapter, merge_adapter, num_parameters, prepare_trainable, save_adapter
from vqdna.finetune.batches import EpochDataset, collate
from vqdna.finetune.best_epoch import BestEpoch
from vqdna.finetune.evaluation import coding_batches, predict_codes, predict_sequences, score
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, load_classifier
from vqdna.finetune.linear_probing import probe_head
from vqdna.finetune.results import FinetuneResults
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.splits import data_inputs
from vqdna.finetune.starting_weights import fresh_network, mix_with_random
from vqdna.results import command_line
from vqdna.tasks.loading import LabelledSequences, Splits, check_trainable
from vqdna.tasks.metrics import Metrics
from vqdna.tokenizers.loading import tokenizer_name
from vqdna.training.plan import Plan, Reading, announce, plan_training
from vqdna.training.run_folder import RunFolder, is_main_process
from vqdna.training.settings import TrainingSettings
from vqdna.training.trainer import train as train_model

__all__ = ["Plan", "class_weights", "plan_finetune", "run_finetune"]

ADAPTER_FOLDER = "adapter"
BEST_FILE = "best.safetensors"
STANDARDIZED_ON = 512
"""Training sequences whose pooled features the head is standardized by."""


SPLIT_NAMES = {"train": "train", "dev": "dev", "test": "test"}


def run_finetune(
    config: FinetuneConfig,
    splits: Splits,
    *,
    encoder: Path | GenomeEncoder,
    out: Path,
    seed: int,
    dataset: str | None = None,
    places: Mapping[str, str] = SPLIT_NAMES,
    inputs: Mapping[str, str] | None = None,
    announces: bool = True,
) -> FinetuneResults:
    """Fine-tunes (or resumes, or finds finished) an encoder on labelled sequences and returns the results record.

    Args:
        config: resolved configuration.
        splits: `train` is learned, `dev` picks the epoch, `test`, where there is one, is scored once, at the end.
        encoder: run folder of a pre-training, its `model/`, or the encoder itself, which is copied.
        out: run folder.
        seed: of the head, the order of the sequences and dropout.
        dataset: name under which reports list the scores.
        places: what messages call the splits, such as the files that they were read from.
        inputs: what run.yaml records, by which a later call tells this run from another one; None records the number
            of sequences in each split and a hash of them.
        announces: shows first what the run will take; studies of many runs do not.

    Returns:
        The record that results.json holds; under torchrun the first rank alone has scores.

    Raises:
        InputError: no encoder, a folder of another run, a sequence too long for it, a loss that is no number.
    """
    started = time.monotonic()
    check_trainable(splits.train, places["train"])
    weights = class_weights(splits.train, config.class_weights)
    source = encoder if isinstance(encoder, GenomeEncoder) else model_folder(encoder, GenomeEncoderConfig.model_type)
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
    best = _fit(model, config, splits, folder, seed, places, announces=announces)
    scores: dict[str, Metrics | None] = {"dev": {}, "test": None}
    if is_main_process():
        _save_best(model, best, folder)
        # The scores are those of the model as it was saved, applied to DNA: what a user of the folder will get.
        saved = load_classifier(folder.model_folder)
        saved.to(model.device)  # type: ignore[arg-type]
        scores = {
            name: None if split is None else _final_score(saved, split, places[name])
            for name, split in (("dev", splits.dev), ("test", splits.test))
        }
    results = FinetuneResults.model_validate(
        {
            "system": tokenizer_name(model.encoder.tokenizer),
            "dataset": dataset,
            "command": command_line(),
            "seed": seed,
            "seconds": round(time.monotonic() - started, 1),
            "method": config.method,
            "task": splits.train.task,
            "num_classes": splits.train.num_classes,
            "best_epoch": best.epoch,
            "epochs": config.training.epochs,
            "parameters": sizes,
            "sequences": {"train": len(splits.train), "dev": len(splits.dev), "test": len(splits.test or ())},
            **scores,
            "folder": out,
        }
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
    """What `run_finetune` with the same arguments will take; leaves no run folder.

    Raises:
        InputError: no encoder, a sequence too long for it.
    """
    source = encoder if isinstance(encoder, GenomeEncoder) else model_folder(encoder, GenomeEncoderConfig.model_type)
    set_seed(seed)
    model = _untrained_model(config, source, splits.train, class_weights(splits.train, config.class_weights), seed)
    dataset = _training_items(model, config, splits.train, record_names(splits.train, places["train"]), seed)
    return _plan(model, config, splits.train, dataset)


def class_weights(train: LabelledSequences, kind: Literal["none", "balanced"]) -> list[float] | None:
    """Weight of each class in the loss: n / (classes x count), in multilabel negatives / positives; None for "none".

    Raises:
        InputError: balanced weights for scores, which have no classes.
    """
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
        encoder = fresh_network(encoder, config.network)
    scale = {"label_mean": float(train.labels.mean()), "label_deviation": float(train.labels.std())}
    model = GenomeEncoderForSequenceClassification.from_encoder(
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


def _fit(
    model: GenomeEncoderForSequenceClassification,
    config: FinetuneConfig,
    splits: Splits,
    folder: RunFolder,
    seed: int,
    places: Mapping[str, str],
    *,
    announces: bool,
) -> BestEpoch:
    """Trains the model in place and returns the keeper of its best epoch."""
    model.to(own_device())  # type: ignore[arg-type]  # codes and the standardizer are worked out there too
    both_strands = model.config.reads_both_strands
    dataset = _training_items(model, config, splits.train, record_names(splits.train, places["train"]), seed)
    dev_names = record_names(splits.dev, places["dev"])
    dev_codes = encode_sequences(model.encoder, splits.dev.base_ids, dev_names, both_strands=both_strands, keep=True)
    settings = _in_steps(config, model, dataset)
    model.fit_standardizer(coding_batches(dataset.encoded, STANDARDIZED_ON, pairs=dataset.pairs))
    if announces:
        announce(lambda within: _plan(model, config, splits.train, dataset, within))
    best = BestEpoch(folder.checkpoints / BEST_FILE, splits.train.task)
    # A resumed run has a checkpoint, whose head has learned already: probing again would only cost time.
    if config.head.start.epochs and folder.last_checkpoint() is None:
        probe_head(model, dataset.encoded, splits.train.labels, config.head.start, seed)
        model.train(False)
        # Epoch 0: where the fine-tuning after it only spoils things, the probed head is what is kept.
        best.offer(0, score(splits.dev, predict_codes(model, dev_codes)), model)
    train_model(
        model,
        dataset,
        settings,
        folder,
        seed=seed,
        collate=collate,
        loss_terms=(),
        evaluate=_epoch_evaluation(splits.dev, dev_codes, best, folder, settings),
        evaluation_prefix="dev_",
        description="finetune",
    )
    return best


def _training_items(
    model: GenomeEncoderForSequenceClassification,
    config: FinetuneConfig,
    train: LabelledSequences,
    place: Callable[[int], str],
    seed: int,
) -> EpochDataset:
    """Codes and labels of the training sequences, in the order of each epoch."""
    strands = config.reverse_complement
    both = strands.augment or strands.share
    codes = encode_sequences(model.encoder, train.base_ids, place, both_strands=both, keep=True)
    return EpochDataset(
        codes, train.labels, batch_size=config.training.batch_size, seed=seed,
        augment=strands.augment, pairs=strands.share,
    )  # fmt: skip


def _in_steps(
    config: FinetuneConfig, model: GenomeEncoderForSequenceClassification, dataset: EpochDataset
) -> TrainingSettings:
    longest = -(-int(dataset.lengths.max()) // model.encoder.merge)
    return config.training.in_steps(len(dataset), longest * (2 if dataset.pairs else 1))


def _plan(
    model: GenomeEncoderForSequenceClassification,
    config: FinetuneConfig,
    train: LabelledSequences,
    dataset: EpochDataset,
    within: float | None = None,
) -> Plan:
    """What the run will take, see `plan_training`."""
    bases, stride = sum(map(len, train.base_ids)), model.encoder.tokenizer.bases_per_position
    share = 0.5 if dataset.pairs else 1.0  # of a batch's bases, for those of a pair count once
    reading = Reading(
        config.training.epochs * bases,
        bases,
        stride,
        lambda batch: float(batch["position_mask"].sum()) * stride * share,
    )
    return plan_training(
        f"finetune ({config.method})", model, dataset, _in_steps(config, model, dataset), reading,
        collate=collate, parameters=parameters_by_part(model), within=within,
    )  # fmt: skip


def parameters_by_part(model: GenomeEncoderForSequenceClassification) -> dict[str, int]:
    """Parameters by part, adapters among the backbone's; those of the tokenizer include its code vectors."""
    parts = {**dict(model.encoder.named_children()), "head": model.head}
    tensors = {name: part.state_dict().items() for name, part in parts.items()}
    return {
        name: sum(tensor.numel() for key, tensor in held if "ema_" not in key and tensor.is_floating_point())
        for name, held in tensors.items()
    }


def _epoch_evaluation(
    dev: LabelledSequences, codes: EncodedSequences, best: BestEpoch, folder: RunFolder, settings: TrainingSettings
) -> Callable[[PreTrainedModel], Mapping[str, float]]:
    """Scores an epoch on dev, offers it as the best, and gives the numbers for the log."""
    # Epochs are counted here, not by the Trainer: a resumed run goes on after those that its checkpoint has seen.
    checkpoint = folder.last_checkpoint()
    epochs_done = int(checkpoint.name.split("-")[1]) // settings.evaluate_every if checkpoint else 0
    epochs = count(epochs_done + 1)

    def evaluate(model: PreTrainedModel) -> Mapping[str, float]:
        classifier = cast(GenomeEncoderForSequenceClassification, model)
        metrics = score(dev, predict_codes(classifier, codes))
        best.offer(next(epochs), metrics, classifier)
        return {name: value for name, value in metrics.items() if value is not None}

    return evaluate


def _save_best(model: GenomeEncoderForSequenceClassification, best: BestEpoch, folder: RunFolder) -> None:
    """Writes `adapter/`, where there is one, and `model/` with the best epoch's weights."""
    best.restore(model)
    if has_adapter(model):
        save_adapter(model, folder.path / ADAPTER_FOLDER)
        merge_adapter(model)
    folder.save_model(model)


def _final_score(model: GenomeEncoderForSequenceClassification, records: LabelledSequences, place: str) -> Metrics:
    return score(records, predict_sequences(model, records.base_ids, record_names(records, place), keep=True))
