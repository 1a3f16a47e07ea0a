"""The convolutional network of `vqdna.baselines.cnn` that also reads the words of a tokenizer.

Flow: base_ids [batch, base] -> codes [batch, base, level], each base with the word that covers it -> one-hot bases and
the sum of the levels' vectors [batch, 4 + word_width, base] -> the same convolutions. What it gains over the network on
bases alone is what the words are worth to it. Vectors start near zero and whole words are dropped in training, for what
a word says of a training sequence is soon learned by heart. It must not know which tokenizer it reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional

from vqdna.baselines.cnn import NUM_BASES, CnnConfig, Network, OneHotCnn, Reader, one_hot, padded
from vqdna.genome.bases import reverse_complement
from vqdna.tasks.loading import LabelledSequences
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.base_words import BaseWordTokenizer, levels_of_few_codes, words_at_bases
from vqdna.tokenizers.encoding import encode_rows
from vqdna.tokenizers.padding import pad_codes


@dataclass(frozen=True)
class WordSettings:
    """How words are read; chosen by dev scores on GUE prom_core_tata and tf/2, one seed (docs/lab-notes.md).

    Attributes:
        width: of a word's vector.
        deviation: of the vectors at the start; one-hot bases are far larger, so the network begins on bases.
        dropout: fraction of positions whose word is not seen in a training step.
        many: training sequences above which `epochs_of_many` suffice; words of many are learned by heart sooner.
        epochs_of_many: see `many`.
    """

    width: int = 16
    deviation: float = 0.01
    dropout: float = 0.5
    many: int = 10_000
    epochs_of_many: int = 8


class WordCnn(OneHotCnn):
    """Convolutional network over bases and the words of a frozen tokenizer, on one strand or both."""

    def __init__(self, num_classes: int, config: CnnConfig, tokenizer: Tokenizer, words: WordSettings) -> None:
        super().__init__(num_classes, config, NUM_BASES + words.width)
        self.tokenizer, self.dropout = tokenizer.requires_grad_(False), words.dropout
        # The last row of each table is for bases that no word covers.
        self.tables = nn.ModuleList(nn.Embedding(size + 1, words.width) for size in tokenizer.level_sizes)
        for table in self.tables.parameters():
            nn.init.normal_(table, std=words.deviation)

    def train(self, mode: bool = True) -> WordCnn:
        """The mode of everything but the tokenizer, which is as it is."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def forward(
        self,
        base_ids: UInt8[Tensor, "batch base"],
        attention_mask: Bool[Tensor, "batch base"],
        *codes: Int[Tensor, "batch base level"],
    ) -> Float[Tensor, "batch class"]:
        """Logits of each row.

        Args:
            base_ids: of one strand.
            attention_mask: False on padding at the row's end.
            codes: of that strand and, where strands are shared, of the reverse complement, base by base; none are
                worked out from the bases.
        """
        strands = self.strands_of(base_ids, attention_mask)
        if not codes:
            codes = tuple(words_at_bases(self.tokenizer, strand, attention_mask) for strand in strands)
        read = [
            torch.cat([one_hot(strand, attention_mask), self._vectors(words)], dim=1)
            for strand, words in zip(strands, codes, strict=True)
        ]
        return self.logits_of([strand * attention_mask.unsqueeze(1) for strand in read], attention_mask)

    def _vectors(self, codes: Int[Tensor, "batch base level"]) -> Float[Tensor, "batch width base"]:
        summed: Tensor = torch.stack([table(codes[..., level]) for level, table in enumerate(self.tables)]).sum(dim=0)
        return functional.dropout1d(summed, self.dropout, self.training).transpose(1, 2)


class WordNetwork(Network):
    """The network above; a split's words are worked out once."""

    def __init__(self, tokenizer: Tokenizer, words: WordSettings | None = None) -> None:
        self.tokenizer, self.words = levels_of_few_codes(tokenizer), words or WordSettings()

    def model(self, num_classes: int, config: CnnConfig) -> WordCnn:
        """A fresh network."""
        return WordCnn(num_classes, config, self.tokenizer, self.words)

    def epochs(self, most: int, num_sequences: int) -> int:
        """Passes over so many training sequences, at most `most`."""
        return min(most, self.words.epochs_of_many) if num_sequences > self.words.many else most

    def reader(self, split: LabelledSequences, config: CnnConfig, device: torch.device) -> Reader:
        """Bases and words of the split's records, of both strands where they are shared."""
        strands = [split.base_ids]
        if config.shares_strands:
            strands.append([reverse_complement(row) for row in split.base_ids])
        tokenizer = BaseWordTokenizer(self.tokenizer).to(device)  # whose level 0 is the base itself
        words = [[codes[:, 1:] for codes in encode_rows(tokenizer, rows, device=device)] for rows in strands]

        def read(rows: Int[ndarray, "row"]) -> tuple[Tensor, ...]:
            bases = padded([split.base_ids[row] for row in rows], device)
            return (*bases, *(pad_codes([held[row] for row in rows])[0].to(device) for held in words))

        return read
