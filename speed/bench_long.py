"""Time and memory of long rows: the preset `small` on one row of 1 thousand to 450 thousand bases.

    python speed/bench_long.py --vocabulary runs/views --out speed/results/long.json

Every figure comes from a process of its own, so that the peak of its memory is that of the row. `forward` gives hidden
states, `gradients` is forward and backward of a classifier with all its weights. Work is done by one thread, and its
time is the processor's, which other processes on the machine do not lengthen; with a GPU it is wall time, and memory is
the GPU's.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from clock import DEVICE, seconds

from vqdna.config import load_config
from vqdna.encoder.encoded_sequences import encode_sequences
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.pretrain.train import PretrainConfig
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.padding import pad_codes
from vqdna.weights import DEFAULT, built_in_folder, part_folder

LENGTHS = (1_000, 8_000, 32_000, 128_000, 450_000)
MODES = ("forward", "gradients")
PRESET = "small"
LONG_ENOUGH = 100_000
"""Bases from which one repetition tells the time."""


def classifier(vocabulary: Path) -> GenomeEncoderForSequenceClassification:
    """Untrained model of the preset, with a mean and maximum pooled head."""
    config = load_config(PretrainConfig, PRESET, "pretrain")
    tokenizer = load_tokenizer(f"vq:{vocabulary}")
    tokenizer = tokenizer.with_levels(config.num_levels) if config.num_levels else tokenizer
    encoder = GenomeEncoder.from_tokenizer(
        tokenizer, config.backbone, config.code_embedding, config.model_dump()["stem"]
    )
    model = GenomeEncoderForSequenceClassification.from_encoder(encoder, pooling="mean+max")
    model.encoder.tokenizer.requires_grad_(False)
    return model.to(DEVICE)


def measure(vocabulary: Path, num_bases: int, mode: str, precision: str) -> dict[str, float]:
    """Seconds of the fastest repetition and the peak of memory in gigabytes."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = classifier(vocabulary).train(mode == "gradients")
    row = torch.randint(0, 4, (num_bases,), dtype=torch.uint8).numpy()
    before = _peak(model.device)
    repetitions = 1 if num_bases >= LONG_ENOUGH else 2
    took = min(seconds(lambda: _repetition(model, row, mode, precision)) for _ in range(repetitions))
    return {"seconds": round(took, 3), "peak_gb": round(_peak(model.device), 2), "start_gb": round(before, 2)}


def _repetition(model, row, mode: str, precision: str) -> None:
    encoded = encode_sequences(model.encoder, [row], str)
    codes, mask = (part.to(model.device) for part in pad_codes(encoded.codes))
    label = torch.zeros(1, dtype=torch.int64, device=model.device)
    with (
        torch.set_grad_enabled(mode == "gradients"),
        torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bf16"),
    ):
        loss = model(codes=codes, position_mask=mask, labels=label).loss
    if mode == "gradients":
        loss.backward()
        model.zero_grad(set_to_none=True)
    loss.item()


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measured_apart(vocabulary: Path, num_bases: int, mode: str, precision: str) -> dict[str, float]:
    """What `measure` gives in a process of its own."""
    arguments = ["--vocabulary", str(vocabulary), "--measure", str(num_bases), mode, "--precision", precision]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measures all lengths in both modes and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", help="shipped name or run folder of a vocabulary; the shipped one without it")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("BASES", "MODE"), help="one figure, in this process")
    options = parser.parse_args()
    given = options.vocabulary
    vocabulary = part_folder(given, "vocabulary") if given else built_in_folder(DEFAULT, "vocabulary")
    if options.measure:
        print(json.dumps(measure(vocabulary, int(options.measure[0]), options.measure[1], options.precision)))
        return
    record = {"preset": PRESET, "precision": options.precision, "torch": torch.__version__, "device": _device_name()}
    for mode in MODES:
        rows = {str(length): measured_apart(vocabulary, length, mode, options.precision) for length in LENGTHS}
        growth = rows["450000"]["seconds"] / rows["32000"]["seconds"] / (450 / 32)
        record[mode] = {"rows": rows, "time_450k_over_32k_by_length": round(growth, 3)}
        print(mode, json.dumps(record[mode], indent=2), flush=True)
    if options.out:
        options.out.write_text(json.dumps(record, indent=2) + "\n")


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "one processor thread"


if __name__ == "__main__":
    main()
