"""A simulated virus whose tree and mutations are known, and small systems to ask about it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vqdna.simulation.clades import simulate_clades
from vqdna.studies.sars_cov_2.genomes import read_genomes, read_labels, read_reference
from vqdna.studies.sars_cov_2.knowledge import read_knowledge
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig


@pytest.fixture(scope="session")
def clades():
    """Six lineages of 12 genomes each, 3,000 bases."""
    return simulate_clades(0, num_bases=3000)


@pytest.fixture(scope="session")
def folder(clades, tmp_path_factory) -> Path:
    """Files of the simulated virus, as a user would have them."""
    path = tmp_path_factory.mktemp("clades")
    clades.write(path)
    return path


@pytest.fixture(scope="session")
def knowledge(folder):
    return read_knowledge(read_reference(folder / "reference.fa"), folder / "knowledge.yaml")


@pytest.fixture(scope="session")
def genomes(folder, knowledge):
    """Genomes as the study reads them."""
    files = [folder / "genomes.fa"]
    return read_genomes(files, knowledge, read_labels(files, folder / "labels.csv")).kept


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory) -> Path:
    """Folder of an HRQ vocabulary of two levels whose codebooks have seen one batch."""
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(width=16, stem_width=16, num_blocks=2, level_sizes=(16, 32))).train()
    model(torch.randint(0, 4, (16, 128), dtype=torch.uint8))
    model.quantizer.update_codebooks()
    path = tmp_path_factory.mktemp("vocabulary")
    model.save_pretrained(path / "model")
    return path


@pytest.fixture(scope="session")
def hrq(vocabulary) -> VqTokenizer:
    return VqTokenizer.from_directory(vocabulary)
