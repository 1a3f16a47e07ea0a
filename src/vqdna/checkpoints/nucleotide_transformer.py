"""The Nucleotide Transformer as published, both versions: an ESM encoder over 6-mers side by side behind <cls>.

The published names are those of transformers' ESM, and of the second version's own model code, which follows it.

Reference: Dalla-Torre et al. 2025, "Nucleotide Transformer".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from vqdna.checkpoints.description import Description, Reading, fixed_words, in_layers

SHAPE = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
GATED_KEY = "add_bias_fnn"  # key of the second version alone

KEPT_SHARE = 1 - 0.15 * 0.8
"""What ESM models with token dropout scale embeddings by where nothing is masked: the share that training showed."""

POSITIONS = r"embeddings\.position_embeddings\.weight"
PARTS = {
    r"attention\.LayerNorm": "attention_norm",
    **{rf"attention\.self\.{name}": name for name in ("query", "key", "value")},
    r"attention\.output\.dense": "attention_output",
    "LayerNorm": "mlp_norm",
    r"intermediate\.dense": "expand",
    r"output\.dense": "contract",
}
NORMS = [
    (r"embeddings\.layer_norm\.(\w+)", r"embedding_norm.\1"),
    (r"encoder\.emb_layer_norm_after\.(\w+)", r"final_norm.\1"),
]
HEAD = [
    (r"lm_head\.dense\.(\w+)", r"transform.0.\1"),
    (r"lm_head\.layer_norm\.(\w+)", r"transform.2.\1"),
    (r"lm_head\.decoder\.weight", "levels.0.weight"),
    (r"lm_head\.bias", "levels.0.bias"),
]
"""ESM's head."""

UNUSED_TENSORS = (
    r"lm_head\..+",
    r"(?:contact_head|pooler)\..+",
    r"embeddings\.position_ids",
    r"encoder\.layer\.\d+\.attention\.self\.rotary_embeddings\.inv_freq",
    r"rotary_embeddings\.inv_freq",
)


def read_nucleotide_transformer(description: Description) -> Reading:
    """The first version, with a table of positions.

    The published table counts positions from behind the padding token's number, as fairseq did; ours counts from 0.
    """
    description.expect("position_embedding_type", "absolute")
    first = description.number("pad_token_id") + 1
    positions = description.number("max_position_embeddings") - first
    return _reading(
        description,
        {"gated_mlp": False, "max_position_embeddings": positions},
        renaming=[(POSITIONS, "position_embeddings.weight")],
        unused=(),
        changes={"position_embeddings.weight": lambda table: table[first:]},
    )


def read_nucleotide_transformer_v2(description: Description) -> Reading:
    """The second version, whose rotations leave a table of positions unused."""
    description.expect("position_embedding_type", "rotary")
    description.expect(GATED_KEY, False)
    backbone = {"gated_mlp": True, "max_position_embeddings": None}
    return _reading(description, backbone, renaming=[], unused=(POSITIONS,), changes={})


def _reading(
    description: Description,
    backbone: dict[str, Any],
    *,
    renaming: list[tuple[str, str]],
    unused: tuple[str, ...],
    changes: dict[str, Callable[[Tensor], Tensor]],
) -> Reading:
    num_words = description.number("vocab_size")
    words = fixed_words(description.folder, "nucleotide_transformer", num_words)
    dropped = bool(description.values.get("token_dropout"))
    shape = {"model_type": "vqdna_nucleotide_transformer", **description.numbers(*SHAPE), **backbone}
    return Reading(
        words,
        {**shape, "normalized_embeddings": bool(description.values.get("emb_layer_norm_before"))},
        {"first": [words.code_of("<cls>")]},
        prefix="esm.",
        table="embeddings.word_embeddings.weight",
        table_rows=num_words,
        masked=None if dropped else words.code_of("<mask>"),
        renaming=[*in_layers(r"encoder\.layer", PARTS), *NORMS, *renaming],
        unused=(*UNUSED_TENSORS, *unused),
        table_scale=KEPT_SHARE if dropped else 1.0,
        changes=changes,
        head=() if dropped else HEAD,  # the scale of all embeddings would depend on how many words are hidden
    )
