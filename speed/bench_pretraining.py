"""Model FLOPs utilization of a whole stage-2 step, and the speed of its input beside it.

    python speed/bench_pretraining.py --out speed/results/pretraining.json

A step is forward, backward and AdamW on simulated genomes, over a vocabulary as fast as a trained one. Its
floating-point operations are counted; the ceiling is the fastest of several matrix products of the same precision,
measured between the steps. The input is what the training loop waits for: windows of the corpus, their masks and views.
bfloat16 is left out on processors that do not multiply it natively. With a GPU the steps run there.
"""

import argparse
import os
from pathlib import Path

import torch
from clock import DEVICE, device_name, hand_over, product_rate, seconds
from torch import Tensor

from vqdna.config import load_config
from vqdna.devices import uses_bfloat16
from vqdna.genome.corpus import Corpus
from vqdna.operations import counted_operations
from vqdna.pretrain.masking import draw_masked_bases
from vqdna.pretrain.train import MaskedCollator, PretrainConfig, untrained_model
from vqdna.simulation.genomes import simulate_genomes
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.training.window_batches import WindowDataset, window_sampler
from vqdna.vocabulary.train import VocabularyConfig, build_vocabulary

PRESETS = ("tiny", "small")
PRECISIONS = {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if uses_bfloat16("auto") else {})


def vocabulary() -> VqTokenizer:
    """The coarse levels of `views`, their codebooks started from random bases: as fast as trained ones."""
    config = load_config(VocabularyConfig, "views", "vocabulary")
    model = build_vocabulary(config.model, seed=0).train()
    with torch.no_grad():
        model(torch.randint(0, 4, (32, 512), dtype=torch.uint8), return_logits=False)
    return VqTokenizer(model).with_levels(load_config(PretrainConfig, "small", "pretrain").num_levels)


class PretrainingStep:
    """One step of stage 2 at a preset, and what feeds it."""

    def __init__(self, preset: str, tokenizer: VqTokenizer) -> None:
        self.config = load_config(PretrainConfig, preset, "pretrain")
        self.model = untrained_model(self.config, tokenizer).to(DEVICE).train()
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(weights, lr=1e-4)
        corpus = Corpus.from_sequences(simulate_genomes(0, num_species=4, bases_per_species=250_000).sequences())
        data = self.config.data.model_copy(update={"species_factors": {}, "hold_out": "blocks"})
        self.dataset = WindowDataset(window_sampler(corpus, data, 0, "train"), 1_000_000)
        questions = (self.config.shuffling, self.config.contrast)
        self.collate = MaskedCollator(self.config.masking, tokenizer, 0, *questions)
        self.batch_size, self.drawn = self.config.training.batch_size, 0
        self.batch = {name: value.to(DEVICE) for name, value in self.next_batch().items()}

    def next_batch(self) -> dict[str, Tensor]:
        """The next windows with their masks and views."""
        numbers = range(self.drawn, self.drawn + self.batch_size)
        self.drawn += self.batch_size
        return self.collate(self.dataset.__getitems__(numbers))

    def draw_masks(self) -> None:
        """The masks of a batch alone."""
        numbers = range(self.batch_size)
        draw_masked_bases(self.config.masking, 0, numbers, self.config.data.window, self.collate.stride)

    def __call__(self, dtype: torch.dtype) -> None:
        """The step, on the same batch every time."""
        with torch.autocast(DEVICE.type, dtype, enabled=dtype != torch.float32):
            loss = self.model(**self.batch).loss
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def operations(self) -> int:
        """Floating-point operations of the step."""
        return counted_operations(lambda: self(torch.float32))


def pretraining(preset: str, tokenizer: VqTokenizer, repeats: int) -> dict:
    """Utilization of a step in each precision, and the speed of its input beside it; all take turns."""
    step = PretrainingStep(preset, tokenizer)
    operations = step.operations()
    took = {name: [] for name in (*PRECISIONS, "input", "masks")}
    ceilings = dict.fromkeys(PRECISIONS, 0.0)
    for _ in range(repeats):
        for name, dtype in PRECISIONS.items():
            ceilings[name] = max(ceilings[name], product_rate(dtype))
            took[name].append(seconds(lambda dtype=dtype: step(dtype)))
        took["input"].append(seconds(lambda: [step.next_batch() for _ in range(20)]) / 20)
        took["masks"].append(seconds(lambda: [step.draw_masks() for _ in range(20)]) / 20)
    fastest = min(min(took[name]) for name in PRECISIONS)
    return {
        "parameters": sum(weight.numel() for weight in step.model.parameters() if weight.requires_grad),
        "batch": [step.batch_size, step.config.data.window],
        "operations": operations,
        **{
            name: {
                "utilization": round(operations / min(took[name]) / ceilings[name], 4),
                "bases_per_second": round(step.batch_size * step.config.data.window / min(took[name])),
            }
            for name in PRECISIONS
        },
        "input": {
            "batches_per_second": round(1 / min(took["input"]), 1),
            "ratio_to_training": round(fastest / min(took["input"]), 1),
            "share_of_masks": round(min(took["masks"]) / min(took["input"]), 3),
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load, tokenizer = os.getloadavg()[0], vocabulary()
    record = {
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "load_average": load,
        "presets": {name: pretraining(name, tokenizer, arguments.repeats) for name in PRESETS},
    }
    hand_over(record, arguments.out)
