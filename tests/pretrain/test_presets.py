"""Sizes that the presets' files promise, counted; the paper's own are in tests/parity and tests/house."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vqdna.config import load_config
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.pretrain.train import PretrainConfig
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig
from vqdna.vocabulary.train import VocabularyConfig


def vocabulary_of(name: str) -> VQVAE:
    """The vocabulary of this configuration, without memory for its weights."""
    settings = load_config(VocabularyConfig, name, "vocabulary").model
    with torch.device("meta"):
        return VQVAE(VQVAEConfig(**settings.model_dump()))


def encoder_of(name: str, vocabulary: str) -> GenomeEncoder:
    """The preset's encoder over the vocabulary, without memory for its weights."""
    config = load_config(PretrainConfig, name, "pretrain")
    stem = None if config.stem is None else config.stem.model_dump()
    with torch.device("meta"):
        tokenizer = VqTokenizer(vocabulary_of(vocabulary))
        tokenizer = tokenizer if config.num_levels is None else tokenizer.with_levels(config.num_levels)
        return GenomeEncoder.from_tokenizer(tokenizer, config.backbone, config.code_embedding, stem)


def num_parameters(*modules: nn.Module | None) -> int:
    return sum(weight.numel() for module in modules if module is not None for weight in module.parameters())


def test_base_has_as_many_parameters_as_bert_base():
    base, bert = encoder_of("base", "views"), encoder_of("paper", "paper_hrq")
    ours, theirs = num_parameters(base.backbone, base.stem), num_parameters(bert.backbone, bert.stem)
    assert ours == pytest.approx(theirs, rel=0.01)
    assert theirs == pytest.approx(86e6, rel=0.01)


def test_base_reads_as_many_bases_as_the_paper():
    configs = [load_config(PretrainConfig, name, "pretrain") for name in ("base", "paper")]
    read = [config.training.steps * config.training.batch_size * config.data.window for config in configs]
    assert read[0] == read[1]


@pytest.mark.parametrize("name", ["small", "base"])
def test_the_cost_of_our_presets_is_linear_in_length(name):
    layers = load_config(PretrainConfig, name, "pretrain").backbone
    assert layers["layer_types"] == ["sliding_attention"] * layers["num_hidden_layers"]


def test_base_is_small_but_for_its_size():
    small, base = (load_config(PretrainConfig, name, "pretrain").model_dump() for name in ("small", "base"))
    for name in ("code_embedding", "num_levels", "stem", "target", "masking"):
        assert base[name] == small[name]
    differing = {name for name in base["backbone"] if base["backbone"][name] != small["backbone"][name]}
    assert differing == {
        "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "layer_types"
    }  # fmt: skip


def test_small_has_between_8_and_11_million_parameters_with_its_vocabulary():
    """As it ships: the encoder with what it took of the vocabulary, and the whole vocabulary beside it."""
    tensors = [*encoder_of("small", "views").state_dict().items(), *vocabulary_of("views").state_dict().items()]
    assert 8e6 < sum(tensor.numel() for name, tensor in tensors if "ema_" not in name) < 11e6
