"""Speed of the vocabulary's hot path beside its rivals, interleaved round by round; prints medians and ratios.

    python speed/bench_vocabulary.py --out speed/results/vocabulary.json

Shapes are those of field practice: 32 windows of 171 positions, width 384. Beside it, in a process of its own, the
memory that the search of a million latents among 4096 codes takes beyond its inputs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from clock import hand_over
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


MANY_LATENTS, MANY_CODES, NARROW = 1_000_000, 4096, 64


def search_memory() -> None:
    """Prints what the search of a million latents adds to this process's peak, in megabytes; Linux only."""
    latents, codebook = torch.randn(MANY_LATENTS, NARROW), torch.randn(MANY_CODES, NARROW)
    nearest_codes(latents[:10_000], codebook)  # what libraries allocate once
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _resident("VmRSS")
    started = time.perf_counter()
    nearest_codes(latents, codebook)
    seconds = time.perf_counter() - started
    print(json.dumps({"megabytes_beyond_inputs": (_resident("VmHWM") - before) / 1024, "seconds": seconds}))


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def measured_search_memory() -> dict:
    """What `search_memory` prints, from a fresh process, with the sizes."""
    command = [sys.executable, __file__, "--search-memory"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {"latents": MANY_LATENTS, "codes": MANY_CODES, "width": NARROW, **json.loads(printed)}


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
        "best_ms": {name: min(values) for name, values in times.items()},
        "median_ratio": ratios,
        "load_average": os.getloadavg()[0],
        "search_memory": measured_search_memory(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--search-memory", action="store_true", help="only print what one search takes")
    arguments = parser.parse_args()
    if arguments.search_memory:
        search_memory()
        sys.exit()
    hand_over(run(arguments.rounds), arguments.out)
