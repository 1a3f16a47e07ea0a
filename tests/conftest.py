"""Shapes and types are checked in tests: jaxtyping's annotations become facts here and cost nothing in production."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "examples"))  # the tests' own models, files and twins
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from jaxtyping import install_import_hook

CHECKED = (
    "genome", "vocabulary", "tokenizers", "encoder", "pretrain", "finetune", "tasks", "simulation", "baselines",
    "benchmark", "studies", "inference", "audit", "checkpoints",
)  # fmt: skip
install_import_hook([f"vqdna.{package}" for package in CHECKED], "shape_checks.checked")

import pytest
import torch

from vqdna.data_root import find_data_root


@pytest.fixture(autouse=True)
def _isolated(monkeypatch, tmp_path_factory):
    """One thread, fixed seed, quiet runs, and a corpus cache that dies with the test session."""
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("VQDNA_QUIET", "1")
    torch.manual_seed(0)


@pytest.fixture
def run_command(capsys):
    """Function that runs `vqdna` in process and gives (exit code, standard output, standard error)."""
    from vqdna.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def pytest_configure(config):
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    without_gpu = pytest.mark.skip(reason="needs a CUDA device")
    without_data = pytest.mark.skip(reason="needs the data root (VQDNA_DATA)")
    has_data = find_data_root() is not None
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(without_gpu)
        if "data_root" in item.keywords and not has_data:
            item.add_marker(without_data)
