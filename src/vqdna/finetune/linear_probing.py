"""Linear probing, then fine-tuning: the head learns first, from the features of a frozen encoder; then both learn.

A head of random initialization pulls a pre-trained encoder wherever its random weights point, and on a hard task both
can end in one answer for everything. The features of a frozen encoder are computed once, so many epochs of the head
cost little more than one of the whole. It must not know files.

Reference: Kumar et al. 2022, arXiv 2202.10054 ("LP-FT").
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy import ndarray
from torch import Tensor

from vqdna.encoder.encoded_sequences import EncodedSequences
from vqdna.finetune.batches import label_tensor
from vqdna.finetune.evaluation import in_batches
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.finetune.settings import LinearProbing


def probe_head(
    model: GenomeEncoderForSequenceClassification,
    encoded: EncodedSequences,
    labels: Shaped[ndarray, "row ..."],
    start: LinearProbing,
    seed: int,
) -> None:
    """Trains the head in place on the strand as given; the rate falls to zero. `seed` orders the sequences."""
    features, wanted = pooled_features(model, encoded), label_tensor(list(labels)).to(model.device)
    starts = range(0, len(features), start.batch_size)
    optimizer = torch.optim.AdamW(model.head.parameters(), start.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, start.epochs * len(starts))
    was_training = model.training
    model.head.train()
    for epoch in range(start.epochs):
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(features))).to(model.device)
        for first in starts:
            rows = order[first : first + start.batch_size]
            optimizer.zero_grad()
            model.loss(model.head(features[rows]).float(), wanted[rows]).backward()
            optimizer.step()
            schedule.step()
    optimizer.zero_grad()  # or the first step of the fine-tuning would begin with these gradients
    model.train(was_training)


def pooled_features(
    model: GenomeEncoderForSequenceClassification, encoded: EncodedSequences
) -> Float[Tensor, "row feature"]:
    # Without dropout: the same features serve every epoch, and a draw of them would be learned by heart.
    was_training = model.training
    model.train(False)
    features = in_batches(model, encoded, model.pooled, description="features for the head")
    model.train(was_training)
    return features
