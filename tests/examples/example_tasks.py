"""Tiny encoders, and labelled tables whose answer is a planted motif: what stage 3 can be tried on in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqdna.config import validate
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.settings import FinetuneConfig
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

MOTIFS = ("TATAAA", "GGCGCC", "CAGCTG")
MODERNBERT: dict[str, Any] = {
    "model_type": "modernbert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "local_attention": 64,
}  # fmt: skip
BERT: dict[str, Any] = {**MODERNBERT, "model_type": "bert", "max_position_embeddings": 80}
del BERT["local_attention"]


def tiny_encoder(tokenizer: Tokenizer | None = None, backbone: dict[str, Any] = MODERNBERT) -> GenomeEncoder:
    """Untrained encoder, by default over 3-mers."""
    torch.manual_seed(0)
    return GenomeEncoder.from_tokenizer(tokenizer or KmerTokenizer(3), backbone).eval()


def tiny_vocabulary() -> VqTokenizer:
    """HRQ tokenizer of a few codes, as it stands after one step."""
    torch.manual_seed(0)
    config = VQVAEConfig(width=16, stem_width=16, num_blocks=2, level_sizes=(8, 16))
    model = VQVAE(config).train()
    model(torch.randint(0, 4, (8, 64), dtype=torch.uint8))
    return VqTokenizer(model)


def saved_encoder(folder: Path, tokenizer: Tokenizer | None = None, backbone: dict[str, Any] = MODERNBERT) -> Path:
    """Run folder of a pre-training, as far as stage 3 looks at it."""
    tiny_encoder(tokenizer, backbone).save_pretrained(folder / "model")
    return folder


def config(**changes: Any) -> FinetuneConfig:
    """Configuration that learns the tiny tasks in seconds; sections given are laid over it."""
    training = {"epochs": 4, "batch_size": 32, "learning_rate": 0.02, "warmup_steps": 10, "precision": "fp32"}
    training |= changes.pop("training", {})
    return validate(FinetuneConfig, {"head": {"hidden_size": 32}, "training": training, **changes}, "test")


def write_task(path: Path, kind: str, num_records: int, seed: int) -> Path:
    """CSV of records of 40 to 60 bases, labelled by the motifs planted three times each.

    `binary` and `multiclass` by which of the motifs stands there, `multilabel` by all that do, `regression` by the
    number of copies of the first.
    """
    random = np.random.default_rng(seed)
    lines = ["name,sequence,label"]
    for number in range(num_records):
        text, label = _planted(random, kind)
        lines.append(f"{kind}-{number},{text},{label}")
    path.write_text("\n".join(lines) + "\n")
    return path


def _planted(random: np.random.Generator, kind: str) -> tuple[str, str]:
    bases = random.choice(list("ACGT"), random.integers(40, 61))
    if kind == "regression":
        copies = int(random.integers(0, 6))
        return _with(random, bases, [MOTIFS[0]] * copies), f"{10 + 2.5 * copies + random.normal(0, 0.1):.4f}"
    if kind == "multilabel":
        chosen = [number for number in range(2) if random.random() < 0.5]
        return _with(random, bases, [MOTIFS[number] for number in chosen] * 2), ";".join(map(str, chosen)) or ";"
    label = int(random.integers(0, 2 if kind == "binary" else 3))
    return _with(random, bases, [] if kind == "binary" and not label else [MOTIFS[label]] * 3), str(label)


def _with(random: np.random.Generator, bases: np.ndarray, motifs: list[str]) -> str:
    """Bases with each motif written at a place of its own."""
    slots = random.permutation(len(bases) // 6)[: len(motifs)]
    for slot, motif in zip(slots, motifs, strict=True):
        bases[6 * slot : 6 * slot + 6] = list(motif)
    return "".join(bases)
