"""Model FLOPs utilization of a whole stage-1 step, and what bounds it.

    python speed/bench_stage_one.py --out speed/results/stage_one.json

A step is forward, backward, AdamW and codebook update on random bases. Its floating-point operations are counted by
torch.utils.flop_counter; the ceiling is the fastest of several matrix products of the same precision, measured between
the steps. Shares of time are the profiler's, of the operations' own time. With a GPU everything runs there.
"""

import argparse
import os
from collections import Counter
from pathlib import Path

import torch
from clock import DEVICE, ON_GPU, device_name, hand_over, product_rate, seconds, wait
from torch.profiler import ProfilerActivity, profile, record_function

from vqdna.config import load_config
from vqdna.operations import counted_operations
from vqdna.vocabulary.train import VocabularyConfig, build_vocabulary

PRESETS = ("cpu", "paper_hrq")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

KINDS = {
    "matrix product": ("addmm", "::mm", "bmm", "linear"),
    "convolution": ("conv",),
    "norm and activation": ("layer_norm", "gelu"),
}


class Step:
    """One training step of a preset, in one precision."""

    def __init__(self, preset: str, precision: str, windows: int) -> None:
        config = load_config(VocabularyConfig, preset, "vocabulary")
        self.model = build_vocabulary(config.model, seed=0).to(DEVICE).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=config.training.learning_rate)
        self.base_ids = torch.randint(0, 4, (windows, config.data.window), dtype=torch.uint8, device=DEVICE)
        self.dtype = PRECISIONS[precision]
        for name in ("forward", "quantize_level", "update_codebooks"):
            if hasattr(self.model.quantizer, name):
                setattr(self.model.quantizer, name, _named("part: quantizer", getattr(self.model.quantizer, name)))

    def __call__(self) -> None:
        """The step."""
        with torch.autocast(DEVICE.type, self.dtype, enabled=self.dtype != torch.float32):
            loss = self.model(self.base_ids, return_logits=False).loss
        loss.backward()
        with record_function("part: optimizer"):
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.model.update_codebooks()


def _named(name, function):
    def wrapped(*arguments, **options):
        with record_function(name):
            return function(*arguments, **options)

    return wrapped


def shares_of_time(step: Step) -> dict[str, float]:
    """Share of each kind of work in the operations' own time."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if ON_GPU else [])]
    with profile(activities=activities) as profiled:
        step()
        wait()
    times: Counter[str] = Counter()
    for event in profiled.events():
        times[kind_of(event)] += event.self_device_time_total if ON_GPU else event.self_cpu_time_total
    total = sum(times.values())
    return {kind: round(took / total, 4) for kind, took in times.most_common()}


def kind_of(event) -> str:
    """Part of the step that an operation belongs to, or else its kind."""
    if "_Settle" in event.name:
        return "quantizer"
    ancestor = event.cpu_parent
    while ancestor is not None:
        if ancestor.name.startswith("part: "):
            return ancestor.name.removeprefix("part: ")
        if "_Settle" in ancestor.name:
            return "quantizer"
        ancestor = ancestor.cpu_parent
    return next((kind for kind, parts in KINDS.items() if any(part in event.name for part in parts)), "other")


def measure(preset: str, windows: int, repeats: int) -> dict:
    """Utilization and shares in each precision; steps and products take turns."""
    steps = {precision: Step(preset, precision, windows) for precision in PRECISIONS}
    found = {}
    for precision, step in steps.items():
        step()  # starts the codebooks
        found[precision] = {"operations": counted_operations(step), "seconds": float("inf"), "ceiling": 0.0}
    for _ in range(repeats):
        for precision, step in steps.items():
            result = found[precision]
            result["ceiling"] = max(result["ceiling"], product_rate(PRECISIONS[precision]))
            result["seconds"] = min(result["seconds"], seconds(step))
    for precision, step in steps.items():
        result = found[precision]
        result["utilization"] = result["operations"] / result["seconds"] / result["ceiling"]
        result["bases_per_second"] = step.base_ids.numel() / result["seconds"]
        result["shares_of_time"] = shares_of_time(step)
    return {"windows": windows, "window": steps["float32"].base_ids.shape[1], **found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--windows", type=int, default=256 if ON_GPU else 4)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    presets = {preset: measure(preset, arguments.windows, arguments.repeats) for preset in PRESETS}
    record = {"device": device_name(), "threads": torch.get_num_threads(), "load_average": load, "presets": presets}
    hand_over(record, arguments.out)
