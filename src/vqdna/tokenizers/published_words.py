"""Words of fixed length as published models number them: DNABERT's and Nucleotide Transformer's k-mers, single bases.

Flow: base_ids [batch, base] -> where words start, how long they are, and their places in the published list ->
codes [batch, position, 1]. The codes are the published word numbers, special tokens included, so a published table of
embeddings is used as it is. It must not know models or files.

Reference: the vocab.txt of zhihan1996/DNA_bert_6 and of InstaDeepAI/nucleotide-transformer-500m-1000g; the character
tokenizer of LongSafari/hyenadna-tiny-1k-seqlen-hf.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor
from torch.nn import functional

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.bases import BASES, N
from vqdna.tokenizers.contract import Tokenizer, TokenizerSettings, Tokens
from vqdna.tokenizers.kmer import MAX_K, kmer_numbers
from vqdna.tokenizers.padding import leading_mask, row_lengths

UNKNOWN_LETTER = "N"


@dataclass(frozen=True)
class WordList:
    """How a published model lists and cuts words.

    Attributes:
        before: special tokens that the list opens with.
        letters: order of the bases within its k-mers.
        singles: single letters that follow the k-mers.
        after: special tokens that end it.
        unknown: what a k-mer with an N becomes; None where N is a word of its own, at which k-mers end.
        masked: the word that stands for a hidden one.
        overlapping: a k-mer starts at every base, else where the last one ended.
    """

    before: tuple[str, ...]
    letters: str
    singles: str = ""
    after: tuple[str, ...] = ()
    unknown: str | None = None
    masked: str = "[MASK]"
    overlapping: bool = False

    def words(self, k: int) -> list[str]:
        """All words, in their order."""
        kmers = ["".join(letters) for letters in itertools.product(self.letters, repeat=k)] if k > 1 else []
        return [*self.before, *kmers, *self.singles, *self.after]


WORD_LISTS = {
    "dnabert": WordList(
        ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), letters="ATCG", unknown="[UNK]", overlapping=True
    ),
    "nucleotide_transformer": WordList(
        ("<unk>", "<pad>", "<mask>", "<cls>"),
        letters="ATCG",
        singles="ATCGN",
        after=("<eos>", "<bos>"),
        masked="<mask>",
    ),
    "hyenadna": WordList(
        ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]"), letters="ACGT", singles="ACGTN"
    ),
}


class PublishedWordTokenizer(Tokenizer):
    """Words of k bases under the numbers that a published model gave them.

    Overlapping k-mers (DNABERT) leave a row shorter than k without a token. Words side by side (Nucleotide Transformer)
    start anew behind each N, and bases left over before an N or the row's end are words of one base.

    Attributes:
        model: a name of `WORD_LISTS`.
        k: bases of a word.
    """

    kind: ClassVar[str] = "published_words"

    def __init__(self, model: str, k: int, num_words: int | None = None) -> None:
        """Tokenizer of a published model's words.

        Args:
            model: a name of `WORD_LISTS`.
            k: bases of a word.
            num_words: rows of the published table of embeddings, which may lack the last special tokens; None for all.

        Raises:
            InputError: an unknown model, or numbers that make no list of words.
        """
        super().__init__()
        if model not in WORD_LISTS:
            known = ", ".join(WORD_LISTS)
            raise InputError(f"word list: got '{model}', expected one of {known}{nearest_name_hint(model, WORD_LISTS)}")
        self.words_of = WORD_LISTS[model]
        smallest = 2 if not self.words_of.singles else 1
        if not smallest <= k <= MAX_K:
            raise InputError(f"{model} words: got k = {k}, expected {smallest} to {MAX_K}")
        words = self.words_of.words(k)
        most, least = len(words), len(words) - len(self.words_of.after)
        if num_words is not None and not least <= num_words <= most:
            wanted = str(most) if least == most else f"{least} to {most}"
            raise InputError(f"{model} words: got {num_words} words of k = {k}, expected {wanted}")
        self.model, self.k = model, k
        self.level_sizes = (num_words or most,)
        self.bases_per_position = 1.0 if self.words_of.overlapping else float(k)
        self.max_span = k
        self.tile_step = 1 if self.words_of.overlapping else None
        self._numbers = {word: number for number, word in enumerate(words)}

    @property
    def words(self) -> list[str]:
        """The words, in the order of their codes."""
        return list(self._numbers)[: self.level_sizes[0]]

    def code_of(self, word: str) -> int:
        """Code of a word, such as a special token."""
        return self._numbers[word]

    def encode(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> Tokens:
        """Words of each row, positions padded to the row with the most."""
        is_base = leading_mask(row_lengths(base_ids, attention_mask), base_ids.shape[1])
        starts, sizes = self._cuts(base_ids, is_base)
        kept = leading_mask(starts.sum(dim=1), int(starts.sum(dim=1).max()) if len(starts) else 0)
        codes, spans = starts.new_zeros(kept.shape, dtype=torch.int64), starts.new_zeros((*kept.shape, 2)).long()
        codes[kept] = self._word_numbers(base_ids, sizes)[starts]
        first = starts.nonzero()[:, 1]
        spans[kept] = torch.stack([first, first + sizes[starts]], dim=-1)
        return Tokens(codes[..., None], spans, kept)

    def _cuts(
        self, base_ids: UInt8[Tensor, "batch base"], is_base: Bool[Tensor, "batch base"]
    ) -> tuple[Bool[Tensor, "batch base"], Int[Tensor, "batch base"]]:
        """Bases at which a word starts, and the bases of the word there."""
        place = torch.arange(base_ids.shape[1], device=base_ids.device).expand(base_ids.shape)
        if self.words_of.overlapping:
            whole = place + self.k <= is_base.sum(dim=1, keepdim=True)
            return whole, torch.full_like(place, self.k)
        known = is_base & (base_ids < N)
        # First base and end of the run of known bases around each base: the last unknown place before it and the next
        # behind it. Within a run words are counted off from its start, which is where they start anew behind an N.
        before = torch.where(known, -1, place).cummax(dim=1).values + 1
        end = torch.where(known, place.shape[1], place).flip(1).cummin(dim=1).values.flip(1)
        offset, length = place - before, end - before
        in_kmer = (offset >= 0) & (offset < length // self.k * self.k)
        starts = is_base & (~in_kmer | (offset % self.k == 0))
        return starts, torch.where(in_kmer, self.k, 1)

    def _word_numbers(
        self, base_ids: UInt8[Tensor, "batch base"], sizes: Int[Tensor, "batch base"]
    ) -> Int[Tensor, "batch base"]:
        """Code of the word of `sizes` bases at each base, were one to start there."""
        words, first_kmer = self.words_of, len(self.words_of.before)
        order = [words.letters.index(base) for base in BASES] + [N]
        ranks = torch.tensor(order, dtype=torch.uint8, device=base_ids.device)[base_ids.long()]
        numbers, unknown = kmer_numbers(ranks, self.k)
        kmers = numbers + first_kmer
        if words.unknown is not None:
            kmers = kmers.masked_fill(unknown, self._numbers[words.unknown])
        kmers = functional.pad(kmers, (0, base_ids.shape[1] - kmers.shape[1]))
        if not words.singles:
            return kmers
        singles = torch.tensor([self._numbers[base] for base in BASES + UNKNOWN_LETTER], device=base_ids.device)
        return torch.where(sizes > 1, kmers, singles[base_ids.long()])

    def settings(self) -> TokenizerSettings:
        """Kind, model, k and number of words."""
        return {"kind": self.kind, "model": self.model, "k": self.k, "num_words": self.level_sizes[0]}

    @classmethod
    def from_settings(cls, settings: TokenizerSettings) -> PublishedWordTokenizer:
        """Tokenizer of the settings' words."""
        return cls(settings["model"], settings["k"], settings["num_words"])
