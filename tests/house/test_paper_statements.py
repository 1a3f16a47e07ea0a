"""Statements of docs/paper.md and docs/decisions/ that no package's own tests hold against the code."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from vqdna.config import load_config
from vqdna.encoder.code_embedding import CodeEmbedding
from vqdna.errors import InputError
from vqdna.pretrain.train import PretrainConfig
from vqdna.simulation.genomes import simulate_genomes, write_genomes
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.training import trainer as trainer_module
from vqdna.training.settings import training_arguments
from vqdna.vocabulary import codebook as codebook_module
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig
from vqdna.vocabulary.codebook import Codebook
from vqdna.vocabulary.convolution import ConvNeXtBlock, one_hot_bases
from vqdna.vocabulary.evaluation import CodeStatistics, evaluate_vocabulary
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

CORPUS_BASES = 2.75e9 + 32.49e9
"""DNABERT-2's corpus, which the paper uses: human and multi-species."""


def paper_shape(name: str) -> VQVAE:
    """Vocabulary of a paper preset, without memory for its weights."""
    settings = load_config(VocabularyConfig, name, "vocabulary").model
    with torch.device("meta"):
        return VQVAE(VQVAEConfig(**settings.model_dump()))


def size_of(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def code_vectors(model: VQVAE) -> int:
    return sum(book.code_vectors.numel() for book in model.quantizer.codebooks)


def tiny(**options: object) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(**{"width": 16, "stem_width": 12, "level_sizes": (8, 16), **options})).train()
    model(torch.randint(0, 4, (8, 96), dtype=torch.uint8))
    model.update_codebooks()
    return model.eval()


def test_stem_transition_and_blocks_have_the_papers_shape():
    encoder = paper_shape("paper_hrq").latent_encoder
    assert tuple(encoder.stem.weight.shape) == (256, 4, 5)
    assert encoder.stem.stride == (1,)
    assert encoder.stem_norm.normalized_shape == (256,)
    assert tuple(encoder.widen.weight.shape) == (384, 256)
    assert len(encoder.blocks) == 6
    for block in encoder.blocks:
        assert tuple(block.depthwise.weight.shape) == (384, 1, 7)
        assert tuple(block.expand.weight.shape) == (4 * 384, 384)
        assert tuple(block.contract.weight.shape) == (384, 4 * 384)


def test_a_block_is_depthwise_convolution_norm_and_inverted_bottleneck_scaled_onto_the_skip():
    block = ConvNeXtBlock(6)
    assert torch.equal(block.scale, torch.full((6,), 0.1))
    features = torch.randn(2, 20, 6)
    depthwise = block.depthwise
    convolved = functional.conv1d(features.transpose(1, 2), depthwise.weight, depthwise.bias, padding=3, groups=6)
    mixed = functional.layer_norm(convolved.transpose(1, 2), (6,), block.norm.weight, block.norm.bias)
    mixed = block.contract(functional.gelu(block.expand(mixed)))
    assert torch.allclose(block(features), features + 0.1 * mixed, atol=1e-6)


def test_levels_tap_blocks_3_and_6_and_block_4_reads_what_block_3_gave_unquantized():
    model = tiny(num_blocks=6)
    assert model.config.taps == [3, 6]
    coarse, fine = model.latent_encoder(torch.randint(0, 4, (2, 50), dtype=torch.uint8))
    features = coarse
    for block in model.latent_encoder.blocks[3:]:
        features = block(features)
    assert torch.allclose(features, fine, atol=1e-6)


def test_the_base_decoder_mirrors_the_latent_encoder_behind_one_dense_layer():
    model = paper_shape("paper_hrq")
    decoder, encoder = model.base_decoder, model.latent_encoder
    assert size_of(decoder.blocks) == size_of(encoder.blocks)
    assert tuple(decoder.narrow.weight.shape) == tuple(encoder.widen.weight.shape)[::-1]
    assert tuple(decoder.stem.weight.shape) == tuple(encoder.stem.weight.shape)
    assert isinstance(decoder.stem, torch.nn.ConvTranspose1d)
    assert tuple(decoder.read.weight.shape) == (384, 384, 7)


@pytest.mark.parametrize(
    ("name", "total", "without_dense_layer"), [("paper_vq", 15.67, 14.63), ("paper_hrq", 16.65, 15.62)]
)
def test_parameters_of_the_presets_in_millions(name, total, without_dense_layer):
    model = paper_shape(name)
    parameters = size_of(model) + code_vectors(model)
    assert round(parameters / 1e6, 2) == total
    assert round((parameters - size_of(model.base_decoder.read)) / 1e6, 2) == without_dense_layer


def test_the_dense_layer_has_a_million_parameters_and_hrq_a_million_more_than_vq():
    vq, hrq = paper_shape("paper_vq"), paper_shape("paper_hrq")
    assert round(size_of(hrq.base_decoder.read) / 1e6, 2) == 1.03
    assert round((code_vectors(hrq) - code_vectors(vq)) / 1e6, 2) == 0.98
    assert 1 + 2 * hrq.config.context_bases == 41


def test_what_the_other_layers_of_decision_4_would_have_added():
    stem, width, backbone = 256, 384, 768
    assert round((5 - 1) * stem * width / 1e6, 1) == 0.4  # a dense kernel of 5 where there is a linear layer
    assert round(width * backbone / 1e6, 1) == 0.3
    assert round((512 + 1024 - 1024 - 2048) * width / 1e6, 1) == -0.6
    assert round((512 + 1024 - 512) * width / 1e6, 2) == 0.39


