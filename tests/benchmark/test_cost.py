from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel

from vqdna import devices
from vqdna.benchmark.cost import flops_per_base, published_cost, relative_flops, transformer_flops
from vqdna.devices import peak_memory, reset_peak_memory
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.finetune.settings import NetworkSettings
from vqdna.finetune.starting_weights import random_network
from vqdna.models import load
from vqdna.operations import counted_operations
from vqdna.tasks.published import poster_rows, published_systems
from vqdna.tokenizers import load_tokenizer

LAYERS, HIDDEN, INTERMEDIATE = 3, 32, 48
SIZES = {
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_attention_heads": 4,
}


def bert_encoder(tokenizer: str) -> GenomeEncoder:
    return GenomeEncoder.from_tokenizer(load_tokenizer(tokenizer), {"model_type": "bert", **SIZES})


@pytest.mark.parametrize("length", [8, 96])
@pytest.mark.parametrize("gated", [False, True])
def test_worked_out_operations_are_those_counted_in_a_published_architecture(length, gated):
    if gated:
        kinds = ["full_attention"] * LAYERS
        model = ModernBertModel(ModernBertConfig(vocab_size=9, pad_token_id=0, layer_types=kinds, **SIZES))
    else:
        model = BertModel(BertConfig(vocab_size=9, **SIZES), add_pooling_layer=False)
    input_ids = torch.ones(1, length // 4, dtype=torch.long)
    with torch.no_grad():
        counted = counted_operations(lambda: model.eval()(input_ids=input_ids))
    # ModernBERT also works out the angles of its rotary positions by a product, which no architecture is counted by.
    worked_out = transformer_flops(LAYERS, HIDDEN, INTERMEDIATE, length, 4, gated=gated)
    assert counted == pytest.approx(worked_out, rel=2e-3 if gated else 0)


@pytest.mark.parametrize(("tokenizer", "bases_per_token"), [("nucleotide", 1), ("kmer:4:4", 4)])
def test_an_encoder_over_hand_made_tokens_costs_its_backbone(tokenizer, bases_per_token):
    for bases in (64, 256):
        expected = transformer_flops(LAYERS, HIDDEN, INTERMEDIATE, bases, bases_per_token) / bases
        assert flops_per_base(bert_encoder(tokenizer), bases) == pytest.approx(expected)


def network(num_classes: int, **shape: Any) -> GenomeEncoderForSequenceClassification:
    """Stage 3's convolutional network on bases, both strands at once."""
    backbone = {"model_type": "vqdna_convolutions", "embedding_size": 4, "hidden_size": 8, "stem_kernel_size": 5}
    settings = NetworkSettings(
        reads="bases", backbone={**backbone, "kernel_size": 3, **shape}, code_embedding="one-hot"
    )
    encoder = random_network(bert_encoder("nucleotide"), settings)
    names = [str(number) for number in range(num_classes)]
    return GenomeEncoderForSequenceClassification.from_encoder(
        encoder, class_names=names, pooling="mean+max", head_hidden_size=6, shares_strands=True
    )


def test_the_network_on_one_hot_bases_by_hand():
    per_base = 2 * (2 * 4 * 8 * 5 + 2 * (2 * 8 * 8 * 3) / 2)  # both strands; the blocks see every second position
    head = 2 * (4 * 8 * 6 + 6 * 3)
    assert flops_per_base(network(3, dilations=(1, 2)), 200) == per_base + head / 200


def test_a_learned_vocabulary_costs_the_same_on_its_first_and_its_later_passes():
    """Its first pass fills tables, which is no cost of a base."""
    encoder = load("small")
    assert flops_per_base(encoder, 100) == flops_per_base(encoder, 100) < 1e6


def test_measuring_leaves_mode_weights_and_random_state_alone():
    model = network(2).train()
    model.head.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    flops_per_base(model, 50)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training
    assert not model.head.training
    with pytest.raises(InputError, match="got a sequence of 0 bases"):
        flops_per_base(model, 0)


def test_published_costs_agree_with_the_posters_relative_ones():
    """The two systems on words of BERT-Base's size to the printed digit; NT's within a quarter, for none knows how."""
    costs = published_cost()
    for row in poster_rows():
        relative = relative_flops(costs[row.system]["flops_per_base"])
        exact = not row.method.startswith("NT")
        assert relative == pytest.approx(sum(row.relative_flops), **({"abs": 0.05} if exact else {"rel": 0.25}))
        assert costs[row.system]["parameters"] == 1e6 * sum(row.parameters)
    assert relative_flops(costs["DNABERT-2"]["flops_per_base"]) == 1


def test_dnabert_2_takes_29_billion_operations_for_500_bases():
    """14.4 billion multiplications with their additions, by the arithmetic of its 117 million parameters."""
    assert 500 * published_cost()["DNABERT-2"]["flops_per_base"] == pytest.approx(2 * 14.4e9, rel=0.01)


def test_only_what_was_published_has_a_cost():
    costs = published_cost()
    assert set(costs) < set(published_systems())
    assert costs["HyenaDNA"] == {"parameters": 6.6e6}
    assert "CNN" not in costs


def test_the_memory_mark_rises_with_use_and_starts_anew():
    if not reset_peak_memory():
        pytest.skip("this system does not let a process start its mark anew")
    before = peak_memory()
    held = np.ones(2**27, dtype=np.uint8)
    risen = peak_memory()
    assert risen - before > 0.9 * len(held)
    del held
    assert peak_memory() > risen - 2**22  # the mark stays, but for the kernel counting in steps
    assert reset_peak_memory()
    assert peak_memory() < risen - 0.5 * 2**27


def test_where_the_mark_cannot_be_started_anew_the_caller_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "RESET_FILE", tmp_path / "absent" / "clear_refs")
    monkeypatch.setattr(devices, "STATUS_FILE", tmp_path / "absent" / "status")
    assert not reset_peak_memory()
    assert peak_memory() > 2**24  # that of the process's whole life


@pytest.mark.gpu
def test_memory_of_a_gpu_is_what_torch_allocated():
    assert reset_peak_memory("cuda")
    before = peak_memory("cuda")
    torch.ones(2**26, dtype=torch.uint8, device="cuda")
    assert peak_memory("cuda") - before >= 2**26
