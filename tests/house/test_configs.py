"""Every configuration in configs/ is valid, small, and builds the model it describes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
import yaml

from vqdna.benchmark.budget import load_budget
from vqdna.config import configs_folder, load_config
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, SequenceClassifierConfig
from vqdna.finetune.settings import FinetuneConfig
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.pretrain.train import PretrainConfig, untrained_model
from vqdna.tasks.registry import dataset
from vqdna.tokenizers.nucleotide import NucleotideTokenizer
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig
from vqdna.vocabulary.train import VocabularyConfig, build_vocabulary

STAGES = {"vocabulary": VocabularyConfig, "pretrain": PretrainConfig, "finetune": FinetuneConfig}
MAX_LINES = 25
"""A configuration is a small difference to its base."""


def names(stage: str) -> list[str]:
    """Configurations of a stage that a user can ask for."""
    return sorted(path.stem for path in (configs_folder() / stage).glob("*.yaml") if not path.stem.startswith("_"))


ALL = [(stage, name) for stage in STAGES for name in names(stage)]


def shape_of_vocabulary(name: str) -> VQVAE:
    """Vocabulary without memory for its weights."""
    settings = load_config(VocabularyConfig, name, "vocabulary").model
    with torch.device("meta"):
        return VQVAE(VQVAEConfig(**settings.model_dump()))


RIVALS = {"hyena": "tiny"}
"""Encoders of stage 2 that read single nucleotides, and the configuration of ours that each is a rival of."""


def vocabulary_for(name: str) -> str:
    """Vocabulary configuration that goes with one of stage 2."""
    name = RIVALS.get(name, "rival" if name.startswith("rival_") else name)
    return name if name in names("vocabulary") else f"{name}_hrq"


def num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_stage_has_its_folder_and_nothing_else_lies_there():
    assert {folder.name for folder in configs_folder().iterdir()} == {*STAGES, "benchmark"}
    assert {path.suffix for path in configs_folder().rglob("*") if path.is_file()} == {".yaml"}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_paper_its_cpu_and_its_demo_configuration(stage):
    assert {"cpu", "demo"} <= set(names(stage))
    assert any(name.startswith("paper") for name in names(stage))


@pytest.mark.parametrize(("stage", "name"), ALL)
def test_every_configuration_is_valid_and_a_small_difference_to_its_base(stage, name):
    load_config(STAGES[stage], name, stage)
    path = configs_folder() / stage / f"{name}.yaml"
    assert "base" in yaml.safe_load(path.read_text())
    assert len(path.read_text().splitlines()) <= MAX_LINES
    assert path.read_text().startswith("#"), "its first line says what it is for"


@pytest.mark.parametrize("name", names("vocabulary"))
def test_every_vocabulary_has_codes_for_each_level(name):
    model = shape_of_vocabulary(name)
    latents = model.latent_encoder(torch.zeros(1, 30, dtype=torch.uint8, device="meta"))
    tables = [model.quantizer.code_table(level) for level in range(len(model.config.level_sizes))]
    assert [tuple(table.shape) for table in tables] == [
        (size, latents[0].shape[-1]) for size in model.config.level_sizes
    ]
    assert len(latents) == len(model.config.taps)


@pytest.mark.parametrize("name", names("pretrain"))
def test_every_encoder_takes_its_vocabulary(name):
    config = load_config(PretrainConfig, name, "pretrain")
    with torch.device("meta"):
        tokenizer = VqTokenizer(shape_of_vocabulary(vocabulary_for(name)))
        encoder = GenomeEncoder.from_tokenizer(tokenizer, config.backbone)
        model = GenomeEncoderForMaskedModeling.from_encoder(encoder)
    width = config.backbone["hidden_size"]
    assert tuple(encoder.embedding.projection.weight.shape) == (width, tokenizer.vector_size)
    assert [level.out_features for level in model.prediction.levels] == list(tokenizer.level_sizes)
    assert config.data.window / tokenizer.bases_per_position <= config.backbone.get("max_position_embeddings", 8192)


@pytest.mark.parametrize(("rival", "ours"), RIVALS.items())
def test_rivals_differ_in_the_encoder_alone_and_are_as_large(rival, ours):
    one, other = (load_config(PretrainConfig, name, "pretrain") for name in (rival, ours))
    same = ("masking", "shuffling", "contrast", "target", "data", "training")
    assert {part: getattr(one, part) for part in same} == {part: getattr(other, part) for part in same}
    with torch.device("meta"):
        words = NucleotideTokenizer(), VqTokenizer(shape_of_vocabulary(vocabulary_for(ours))).with_levels(5)
        sizes = [
            num_parameters(untrained_model(config, tokenizer).encoder) - num_parameters(tokenizer)
            for config, tokenizer in zip((one, other), words, strict=True)
        ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.15)


@pytest.mark.parametrize("name", names("benchmark"))
def test_every_budget_names_configurations_and_datasets_that_exist(name):
    budget = load_budget(name)
    load_config(PretrainConfig, budget.pretrain, "pretrain")
    load_config(FinetuneConfig, budget.finetune, "finetune")
    assert {dataset(searched).group for searched in budget.search.values()} <= set(budget.search)


@pytest.mark.parametrize("name", names("finetune"))
def test_every_head_fits_the_encoder(name):
    config = load_config(FinetuneConfig, name, "finetune")
    shape = {"backbone": load_config(PretrainConfig, "demo", "pretrain").backbone}
    head = {"pooling": config.head.pooling, "head_hidden_size": config.head.hidden_size}
    model = GenomeEncoderForSequenceClassification(
        SequenceClassifierConfig(**shape, **head, class_names=["a", "b", "c"])
    )
    assert model(torch.zeros(2, 40, dtype=torch.uint8)).logits.shape == (2, 3)


@pytest.mark.parametrize("name", ["demo", "demo_vq"])
def test_the_demo_runs_bases_through_all_stages(name):
    vocabulary = build_vocabulary(load_config(VocabularyConfig, name, "vocabulary").model, seed=0)
    base_ids = torch.randint(0, 4, (2, 128), dtype=torch.uint8)
    assert torch.isfinite(vocabulary(base_ids).loss)
    encoder = GenomeEncoder.from_tokenizer(
        VqTokenizer(vocabulary), load_config(PretrainConfig, "demo", "pretrain").backbone
    )
    model = GenomeEncoderForMaskedModeling.from_encoder(encoder)
    assert torch.isfinite(model(base_ids, torch.arange(128).expand(2, -1) < 32).loss)


def test_cpu_encoder_has_about_the_million_parameters_that_its_file_says():
    config = load_config(PretrainConfig, "cpu", "pretrain")
    with torch.device("meta"):
        encoder = GenomeEncoder.from_tokenizer(VqTokenizer(shape_of_vocabulary("cpu")), config.backbone)
    assert 0.5e6 < num_parameters(encoder.backbone) < 1.5e6


def test_the_vq_configurations_differ_from_hrq_in_the_quantizer_alone():
    for vq, hrq in (("cpu_vq", "cpu"), ("demo_vq", "demo"), ("paper_vq", "paper_hrq")):
        one, other = (load_config(VocabularyConfig, name, "vocabulary").model_dump() for name in (vq, hrq))
        assert {key for key in one["model"] if one["model"][key] != other["model"][key]} == {"quantizer", "level_sizes"}
        assert (one["data"], one["training"]) == (other["data"], other["training"])


def test_configurations_are_found_beside_the_sources_and_go_into_the_installed_package():
    root = Path(__file__).parents[2]
    assert configs_folder() == root / "configs"
    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"configs": "vqdna/configs"}
