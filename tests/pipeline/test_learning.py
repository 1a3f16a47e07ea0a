"""On DNA whose entropy is known, training must come near the bound, and cannot go below it."""

import math

import numpy as np
import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.genome import Sequence
from vqdna.genome.corpus import Corpus
from vqdna.pretrain.evaluation import evaluate_masked
from vqdna.pretrain.masking import MaskingSettings
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.pretrain.train import MaskedCollator
from vqdna.tokenizers import load_tokenizer
from vqdna.training.window_batches import CorpusSettings, WindowDataset, window_sampler

MOTIF, SPACER = 30, 20
BACKBONE = {
    "model_type": "modernbert", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 96, "global_attn_every_n_layers": 1, "attention_dropout": 0.0,
    "embedding_dropout": 0.0, "mlp_dropout": 0.0,
}  # fmt: skip


def planted_genome():
    """One motif of 30 bases, over and over, between 20 bases of uniform noise: at best 0.4 x ln 4 nats a base."""
    generator = np.random.default_rng(0)
    motif = generator.integers(0, 4, MOTIF)
    pieces = [part for _ in range(4000) for part in (motif, generator.integers(0, 4, SPACER))]
    bases = np.concatenate(pieces).astype(np.uint8)
    return Corpus.from_sequences({"planted": [Sequence("planted", bases, None, 0)]})


@pytest.mark.slow
def test_masked_modelling_finds_the_planted_motif():
    tokenizer = load_tokenizer("nucleotide")
    sampler = window_sampler(planted_genome(), CorpusSettings(window=128, reverse_complement=False), 0, "train")
    collate = MaskedCollator(MaskingSettings(span=2), tokenizer, 0)
    model = GenomeEncoderForMaskedModeling.from_encoder(GenomeEncoder.from_tokenizer(tokenizer, BACKBONE)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    dataset = WindowDataset(sampler, 10_000)
    for step in range(350):
        model(**collate(dataset.__getitems__(range(step * 16, (step + 1) * 16)))).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    unseen = [collate(dataset.__getitems__(range(start, start + 16))) for start in range(9000, 9128, 16)]
    nats = evaluate_masked(model, unseen)[0]["base_nats"]
    bound = SPACER / (MOTIF + SPACER) * math.log(4)
    assert bound - 0.03 < nats < bound + 0.2
