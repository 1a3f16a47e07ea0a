"""Small random checkpoints in the exact layouts of the published repositories: file names, keys, tensors, words.

Names and shapes are those of `BertForMaskedLM`, `EsmForMaskedLM`, and of the model code in zhihan1996/DNABERT-2-117M,
InstaDeepAI/nucleotide-transformer-v2-50m-multi-species and LongSafari/hyenadna-tiny-1k-seqlen-hf.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, EsmConfig, EsmForMaskedLM

import tokenizers

WIDTH, LAYERS, HEADS, INNER = 24, 2, 3, 40
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NT_SPECIAL = ["<unk>", "<pad>", "<mask>", "<cls>"]
BYTE_PAIR_SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]

Weights = dict[str, Tensor]


def kmers(k: int) -> list[str]:
    return ["".join(letters) for letters in itertools.product("ATCG", repeat=k)]


def write(folder: Path, config: dict[str, Any], weights: Weights, words: list[str] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: tensor.clone().contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")
    if words is not None:
        (folder / "vocab.txt").write_text("\n".join(words))
    return folder


def randomized(model: torch.nn.Module) -> Weights:
    """The model's weights, each drawn anew so that no norm is the identity and no bias zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(
                torch.randn_like(parameter) * 0.3 + (1.0 if "norm" in name.lower() and "weight" in name else 0)
            )
    return dict(model.state_dict())


def write_dnabert(folder: Path, k: int = 3) -> Path:
    words = BERT_SPECIAL + kmers(k)
    config = {
        "architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": INNER,
        "max_position_embeddings": 60, "type_vocab_size": 2, "vocab_size": len(words), "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "num_rnn_layer": 1, "rnn": "lstm", "split": 10,
    }  # fmt: skip
    shape = {key: value for key, value in config.items() if key not in ("architectures", "model_type", "rnn", "split")}
    weights = randomized(BertForMaskedLM(BertConfig(**shape)))
    pooler = {"bert.pooler.dense.weight": torch.randn(WIDTH, WIDTH), "bert.pooler.dense.bias": torch.randn(WIDTH)}
    return write(folder, config, weights | pooler | {"bert.embeddings.position_ids": torch.arange(60)[None]}, words)


def nt_config(num_words: int, **own: Any) -> dict[str, Any]:
    return {
        "architectures": ["EsmForMaskedLM"], "model_type": "esm", "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "intermediate_size": INNER, "vocab_size": num_words, "pad_token_id": 1,
        "mask_token_id": 2, "emb_layer_norm_before": False, "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "tie_word_embeddings": False, "is_folding_model": False,
        "esmfold_config": None, "vocab_list": None, **own,
    }  # fmt: skip


def nt_words(k: int) -> list[str]:
    return [*NT_SPECIAL, *kmers(k), *"ATCGN", "<eos>", "<bos>"]


def write_nucleotide_transformer(
    folder: Path, k: int = 3, *, token_dropout: bool = False, normalized: bool = False
) -> Path:
    """As 500m-1000g: its list has two words more than its table has rows."""
    words = nt_words(k)
    config = nt_config(
        len(words) - 2, max_position_embeddings=62, position_embedding_type="absolute", token_dropout=token_dropout
    )
    config["emb_layer_norm_before"] = normalized
    weights = randomized(EsmForMaskedLM(EsmConfig(**{key: config[key] for key in config if key != "architectures"})))
    return write(folder, config, weights | {"esm.embeddings.position_ids": torch.arange(62)[None]}, words)


def write_nucleotide_transformer_v2(folder: Path, k: int = 3) -> Path:
    words = nt_words(k)
    config = nt_config(
        len(words),
        max_position_embeddings=2050,
        position_embedding_type="rotary",
        add_bias_fnn=False,
        token_dropout=False,
    )
    head = WIDTH // HEADS
    weights = {
        "esm.embeddings.word_embeddings.weight": drawn(len(words), WIDTH),
        "esm.embeddings.position_embeddings.weight": drawn(2050, WIDTH),
        "esm.embeddings.position_ids": torch.arange(2050)[None],
        **norm("esm.encoder.emb_layer_norm_after"),
        **linear("esm.contact_head.regression", LAYERS * HEADS, 1),
        **linear("lm_head.dense", WIDTH, WIDTH),
        **norm("lm_head.layer_norm"),
        "lm_head.decoder.weight": drawn(len(words), WIDTH),
        "lm_head.bias": drawn(len(words)),
    }
    for layer in (f"esm.encoder.layer.{number}" for number in range(LAYERS)):
        for part in ("query", "key", "value"):
            weights |= linear(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        weights |= {
            f"{layer}.attention.self.rotary_embeddings.inv_freq": 1 / 10000 ** (torch.arange(0, head, 2) / head),
            **linear(f"{layer}.attention.output.dense", WIDTH, WIDTH),
            **norm(f"{layer}.attention.LayerNorm"),
            **norm(f"{layer}.LayerNorm"),
            f"{layer}.intermediate.dense.weight": drawn(2 * INNER, WIDTH),
            f"{layer}.output.dense.weight": drawn(WIDTH, INNER),
        }
    return write(folder, config, weights, words)


def byte_pair_tokenizer(num_words: int) -> tokenizers.Tokenizer:
    """Words learned from random bases; a file as DNABERT-2's, with a template for [CLS] and [SEP]."""
    generator = torch.Generator().manual_seed(0)
    text = "".join("ACGT"[number] for number in torch.randint(0, 4, (4000,), generator=generator))
    words = tokenizers.Tokenizer(BPE(unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.train_from_iterator([text], BpeTrainer(vocab_size=num_words, special_tokens=BYTE_PAIR_SPECIAL))
    words.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)], pair="[CLS] $A [SEP] $B:1 [SEP]:1"
    )
    return words


