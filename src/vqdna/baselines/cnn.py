"""A convolutional network on one-hot bases, trained from scratch: the baseline that a pre-trained encoder has to beat.

Flow: base_ids [batch, base] -> one-hot of both strands -> shared convolutions -> max and mean over bases, per strand
[batch, 2*width] -> max and mean over strands [batch, 4*width] -> logits [batch, class]. A sequence and its reverse
complement get the same logits (unless the network reads one strand only), and so does a sequence with padding behind
it. It must not know tokenizers or encoders.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional

from vqdna.devices import own_device
from vqdna.encoder.backbones.convolutions import MaskedConvolution
from vqdna.finetune.strands import strand_pairs
from vqdna.results import command_line
from vqdna.tasks.loading import LabelledSequences, Task, check_trainable
from vqdna.tasks.metrics import Metrics, metric_value, primary_metric, task_metrics
from vqdna.tokenizers.padding import pad_rows

NUM_BASES = 4
ROWS_AT_ONCE = 256
"""Of predictions."""

PADDING = 4  # the id of N: its one-hot row is all zeros


@dataclass(frozen=True)
class CnnConfig:
    """Sizes and training of the network.

    Learning rate and dilations were chosen by mean dev AUROC on GUE mouse/3 and prom_core_tata, two seeds each.

    Attributes:
        width: channels of every convolution.
        stem_kernel: bases that the first convolution sees.
        kernel: positions that the later convolutions see.
        dilations: one residual convolution for each, after the stem.
        hidden_size: width of the layer between pooling and logits.
        dropout: fraction of pooled features dropped.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's.
        batch_size: records a step.
        patience: epochs without a better dev metric after which training stops.
        shares_strands: both strands go through the network and are pooled; False reads the strand as given.
        precision: "bf16" trains under autocast, which is faster on processors that have it; predictions are made in
            single precision all the same.
    """

    width: int = 96
    stem_kernel: int = 15
    kernel: int = 7
    dilations: tuple[int, ...] = (1, 4)
    hidden_size: int = 64
    dropout: float = 0.3
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    batch_size: int = 64
    patience: int = 8
    shares_strands: bool = True
    precision: Literal["fp32", "bf16"] = "fp32"


class OneHotCnn(nn.Module):
    """Convolutional network over base ids, strand-symmetric unless its configuration says otherwise."""

    def __init__(self, num_classes: int, config: CnnConfig, in_channels: int = NUM_BASES) -> None:
        super().__init__()
        width, self.shares_strands = config.width, config.shares_strands
        self.stem = MaskedConvolution(in_channels, width, config.stem_kernel)
        self.blocks = nn.ModuleList(
            MaskedConvolution(width, width, config.kernel, dilation) for dilation in config.dilations
        )
        self.head = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear((4 if config.shares_strands else 2) * width, config.hidden_size),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_size, num_classes),
        )

    def forward(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"]
    ) -> Float[Tensor, "batch class"]:
        """Logits of each row; bases where `attention_mask` is False are padding at the row's end."""
        strands = [one_hot(strand, attention_mask) for strand in self.strands_of(base_ids, attention_mask)]
        return self.logits_of(strands, attention_mask)

    def strands_of(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"]
    ) -> list[UInt8[Tensor, "batch base"]]:
        """The strand given, and its reverse complement where the network reads both."""
        return list(strand_pairs(base_ids, attention_mask)[0].chunk(2)) if self.shares_strands else [base_ids]

    def logits_of(
        self, strands: list[Float[Tensor, "batch channel base"]], attention_mask: Bool[Tensor, "batch base"]
    ) -> Float[Tensor, "batch class"]:
        """Logits from what the convolutions read of one strand, or of both."""
        keep = attention_mask.repeat(len(strands), 1).unsqueeze(1).to(strands[0].dtype)
        pooled = self.pooled(torch.cat(strands), keep)
        if len(strands) > 1:
            forward_pooled, reverse_pooled = pooled.chunk(2)
            both = [torch.maximum(forward_pooled, reverse_pooled), (forward_pooled + reverse_pooled) / 2]
            pooled = torch.cat(both, dim=1)
        logits: Tensor = self.head(pooled)
        return logits

    def pooled(
        self, strand: Float[Tensor, "batch channel base"], keep: Float[Tensor, "batch 1 base"]
    ) -> Float[Tensor, "batch feature"]:
        """Maximum and mean over the kept positions of each row."""
        features = functional.max_pool1d(self.stem(strand, keep), 2, ceil_mode=True)
        keep = functional.max_pool1d(keep, 2, ceil_mode=True)
        for block in self.blocks:
            features = features + block(features, keep)
        # Features are never negative and padding is zero, so the plain maximum is that of the kept positions.
        return torch.cat([features.amax(2), features.sum(2) / keep.sum(2)], dim=1)


