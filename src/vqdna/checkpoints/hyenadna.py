"""HyenaDNA as published in its `-hf` repositories: causal long convolutions over single bases, [SEP] at the end.

The published names are those of the repositories' own model code. A row is padded behind its end here, which changes
none of its states; the published tokenizer pads before it, which does.

Reference: Nguyen et al. 2023, "HyenaDNA".
"""

from __future__ import annotations

from vqdna.checkpoints.description import Description, Reading, in_layers
from vqdna.tokenizers.published_words import PublishedWordTokenizer

LAYER = r"backbone\.layers"
FILTER = r"mixer\.filter_fn\."
PARTS = {
    "norm1": "operator_norm",
    "norm2": "mlp_norm",
    r"mlp\.fc1": "expand",
    r"mlp\.fc2": "contract",
    r"mixer\.in_proj": "operator.input",
    r"mixer\.out_proj": "operator.output",
    r"mixer\.short_filter": "operator.short",
}
BACKBONE_KEYS = {
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layer",
    "max_position_embeddings": "max_seq_len",
    "filter_size": "filter_order",
    "num_filter_layers": "num_inner_mlps",
    "filter_features": "emb_dim",
    "short_kernel_size": "short_filter_order",
    "layer_norm_eps": "layer_norm_epsilon",
}
"""Our name of each of the backbone's numbers, and the published one."""


def read_hyenadna(description: Description) -> Reading:
    description.expect("hyena_order", 2)
    num_words, multiple = description.number("vocab_size"), description.number("pad_vocab_size_multiple")
    words = PublishedWordTokenizer("hyenadna", 1, num_words)
    backbone = {ours: description.number(published) for ours, published in BACKBONE_KEYS.items()}
    dropout, inner = (description.values.get(key) for key in ("hyena_dropout", "d_inner"))
    layers = backbone["num_filter_layers"] + 1
    return Reading(
        words,
        {"model_type": "vqdna_hyena", **backbone, "intermediate_size": inner, "hidden_dropout_prob": dropout or 0.0},
        {"last": [words.code_of("[SEP]")]},
        prefix="hyena.",
        table="backbone.embeddings.word_embeddings.weight",
        table_rows=-(-num_words // multiple) * multiple,
        masked=words.code_of("[MASK]"),
        renaming=[
            *in_layers(LAYER, {**PARTS, **_filter_layers(layers)}),
            *_filter_numbers(layers),
            (r"backbone\.ln_f\.(\w+)", r"final_norm.\1"),
        ],
        unused=(r"lm_head\..+", rf"{LAYER}\.\d+\.{FILTER}pos_emb\.t"),
        head=[(r"lm_head\.weight", "weight")],
        predicts="next",
    )


def _filter_layers(num_layers: int) -> dict[str, str]:
    """Linear layers of the network that gives a filter; published, a sine stands between any two of them."""
    names = [f"operator.long.layers.{layer}" for layer in range(num_layers)] + ["operator.long.to_weights"]
    return {rf"{FILTER}implicit_filter\.{2 * layer}": name for layer, name in enumerate(names)}


def _filter_numbers(num_layers: int) -> list[tuple[str, str]]:
    """What else a filter has. All its sines share one frequency, which is published under one name or under each."""
    sines = "|".join(str(2 * layer + 1) for layer in range(num_layers))
    names = {
        "bias": "skip",
        rf"implicit_filter\.(?:{sines})\.freq": "frequency",
        r"pos_emb\.z": "places",
        r"modulation\.deltas": "decays",
    }
    return [
        (rf"{LAYER}\.(?P<layer>\d+)\.{FILTER}{part}", rf"layers.\g<layer>.operator.long.{ours}")
        for part, ours in names.items()
    ]
