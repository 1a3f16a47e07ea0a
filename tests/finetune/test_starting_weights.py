from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from example_tasks import config, saved_encoder, tiny_encoder, tiny_vocabulary, write_task
from torch.nn import functional

from vqdna.config import load_config
from vqdna.encoder.genome_encoder import GenomeEncoder, pool_positions
from vqdna.errors import InputError
from vqdna.finetune.adapters import prepare_trainable
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, load_classifier
from vqdna.finetune.public import finetune_files, plan_files
from vqdna.finetune.settings import FinetuneConfig, NetworkSettings
from vqdna.finetune.starting_weights import random_network
from vqdna.inference.predict import predict_file
from vqdna.tokenizers import tokenizer_name
from vqdna.tokenizers.base_words import BaseWordTokenizer, words_at_bases

CONVOLUTIONS: dict[str, Any] = {"model_type": "vqdna_convolutions", "embedding_size": 20, "hidden_size": 32}
WORDS_BESIDE_BASES: dict[str, Any] = {"backbone": CONVOLUTIONS, "code_embedding": "one-hot", "code_dropout": 0.5}
LEARNS: dict[str, Any] = {"method": "full", "head": {"pooling": "mean+max"}, "training": {"learning_rate": 0.005}}


def network(encoder: GenomeEncoder, **changes: Any) -> GenomeEncoder:
    torch.manual_seed(3)
    return random_network(encoder, NetworkSettings(**{**WORDS_BESIDE_BASES, **changes})).eval()


def test_the_vocabulary_is_the_encoders_and_nothing_else():
    encoder = tiny_encoder(tiny_vocabulary())
    made = network(encoder)
    assert isinstance(made.tokenizer, BaseWordTokenizer)
    bases = torch.randint(0, 4, (2, 40), dtype=torch.uint8)
    words = encoder.tokenizer.encode(bases).codes  # a position is a base
    assert torch.equal(made.tokenizer.encode(bases).codes[..., 1:], words)
    assert not any(parameter.requires_grad for parameter in made.tokenizer.parameters())


@pytest.mark.parametrize(
    ("reads", "name", "width", "embedding"),
    [
        ("bases+words", "nucleotide+kmer:3", 20, "one-hot"),
        ("bases", "nucleotide", 4, "one-hot"),
        ("words", "kmer:3", 20, "table"),
    ],
)
def test_a_network_reads_bases_words_or_both(reads, name, width, embedding):
    backbone = {**CONVOLUTIONS, "embedding_size": width}
    made = network(tiny_encoder(), reads=reads, backbone=backbone, code_embedding=embedding)
    assert tokenizer_name(made.tokenizer) == name
    states = made(torch.randint(0, 4, (2, 30), dtype=torch.uint8)).last_hidden_state
    assert states.shape[2] == 32
    assert states.std(dim=1).mean() > 0


@pytest.mark.parametrize("length", [1, 2, 40])
def test_the_network_is_what_its_layers_say(length):
    """Twin: one-hot bases and summed vectors, a wide convolution, maxima of pairs, residual convolutions, pooling."""
    encoder = tiny_encoder(tiny_vocabulary())
    ours = network(encoder).train()
    ours(torch.randint(0, 4, (16, 60), dtype=torch.uint8))  # statistics that are not those of initialization
    ours.eval()
    bases = torch.randint(0, 4, (3, length), dtype=torch.uint8)
    output = ours(bases)
    mean, most = pool_positions(output.last_hidden_state, output.attention_mask, "mean+max").chunk(2, dim=1)
    codes = words_at_bases(encoder.tokenizer, bases, torch.ones(3, length, dtype=torch.bool))
    vectors = sum(table.weight[codes[..., level]] for level, table in enumerate(ours.embedding.tables))
    read = torch.cat([functional.one_hot(bases.long(), 4).float(), vectors], dim=2).transpose(1, 2)
    features = functional.max_pool1d(_convolved(ours.backbone.stem, read), 2, ceil_mode=True)
    for layer in ours.backbone.layers:
        features = features + _convolved(layer.added, features)
    expected = features.repeat_interleave(2, dim=2)[..., :length]
    assert torch.allclose(torch.cat([most, mean], dim=1), torch.cat([expected.amax(2), expected.mean(2)], 1), atol=1e-5)


def _convolved(layer: Any, features: torch.Tensor) -> torch.Tensor:
    return functional.relu(layer.norm(layer.convolution(features)))


@pytest.mark.parametrize("length", [20, 21, 57])
def test_with_shared_strands_a_reverse_complement_and_padding_change_no_logit(length):
    made = GenomeEncoderForSequenceClassification.from_encoder(
        network(tiny_encoder(tiny_vocabulary())), pooling="mean+max", shares_strands=True
    )
    bases = torch.randint(0, 4, (2, length), dtype=torch.uint8)
    made.train()(bases)
    logits = made.eval()(bases).logits
    assert torch.allclose(made((3 - bases).flip(1)).logits, logits, atol=1e-5)
    padded = functional.pad(bases, (0, 9), value=4)
    kept = torch.arange(length + 9).expand(2, -1) < length
    assert torch.allclose(made(padded, kept).logits, logits, atol=1e-5)


