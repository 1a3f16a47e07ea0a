"""The folder of one run: run.yaml (resolved), manifest.json, metrics.jsonl, checkpoints/, model/, results.json.

A folder belongs to one configuration: the same run started again resumes or says it is finished, another is refused.
Everything is written beside its place and renamed, so a kill at any time leaves the last whole state.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml
from pydantic import BaseModel
from torch import Tensor
from transformers import PreTrainedModel

from vqdna.config import StrictModel, Values, completed, first_difference, read_yaml, write_yaml
from vqdna.errors import InputError
from vqdna.results import (
    METRICS_FILE,
    RESULTS_FILE,
    command_line,
    folder_in_place,
    read_json,
    write_atomically,
    write_json,
)
from vqdna.training.settings import launched_ranks

RECORDED_PACKAGES = ("vqdna", "torch", "transformers", "accelerate", "peft", "numpy", "scikit-learn")


class Parent(StrictModel):
    path: str
    sha256: str


class Manifest(BaseModel):
    """manifest.json: how, when and where a run was made."""

    command: str
    seed: int
    started: str
    python: str
    platform: str
    ranks: int = 1
    versions: dict[str, str | None]
    parents: dict[str, Parent]

    @classmethod
    def of(cls, seed: int, parents: Mapping[str, Path]) -> Manifest:
        return cls(
            command=command_line(),
            seed=seed,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            python=platform.python_version(),
            platform=platform.platform(),
            ranks=launched_ranks(),
            versions={name: _version(name) for name in RECORDED_PACKAGES},
            parents={name: Parent(path=str(path), sha256=content_hash(path)) for name, path in parents.items()},
        )


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file, self.manifest_file = path / "run.yaml", path / "manifest.json"
        self.metrics_file, self.results_file = path / METRICS_FILE, path / RESULTS_FILE
        self.model_folder, self.checkpoints = path / "model", path / "checkpoints"

    def open(self, config: BaseModel, *, seed: int, parents: Mapping[str, Path], inputs: Mapping[str, object]) -> None:
        """Takes the folder for this configuration and writes run.yaml and manifest.json.

        Models that the run starts from are recorded by the hash of their contents; `inputs`, the user's files and
        options, stand in run.yaml beside the configuration. Raises what `check` does.
        """
        resolved = self.check(config, seed=seed, inputs=inputs)
        if not is_main_process():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config_file, yaml.safe_dump(resolved, sort_keys=False).encode())
        write_json(self.manifest_file, Manifest.of(seed, parents).model_dump(mode="json"))

    def check(self, config: BaseModel, *, seed: int, inputs: Mapping[str, object]) -> Values:
        """What run.yaml is to hold; writes nothing, so a stage can refuse bad input before it takes the folder."""
        options = {name: str(value) for name, value in inputs.items()}
        resolved = {**yaml.safe_load(write_yaml(config)), "seed": seed, "inputs": options}
        if self.config_file.exists():
            held = read_yaml(self.config_file)
            about: Values = {name: held.pop(name) for name in ("seed", "inputs") if name in held}
            # A folder of an older version lacks keys that came later; their defaults are what it ran with.
            held = {**completed(type(config), held), **about}
            files = held.get("inputs", {})
            held["inputs"] = {name: _as_named_now(value, options.get(name)) for name, value in files.items()}
            different = first_difference(held, resolved)
            if different:
                raise InputError(
                    f"{self.path}: holds another run ('{different}' differs); choose another --out or remove the folder"
                )
        # Other ranks may see a folder while the first one writes it.
        elif is_main_process() and self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise InputError(f"{self.path}: is not empty and holds no run; choose another --out")
        return resolved

    def finished(self) -> Values | None:
        return read_json(self.results_file) if self.results_file.exists() else None

    def last_checkpoint(self) -> Path | None:
        """Newest whole checkpoint; what a kill left half-written is not among them."""
        found = [path for path in self.checkpoints.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
        return max(found, key=lambda path: int(path.name.split("-")[1])) if found else None

    def save_model(self, model: PreTrainedModel, name: str = "model", weights: dict[str, Tensor] | None = None) -> None:
        """Model directory `name` written whole or not at all.

        `weights` is the state dict where the model itself holds a part of it only (see `sharding.full_weights`).
        """
        with folder_in_place(self.path / name) as staging:
            model.save_pretrained(staging, state_dict=weights)

    def write_results(self, results: Mapping[str, object]) -> None:
        """results.json, and the checkpoints, which only a resume would need, are removed."""
        write_json(self.results_file, results)
        shutil.rmtree(self.checkpoints, ignore_errors=True)


def _as_named_now(held: str, named: str | None) -> str:
    """The name given now where it means the files or folders that are held under another one, else what is held."""
    if named is None or held == named:
        return held
    before, now = _listed(held), _listed(named)
    return named if len(before) == len(now) and all(map(_is_one_file, before, now)) else held


def _listed(text: str) -> list[str]:
    """Names in an option as run.yaml has it: one, or a list as Python writes it."""
    if not text.startswith("["):
        return [text]
    with contextlib.suppress(ValueError, SyntaxError):
        found = ast.literal_eval(text)
        return [str(name) for name in found]
    return [text]


def _is_one_file(first: str, second: str) -> bool:
    with contextlib.suppress(OSError, ValueError):  # an option that is no path may be too long for one
        return Path(first).samefile(second)
    return False


def content_hash(path: Path) -> str:
    """SHA-256 over names and contents of a file or of the model files of a folder."""
    digest = hashlib.sha256()
    parts = sorted(file for file in path.rglob("*") if file.suffix in (".safetensors", ".json"))
    for file in [path] if path.is_file() else parts:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_main_process() -> bool:
    """True outside torchrun and on rank 0."""
    return os.environ.get("RANK", "0") == "0"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
