"""A network of fresh weights over the tokenizer of a pre-trained encoder, for tasks that need no pre-training.

Flow: GenomeEncoder -> its tokenizer, the bases, or both -> GenomeEncoder of another shape, nothing in it trained but
the vocabulary. It is saved, applied and read like any other. It must not know training.
"""

from __future__ import annotations

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.settings import NetworkSettings
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.base_words import BaseWordTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer


def fresh_network(encoder: GenomeEncoder, settings: NetworkSettings) -> GenomeEncoder:
    """Encoder with fresh weights over the given encoder's tokenizer, or over what `settings.reads` makes of it.

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
