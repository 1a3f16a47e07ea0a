"""A published folder's config.json, and what one reads out of it: `Reading`, the plan of an import.

Flow: config.json -> checked numbers -> `Reading`: settings of a genome encoder, and our name of each published tensor.
It must not know any family of models, nor weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from vqdna.errors import InputError
from vqdna.results import read_json
from vqdna.tokenizers import Tokenizer

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
    """What a folder's description says.

    Attributes:
        special_tokens: published tokens around a row, see `vqdna.encoder.stem.SpecialTokens`.
        prefix: what published names open with where the folder holds a model with a head.
        table: published name of the table of word embeddings, behind the prefix.
        table_rows: its rows, which may be more than there are words.
        masked: code whose embedding stands for a hidden token; None where it is all zeros.
        renaming: patterns of published names, each with our name in the backbone; the first that matches counts.
        unused: patterns of tensors that hidden states do not depend on.
        changes: what is done to a tensor before it is taken, by our name.
        head: the same of the head that predicts words, with our names in that head; none where its predictions cannot
            be told.
        predicts: "hidden" words, or each "next" one from those before it.
    """

    tokenizer: Tokenizer
    backbone: dict[str, Any]
    special_tokens: dict[str, list[int]]
    prefix: str
    table: str
    table_rows: int
    masked: int | None
    renaming: Renaming
    unused: Sequence[str]
    table_scale: float = 1.0
    changes: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    head: Renaming = ()
    predicts: str = "hidden"

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
