"""A published folder's config.json and vocabulary, and what one reads out of them: `Reading`, the plan of an import.

Flow: config.json -> checked numbers -> `Reading`: settings of a genome encoder, and our name of each published tensor;
vocab.txt or tokenizer.json -> tokenizer whose codes are the published numbers, checked word by word against the list
that we know. It must not know any family of models, nor weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import tokenizers
from vqdna.errors import InputError
from vqdna.genome.bases import from_base_ids
from vqdna.results import read_json
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.bpe import BpeTokenizer
from vqdna.tokenizers.published_words import WORD_LISTS, PublishedWordTokenizer

TRAINED_AS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps")
UNUSED = ""

Renaming = Sequence[tuple[str, str]]


class Description:
    """A folder's config.json, asked for by key."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "config.json"
        self.values: Mapping[str, Any] = read_json(self.path)

    def number(self, key: str) -> Any:  # whole or not, as the reader of the key knows
        """Value of a key that has to be there (InputError: it is not, or is no number)."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{self.path}: expected a number as '{key}', got {json.dumps(value)}")
        return value

    def numbers(self, *keys: str) -> dict[str, int | float]:
        """The named numbers, which have to be there, and those of dropout and norms that are."""
        return {key: self.number(key) for key in (*keys, *(key for key in TRAINED_AS if key in self.values))}

    def expect(self, key: str, wanted: Any) -> None:
        """Refuses what none of the published models has; an absent key counts as what is wanted."""
        value = self.values.get(key, wanted)
        if value != wanted:
            raise InputError(f"{self.path}: expected {json.dumps(wanted)} as '{key}', got {json.dumps(value)}")


@dataclass(frozen=True)
class Reading:
    """What a folder's description says."""

    tokenizer: Tokenizer
    backbone: dict[str, Any]
    special_tokens: dict[str, list[int]]  # published tokens around a row, see `vqdna.encoder.stem.SpecialTokens`
    prefix: str  # what published names open with where the folder holds a model with a head
    table: str  # published name of the table of word embeddings, behind the prefix
    table_rows: int  # its rows, which may be more than there are words
    masked: int | None  # code whose embedding stands for a hidden token; None where it is all zeros
    renaming: Renaming  # patterns of published names, each with our name in the backbone; the first that matches counts
    unused: Sequence[str]  # patterns of tensors that hidden states do not depend on
    table_scale: float = 1.0
    # what is done to a tensor before it is taken, by our name
    changes: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    # the same of the head that predicts words, with our names in that head; none where its predictions cannot be told
    head: Renaming = ()
    predicts: str = "hidden"  # "hidden" words, or each "next" one from those before it

    def our_name(self, published: str) -> str | None:
        """Name of a tensor in the backbone; `UNUSED` if nothing depends on it, None if it is not known."""
        name = published.removeprefix(self.prefix)
        if any(re.fullmatch(pattern, name) for pattern in self.unused):
            return UNUSED
        return renamed(name, self.renaming)


def renamed(name: str, renaming: Renaming) -> str | None:
    matches = ((re.fullmatch(pattern, name), ours) for pattern, ours in renaming)
    return next((match.expand(ours) for match, ours in matches if match), None)


def in_layers(published: str, parts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Renaming of weights and biases of each layer, by the pattern of its name up to its number, and of its parts."""
    return [
        (rf"{published}\.(?P<layer>\d+)\.{part}\.(?P<kind>weight|bias)", rf"layers.\g<layer>.{ours}.\g<kind>")
        for part, ours in parts.items()
    ]


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
