"""The head learns first, from the features of an encoder that stands still; then both learn.

A fresh head changes a pre-trained encoder by what its random weights ask for, and where a task is hard to begin with
both can end in one answer for everything. The features of a still encoder are computed once, so that many epochs of the
head cost little more than one of the whole. Source: "linear probing, then fine-tuning", Kumar et al. 2022, arXiv
2202.10054. It must not know files.
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
from vqdna.finetune.settings import HeadStart


def start_head(
    model: GenomeEncoderForSequenceClassification,
    encoded: EncodedSequences,
    labels: Shaped[ndarray, "row ..."],
    start: HeadStart,
    seed: int,
) -> None:
    """Trains the head in place on the strand as given; the rate falls to zero.

    Args:
        model: its encoder and standardizer are taken as they are.
        encoded: training sequences.
        labels: class ids, 0/1 sets or scores, a row each.
        start: how long, and how fast.
        seed: of the order of the sequences.
    """
    if not start.epochs:
        return
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
    optimizer.zero_grad()
    model.train(was_training)


def pooled_features(
    model: GenomeEncoderForSequenceClassification, encoded: EncodedSequences
) -> Float[Tensor, "row feature"]:
    """What the head reads of each sequence, in the order given."""
    was_training = model.training
    model.train(False)
    features = in_batches(model, encoded, model.pooled, description="features for the head")
    model.train(was_training)
    return features
