"""A tiny vocabulary trained by plain torch DDP on this rank's windows; what codebook_on_ranks.py runs for "vocabulary".

Windows are dealt out unevenly and hold unequally many N, so that a mean of means is not the joint mean. "objectives" is
a vocabulary of views of which everything is asked beside the paper's reconstruction, with hidden bases.
"""

import contextlib

import torch
import torch.distributed as dist

from vqdna.training.gradient_accumulation import share_losses, start_codebooks
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig
from vqdna.vocabulary.objectives import draw_hidden_bases

STEPS, WINDOWS, BASES = 5, 12, 40

# Windows of each rank in each pass of a batch of 12.
CUTS = {
    1: {"whole": [[12]], "accumulated": [[5], [7]]},
    2: {"even": [[6, 6]], "uneven": [[4, 8]], "accumulated": [[2, 4], [5, 1]]},
    4: {"even": [[3] * 4], "uneven": [[1, 5, 2, 4]], "accumulated": [[1, 2, 1, 2], [3, 1, 1, 1]]},
}


def windows(step: int) -> torch.Tensor:
    """Base ids; window i of a batch begins with 2 i N."""
    generator = torch.Generator().manual_seed(step)
    bases = torch.randint(0, 4, (WINDOWS, BASES), generator=generator, dtype=torch.uint8)
    bases[torch.arange(BASES)[None] < 2 * torch.arange(WINDOWS)[:, None]] = 4
    return bases


SHAPE = {"width": 8, "stem_width": 8, "num_blocks": 2, "kernel_size": 3, "expansion": 2}
MODELS = {
    "vocabulary": {"quantizer": "hrq", "level_sizes": [8, 16], **SHAPE},
    "objectives": {
        "quantizer": "product", "level_sizes": [8, 16], "views": [[-1, 0, 1], [-3, 0, 2]], "decoder": "pointwise",
        "target_reach": 2, "strand_weight": 0.5, "neighbor_weight": 0.3, "neighbor_bases": 12,
        "masked_base_fraction": 0.2, **SHAPE,
    },
}  # fmt: skip


def batch_of(base_ids: torch.Tensor, numbers: range, config: VQVAEConfig) -> dict[str, torch.Tensor]:
    """Windows with what is hidden of them, which goes by a window's number and not by its place in a pass."""
    if config.masked_base_fraction == 0:
        return {"base_ids": base_ids}
    drawn = draw_hidden_bases(0, numbers, BASES, config.masked_base_fraction, config.masked_base_span)
    return {"base_ids": base_ids, "hidden_bases": torch.from_numpy(drawn)}


def train_one(cut: list[list[int]], rank: int, what: str) -> dict[str, torch.Tensor]:
    """Weights and codebooks after five SGD steps."""
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(codebook_decay=0.5, dead_code_threshold=1.0, **MODELS[what])).train()
    edges = torch.tensor([share for shares in cut for share in shares]).cumsum(0).tolist()
    replica = model
    if dist.is_initialized():
        replica = torch.nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(STEPS):
        numbers = range(step * WINDOWS, (step + 1) * WINDOWS)
        ends = zip([0, *edges[:-1]], edges, strict=True)
        parts = [batch_of(windows(step)[a:b], numbers[a:b], model.config) for a, b in ends]
        batches = parts[rank :: len(cut[0])]
        start_codebooks(model, batches)
        for number, batch in enumerate(share_losses(model, batches, torch.device("cpu")), 1):
            last = number == len(batches) or not dist.is_initialized()
            with contextlib.nullcontext() if last else replica.no_sync():
                (replica(**batch).loss / len(batches)).backward()
        optimizer.step()
        optimizer.zero_grad()
        model.update_codebooks()
    return {name: value.clone().contiguous() for name, value in model.state_dict().items()}


def train_vocabulary(what: str, rank: int, num_ranks: int) -> dict[str, torch.Tensor]:
    """Weights by cut."""
    runs = {name: train_one(cut, rank, what) for name, cut in CUTS[num_ranks].items()}
    return {f"{name}/{key}": value for name, run in runs.items() for key, value in run.items()}
