from __future__ import annotations

from pathlib import Path

import pytest
import torch
from example_tasks import BERT, MODERNBERT, config, tiny_encoder, tiny_vocabulary
from torch import nn
from transformers import AutoConfig, AutoModel, BertConfig, BertModel

from vqdna.encoder import backbones
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.adapters import (
    has_adapter,
    load_adapter,
    merge_adapter,
    num_parameters,
    prepare_trainable,
    save_adapter,
    trainable_weights,
)
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.finetune.settings import FinetuneConfig
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

BASES = torch.randint(0, 4, (4, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 1, 0])


def prepared(settings: FinetuneConfig, tokenizer=None, backbone=MODERNBERT) -> GenomeEncoderForSequenceClassification:
    torch.manual_seed(0)
    encoder = tiny_encoder(tokenizer or tiny_vocabulary(), backbone)
    model = GenomeEncoderForSequenceClassification.from_encoder(encoder, head_hidden_size=16, head_dropout=0.0)
    prepare_trainable(model, settings)
    return model


def trained(model: GenomeEncoderForSequenceClassification, steps: int = 3) -> GenomeEncoderForSequenceClassification:
    """The model after some steps; weight decay would move a frozen weight that the optimizer got hold of."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(BASES, labels=LABELS).loss.backward()
        optimizer.step()
    return model.eval()


def part(name: str) -> str:
    if ".lora_" in name:
        return "adapter"
    return "head" if name.startswith("head") else name.split(".")[1]


LEARNING = {
    "lora": {"adapter", "head"},
    "lora with embedding": {"adapter", "head", "embedding"},
    "full": {"backbone", "head", "embedding"},
    "linear": {"head"},
}
SETTINGS = {
    "lora": config(),
    "lora with embedding": config(lora={"train_embedding": True}),
    "full": config(method="full"),
    "linear": config(method="linear"),
}


@pytest.mark.parametrize("method", LEARNING)
def test_who_learns(method):
    model = prepared(SETTINGS[method])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained(model)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert {part(name) for name in moved} == LEARNING[method]
    assert with_gradient == set(trainable_weights(model))
    assert moved <= with_gradient


@pytest.mark.parametrize("method", LEARNING)
@pytest.mark.parametrize("kind", ["vq", "nucleotide"])
def test_every_trainable_weight_gets_a_gradient(method, kind):
    model = prepared(SETTINGS[method], tiny_vocabulary() if kind == "vq" else NucleotideTokenizer())
    trained(model, steps=2)  # LoRA's first factor has no gradient until the second has left zero
    silent = [name for name, p in model.named_parameters() if p.requires_grad and not p.grad.abs().sum() > 0]
    assert not silent


def test_the_tokenizer_never_changes_and_takes_no_note_of_what_it_sees():
    model = prepared(config(method="full"))
    before = {name: value.clone() for name, value in model.encoder.tokenizer.state_dict().items()}
    trained(model)
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.tokenizer.state_dict().items())


@pytest.mark.parametrize("backbone", [MODERNBERT, BERT], ids=["modernbert", "bert"])
def test_lora_adapts_every_linear_layer_of_the_backbone(backbone):
    plain = tiny_encoder(backbone=backbone).backbone
    linear = {name: layer for name, layer in plain.named_modules() if isinstance(layer, nn.Linear)}
    model = prepared(config(lora={"rank": 4}), backbone=backbone)
    adapted = {
        name.removeprefix("encoder.backbone.base_model.model.").split(".lora_A")[0]
        for name in trainable_weights(model)
        if ".lora_A" in name
    }
    assert adapted == set(linear)
    head = 32 * 16 + 16 + 16 * 2 + 2
    assert num_parameters(model)["trainable"] == head + sum(
        4 * (layer.in_features + layer.out_features) for layer in linear.values()
    )


def test_total_counts_every_parameter():
    model = prepared(config(method="linear"))
    sizes = num_parameters(model)
    assert sizes == {"total": sum(p.numel() for p in model.parameters()), "trainable": 32 * 16 + 16 + 16 * 2 + 2}


@pytest.mark.parametrize("backbone", [MODERNBERT, BERT], ids=["modernbert", "bert"])
def test_merged_model_gives_the_logits_of_the_adapter(backbone):
    model = trained(prepared(config(), backbone=backbone))
    untouched = prepared(config(), backbone=backbone).eval()(BASES).logits
    with_adapter = model(BASES).logits
    merge_adapter(model)
    assert not has_adapter(model)
    assert not any(".lora_" in name for name in model.state_dict())
    assert torch.allclose(model(BASES).logits, with_adapter, atol=1e-5)
    assert not torch.allclose(with_adapter, untouched, atol=1e-2)


@pytest.mark.parametrize("train_embedding", [False, True])
def test_saved_adapter_with_the_first_encoder_is_the_fine_tuned_model(tmp_path: Path, train_embedding: bool):
    encoder = tiny_encoder(tiny_vocabulary())
    model = trained(prepared(config(lora={"train_embedding": train_embedding})))
    save_adapter(model, tmp_path / "adapter")
    loaded = load_adapter(encoder, tmp_path / "adapter")
    assert torch.allclose(loaded(BASES).logits, model(BASES).logits, atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


class NormalizedBert(BertModel):
    """BERT whose hidden states go through batch normalization: linear layers beside running statistics."""

    config_class = type("NormalizedBertConfig", (BertConfig,), {"model_type": "normalized_bert"})

    def __init__(self, config, **options):
        super().__init__(config, **options)
        self.norm = nn.BatchNorm1d(config.hidden_size)

    def forward(self, *arguments, **named):
        output = super().forward(*arguments, **named)
        output.last_hidden_state = self.norm(output.last_hidden_state.transpose(1, 2)).transpose(1, 2)
        return output


def test_a_saved_adapter_holds_the_statistics_of_batch_normalization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    AutoConfig.register("normalized_bert", NormalizedBert.config_class)
    AutoModel.register(NormalizedBert.config_class, NormalizedBert)
    monkeypatch.setattr(backbones, "BACKBONES", ("normalized_bert",))
    backbone = {**BERT, "model_type": "normalized_bert"}
    encoder = tiny_encoder(tiny_vocabulary(), backbone)
    model = trained(prepared(config(), backbone=backbone))
    save_adapter(model, tmp_path / "adapter")
    loaded = load_adapter(encoder, tmp_path / "adapter")
    torch.testing.assert_close(loaded(BASES).logits, model(BASES).logits, atol=1e-6, rtol=1e-5)


def test_lora_is_refused_where_no_layer_could_take_an_adapter():
    with pytest.raises(InputError, match="method: got 'lora', expected 'full' or 'linear': the vqdna_convolutions"):
        prepared(config(), backbone={"model_type": "vqdna_convolutions", "hidden_size": 8})


def test_merging_without_an_adapter_changes_nothing():
    model = prepared(config(method="linear")).eval()
    before = model(BASES).logits
    merge_adapter(model)
    assert torch.equal(model(BASES).logits, before)


def test_full_fine_tuning_trains_the_half_of_the_stem_that_it_uses():
    torch.manual_seed(0)
    stem = {"width": 8, "kernel_size": 3, "merge": 4}
    encoder = GenomeEncoder.from_tokenizer(NucleotideTokenizer(), MODERNBERT, "table", stem)
    model = GenomeEncoderForSequenceClassification.from_encoder(encoder)
    prepare_trainable(model, config(method="full"))
    before = {name: value.clone() for name, value in model.encoder.stem.state_dict().items()}
    trained(model)
    moved = {name for name, value in model.encoder.stem.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("splitting")}
