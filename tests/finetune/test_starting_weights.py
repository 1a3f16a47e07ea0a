from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from example_tasks import config, saved_encoder, tiny_encoder, tiny_vocabulary, write_task

from vqdna.baselines.cnn import CnnConfig, one_hot
from vqdna.baselines.word_cnn import WordCnn, WordSettings
from vqdna.config import load_config
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.pooling import pool_positions
from vqdna.errors import InputError
from vqdna.finetune.files import finetune_files, plan_files
from vqdna.finetune.heads import load_classifier
from vqdna.finetune.settings import FinetuneConfig, NetworkSettings
from vqdna.finetune.starting_weights import fresh_network
from vqdna.inference.predict import predict_file
from vqdna.tokenizers import tokenizer_name
from vqdna.tokenizers.base_words import BaseWordTokenizer, words_at_bases

CONVOLUTIONS: dict[str, Any] = {"model_type": "vqdna_convolutions", "embedding_size": 20, "hidden_size": 32}
WORDS_BESIDE_BASES: dict[str, Any] = {"backbone": CONVOLUTIONS, "code_embedding": "one-hot", "code_dropout": 0.5}
LEARNS: dict[str, Any] = {"method": "full", "head": {"pooling": "mean+max"}, "training": {"learning_rate": 0.005}}


def network(encoder: GenomeEncoder, **changes: Any) -> GenomeEncoder:
    torch.manual_seed(3)
    return fresh_network(encoder, NetworkSettings(**{**WORDS_BESIDE_BASES, **changes})).eval()


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
def test_with_the_same_weights_it_is_the_network_of_the_benchmark(length):
    """Twin in vqdna.baselines.word_cnn, a strand alone; there the maximum comes first."""
    encoder = tiny_encoder(tiny_vocabulary())
    ours = network(encoder)
    theirs = WordCnn(2, CnnConfig(width=32, shares_strands=False), encoder.tokenizer, WordSettings())
    theirs.train()(torch.randint(0, 4, (16, 60), dtype=torch.uint8), torch.ones(16, 60, dtype=torch.bool))
    theirs.eval()
    _take_weights(ours, theirs)
    bases = torch.randint(0, 4, (3, length), dtype=torch.uint8)
    output = ours(bases)
    mean, most = pool_positions(output.last_hidden_state, output.attention_mask, "mean+max").chunk(2, dim=1)
    everything = torch.ones(3, length, dtype=torch.bool)
    strand = one_hot(bases, everything)
    read = torch.cat([strand, theirs._vectors(words_at_bases(theirs.tokenizer, bases, everything))], dim=1)
    expected = theirs.pooled(read, everything[:, None].float())
    assert torch.allclose(torch.cat([most, mean], dim=1), expected, atol=1e-5)


def _take_weights(ours: GenomeEncoder, theirs: WordCnn) -> None:
    blocks = [("stem", ours.backbone.stem)]
    blocks += [(f"blocks.{number}", layer.added) for number, layer in enumerate(ours.backbone.layers)]
    for name, block in blocks:
        block.load_state_dict(theirs.get_submodule(name).state_dict())
    for table, held in zip(ours.embedding.tables, theirs.tables, strict=True):
        table.load_state_dict(held.state_dict())


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
def test_fresh_weights_have_nothing_to_adapt(method):
    with pytest.raises(InputError, match=f"got '{method}', expected 'full' for a network of fresh weights"):
        config(method=method, network=WORDS_BESIDE_BASES)


def test_the_presets_have_the_benchmarks_shape():
    both, bases = (load_config(FinetuneConfig, name, "finetune") for name in ("cnn-words", "cnn"))
    made = fresh_network(tiny_encoder(tiny_vocabulary()), both.network)
    twin = CnnConfig()
    assert (made.config.hidden_size, made.backbone.config.dilations) == (twin.width, list(twin.dilations))
    assert made.backbone.config.stem_kernel_size == twin.stem_kernel
    assert made.backbone.config.embedding_size == 4 + WordSettings().width
    assert both.network.code_dropout == WordSettings().dropout
    assert (both.head.hidden_size, both.head.dropout) == (twin.hidden_size, twin.dropout)
    assert tokenizer_name(fresh_network(tiny_encoder(), bases.network).tokenizer) == "nucleotide"