def write_dnabert_2(folder: Path, num_words: int = 64) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    byte_pair_tokenizer(num_words).save(str(folder / "tokenizer.json"))
    config = {
        "architectures": ["BertForMaskedLM"], "model_type": "bert", "alibi_starting_size": 512, "hidden_act": "gelu",
        "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.1, "hidden_size": WIDTH, "layer_norm_eps": 1e-12,
        "intermediate_size": INNER, "max_position_embeddings": 512, "num_attention_heads": HEADS, "pad_token_id": 0,
        "num_hidden_layers": LAYERS, "type_vocab_size": 2, "vocab_size": num_words,
        "position_embedding_type": "absolute",
    }  # fmt: skip
    weights = {
        "bert.embeddings.word_embeddings.weight": drawn(num_words, WIDTH),
        "bert.embeddings.token_type_embeddings.weight": drawn(2, WIDTH),
        **norm("bert.embeddings.LayerNorm"),
        **linear("bert.pooler.dense", WIDTH, WIDTH),
        **linear("cls.predictions.transform.dense", WIDTH, WIDTH),
        **norm("cls.predictions.transform.LayerNorm"),
        **linear("cls.predictions.decoder", WIDTH, num_words),
    }
    for layer in (f"bert.encoder.layer.{number}" for number in range(LAYERS)):
        weights |= {
            **linear(f"{layer}.attention.self.Wqkv", WIDTH, 3 * WIDTH),
            **linear(f"{layer}.attention.output.dense", WIDTH, WIDTH),
            **norm(f"{layer}.attention.output.LayerNorm"),
            f"{layer}.mlp.gated_layers.weight": drawn(2 * INNER, WIDTH),
            **linear(f"{layer}.mlp.wo", INNER, WIDTH),
            **norm(f"{layer}.mlp.layernorm"),
        }
    return write(folder, config, weights)


def write_hyenadna(folder: Path, max_seq_len: int = 66) -> Path:
    filter_order, emb_dim = 16, 5
    config = {
        "architectures": ["HyenaDNAForCausalLM"], "model_type": "hyenadna", "d_model": WIDTH, "d_inner": INNER,
        "n_layer": LAYERS, "max_seq_len": max_seq_len, "emb_dim": emb_dim, "filter_order": filter_order,
        "num_inner_mlps": 2, "hyena_order": 2, "short_filter_order": 3, "activation_freq": 10, "train_freq": True,
        "use_bias": True, "embed_dropout": 0.1, "hyena_dropout": 0.0, "hyena_filter_dropout": 0.0,
        "layer_norm_epsilon": 1e-5, "pad_vocab_size_multiple": 8, "vocab_size": 12, "tie_word_embeddings": False,
    }  # fmt: skip
    t = torch.linspace(0, 1, max_seq_len)
    angles = 2 * math.pi * torch.arange(max_seq_len)[:, None] / max_seq_len * torch.tensor([1e-4, 1.0])
    z = torch.cat([t[:, None], torch.cos(-angles), torch.sin(-angles)], dim=1)[None]
    weights = {
        "hyena.backbone.embeddings.word_embeddings.weight": drawn(16, WIDTH),
        "lm_head.weight": drawn(16, WIDTH),
        **norm("hyena.backbone.ln_f"),
    }
    for layer in (f"hyena.backbone.layers.{number}" for number in range(LAYERS)):
        network = f"{layer}.mixer.filter_fn.implicit_filter"
        weights |= {
            **norm(f"{layer}.norm1"),
            **norm(f"{layer}.norm2"),
            **linear(f"{layer}.mlp.fc1", WIDTH, INNER),
            **linear(f"{layer}.mlp.fc2", INNER, WIDTH),
            **linear(f"{layer}.mixer.in_proj", WIDTH, 3 * WIDTH),
            **linear(f"{layer}.mixer.out_proj", WIDTH, WIDTH),
            f"{layer}.mixer.short_filter.weight": drawn(3 * WIDTH, 1, 3),
            f"{layer}.mixer.short_filter.bias": drawn(3 * WIDTH),
            f"{layer}.mixer.filter_fn.bias": drawn(WIDTH),
            f"{layer}.mixer.filter_fn.pos_emb.z": z + 0.01 * drawn(*z.shape),  # published ones were learned a little
            f"{layer}.mixer.filter_fn.pos_emb.t": t[None, :, None],
            f"{layer}.mixer.filter_fn.modulation.deltas": torch.linspace(-3.07, -15.35, WIDTH)[None, None],
            **linear(f"{network}.0", emb_dim, filter_order),
            f"{network}.1.freq": 1 + drawn(1, filter_order),
            **linear(f"{network}.2", filter_order, filter_order),
            **linear(f"{network}.4", filter_order, filter_order),
            f"{network}.6.weight": drawn(WIDTH, filter_order),
        }
    return write(folder, config, weights)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape) * 0.3


def linear(name: str, inputs: int, outputs: int) -> Weights:
    return {f"{name}.weight": drawn(outputs, inputs), f"{name}.bias": drawn(outputs)}


def norm(name: str) -> Weights:
    return {f"{name}.weight": 1 + drawn(WIDTH), f"{name}.bias": drawn(WIDTH)}


WRITERS: dict[str, Callable[[Path], Path]] = {
    "dnabert": write_dnabert,
    "nucleotide_transformer": write_nucleotide_transformer,
    "nucleotide_transformer_v2": write_nucleotide_transformer_v2,
    "dnabert_2": write_dnabert_2,
    "hyenadna": write_hyenadna,
}
