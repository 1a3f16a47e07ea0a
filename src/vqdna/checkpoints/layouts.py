"""The layouts that can be read, and which of them a folder has.

Flow: config.json -> name of a layout -> `Reading`. One module a family. It must not know weights, nor where folders
come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from vqdna.checkpoints.description import Description, Reading
from vqdna.checkpoints.dnabert import read_dnabert, read_dnabert_2
from vqdna.checkpoints.hyenadna import read_hyenadna
from vqdna.checkpoints.nucleotide_transformer import (
    GATED_KEY,
    read_nucleotide_transformer,
    read_nucleotide_transformer_v2,
)
from vqdna.errors import InputError

LAYOUTS: dict[str, Callable[[Description], Reading]] = {
    "dnabert": read_dnabert,
    "dnabert_2": read_dnabert_2,
    "nucleotide_transformer": read_nucleotide_transformer,
    "nucleotide_transformer_v2": read_nucleotide_transformer_v2,
    "hyenadna": read_hyenadna,
}

FAMILIES = {
    "bert": ("alibi_starting_size", "dnabert_2", "dnabert"),
    "esm": (GATED_KEY, "nucleotide_transformer_v2", "nucleotide_transformer"),
    "hyenadna": ("d_model", "hyenadna", "hyenadna"),
}
"""For each published model_type: a key of its configuration, the layout if it stands there, and the layout if not."""


def read_layout(folder: Path) -> tuple[str, Reading]:
    """Name of the folder's layout, and what its description says.

    Raises:
        InputError: no config.json, a layout that is not known, or numbers that no published model has.
    """
    description = Description(folder)
    kind = description.values.get("model_type", "bert" if "type_vocab_size" in description.values else None)
    if kind not in FAMILIES:
        wanted = ", ".join(FAMILIES)
        raise InputError(f"{description.path}: expected one of {wanted} as 'model_type', got {json.dumps(kind)}")
    key, with_key, without = FAMILIES[kind]
    layout = with_key if key in description.values else without
    return layout, LAYOUTS[layout](description)
