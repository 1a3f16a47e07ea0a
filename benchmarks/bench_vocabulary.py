"""Speed of the vocabulary's hot path beside its rivals, interleaved round by round; prints medians and ratios.

    python benchmarks/bench_vocabulary.py --out benchmarks/results/vocabulary.json

Shapes are those of field practice: 32 windows of 171 positions, width 384.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from vector_quantize_pytorch import ResidualVQ, VectorQuantize

from vqdna.vocabulary.codebook import nearest_codes
from vqdna.vocabulary.convolution import convolve
from vqdna.vocabulary.quantizer import HierarchicalQuantizer

SHAPE = (32, 171, 384)


def timed(step) -> float:
    """Milliseconds of one call."""
    started = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - started)


def training_step(quantize, latents):
    """Forward, backward and codebook update on fresh gradients."""
    leaves = [latent.detach().requires_grad_() for latent in latents]
    vectors, loss, update = quantize(leaves)
    (vectors.sum() + loss).backward()
    update()


def contestants() -> dict:
    """Steps by name; pairs to be compared stand together."""
    torch.manual_seed(0)
    latents = [torch.randn(SHAPE), torch.randn(SHAPE)]
    vq, hrq = HierarchicalQuantizer([512], SHAPE[2]), HierarchicalQuantizer([1024, 2048], SHAPE[2])
    library_vq = VectorQuantize(dim=SHAPE[2], codebook_size=512, decay=0.99, rotation_trick=False, kmeans_init=True)
    library_rvq = ResidualVQ(dim=SHAPE[2], codebook_size=(1024, 2048), num_quantizers=2, rotation_trick=False)

    def ours(quantizer):
        def quantize(leaves):
            output = quantizer(leaves)
            return output.code_vectors, output.commitment, quantizer.update_codebooks

        return quantize

    def theirs(quantizer):
        def quantize(leaves):
            vectors, _, loss = quantizer(leaves[-1])
            return vectors, loss.sum(), lambda: None

        return quantize

    width = SHAPE[2]
    depthwise = torch.nn.Conv1d(width, width, 7, padding=3, groups=width)
    rows, codebook = latents[0].reshape(-1, width), torch.randn(512, width)
    half_norms = codebook.square().sum(1) / 2
    return {
        "VQ 512 training step": lambda: training_step(ours(vq), latents[:1]),
        "VectorQuantize 512 training step": lambda: training_step(theirs(library_vq), latents[:1]),
        "HRQ (1024, 2048) training step": lambda: training_step(ours(hrq), latents),
        "ResidualVQ (1024, 2048) training step": lambda: training_step(theirs(library_rvq), latents),
        "nearest code": lambda: nearest_codes(rows, codebook),
        "bare addmm + argmin": lambda: torch.addmm(half_norms, rows, codebook.T, alpha=-1).argmin(1),
        "depth-wise convolution": lambda: convolve(latents[0].requires_grad_(), depthwise).sum().backward(),
        "Conv1d on a transposed copy": lambda: (
            depthwise(latents[0].requires_grad_().transpose(1, 2)).transpose(1, 2).sum().backward()
        ),
    }


def run(rounds: int) -> dict:
    """Median milliseconds of each, and each pair's median ratio, rival over ours."""
    steps = contestants()
    times = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            elapsed = timed(step)
            if number >= 2:
                times[name].append(elapsed)
    names = list(steps)
    ratios = {
        f"{rival} / {own}": statistics.median(b / a for a, b in zip(times[own], times[rival], strict=True))
        for own, rival in zip(names[::2], names[1::2], strict=True)
    }
    return {
        "shape": SHAPE,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "median_ms": {name: statistics.median(values) for name, values in times.items()},
        "median_ratio": ratios,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    text = json.dumps(run(arguments.rounds), indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")
