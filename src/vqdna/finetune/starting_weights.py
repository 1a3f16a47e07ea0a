"""A network of random initialization over the tokenizer of a pre-trained encoder, for tasks that need no pre-training.

Flow: GenomeEncoder -> its tokenizer, the bases, or both -> GenomeEncoder of another shape, nothing in it trained but
the vocabulary. It is saved, applied and read like any other. It must not know training.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import set_seed

from vqdna.encoder.genome_encoder import GenomeEncoder, load_encoder
from vqdna.finetune.settings import NetworkSettings
from vqdna.results import put_in_place
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.base_words import BaseWordTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer


def fresh_network(encoder: GenomeEncoder, settings: NetworkSettings) -> GenomeEncoder:
    """Encoder of random initialization over the given encoder's tokenizer, or over what `settings.reads` makes of it.

    Raises:
        InputError: settings that make no network.
    """
    return GenomeEncoder.from_tokenizer(
        _tokenizer(encoder.tokenizer, settings.reads),
        settings.backbone,
        settings.code_embedding,
        code_dropout=settings.code_dropout,
    )


def _tokenizer(words: Tokenizer, reads: str) -> Tokenizer:
    if reads == "bases":
        return NucleotideTokenizer()
    return BaseWordTokenizer(words) if reads == "bases+words" else words


def fresh_encoder(source: Path, folder: Path, seed: int) -> Path:
    """Folder of an encoder of the same architecture and tokenizer, with weights as they are before pre-training."""
    trained = load_encoder(source)
    set_seed(seed)
    fresh = GenomeEncoder(trained.config)
    fresh.tokenizer.load_state_dict(trained.tokenizer.state_dict())
    save_encoder(fresh, folder)
    return folder


def save_encoder(encoder: GenomeEncoder, folder: Path) -> None:
    """Writes the encoder's folder, complete or not at all."""
    staging = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    encoder.save_pretrained(staging)
    put_in_place(staging, folder)


KEPT = ("tokenizer.", "embedding.tables.")
"""Weights that stay: codes must not change, and tables of fixed random vectors are what the rest was trained on."""


@torch.no_grad()
def mix_with_random(encoder: GenomeEncoder, share: float, seed: int) -> None:
    """Replaces each weight by (1 - share) times itself plus `share` times a random one, as `seed` initializes it."""
    if not share:
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = dict(GenomeEncoder(encoder.config).named_parameters())
    for name, weight in encoder.named_parameters():
        if not name.startswith(KEPT):
            weight.lerp_(fresh[name].to(weight.device), share)