def test_stage_1_sees_the_corpus_once():
    config = load_config(VocabularyConfig, "paper_hrq", "vocabulary")
    bases_seen = config.training.steps * config.training.batch_size * config.data.window
    assert abs(bases_seen / CORPUS_BASES - 1) < 0.001


@pytest.mark.parametrize(("kind", "name", "stage"), [
    (VocabularyConfig, "paper_hrq", "vocabulary"), (PretrainConfig, "paper", "pretrain"),
])  # fmt: skip
def test_both_stages_are_optimized_by_adamw_on_a_cosine(kind, name, stage, tmp_path):
    arguments = training_arguments(load_config(kind, name, stage).training, tmp_path, 0)
    assert str(arguments.optim.value).startswith("adamw_torch")
    assert arguments.lr_scheduler_type == "cosine"


def test_an_n_is_all_zeros():
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert one_hot_bases(torch.arange(5, dtype=torch.uint8)[None])[0].tolist() == expected


def test_kmeans_starts_from_at_most_32_latents_a_code_and_makes_10_rounds(monkeypatch):
    calls = []

    def watched(rows, num_centers, num_iterations, generator):
        calls.append((len(rows), num_iterations))
        return rows[:num_centers], torch.ones(num_centers)

    monkeypatch.setattr(codebook_module, "kmeans", watched)
    Codebook(4, 2).initialize(torch.randn(1000, 2))
    Codebook(4, 2).initialize(torch.randn(50, 2))
    assert calls == [(128, 10), (50, 10)]


def test_code_vectors_are_normalized_and_projected_to_the_backbones_width():
    tokenizer = VqTokenizer(tiny())
    embedding = CodeEmbedding(tokenizer, 32)
    embedding.reset_parameters()
    codes = torch.tensor([[[1, 2], [7, 15]]])
    coarse, fine = (book.code_vectors for book in tokenizer.quantizer.codebooks)
    token = (coarse[codes[..., 0]] + fine[codes[..., 1]]) / 2
    normalized = functional.layer_norm(token, (16,))
    expected = normalized @ embedding.projection.weight.T + embedding.projection.bias
    assert torch.allclose(embedding(codes, tokenizer), expected, atol=1e-6)


def test_masked_positions_get_a_learned_vector_instead():
    tokenizer = VqTokenizer(tiny())
    embedding = CodeEmbedding(tokenizer, 32)
    embedding.reset_parameters()
    hidden = torch.tensor([[True, False]])
    embedded = embedding(torch.zeros(1, 2, 2, dtype=torch.long), tokenizer, hidden)
    assert torch.equal(embedded[0, 0], embedding.mask_vector)
    assert not torch.equal(embedded[0, 1], embedding.mask_vector)


def test_usage_and_perplexity_by_hand():
    statistics = CodeStatistics(4)
    statistics.add(torch.tensor([[0, 0, 2, 2]]), torch.full((1, 4), -1))
    statistics.add(torch.tensor([[2, 2, 0, 0]]), torch.full((1, 4), -1))
    found = statistics.summary().model_dump()
    assert found == {"size": 4, "usage": 0.5, "perplexity": pytest.approx(2.0), "dead_codes": 2}


def test_reconstruction_is_counted_per_base_that_is_no_n():
    model = tiny()
    windows = torch.randint(0, 5, (3, 60), dtype=torch.uint8)
    evaluation, _ = evaluate_vocabulary(model, windows)
    known = windows < 4
    right = (model(windows).logits.argmax(dim=-1) == windows) & known
    assert evaluation.num_bases == int(known.sum())
    assert evaluation.reconstruction_accuracy == pytest.approx(float(right.sum() / known.sum()))
    assert evaluation.bits_per_base == pytest.approx(math.log2(8) + math.log2(16))


RUN = VocabularyConfig.model_validate(
    {
        "model": {"quantizer": "vq", "level_sizes": [8], "width": 16, "stem_width": 12, "num_blocks": 1},
        "data": {"window": 64, "evaluation_windows": 4},
        "training": {"steps": 2, "batch_size": 2, "learning_rate": 1e-3, "save_every": 1, "precision": "fp32"},
    }
)


class Killed(BaseException):
    """Stands for the process's end."""


class CarriesCode:
    """An object that runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"])
def test_code_hidden_in_a_checkpoint_is_never_run(tmp_path, monkeypatch, name):
    genomes = write_genomes(tmp_path / "genomes", simulate_genomes(0, num_species=1, bases_per_species=6000))

    def die_at_the_second(staging, target):
        if target.name == "checkpoint-2":
            raise Killed
        real(staging, target)

    real = trainer_module.put_in_place
    monkeypatch.setattr(trainer_module, "put_in_place", die_at_the_second)
    with pytest.raises(Killed):
        run_vocabulary(RUN, genomes=genomes, out=tmp_path / "run", seed=0)
    monkeypatch.setattr(trainer_module, "put_in_place", real)

    marker = tmp_path / "marker"
    target = tmp_path / "run" / "checkpoints" / "checkpoint-1" / name
    assert target.is_file()
    target.write_bytes(pickle.dumps(CarriesCode(marker), protocol=2))
    if name == "training_args.bin":  # transformers writes it and does not read it
        run_vocabulary(RUN, genomes=genomes, out=tmp_path / "run", seed=0)
    else:
        with pytest.raises(InputError, match="checkpoint-1: damaged checkpoint"):
            run_vocabulary(RUN, genomes=genomes, out=tmp_path / "run", seed=0)
    assert not marker.exists()
    pickle.loads(pickle.dumps(CarriesCode(marker)))
    assert marker.exists()
