"""What a probe sees of a sequence: how often each code occurs, and where codes have vectors, their mean.

Flow: base id rows -> codes [batch, position, level], computed once -> code histogram [row, code] (sparse, levels side
by side; also without the finest level, and of it alone) and mean code vector [row, width]. It must not know labels, nor
how a tokenizer was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.encoding import encode_rows
from vqdna.tokenizers.padding import length_buckets, pad_codes

BASES_PER_BATCH = 32_768

Features: TypeAlias = Float[ndarray, "_ width"] | csr_matrix


@torch.inference_mode()
def extract_features(
    tokenizer: Tokenizer, rows: Sequence[UInt8[ndarray, "_"]], bases_per_batch: int = BASES_PER_BATCH
) -> dict[str, Features]:
    """Representations of each sequence by name, see `histograms_of`; first `mean` for tokenizers with code vectors.

    Sequences of like length go together, in padded batches of at most `bases_per_batch` bases, which changes speed and
    memory only.
    """
    codes = encode_rows(tokenizer, rows, bases_per_batch=bases_per_batch)
    buckets = list(length_buckets([len(row) for row in rows], bases_per_batch))
    means, histograms = [], []
    for bucket in buckets:
        padded, kept = (part.to(tokenizer.device) for part in pad_codes([codes[number] for number in bucket]))
        histograms.append(code_histogram(padded, kept, tokenizer.level_sizes))
        if tokenizer.vector_size is not None:
            means.append(mean_code_vector(tokenizer, padded, kept))
    original_order = np.argsort(np.concatenate(buckets))
    features: dict[str, Features] = {"mean": np.concatenate(means)[original_order]} if means else {}
    return features | histograms_of(vstack(histograms, format="csr")[original_order], tokenizer.level_sizes)


def histograms_of(counts: csr_matrix, level_sizes: Sequence[int]) -> dict[str, csr_matrix]:
    """`histogram`, all levels side by side; of several levels also `coarse` (all but the finest) and `fine` (it alone).

    A fine level has many codes, each seldom seen in a short sequence: what it adds on long ones is noise on short ones.
    """
    if len(level_sizes) == 1:
        return {"histogram": counts}
    num_coarse = int(sum(level_sizes[:-1]))
    return {"histogram": counts, "coarse": counts[:, :num_coarse], "fine": counts[:, num_coarse:]}


def code_histogram(
    codes: Int[Tensor, "row position level"], mask: Bool[Tensor, "row position"], level_sizes: Sequence[int]
) -> csr_matrix:
    """Fraction of each sequence's positions that hold each code, levels side by side; zeros for rows without tokens."""
    offsets = np.cumsum([0, *level_sizes])
    kept = mask.cpu().numpy()
    row, _ = np.nonzero(kept)
    columns = codes.cpu().numpy()[kept] + offsets[:-1]
    fractions = np.repeat(1.0 / np.maximum(kept.sum(axis=1), 1)[row], len(level_sizes))
    shape = (len(kept), int(offsets[-1]))
    return csr_matrix((fractions, (np.repeat(row, len(level_sizes)), columns.ravel())), shape=shape)


def mean_code_vector(
    tokenizer: Tokenizer, codes: Int[Tensor, "row position level"], mask: Bool[Tensor, "row position"]
) -> Float[ndarray, "row width"]:
    """Mean over each sequence's positions of their merged code vectors; zero for rows without tokens."""
    # Double precision: sums of like codes then agree to the last printed digit whatever the padding behind them.
    kept = mask[..., None].double()
    total = (tokenizer.code_vectors(codes).double() * kept).sum(dim=1)
    mean: ndarray = (total / kept.sum(dim=1).clamp(min=1)).cpu().numpy()
    return mean
