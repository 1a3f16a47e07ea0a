"""Byte-pair words learned from DNA text, as DNABERT-2: frequent neighbors are merged until the vocabulary is full.

Flow: base_ids [batch, base] -> text of each row -> word ids (`tokenizers` library) -> codes [batch, position, 1]; spans
follow from the words' lengths, because words tile the text. Code 0 is the unknown word, one for each N, or for each
run of them where a published tokenizer joins unknown letters. The whole tokenizer is in `settings`, so a model
saved with it needs no second file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool, Int, UInt8
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor

import tokenizers
from vqdna.errors import InputError
from vqdna.genome.bases import from_base_ids
from vqdna.results import read_json, write_atomically, write_json
from vqdna.tokenizers.contract import Tokenizer, TokenizerSettings, Tokens
from vqdna.tokenizers.padding import leading_mask, row_lengths

TOKENIZER_FILE = "tokenizer.json"
SETTINGS_FILE = "settings.json"
UNKNOWN = "[UNK]"
UNKNOWN_CODE = 0
DNABERT2_VOCABULARY_SIZE = 4096
SMALLEST_VOCABULARY_SIZE = 5  # A, C, G, T and the unknown word
NUM_MEASURED_TEXTS = 1000
"""Evenly spaced training texts, at most, over which the mean bases of a word are measured."""


class BpeTokenizer(Tokenizer):
    """Words of varying length, 1 base and up.

    `bases_per_position` is the mean measured on the text it was trained on.
    """

    kind: ClassVar[str] = "bpe"

    def __init__(self, tokenizer: tokenizers.Tokenizer, bases_per_position: float) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.bases_per_position = bases_per_position
        self.max_span = max(map(len, tokenizer.get_vocab()))
        self.level_sizes = (tokenizer.get_vocab_size(),)
        words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        # On the processor even while transformers builds a model without memory: nothing would fill it afterwards.
        self._word_lengths: Int[Tensor, "size"] = torch.tensor(
            [1 if word == UNKNOWN else len(word) for word, _ in words], device="cpu"
        )

    @classmethod
    def learn(cls, chunks: Iterable[str], vocabulary_size: int = DNABERT2_VOCABULARY_SIZE) -> BpeTokenizer:
        """Tokenizer of the words most often merged in `chunks`; a text of little variety yields fewer words than asked.

        Not `train`: that name is `nn.Module`'s switch between training and evaluation.

        Args:
            chunks: texts of A, C, G, T and N; no word crosses the end of a chunk or an N.
            vocabulary_size: words, the unknown one included.

        Raises:
            InputError: no bases at all, a character other than A, C, G, T, N, or a vocabulary below five words.
        """
        if vocabulary_size < SMALLEST_VOCABULARY_SIZE:
            raise InputError(f"BPE vocabulary of {vocabulary_size} words, expected {SMALLEST_VOCABULARY_SIZE} or more")
        texts = list(_without_n(chunks))
        if not texts:
            raise InputError("BPE training text holds no A, C, G or T")
        # Unknown letters are not joined: one code per N keeps spans in step with the bases.
        tokenizer = tokenizers.Tokenizer(BPE(unk_token=UNKNOWN, fuse_unk=False))
        # All four letters from the start: a text without a G would else make every G unknown.
        trainer = BpeTrainer(
            vocab_size=vocabulary_size, special_tokens=[UNKNOWN], initial_alphabet=list("ACGT"), show_progress=False
        )
        # The library counts neighboring pairs over all texts and merges the most frequent one, again and again. DNA has
        # no spaces to pre-tokenize at, so a merge may reach as far as a text; many short texts keep that in bounds.
        tokenizer.train_from_iterator(texts, trainer, length=len(texts))
        sample = texts[:: -(-len(texts) // NUM_MEASURED_TEXTS)]
        encodings = tokenizer.encode_batch_fast(sample, add_special_tokens=False)
        return cls(tokenizer, sum(map(len, sample)) / sum(len(encoding.ids) for encoding in encodings))

    def encode(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> Tokens:
        """Words of each row, positions padded to the row with the most words."""
        lengths = row_lengths(base_ids, attention_mask).tolist()
        rows = base_ids.cpu().numpy()
        texts = [from_base_ids(row[:length]) for row, length in zip(rows, lengths)]
        # Where neighboring unknown letters are one word, only the slower encoding tells its length.
        joins_unknown = bool(getattr(self.tokenizer.model, "fuse_unk", False))
        encode = self.tokenizer.encode_batch if joins_unknown else self.tokenizer.encode_batch_fast
        encodings = encode(texts, add_special_tokens=False)
        words = [encoding.ids for encoding in encodings]

        num_words = torch.tensor([len(row) for row in words], dtype=torch.int64)
        kept = leading_mask(num_words, max(map(len, words), default=0))
        codes = torch.zeros(kept.shape, dtype=torch.int64)
        codes[kept] = torch.tensor([word for row in words for word in row], dtype=torch.int64)
        sizes = self._word_lengths[codes] * kept
        if joins_unknown:
            sizes[kept] = torch.tensor([end - start for one in encodings for start, end in one.offsets]).long()
        ends = sizes.cumsum(dim=1) * kept
        spans = torch.stack([ends - sizes, ends], dim=-1)
        device = base_ids.device
        return Tokens(codes[..., None].to(device), spans.to(device), kept.to(device))

    def save(self, directory: str | Path) -> None:
        """Files `tokenizer.json` (as the `tokenizers` library reads it) and `settings.json` in the directory."""
        write_atomically(Path(directory) / TOKENIZER_FILE, self.tokenizer.to_str(pretty=True).encode())
        write_json(Path(directory) / SETTINGS_FILE, {"kind": self.kind, "bases_per_position": self.bases_per_position})

    @classmethod
    def from_directory(cls, directory: str | Path) -> BpeTokenizer:
        """Tokenizer that `save` wrote.

        Raises:
            InputError: the directory or one of its files is missing or is not what `save` writes.
        """
        settings = read_json(Path(directory) / SETTINGS_FILE)
        if settings.get("kind") != cls.kind:
            got = settings.get("kind")
            raise InputError(f"{directory}/{SETTINGS_FILE}: expected the kind '{cls.kind}', got '{got}'")
        tokenizer = json.dumps(read_json(Path(directory) / TOKENIZER_FILE))
        return cls.from_settings({**settings, "tokenizer": tokenizer})

    def settings(self) -> TokenizerSettings:
        """Kind, mean word length, and the trained words and merges as JSON text."""
        return {
            "kind": self.kind,
            "bases_per_position": self.bases_per_position,
            "tokenizer": self.tokenizer.to_str(),
        }

    @classmethod
    def from_settings(cls, settings: TokenizerSettings) -> BpeTokenizer:
        """Tokenizer with the settings' words and merges."""
        return cls(tokenizers.Tokenizer.from_str(settings["tokenizer"]), settings["bases_per_position"])


def _without_n(chunks: Iterable[str]) -> Iterator[str]:
    """What stands between the Ns of each chunk; an N inside a training text would become a word."""
    for number, chunk in enumerate(chunks):
        foreign = re.search(r"[^ACGTN]", chunk)
        if foreign:
            where = f"chunk {number}, base {foreign.start()} (both from 0)"
            raise InputError(f"BPE training text: got '{foreign.group()}' in {where}, expected A, C, G, T or N")
        yield from filter(None, chunk.split("N"))
