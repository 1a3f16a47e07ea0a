"""Tokenizers from the vocabulary files of published folders, checked word by word against the list that we know.

Flow: vocab.txt or tokenizer.json -> tokenizer whose codes are the published numbers. It must not know backbones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tokenizers
from vqdna.errors import InputError
from vqdna.genome.bases import from_base_ids
from vqdna.tokenizers.bpe import BpeTokenizer
from vqdna.tokenizers.published_words import WORD_LISTS, PublishedWordTokenizer

WORDS_FILE = "vocab.txt"
BYTE_PAIRS_FILE = "tokenizer.json"
MEASURED_BASES = 100_000


def fixed_words(folder: Path, model: str, num_words: int) -> PublishedWordTokenizer:
    """Tokenizer of the k-mers in the folder's vocab.txt, for a model of `WORD_LISTS`.

    The table of embeddings has `num_words` rows; the file may list special tokens beyond it.
    """
    path = folder / WORDS_FILE
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    lines = path.read_text().split()
    before = len(WORD_LISTS[model].before)
    k = len(lines[before]) if len(lines) > before else 0
    try:
        tokenizer = PublishedWordTokenizer(model, k, num_words)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    wanted = WORD_LISTS[model].words(k)
    for number, (line, word) in enumerate(zip(lines, wanted, strict=False), 1):
        if line != word:
            raise InputError(f"{path}:{number}: got '{line}', expected '{word}'")
    if not num_words <= len(lines) <= len(wanted):
        raise InputError(f"{path}: got {len(lines)} words, expected {num_words}")
    return tokenizer


def byte_pairs(folder: Path, num_words: int) -> BpeTokenizer:
    """Tokenizer of the byte-pair words in the folder's tokenizer.json.

    Its bases per position are the mean over random bases; words of a genome are a little longer.
    """
    path = folder / BYTE_PAIRS_FILE
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        words = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more particular
        raise InputError(f"{path}: no tokenizer ({error})") from None
    words.no_truncation()
    words.no_padding()
    if words.get_vocab_size() != num_words:
        raise InputError(f"{path}: got {words.get_vocab_size()} words, expected {num_words}")
    text = from_base_ids(np.random.default_rng(0).integers(0, 4, MEASURED_BASES).astype(np.uint8))
    return BpeTokenizer(words, MEASURED_BASES / len(words.encode(text, add_special_tokens=False).ids))


def byte_pair_code(folder: Path, tokenizer: BpeTokenizer, word: str) -> int:
    code: int | None = tokenizer.tokenizer.token_to_id(word)
    if code is None:
        raise InputError(f"{folder / BYTE_PAIRS_FILE}: expected the special token {word}, which it lacks")
    return code
