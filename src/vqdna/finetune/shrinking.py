"""An encoder's weights moved part of the way back to fresh ones, which then learn a task more readily.

Pre-trained weights are large, and what they compute of a sequence is far from what a task asks; fine-tuning on some
hundred sequences does not undo that. A mixture keeps what was learned and learns like a fresh network. It must not know
training.

Reference: Ash and Adams 2020, "On warm-starting neural network training" (shrink and perturb).
"""

from __future__ import annotations

import torch

from vqdna.encoder.genome_encoder import GenomeEncoder

KEPT = ("tokenizer.", "embedding.tables.")
"""Weights that stay: codes must not change, and tables of fixed random vectors are what the rest was trained on."""


@torch.no_grad()
def mix_with_fresh(encoder: GenomeEncoder, share: float, seed: int) -> None:
    """Replaces each weight by (1 - share) times itself plus `share` times a fresh one drawn from the seed."""
    if not share:
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = dict(GenomeEncoder(encoder.config).named_parameters())
    for name, weight in encoder.named_parameters():
        if not name.startswith(KEPT):
            weight.lerp_(fresh[name].to(weight.device), share)
