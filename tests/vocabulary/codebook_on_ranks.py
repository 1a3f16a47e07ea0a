"""Started by torchrun from test_ranks.py: each rank quantizes its share of the same batches and saves its codebooks."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from vqdna.vocabulary.quantizer import HierarchicalQuantizer

STEPS, ROWS, WIDTH, SIZES = 6, 120, 6, (8, 16)


def run(rank: int, num_ranks: int) -> dict[str, torch.Tensor]:
    """Codebooks after six steps on this rank's rows; a far cluster appears at step 3, so codes die and are revived."""
    quantizer = HierarchicalQuantizer(SIZES, WIDTH, decay=0.5, dead_code_threshold=1.0, seed=7)
    generator = torch.Generator().manual_seed(1)
    for step in range(STEPS):
        latents = torch.randn(2, ROWS, WIDTH, generator=generator) + (20.0 if step == 3 else 0.0)
        share = ROWS // num_ranks
        mine = latents[:, rank * share : (rank + 1) * share]
        quantizer([mine[:1], mine[1:]])
        quantizer.update_codebooks()
    return {name: value.float().contiguous() for name, value in quantizer.state_dict().items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    save_file(run(dist.get_rank(), dist.get_world_size()), Path(sys.argv[1]) / f"rank-{dist.get_rank()}.safetensors")
    dist.destroy_process_group()