Reader = Callable[[Int[ndarray, "row"]], tuple[Tensor, ...]]
"""What a network reads of some records of a split, given their numbers."""


class Network:
    """Which network `run_cnn` trains, for how long, and what it reads of a split: here the bases alone."""

    def model(self, num_classes: int, config: CnnConfig) -> OneHotCnn:
        """A fresh network."""
        return OneHotCnn(num_classes, config)

    def epochs(self, most: int, num_sequences: int) -> int:
        """Passes over so many training sequences, at most `most`."""
        return most

    def reader(self, split: LabelledSequences, config: CnnConfig, device: torch.device) -> Reader:
        """What the network reads of the split's records."""
        return lambda rows: padded([split.base_ids[row] for row in rows], device)


def one_hot(
    base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"]
) -> Float[Tensor, "batch 4 base"]:
    """One-hot bases, channels in the order A C G T; zeros for N and where `attention_mask` is False."""
    kept = torch.where(attention_mask, base_ids, PADDING).long()
    return functional.one_hot(kept, NUM_BASES + 1)[..., :NUM_BASES].transpose(1, 2).float()


def run_cnn(
    train: LabelledSequences,
    dev: LabelledSequences,
    test: LabelledSequences,
    *,
    seed: int,
    epochs: int = 15,
    config: CnnConfig | None = None,
    device: str | torch.device | None = None,
    network: Network | None = None,
) -> dict[str, Any]:
    """Results record of a network trained on `train`, at its best epoch by dev metric, scored on `dev` and `test`.

    `predictions` holds what `predict` gives for every record of dev and test, as arrays: take them out before the
    record is written.

    Args:
        train: fits the network; its classes are those of dev and test.
        dev: chooses the epoch.
        test: scored once, when the epoch is chosen.
        seed: fixes initial weights, order of records and dropout; the caller's random state stays as it was.
        epochs: length of the one-cycle schedule, unless the network wants fewer; training may stop sooner, see
            `CnnConfig.patience`.
        config: None is the default network.
        device: None is CUDA where there is a device, otherwise the CPU.
        network: None reads bases alone.

    Raises:
        InputError: a training split with nothing to learn.
    """
    check_trainable(train, "the training split")
    start = time.monotonic()
    config, network = config or CnnConfig(), network or Network()
    target = torch.device(device or own_device())
    epochs = network.epochs(epochs, len(train))
    readers = [network.reader(split, config, target) for split in (train, dev, test)]
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if target.type == "cuda" else []):
        torch.manual_seed(seed)
        model = network.model(train.num_classes, config).to(target)
        best_epoch, epochs_run = fit(model, (train, readers[0]), (dev, readers[1]), seed, epochs, config)
    predictions = {
        name: predict(model, read, len(split), train)
        for name, split, read in (("dev", dev, readers[1]), ("test", test, readers[2]))
    }
    return {
        "stage": "benchmark",
        "system": "cnn",
        "command": command_line(),
        "seed": seed,
        "seconds": time.monotonic() - start,
        "task": train.task,
        "num_classes": train.num_classes,
        "parameters": {
            "total": sum(parameter.numel() for parameter in model.parameters()),
            "trainable": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        },
        "best_epoch": best_epoch,
        "epochs": epochs_run,
        "dev": task_metrics(train.task, dev.labels, predictions["dev"]),
        "test": task_metrics(train.task, test.labels, predictions["test"]),
        "predictions": predictions,
    }


