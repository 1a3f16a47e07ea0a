"""How deep a reader has to go: our own frames from the vocabulary's forward pass to the search for the nearest code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from documents import PACKAGE

from vqdna.vocabulary import codebook
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

MOST_FRAMES = 6

SHAPE = {"width": 8, "stem_width": 8, "num_blocks": 2}


def frames_below(function: str, file: Path) -> list[str]:
    """Names of our functions on the stack, from the innermost up to `function` of `file`."""
    names, frame = [], sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            names.append(frame.f_code.co_name)
            if path == file and names[-1] == function:
                return names
        frame = frame.f_back
    raise AssertionError(f"{function} is not on the stack")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {"quantizer": "hrq", "level_sizes": (4, 8)},
        {"quantizer": "vq", "level_sizes": (4,)},
        {"quantizer": "rvq", "level_sizes": (4, 8)},
        {"quantizer": "hrq", "level_sizes": (4, 8), "feed": "quantized"},
    ],
    ids=["hrq", "vq", "rvq", "hrq, blocks fed codes"],
)
def test_the_nearest_code_is_few_frames_below_forward(options, training, monkeypatch):
    model = VQVAE(VQVAEConfig(**SHAPE, **options)).train()
    base_ids = torch.randint(0, 4, (4, 32), dtype=torch.uint8)
    model(base_ids)  # k-means of the first batch, which looks for nearest codes too, is behind us
    stacks: list[list[str]] = []
    nearest = codebook.nearest_codes

    def counted(*arguments):
        stacks.append(["nearest_codes", *frames_below("forward", PACKAGE / "vocabulary" / "autoencoder.py")])
        return nearest(*arguments)

    monkeypatch.setattr(codebook, "nearest_codes", counted)
    model.train(training)(base_ids)
    assert len(stacks) == len(model.quantizer.level_sizes)
    assert all(len(stack) <= MOST_FRAMES for stack in stacks), stacks
