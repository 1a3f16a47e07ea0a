"""What a few bases at one end of a sequence of tens of thousands still tell the head, learned through run_finetune."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from example_tasks import config

from vqdna.encoder import long_rows
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.public import finetune_files
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

NUM_BASES = 20_000
START, END = "G" * 16, "C" * 16
ENDS = {"end": ((0, 0), (0, 1), (1, 0), (1, 1)), "both": ((1, 1), (0, 1), (1, 1), (1, 0))}
"""Which motifs the records have in turn."""

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "layer_types": ["sliding_attention"] * 2, "local_attention": 8,
}  # fmt: skip
SETTINGS = config(
    method="full",
    head={"pooling": "mean+max", "hidden_size": 32, "dropout": 0.0},
    training={
        "epochs": 6,
        "batch_size": 8,
        "learning_rate": 0.01,
        "warmup_steps": 0,
        "max_positions_per_pass": 10_000,
    },
)


def write_task(path: Path, num_records: int, seed: int, kind: str) -> Path:
    """Bases A and T at random, with a motif of G at the start or of C at the end, or with both.

    The label of `end` is the motif at the end; that of `both` says whether both are there, which neither of them tells.
    """
    random = np.random.default_rng(seed)
    lines = ["sequence,label"]
    for number in range(num_records):
        starts, ends = ENDS[kind][number % 4]
        text = "".join(random.choice(["A", "T"], NUM_BASES))
        text = START + text[len(START) :] if starts else text
        text = text[: -len(END)] + END if ends else text
        lines.append(f"{text},{ends if kind == 'end' else starts * ends}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["end", "both"])
def test_the_ends_of_long_sequences_are_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    for name, value in {"LONG_ROW_TOKENS": 4096, "CHUNK_TOKENS": 8192}.items():
        monkeypatch.setattr(long_rows, name, value)
    torch.manual_seed(0)
    stem = {"width": 8, "kernel_size": 5, "merge": 4}
    GenomeEncoder.from_tokenizer(NucleotideTokenizer(), BACKBONE, stem=stem).save_pretrained(tmp_path / "encoder")
    train, test = (write_task(tmp_path / f"{seed}.csv", 32, seed, kind) for seed in (0, 1))
    results = finetune_files(
        SETTINGS, encoder=tmp_path / "encoder", train=train, dev=train, test=test, out=tmp_path / "run", seed=0
    )
    assert (results.test or {})["mcc"] > 0.9
