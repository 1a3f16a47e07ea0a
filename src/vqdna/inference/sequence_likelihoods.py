"""How probable whole sequences are to a model that predicts each token from those before it.

Flow: rows of base ids -> padded batches of similar length -> sum of the tokens' log-probabilities, on one strand or as
the mean over both. It must not know files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray

from vqdna.encoder.causal_model import GenomeEncoderForCausalModeling
from vqdna.genome.bases import reverse_complement
from vqdna.tokenizers.padding import pad_rows, similar_batches


def log_likelihoods(
    model: GenomeEncoderForCausalModeling,
    rows: Sequence[UInt8[ndarray, "_"]],
    batch_size: int,
    *,
    both_strands: bool = False,
) -> Float[ndarray, "row"]:
    """Log-likelihood of each row in nats: the sum over its tokens but the first and those over an N.

    Args:
        model: in evaluation mode.
        rows: base ids.
        batch_size: rows at once; fewer where they are long.
        both_strands: the mean of the row's and of its reverse complement's; a base is then told from either side.
    """
    likelihoods = _on_one_strand(model, rows, batch_size)
    if both_strands:
        likelihoods = (likelihoods + _on_one_strand(model, [reverse_complement(row) for row in rows], batch_size)) / 2
    return likelihoods


@torch.no_grad()
def _on_one_strand(
    model: GenomeEncoderForCausalModeling, rows: Sequence[UInt8[ndarray, "_"]], batch_size: int
) -> Float[ndarray, "row"]:
    likelihoods = np.zeros(len(rows))
    for batch in similar_batches([len(row) for row in rows], batch_size):
        padded = (part.to(model.device) for part in pad_rows([rows[row] for row in batch]))
        likelihoods[batch] = model(*padded).log_likelihoods.cpu().numpy().sum(axis=1, dtype=np.float64)
    return likelihoods