def test_every_weight_that_is_read_gets_a_gradient_and_the_tokenizer_none():
    made = GenomeEncoderForSequenceClassification.from_encoder(network(tiny_encoder(tiny_vocabulary())))
    prepare_trainable(made, config(method="full", network=WORDS_BESIDE_BASES))
    output = made.train()(torch.randint(0, 4, (8, 60), dtype=torch.uint8), labels=torch.tensor([0, 1] * 4))
    output.loss.backward()
    learned = {name: weight for name, weight in made.named_parameters() if weight.requires_grad}
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in learned.values())
    assert not any("tokenizer" in name for name in learned)


@pytest.mark.parametrize("reads", ["bases", "bases+words"])
def test_a_motif_is_learned_and_the_saved_network_predicts_as_it_was_scored(tmp_path: Path, reads: str):
    encoder = saved_encoder(tmp_path / "encoder", tiny_vocabulary())
    train, test = (
        write_task(tmp_path / "train.csv", "binary", 256, 0),
        write_task(tmp_path / "test.csv", "binary", 100, 1),
    )
    backbone = {**CONVOLUTIONS, "embedding_size": 20 if "words" in reads else 4}
    settings = config(**LEARNS, network={**WORDS_BESIDE_BASES, "reads": reads, "backbone": backbone})
    files = {"encoder": encoder, "train": train, "dev": None, "seed": 0}
    results = finetune_files(settings, test=test, out=tmp_path / "run", **files).to_json()
    assert results["test"]["mcc"] > 0.6
    assert results["system"] == ("nucleotide+hrq" if "words" in reads else "nucleotide")
    assert results == finetune_files(settings, test=test, out=tmp_path / "run", **files).to_json(), (
        "a finished run is found"
    )
    predict_file(tmp_path / "run", test, tmp_path / "predictions.csv")
    rows = [line.split(",") for line in (tmp_path / "predictions.csv").read_text().splitlines()]
    column = rows[0].index("prediction")
    wanted = [line.rsplit(",", 1)[1] for line in test.read_text().splitlines()[1:]]
    right = sum(row[column] == label for row, label in zip(rows[1:], wanted, strict=True))
    assert right / len(wanted) == pytest.approx(results["test"]["accuracy"])


def test_the_saved_network_is_a_model_of_transformers(tmp_path: Path):
    encoder = saved_encoder(tmp_path / "encoder", tiny_vocabulary())
    train = write_task(tmp_path / "train.csv", "multiclass", 64, 0)
    settings = config(**{**LEARNS, "training": {"epochs": 1}}, network=WORDS_BESIDE_BASES)
    finetune_files(settings, encoder=encoder, train=train, dev=None, test=None, out=tmp_path / "run", seed=0)
    model = load_classifier(tmp_path / "run")
    bases = torch.randint(0, 4, (2, 33), dtype=torch.uint8)
    assert torch.equal(model(input_ids=bases.long()).logits, model(bases).logits)
    assert "vqdna_convolutions, 2 layers of width 32" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_the_plan_counts_what_learns(tmp_path: Path):
    encoder = saved_encoder(tmp_path / "encoder", tiny_vocabulary())
    train = write_task(tmp_path / "train.csv", "binary", 64, 0)
    plan = plan_files(config(**LEARNS, network=WORDS_BESIDE_BASES), encoder=encoder, train=train, dev=None, seed=0)
    assert {"embedding", "backbone", "head", "tokenizer"} <= plan.parameters.keys()


@pytest.mark.parametrize("method", ["lora", "linear"])
def test_random_weights_have_nothing_to_adapt(method):
    with pytest.raises(InputError, match=f"got '{method}', expected 'full' for a network of random initialization"):
        config(method=method, network=WORDS_BESIDE_BASES)


def test_the_presets_have_the_shape_and_the_training_that_were_measured():
    both, bases = (load_config(FinetuneConfig, name, "finetune") for name in ("cnn-words", "cnn"))
    made = random_network(tiny_encoder(tiny_vocabulary()), both.network)
    assert (made.config.hidden_size, made.backbone.config.dilations) == (96, [1, 4])
    assert made.backbone.config.stem_kernel_size == 15
    assert made.backbone.config.embedding_size == 4 + 16
    assert both.network.code_dropout == 0.5
    assert (both.head.hidden_size, both.head.dropout) == (64, 0.3)
    assert (both.training.schedule, both.training.learning_rate) == ("one-cycle", 2e-3)
    assert tokenizer_name(random_network(tiny_encoder(), bases.network).tokenizer) == "nucleotide"
