"""Started once per rank by test_ranks.py: learns from this rank's share of the same batches, each cut in several ways.

    python codebook_on_ranks.py WHAT RANK NUM_RANKS FOLDER

A batch is cut into passes and each pass into ranks; rows count in that order. One rank with one pass is the yardstick.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from vqdna.training.gradient_accumulation import start_codebooks
from vqdna.vocabulary.quantizer import HierarchicalQuantizer

STEPS, ROWS, WIDTH, SIZES = 6, 240, 6, (8, 16)
LAST, SHIFT = 60, 3.0

# Rows of each rank in each pass of a batch of 240; the last batch has 60.
CUTS = {
    2: {
        "even": [[120, 120]],
        "uneven": [[101, 139]],
        "none on one rank": [[0, 240]],
        "accumulated": [[40, 40]] * 3,
        "accumulated and uneven": [[30, 70], [0, 80], [60, 0]],
    },
    4: {
        "even": [[60] * 4],
        "uneven": [[1, 100, 19, 120]],
        "none on one rank": [[60, 0, 70, 110]],
        "accumulated": [[20] * 4] * 3,
        "accumulated and uneven": [[30, 10, 20, 40], [0, 80, 0, 0], [5, 5, 0, 50]],
    },
}
CUTS[1] = {"whole": [[ROWS]], "accumulated": [[80]] * 3, "accumulated and uneven": [[100], [0], [140]]}


def batch(step: int, generator: torch.Generator) -> torch.Tensor:
    """Latents of two taps; a far cluster appears at step 3, so codes die and are revived; the last batch is smaller."""
    rows = LAST if step == STEPS - 1 else ROWS
    return torch.randn(2, rows, WIDTH, generator=generator) + (SHIFT if step == 3 else 0.0)


def passes(latents: torch.Tensor, cut: list[list[int]], rank: int) -> list[torch.Tensor]:
    """This rank's rows in each pass; of a smaller batch each share is smaller alike."""
    scale = ROWS // latents.shape[1]
    edges = torch.tensor([share for shares in cut for share in shares]).cumsum(0).tolist()
    parts = torch.tensor_split(latents, [edge // scale for edge in edges[:-1]], dim=1)
    return list(parts[rank :: len(cut[0])])


def learn(cut: list[list[int]], rank: int, bfloat16: bool = False) -> dict[str, torch.Tensor]:
    """Codebooks after six updates, by either way of revival."""
    random, farthest = (learn_reviving(revival, cut, rank, bfloat16) for revival in ("random", "farthest"))
    return {**random, **{f"farthest.{name}": value for name, value in farthest.items()}}


def learn_reviving(revival: str, cut: list[list[int]], rank: int, bfloat16: bool) -> dict[str, torch.Tensor]:
    """Codebooks after six updates."""
    quantizer = HierarchicalQuantizer(SIZES, WIDTH, decay=0.1, dead_code_threshold=1.0, revival=revival, seed=7)
    generator = torch.Generator().manual_seed(1)
    revived = torch.zeros(())
    for step in range(STEPS):
        mine = passes(batch(step, generator), cut, rank)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            if step == 0:
                start_codebooks(quantizer, [{"latents": [rows[:1], rows[1:]]} for rows in mine])
            for rows in mine:
                rows = rows.bfloat16() if bfloat16 else rows
                quantizer([rows[:1], rows[1:]])
            quantizer.update_codebooks()
        revived += sum((book.ema_counts == 1.0).sum() for book in quantizer.codebooks)
    state = {name: value.clone().contiguous() for name, value in quantizer.state_dict().items()}
    return {**state, "revived": revived}


def all_cuts(rank: int, num_ranks: int) -> dict[str, torch.Tensor]:
    """Codebooks by cut, the even one (whole on one rank) under bfloat16 autocast too."""
    runs = {name: learn(cut, rank) for name, cut in CUTS[num_ranks].items()}
    runs["bfloat16"] = learn(next(iter(CUTS[num_ranks].values())), rank, bfloat16=True)
    return {f"{name}/{key}": value for name, run in runs.items() for key, value in run.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, rank, num_ranks, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=num_ranks)
    if what == "codebooks":
        found = all_cuts(rank, num_ranks)
    else:
        sys.path.insert(0, str(Path(__file__).parent))
        from vocabulary_on_ranks import train_vocabulary

        found = train_vocabulary(what, rank, num_ranks)
    save_file(found, folder / f"rank-{rank}.safetensors")
    dist.destroy_process_group()
