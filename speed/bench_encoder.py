"""The genome encoder against transformers' BERT of the same size, on sequences of mixed length.

    python speed/bench_encoder.py --out speed/results/encoder.json

Sequences of 70 to 500 bases are those of GUE where there is a data root, else random ones of the same lengths. A
training step is forward and backward over all of them, the mean of their losses, and one AdamW step; dropout is off
everywhere, which favors BERT. Systems take turns, so that whatever else the machine does falls on all of them alike:
ratios are the result, rates only say where they were taken. With a GPU everything runs there.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from clock import DEVICE, device_name, hand_over, seconds
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from vqdna.config import load_config
from vqdna.data_root import find_data_root
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.batches import shuffled_by_length
from vqdna.pretrain.train import PretrainConfig
from vqdna.tasks.loading import read_labelled
from vqdna.tasks.registry import dataset
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.padding import length_buckets, pad_rows
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.train import VocabularyConfig, build_vocabulary

LENGTHS = {"prom_core_all": 70, "mouse/0": 101, "prom_300_all": 300, "splice": 400, "EMP/H3": 500}
"""Datasets, and their usual length where there is no data root."""

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCH = 32
BASELINE = "bert"


@dataclass(frozen=True)
class System:
    """An encoder and how it is driven.

    Attributes:
        encoder: what `build` knows.
        precision: "fp32" or "bf16".
        alike: sequences of similar length share a batch, as many as there are of a dataset; else all are one batch,
            padded to the longest.
    """

    encoder: str
    precision: str
    alike: bool


SYSTEMS = {
    "bert": System("bert", "fp32", False),
    "bert, bf16": System("bert", "bf16", False),
    "bert, lengths alike": System("bert", "fp32", True),
    "bert, bf16, lengths alike": System("bert", "bf16", True),
    "ours, bert backbone": System("ours_bert", "bf16", True),
    "ours": System("ours", "bf16", True),
    "ours, torch attention": System("ours_torch_attention", "bf16", True),
    "ours, random batches": System("ours", "bf16", False),
    "ours, fp32": System("ours", "fp32", True),
    "ours, 4 bases a position": System("ours_merged", "bf16", True),
}
"""One position for each base, but for the last."""

INGREDIENTS = {
    "lengths alike": ("bert, lengths alike", "bert"),
    "bf16": ("bert, bf16", "bert"),
    "backbone": ("ours", "ours, bert backbone"),
    "attention in blocks": ("ours", "ours, torch attention"),
    "4 bases a position": ("ours, 4 bases a position", "ours"),
}
"""Systems that differ in one thing: with it, without it."""


@dataclass(frozen=True)
class Size:
    """A pair of encoders to compare.

    Attributes:
        preset: ours, in configs/pretrain.
        bert: BERT's shape.
        sequences: of each dataset.
        repeats: rounds in which every system runs once.
        leave_out: systems that cost more time than they tell.
    """

    preset: str
    bert: dict
    sequences: int
    repeats: int
    leave_out: tuple[str, ...] = ()


SIZES = {
    "small": Size(
        "small",
        {"hidden_size": 256, "num_hidden_layers": 8, "num_attention_heads": 4, "intermediate_size": 1152},
        sequences=4,
        repeats=3,
    ),
    "base": Size(
        "base",
        {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
        sequences=1,
        repeats=2,
        leave_out=("ours, torch attention", "ours, random batches", "ours, fp32"),
    ),
}


class Bert(nn.Module):
    """transformers' BERT over single bases, as published."""

    def __init__(self, shape: dict) -> None:
        super().__init__()
        off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        config = BertConfig(vocab_size=10, max_position_embeddings=1024, **off, **shape)
        config._attn_implementation = "sdpa"
        self.model = BertModel(config, add_pooling_layer=False)

    def forward(self, base_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states and which of them are no padding."""
        return self.model(base_ids.long(), attention_mask=mask.long()).last_hidden_state, mask


class Ours(nn.Module):
    """The genome encoder from bases on, its vocabulary included."""

    def __init__(self, tokenizer: Tokenizer, backbone: dict, stem: dict | None = None, attention: str = "") -> None:
        super().__init__()
        self.model = GenomeEncoder.from_tokenizer(tokenizer, backbone, "table", stem)
        if attention:
            self.model.backbone.set_attn_implementation(attention)

    def forward(self, base_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states and which of them are no padding."""
        output = self.model(base_ids, mask)
        return output.last_hidden_state, output.attention_mask


class Classifier(nn.Module):
    """Two classes from the mean over positions."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(width, 2)

    def forward(self, base_ids: Tensor, mask: Tensor) -> Tensor:
        """Logits."""
        hidden, kept = self.encoder(base_ids, mask)
        kept = kept[..., None].to(hidden.dtype)
        return self.head((hidden * kept).sum(dim=1) / kept.sum(dim=1))


def build(name: str, size: Size, tokenizer: Tokenizer) -> Classifier:
    """An untrained classifier of this size."""
    config = load_config(PretrainConfig, size.preset, "pretrain")
    torch.manual_seed(0)
    encoders: dict[str, Callable[[], nn.Module]] = {
        "bert": lambda: Bert(size.bert),
        "ours_bert": lambda: Ours(tokenizer, {
            "model_type": "bert", "max_position_embeddings": 1024, "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0, **size.bert,
        }),
        "ours": lambda: Ours(tokenizer, config.backbone),
        "ours_torch_attention": lambda: Ours(tokenizer, config.backbone, attention="sdpa"),
        "ours_merged": lambda: Ours(tokenizer, config.backbone, config.stem.model_dump()),
    }  # fmt: skip
    return Classifier(encoders[name](), size.bert["hidden_size"]).to(DEVICE)


def vocabulary() -> VqTokenizer:
    """The coarse levels of `views`, their codebooks started from random bases: as fast as trained ones."""
    config = load_config(VocabularyConfig, "views", "vocabulary")
    model = build_vocabulary(config.model, seed=0).train()
    with torch.no_grad():
        model(torch.randint(0, 4, (32, 512), dtype=torch.uint8), return_logits=False)
    return VqTokenizer(model).with_levels(load_config(PretrainConfig, "small", "pretrain").num_levels)


def sequences(per_dataset: int) -> list[np.ndarray]:
    """Base ids of the first records of each dataset, in random order."""
    random = np.random.default_rng(0)
    rows = [row for name, length in LENGTHS.items() for row in records(name, length, per_dataset)]
    return [rows[place] for place in random.permutation(len(rows))]


def records(name: str, length: int, number: int) -> list[np.ndarray]:
    """Dev records of a dataset, or random bases of its length where it is not there."""
    file = find_data_root() / dataset(name).folder / "dev.csv.gz" if find_data_root() else None
    if file is not None and file.is_file():
        return read_labelled(file).base_ids[:number]
    return list(np.random.default_rng(length).integers(0, 4, (number, length), dtype=np.uint8))


class Runner:
    """A system with its batches."""

    def __init__(self, system: System, model: Classifier, rows: Sequence[np.ndarray], batch_size: int) -> None:
        self.model, self.dtype = model, PRECISIONS[system.precision]
        lengths = np.array([len(row) for row in rows])
        batches = grouped(lengths, batch_size) if system.alike else [np.arange(len(rows))]
        self.batches = [tuple(part.to(DEVICE) for part in pad_rows([rows[row] for row in batch])) for batch in batches]
        self.num_rows = len(rows)
        self.waste = 1 - lengths.sum() / sum(mask.numel() for _, mask in self.batches)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def logits(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Of one batch."""
        with torch.autocast(DEVICE.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.model(*batch)

    @torch.no_grad()
    def forward(self) -> None:
        """All batches."""
        for batch in self.batches:
            self.logits(batch)

    def training(self) -> None:
        """One step over all batches."""
        for batch in self.batches:
            logits = self.logits(batch).float()
            labels = torch.zeros(len(logits), dtype=torch.long, device=DEVICE)
            (nn.functional.cross_entropy(logits, labels, reduction="sum") / self.num_rows).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def grouped(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Rows of each batch as stage 3 makes them."""
    order = shuffled_by_length(lengths, batch_size, np.random.default_rng(0))
    return (order[start : start + batch_size] for start in range(0, len(order), batch_size))


def compare(size: Size, tokenizer: Tokenizer) -> dict:
    """Every system's rates, forward and training, and their ratios to BERT as people run it."""
    rows = sequences(size.sequences)
    systems = {name: system for name, system in SYSTEMS.items() if name not in size.leave_out}
    models = {name: build(name, size, tokenizer) for name in {system.encoder for system in systems.values()}}
    runners = {name: Runner(system, models[system.encoder], rows, size.sequences) for name, system in systems.items()}
    took = {name: {"forward": [], "training": []} for name in runners}
    for repeat in range(size.repeats):
        for name, runner in runners.items():
            if repeat == 0:
                runner.logits(runner.batches[0]).sum().backward()
                runner.optimizer.zero_grad()
            for what, times in took[name].items():
                runner.model.train(what == "training")
                times.append(seconds(getattr(runner, what)))
    bases = sum(map(len, rows))
    return {
        "sequences": len(rows),
        "bases": bases,
        "repeats": size.repeats,
        "systems": {
            name: {
                "parameters": sum(weight.numel() for weight in runner.model.parameters() if weight.requires_grad),
                "padding": round(runner.waste, 4),
                **{what: rate(times, took[BASELINE][what], bases) for what, times in took[name].items()},
            }
            for name, runner in runners.items()
        },
        "ingredients": {
            name: {what: ratio(took[without][what], took[held][what]) for what in ("forward", "training")}
            for name, (held, without) in INGREDIENTS.items()
            if held in took and without in took
        },
    }


def rate(times: list[float], baseline: list[float], bases: int) -> dict:
    """Bases a second of the fastest round, and how many times the baseline's that is."""
    return {"bases_per_second": round(bases / min(times)), "ratio": ratio(baseline, times)}


def ratio(slower: list[float], faster: list[float]) -> float:
    """How many times as fast, fastest rounds compared."""
    return round(min(slower) / min(faster), 3)


def padding(per_dataset: int) -> dict:
    """Share of padding in batches of `BATCH` made of many sequences of mixed length."""
    lengths = np.array([len(row) for row in sequences(per_dataset)])

    def waste(batches: Iterator[np.ndarray] | list[np.ndarray]) -> float:
        return round(1 - lengths.sum() / sum(len(batch) * lengths[batch].max() for batch in batches), 4)

    return {
        "sequences": len(lengths),
        "random batches": waste(
            [np.arange(len(lengths))[start : start + BATCH] for start in range(0, len(lengths), BATCH)]
        ),
        "training": waste(grouped(lengths, BATCH)),
        "encoding and prediction": waste(list(length_buckets(lengths, 16_384))),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load, tokenizer = os.getloadavg()[0], vocabulary()
    record = {
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "load_average": load,
        "padding": padding(800),
        **{name: compare(SIZES[name], tokenizer) for name in arguments.sizes},
    }
    hand_over(record, arguments.out)
