"""What training starts from: random initialization over a tokenizer, in whole or in part, and a head that was probed.

Flow: GenomeEncoder -> its tokenizer, the bases, or both -> GenomeEncoder of another shape, nothing in it trained but
the vocabulary; or the encoder as it is, and features of it from which the head alone learns first. A head of random
initialization pulls a pre-trained encoder wherever its random weights point, and on a hard task both can end in one
answer for everything. The features of a frozen encoder are computed once, so many epochs of the head cost little more
than one of the whole. It must not know training.

Reference: Kumar et al. 2022, arXiv 2202.10054 ("LP-FT": linear probing, then fine-tuning).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy import ndarray
from torch import Tensor
from transformers import set_seed

from vqdna.encoder.encoded_sequences import EncodedSequences
from vqdna.encoder.genome_encoder import GenomeEncoder, load_encoder
from vqdna.finetune.batches import label_tensor
from vqdna.finetune.evaluation import in_batches
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.finetune.settings import LinearProbing, NetworkSettings
from vqdna.results import folder_in_place
from vqdna.tokenizers.base_words import BaseWordTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer


def random_network(encoder: GenomeEncoder, settings: NetworkSettings) -> GenomeEncoder:
    """Encoder of random initialization over the given one's tokenizer, or over what `settings.reads` makes of it."""
    tokenizer = encoder.tokenizer
    if settings.reads != "words":
        tokenizer = NucleotideTokenizer() if settings.reads == "bases" else BaseWordTokenizer(tokenizer)
    dropout = settings.code_dropout
    return GenomeEncoder.from_tokenizer(tokenizer, settings.backbone, settings.code_embedding, code_dropout=dropout)


def random_encoder(source: Path, folder: Path, seed: int) -> Path:
    """Folder of an encoder of the same architecture and tokenizer, with weights as they are before pre-training."""
    trained = load_encoder(source)
    set_seed(seed)
    untrained = GenomeEncoder(trained.config)
    untrained.tokenizer.load_state_dict(trained.tokenizer.state_dict())
    save_encoder(untrained, folder)
    return folder


def save_encoder(encoder: GenomeEncoder, folder: Path) -> None:
    """Writes the encoder's folder, complete or not at all."""
    with folder_in_place(folder) as staging:
        encoder.save_pretrained(staging)


KEPT = ("tokenizer.", "embedding.tables.")
"""Weights that stay: codes must not change, and tables of fixed random vectors are what the rest was trained on."""


@torch.no_grad()
def mix_with_random(encoder: GenomeEncoder, share: float, seed: int) -> None:
    """Replaces each weight by (1 - share) times itself plus `share` times a random one, as `seed` initializes it."""
    if not share:
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        drawn = dict(GenomeEncoder(encoder.config).named_parameters())
    for name, weight in encoder.named_parameters():
        if not name.startswith(KEPT):
            weight.lerp_(drawn[name].to(weight.device), share)


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