Split = tuple[LabelledSequences, Reader]
"""Records, and what the network reads of them."""


def fit(model: OneHotCnn, train: Split, dev: Split, seed: int, epochs: int, config: CnnConfig) -> tuple[int, int]:
    """Best epoch and number of epochs run, both counted from 1; `model` is left with the best epoch's weights."""
    random = np.random.default_rng(seed)
    records = train[0]
    steps = math.ceil(len(records) / config.batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=epochs * steps)
    best_score, best_epoch, best_weights = -math.inf, 0, _weights(model)
    for epoch in range(1, epochs + 1):
        train_epoch(model, train, random, optimizer, schedule, config)
        score = metric_value(evaluate(model, dev, records), primary_metric(records.task))
        if score > best_score or best_epoch == 0:
            best_score, best_epoch, best_weights = score, epoch, _weights(model)
        if epoch - best_epoch >= config.patience:
            break
    model.load_state_dict(best_weights)
    return best_epoch, epoch


def train_epoch(
    model: OneHotCnn,
    train: Split,
    random: np.random.Generator,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    config: CnnConfig,
) -> None:
    """One pass over `train` in an order drawn from `random`, a schedule step with each optimizer step."""
    model.train()
    records, read = train
    for rows in np.array_split(random.permutation(len(records)), math.ceil(len(records) / config.batch_size)):
        inputs = read(rows)
        labels = torch.from_numpy(_targets(records.labels[rows], records)).to(inputs[0].device)
        with torch.autocast(inputs[0].device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            logits = model(*inputs)
        loss = task_loss(records.task, logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def padded(
    sequences: list[UInt8[ndarray, "_"]], device: torch.device
) -> tuple[UInt8[Tensor, "batch base"], Bool[Tensor, "batch base"]]:
    """Base ids of one batch, padded with N to the longest row, and the mask of the bases that are not padding."""
    base_ids, attention_mask = pad_rows(sequences)
    return base_ids.to(device), attention_mask.to(device)


def task_loss(task: Task, logits: Float[Tensor, "batch class"], targets: Tensor) -> Float[Tensor, ""]:
    """Cross-entropy for classification, binary cross-entropy for multilabel, squared error for regression."""
    if task == "classification":
        return functional.cross_entropy(logits, targets)
    if task == "multilabel":
        return functional.binary_cross_entropy_with_logits(logits, targets)
    return functional.mse_loss(logits.squeeze(1), targets)


@torch.no_grad()
def predict(model: OneHotCnn, read: Reader, count: int, train: LabelledSequences) -> Float[ndarray, "row class"]:
    """Class probabilities of the first `count` records, or scores on the scale of `train` for regression."""
    model.eval()
    batches = (np.arange(first, min(first + ROWS_AT_ONCE, count)) for first in range(0, count, ROWS_AT_ONCE))
    logits = torch.cat([model(*read(rows)).float().cpu() for rows in batches])
    if train.task == "classification":
        return logits.softmax(1).double().numpy()
    if train.task == "multilabel":
        return logits.sigmoid().double().numpy()
    mean, deviation = _scale(train)
    return logits.double().numpy() * deviation + mean


def evaluate(model: OneHotCnn, split: Split, train: LabelledSequences) -> Metrics:
    """Metrics of the model on records whose task and classes are those of `train`."""
    records, read = split
    return task_metrics(train.task, records.labels, predict(model, read, len(records), train))


def _targets(labels: ndarray, train: LabelledSequences) -> ndarray:
    """Labels as the loss takes them; scores are brought to mean 0 and deviation 1 of the training split."""
    if train.task == "classification":
        return labels
    if train.task == "multilabel":
        return labels.astype(np.float32)
    mean, deviation = _scale(train)
    return ((labels - mean) / deviation).astype(np.float32)


def _scale(train: LabelledSequences) -> tuple[float, float]:
    return float(train.labels.mean()), float(train.labels.std())


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
