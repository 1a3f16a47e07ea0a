"""DNABERT and DNABERT-2 as published: BERT over overlapping k-mers, MosaicBERT over byte-pair words.

Both stand between [CLS] and [SEP]. The published names are those of the repositories' own model code.

Reference: Ji et al. 2021, "DNABERT"; Zhou et al. 2024, "DNABERT-2"; Zhou et al. 2024, "DNABERT-S".
"""

from __future__ import annotations

from vqdna.checkpoints.description import Description, Reading, byte_pair_code, byte_pairs, fixed_words, in_layers

SHAPE = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "type_vocab_size")
TABLE = "embeddings.word_embeddings.weight"
PREFIX = "bert."
UNUSED_TENSORS = (r"cls\..+", r"pooler\..+", r"embeddings\.position_ids")

HEAD = [
    (r"cls\.predictions\.transform\.dense\.(\w+)", r"transform.0.\1"),
    (r"cls\.predictions\.transform\.LayerNorm\.(?:weight|gamma)", "transform.2.weight"),
    (r"cls\.predictions\.transform\.LayerNorm\.(?:bias|beta)", "transform.2.bias"),
    (r"cls\.predictions\.decoder\.weight", "levels.0.weight"),
    (r"cls\.predictions\.(?:decoder\.)?bias", "levels.0.bias"),
]
"""BERT's head, which both have."""

MOSAIC_PARTS = {
    r"attention\.self\.Wqkv": "queries_keys_values",
    r"attention\.output\.dense": "attention_output",
    r"attention\.output\.LayerNorm": "attention_norm",
    r"mlp\.gated_layers": "expand",
    r"mlp\.wo": "contract",
    r"mlp\.layernorm": "mlp_norm",
}


def read_dnabert(description: Description) -> Reading:
    """DNABERT; its oldest files call a norm's weight gamma and its bias beta."""
    description.expect("hidden_act", "gelu")
    description.expect("position_embedding_type", "absolute")
    num_words = description.number("vocab_size")
    words = fixed_words(description.folder, "dnabert", num_words)
    old = [(rf"(.+LayerNorm)\.{name}", rf"\1.{new}") for name, new in (("gamma", "weight"), ("beta", "bias"))]
    return Reading(
        words,
        {"model_type": "bert", **description.numbers(*SHAPE, "max_position_embeddings")},
        {"first": [words.code_of("[CLS]")], "last": [words.code_of("[SEP]")]},
        prefix=PREFIX,
        table=TABLE,
        table_rows=num_words,
        masked=words.code_of("[MASK]"),
        renaming=[*old, (r"((?:embeddings|encoder)\..+)", r"\1")],
        unused=UNUSED_TENSORS,
        head=HEAD,
    )


def read_dnabert_2(description: Description) -> Reading:
    """DNABERT-2 and what was trained on from it."""
    description.expect("hidden_act", "gelu")
    num_words, folder = description.number("vocab_size"), description.folder
    words = byte_pairs(folder, num_words)
    first, last, masked = (byte_pair_code(folder, words, word) for word in ("[CLS]", "[SEP]", "[MASK]"))
    return Reading(
        words,
        {"model_type": "vqdna_mosaic_bert", **description.numbers(*SHAPE)},
        {"first": [first], "last": [last]},
        prefix=PREFIX,
        table=TABLE,
        table_rows=num_words,
        masked=masked,
        renaming=[
            *in_layers(r"encoder\.layer", MOSAIC_PARTS),
            (r"embeddings\.LayerNorm\.(\w+)", r"embedding_norm.\1"),
            (r"embeddings\.(token_type_embeddings\.weight)", r"\1"),
        ],
        unused=UNUSED_TENSORS,
        head=HEAD,
    )
