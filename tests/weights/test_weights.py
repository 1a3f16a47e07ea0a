"""Built-in models by name, tried on a folder that stands in for the package's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import vqdna
from vqdna import models, weights
from vqdna.cli.installation import inspect_installation, show_installation
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.weights import built_in_folder, built_in_names, part_folder

BACKBONE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def encoder(k: int = 2) -> GenomeEncoder:
    torch.manual_seed(0)
    return GenomeEncoder.from_tokenizer(KmerTokenizer(k), BACKBONE).eval()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Built-in models `small`, of an encoder and what passes for a vocabulary, and `words`, of a vocabulary alone."""
    encoder().save_pretrained(tmp_path / "small" / "encoder")
    for name in ("small", "words"):
        (tmp_path / name / "vocabulary").mkdir(parents=True)
        (tmp_path / name / "vocabulary" / "config.json").write_text("{}")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    return tmp_path


def test_what_lies_in_the_package_is_listed(folder: Path):
    assert built_in_names() == ["small", "words"]
    assert built_in_names("encoder") == ["small"]
    assert built_in_folder("small", "encoder") == folder / "small" / "encoder"


def test_an_unknown_name_gets_the_nearest(folder: Path):
    with pytest.raises(
        InputError, match="no built-in vocabulary 'smal', expected small or words; did you mean 'small'"
    ):
        built_in_folder("smal", "vocabulary")
    with pytest.raises(InputError, match="no built-in encoder 'words'"):
        built_in_folder("words", "encoder")
    with pytest.raises(InputError, match=r"^smal: no such folder nor a built-in encoder \(small\); did you mean"):
        part_folder("smal", "encoder")


def test_without_built_in_models_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(InputError, match="none comes with this installation"):
        built_in_folder("small", "encoder")


def test_a_name_goes_before_a_folder_of_that_name_and_a_path_is_a_path(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    here = tmp_path_factory.mktemp("here")
    (here / "small").mkdir()
    monkeypatch.chdir(here)
    assert part_folder("small", "encoder") == folder / "small" / "encoder"
    assert part_folder("./small", "encoder") == Path("small")


def test_load_gives_the_encoder_of_a_name_a_run_or_a_fine_tuned_model(folder: Path, tmp_path: Path):
    other = encoder(3)
    other.save_pretrained(tmp_path / "run" / "model")
    GenomeEncoderForSequenceClassification.from_encoder(other).save_pretrained(tmp_path / "task" / "model")
    bases = torch.randint(0, 4, (2, 20), dtype=torch.uint8)
    small = vqdna.load("small")
    assert torch.equal(small(bases).last_hidden_state, encoder()(bases).last_hidden_state)
    for path in (tmp_path / "run", tmp_path / "run" / "model", tmp_path / "task"):
        loaded = models.load(path)
        assert not loaded.training
        assert torch.equal(loaded(bases).last_hidden_state, other(bases).last_hidden_state)
    with pytest.raises(InputError, match="absent: no such folder"):
        models.load(tmp_path / "absent")


def test_doctor_lists_them(folder: Path):
    facts = inspect_installation()
    assert set(facts["models"]) == {"small", "words"}
    assert set(facts["models"]["small"]) == {"vocabulary", "encoder"}
    assert "built-in models: small (vocabulary 0.0 MB, encoder 0." in show_installation(facts)
