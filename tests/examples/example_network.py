from __future__ import annotations

import numpy as np
import torch

from vqdna.baselines.cnn import CnnConfig

TINY = CnnConfig(width=16, stem_kernel=7, kernel=3, dilations=(1,), hidden_size=8, dropout=0.0, batch_size=16)
CPU = torch.device("cpu")


def random_bases(*lengths: int) -> list[np.ndarray]:
    """Sequences of these lengths, N among their bases."""
    random = np.random.default_rng(3)
    return [random.integers(0, 5, length).astype(np.uint8) for length in lengths]
