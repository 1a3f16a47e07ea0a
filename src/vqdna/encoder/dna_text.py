"""DNA text for models that read base ids: what `pipeline` and `AutoTokenizer` of transformers take strings with.

Flow: "acgN" -> one token a letter -> input_ids [batch, base], the base ids of `genome.bases`, and attention_mask. It is
no tokenizer of the contract: codes are made of bases inside the model. Lower case, U and the IUPAC codes mean what they
mean there. The saved form is a plain `tokenizers` file that opens without this package too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.normalizers import Replace
from tokenizers.normalizers import Sequence as InTurn
from tokenizers.pre_tokenizers import Split
from transformers import BatchEncoding, PreTrainedTokenizerFast

import tokenizers
from tokenizers import Regex
from vqdna.errors import InputError
from vqdna.genome.bases import BASES, IUPAC_CODES, UnknownBaseError, to_base_ids

UNKNOWN_BASE = "N"


class DnaText(PreTrainedTokenizerFast):
    """Letters to base ids, padded on the right with N; a letter that is no base is refused with its place."""

    def __call__(self, text: str | Sequence[str], *args: Any, **kwargs: Any) -> BatchEncoding:
        for number, letters in enumerate([text] if isinstance(text, str) else text):
            try:
                to_base_ids(letters)
            except UnknownBaseError as error:
                raise InputError(f"text {number} (from 0): {error}") from None
        encoding: BatchEncoding = super().__call__(text, *args, **kwargs)
        return encoding


def dna_text() -> DnaText:
    """The one there is: A C G T N = 0..4, no letters added at the ends."""
    letters = tokenizers.Tokenizer(WordLevel({base: number for number, base in enumerate(BASES + UNKNOWN_BASE)}))
    letters.normalizer = InTurn([Replace(Regex(f"[{written}]"), base) for base, written in _SPELLINGS.items()])
    letters.pre_tokenizer = Split(Regex("."), "isolated")
    letters.decoder = Fuse()
    return DnaText(
        tokenizer_object=letters,
        pad_token=UNKNOWN_BASE,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


_SPELLINGS = {
    **{base: base.lower() for base in "ACG"},
    "T": "tuU",
    UNKNOWN_BASE: f"n{IUPAC_CODES}{IUPAC_CODES.lower()}",
}
"""Other letters for each base."""
