"""What lies in a saved folder beside the weights, and what would go to the Hub."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi, metadata_load

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers.kmer import KmerTokenizer

BACKBONE = {"model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
BACKBONE |= {"intermediate_size": 24}
STEM = {"width": 12, "kernel_size": 3, "merge": 4}
FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"}

RESULTS = {
    "stage": "pretrain",
    "seed": 3,
    "steps": 400,
    "bases_seen": 3276800,
    "evaluation": {"loss": 5.25, "masked_accuracy": [0.5, 0.25], "masked_positions": 16404},
    "genomes": {"species": [f"species_{number}" for number in range(23)], "num_bases": 30902362},
}


@pytest.fixture
def encoder() -> GenomeEncoder:
    torch.manual_seed(0)
    return GenomeEncoder.from_tokenizer(KmerTokenizer(3), BACKBONE, stem=STEM)


@pytest.fixture
def run_folder(encoder, tmp_path) -> Path:
    """Folder of a finished run, its model in `model/`."""
    encoder.save_pretrained(tmp_path / "run" / "model")
    (tmp_path / "run" / "results.json").write_text(json.dumps(RESULTS))
    return tmp_path / "run"


@pytest.fixture
def uploads(monkeypatch, tmp_path) -> dict:
    """What the Hub was asked for, in place of the Hub; `has` names the files that the repository has."""
    seen: dict = {"has": set(), "branches": []}

    def create_repo(self, repo_id, **options):
        seen["repo"] = options
        return SimpleNamespace(repo_id=f"lab/{repo_id}" if "/" not in repo_id else repo_id)

    def upload_folder(self, *, repo_id, folder_path, **options):
        seen.update(repo_id=repo_id, options=options, folder=tmp_path / "uploaded")
        shutil.copytree(folder_path, seen["folder"], dirs_exist_ok=True)
        return f"https://huggingface.co/{repo_id}/commit/1"

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    monkeypatch.setattr(HfApi, "create_branch", lambda self, repo_id, *, branch, **_: seen["branches"].append(branch))
    monkeypatch.setattr(HfApi, "file_exists", lambda self, repo_id, name, **_: name in seen["has"])
    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    return seen


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def card(folder: Path) -> str:
    return (folder / "README.md").read_text()


def test_a_folder_holds_text_and_card_beside_the_weights(encoder, tmp_path):
    encoder.save_pretrained(tmp_path)
    assert names(tmp_path) == FILES
    assert metadata_load(tmp_path / "README.md") == {
        "library_name": "transformers",
        "license": "apache-2.0",
        "pipeline_tag": "feature-extraction",
        "tags": ["genomics", "dna", "vqdna"],
    }


def test_the_card_says_what_the_model_is(encoder, tmp_path):
    encoder.save_pretrained(tmp_path)
    size = sum(parameter.numel() for parameter in encoder.parameters())
    rows = [
        "tokenizer | kmer:3, 69 codes",
        "bases per token | 1 ",
        "bases per position | 4 ",
        f"parameters | {size:,},",
    ]
    assert all(f"| {row}" in card(tmp_path) for row in [*rows, "backbone | modernbert, 2 layers of width 16 |"])
    assert "## Training" not in card(tmp_path)


@pytest.mark.parametrize("kind", ["encoder", "masked"])
def test_the_code_of_the_card_runs(kind, encoder, tmp_path, monkeypatch, capsys):
    model = encoder if kind == "encoder" else GenomeEncoderForMaskedModeling.from_encoder(encoder)
    model.save_pretrained(tmp_path)
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", card(tmp_path), re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.startswith("torch.Size([2, 7, 16])" if kind == "encoder" else "tensor(")


def test_a_card_that_is_there_stays(encoder, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    encoder.save_pretrained(tmp_path)
    assert card(tmp_path) == "mine"


def test_other_ranks_write_no_text_and_no_card(encoder, tmp_path):
    encoder.save_pretrained(tmp_path, is_main_process=False)
    assert not names(tmp_path) & {"tokenizer.json", "README.md"}


def test_the_card_of_a_run_s_model_has_its_results(run_folder, tmp_path):
    GenomeEncoder.from_pretrained(run_folder / "model").save_pretrained(tmp_path / "copy")
    text = card(tmp_path / "copy")
    assert "- genomes: 30,902,362 bases of 23 species (species_0, " in text
    assert "species_19 and 3 more)" in text
    assert "- bases seen: 3,276,800\n" in text
    assert "| evaluation | loss | 5.2500 |" in text
    assert "| evaluation | masked positions | 16,404 |" in text


def test_weights_that_changed_since_are_not_credited_with_the_results(run_folder, tmp_path):
    encoder = GenomeEncoder.from_pretrained(run_folder / "model")
    with torch.no_grad():
        encoder.stem.merging.bias += 1
    encoder.save_pretrained(tmp_path / "copy")
    assert "## Scores" not in card(tmp_path / "copy")


def test_results_may_be_given(encoder, tmp_path):
    encoder.save_pretrained(tmp_path)
    encoder.write_card(tmp_path, results={"test": {"mcc": 0.5, "confusion": [[1, 0], [0, 1]]}, "dataset": "mouse/0"})
    assert "- dataset: mouse/0" in card(tmp_path)
    assert "| test | mcc | 0.5000 |" in card(tmp_path)
    assert "confusion" not in card(tmp_path)


def test_what_is_pushed_is_the_whole_folder_under_the_hub_s_name(run_folder, uploads):
    encoder = GenomeEncoder.from_pretrained(run_folder / "model")
    address = encoder.push_to_hub("lab/small", private=True, tags=["yeast"], create_pr=True)
    assert address == "https://huggingface.co/lab/small/commit/1"
    assert uploads["repo"] == {"private": True, "exist_ok": True}
    assert uploads["options"]["create_pr"] is True
    assert uploads["options"]["commit_message"] == "Upload GenomeEncoder"
    assert names(uploads["folder"]) == FILES
    assert metadata_load(uploads["folder"] / "README.md")["tags"] == ["genomics", "dna", "vqdna", "yeast"]
    assert 'AutoModel.from_pretrained("lab/small")' in card(uploads["folder"])
    assert "# small\n" in card(uploads["folder"])
    assert "| evaluation | loss | 5.2500 |" in card(uploads["folder"])
    base_ids = torch.zeros(1, 20, dtype=torch.uint8)
    pushed = GenomeEncoder.from_pretrained(uploads["folder"])
    assert torch.equal(pushed(base_ids).last_hidden_state, encoder(base_ids).last_hidden_state)


def test_a_card_of_the_repository_stays(encoder, uploads):
    uploads["has"].add("README.md")
    encoder.push_to_hub("lab/small", revision="v2")
    assert names(uploads["folder"]) == FILES - {"README.md"}
    assert uploads["branches"] == ["v2"]


def test_saving_can_push_too(encoder, tmp_path, uploads):
    encoder.save_pretrained(tmp_path / "small", push_to_hub=True, commit_message="First")
    assert uploads["repo_id"] == "lab/small"
    assert uploads["options"]["commit_message"] == "First"
    assert names(uploads["folder"]) == names(tmp_path / "small") == FILES
