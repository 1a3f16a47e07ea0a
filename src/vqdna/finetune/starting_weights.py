"""Random initialization over the tokenizer of a pre-trained encoder: in whole, in part, or as another network.

Flow: GenomeEncoder -> its tokenizer, the bases, or both -> GenomeEncoder of another shape, nothing in it trained but
the vocabulary. It is saved, applied and read like any other. It must not know training.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import set_seed

from vqdna.encoder.genome_encoder import GenomeEncoder, load_encoder
from vqdna.finetune.settings import NetworkSettings
from vqdna.results import folder_in_place
from vqdna.tokenizers.base_words import BaseWordTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer


def random_network(encoder: GenomeEncoder, settings: NetworkSettings) -> GenomeEncoder:
    """Encoder of random initialization over the given encoder's tokenizer, or over what `settings.reads` makes of it.

    Raises:
        InputError: settings that make no network.
    """
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
