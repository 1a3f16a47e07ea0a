"""Who learns in stage 3, and what is kept of it: LoRA adapters through peft, everything, or the head alone.

Flow: frozen classifier -> prepare_trainable -> training, of which `BestEpoch` keeps the best by dev metric in one file
-> save_adapter (the adapter beside the head, a few megabytes) and merge_adapter (its update added into the backbone's
weights). The tokenizer never learns. It must not know data or training.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, SequenceClassifierConfig
from vqdna.finetune.settings import FinetuneConfig
from vqdna.results import folder_in_place, write_atomically
from vqdna.tasks.loading import Task
from vqdna.tasks.metrics import Metrics, metric_value, primary_metric

TRAINED_BESIDE_ADAPTER = "head.safetensors"
IN_PEFT = "encoder.backbone.base_model.model."  # what the names of the backbone's tensors open with while peft wraps it


def prepare_trainable(model: GenomeEncoderForSequenceClassification, config: FinetuneConfig) -> None:
    """Leaves exactly the weights of the configured method trainable; for LoRA the backbone is wrapped by peft."""
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    encoder = model.encoder
    if config.method == "full" or (config.method == "lora" and config.lora.train_embedding):
        encoder.embedding.requires_grad_(True)
        encoder.embedding.mask_vector.requires_grad_(False)  # serves stage 2 alone
        if encoder.stem is not None:
            encoder.stem.requires_grad_(True)
            encoder.stem.splitting.requires_grad_(False)  # serves what is asked of single tokens alone
    if config.method == "full":
        encoder.backbone.requires_grad_(True)
        encoder.backbone.get_input_embeddings().requires_grad_(False)  # never read, see GenomeEncoder
    if config.method == "lora":
        if not any(isinstance(layer, nn.Linear) for layer in encoder.backbone.modules()):
            kind = encoder.backbone.config.model_type
            raise InputError(
                f"method: got 'lora', expected 'full' or 'linear': the {kind} backbone has no linear layer"
            )
        lora = config.lora
        settings = LoraConfig(
            r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules="all-linear"
        )
        with _peft_on_newer_transformers():
            encoder.backbone = get_peft_model(encoder.backbone, settings)


@contextmanager
def _peft_on_newer_transformers() -> Iterator[None]:
    """Keeps peft's use of a renamed property of transformers off the user's terminal."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


def num_parameters(model: GenomeEncoderForSequenceClassification) -> dict[str, int]:
    """Number of parameters in total and of trainable ones."""
    parameters = list(model.parameters())
    trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    return {"total": sum(parameter.numel() for parameter in parameters), "trainable": trainable}


def trainable_weights(model: GenomeEncoderForSequenceClassification) -> dict[str, Tensor]:
    """Every weight that learns, by name; the tensors themselves, not copies."""
    return {name: parameter.data for name, parameter in model.named_parameters() if parameter.requires_grad}


def training_state(model: GenomeEncoderForSequenceClassification) -> dict[str, Tensor]:
    """What training moves: the weights that learn, and the statistics of batch normalization; no copies."""
    # No gradient moves the statistics, but every training step does: those of a later epoch do not fit these weights,
    # and cost a network of convolutions up to ten points of MCC.
    norms = [(name, part) for name, part in model.named_modules() if isinstance(part, _BatchNorm)]
    statistics = {f"{name}.{key}": buffer for name, part in norms for key, buffer in part.named_buffers()}
    return {**trainable_weights(model), **statistics}


def has_adapter(model: GenomeEncoderForSequenceClassification) -> bool:
    """Whether the backbone carries an adapter that is not merged."""
    return isinstance(model.encoder.backbone, PeftModel)


def merge_adapter(model: GenomeEncoderForSequenceClassification) -> None:
    """The adapter's update becomes part of the backbone's weights; nothing where there is no adapter."""
    if has_adapter(model):
        model.encoder.backbone = model.encoder.backbone.merge_and_unload()


def save_adapter(model: GenomeEncoderForSequenceClassification, folder: Path) -> None:
    """Folder with peft's adapter of the backbone, what else training moved, and the configuration."""
    beside = {name: value for name, value in training_state(model).items() if ".lora_" not in name}
    if model.standardizer is not None:
        beside |= {f"standardizer.{name}": value for name, value in model.standardizer.state_dict().items()}
    plain = {name.replace(IN_PEFT, "encoder.backbone."): value.cpu().contiguous() for name, value in beside.items()}
    with folder_in_place(folder) as staging:
        model.encoder.backbone.save_pretrained(staging)
        (staging / "README.md").unlink(missing_ok=True)  # peft's empty form of a model card
        model.config.save_pretrained(staging)
        save_file(plain, staging / TRAINED_BESIDE_ADAPTER)


def load_adapter(encoder: GenomeEncoder, folder: Path) -> GenomeEncoderForSequenceClassification:
    """Classifier made of the encoder that a run started from and the adapter that the run saved, not merged."""
    model = GenomeEncoderForSequenceClassification(SequenceClassifierConfig.from_pretrained(folder))
    model.encoder.load_state_dict(encoder.state_dict())
    model.load_state_dict(load_file(folder / TRAINED_BESIDE_ADAPTER), strict=False)
    with _peft_on_newer_transformers():
        model.encoder.backbone = PeftModel.from_pretrained(model.encoder.backbone, folder)
    model.train(False)
    return model


class BestEpoch:
    """Keeper of the best epoch: it goes on from an existing file, and the earlier epoch wins a tie."""

    def __init__(self, file: Path, task: Task) -> None:
        self.file, self.metric = file, primary_metric(task)
        self.epoch, self.score = 0, -math.inf
        if file.exists():
            with safe_open(file, framework="pt") as held:
                record = json.loads(held.metadata()["best"])
            self.epoch = record["epoch"]
            self.score = -math.inf if record["score"] is None else record["score"]

    def offer(self, epoch: int, metrics: Metrics, model: GenomeEncoderForSequenceClassification) -> None:
        """Keeps what training moved if this epoch is the best so far; 0 is a head that learned alone."""
        # The file decides, not memory: a run killed between two epochs finds its best one there when it resumes.
        score = metric_value(metrics, self.metric)
        if self.file.exists() and score <= self.score:
            return
        self.epoch, self.score = epoch, score
        record = {"epoch": epoch, "score": score if math.isfinite(score) else None}
        weights = {name: value.cpu().contiguous() for name, value in training_state(model).items()}
        write_atomically(self.file, save(weights, {"best": json.dumps(record)}))

    def restore(self, model: GenomeEncoderForSequenceClassification) -> None:
        weights = training_state(model)
        with safe_open(self.file, framework="pt") as held:
            for name in held.keys():  # noqa: SIM118 (no mapping, it has no iterator)
                weights[name].copy_(held.get_tensor(name))
