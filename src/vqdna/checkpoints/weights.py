"""Published weights as tensors by name, from whichever of the usual files holds them.

Flow: folder -> model.safetensors, its shards, or pytorch_model.bin -> {name: tensor}. No object is unpickled: `.bin`
files go through PyTorch's reader of plain tensors, which refuses everything else. It must not know what the names mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vqdna.errors import InputError
from vqdna.results import read_json

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
NUM_NAMED = 3
"""Tensors that a message names."""


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, by their published names.

    Raises:
        InputError: no weights there, a missing shard, or a file that holds anything but tensors.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return _read_file(folder / name)
        if (folder / f"{name}.index.json").is_file():
            return _read_shards(folder, folder / f"{name}.index.json")
    raise InputError(f"{folder}: no weights here, expected {' or '.join(WEIGHT_FILES)}")


def _read_shards(folder: Path, index: Path) -> dict[str, Tensor]:
    places: Mapping[str, str] = read_json(index).get("weight_map") or {}
    held: dict[str, Tensor] = {}
    for shard in sorted(set(places.values())):
        if Path(shard).name != shard or not (folder / shard).is_file():
            raise InputError(f"{index}: names the file '{shard}', which is not in the folder")
        held |= _read_file(folder / shard)
    return held


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path}: the weights cannot be read ({str(error).splitlines()[0]})") from None
    if not isinstance(held, Mapping) or not all(isinstance(tensor, Tensor) for tensor in held.values()):
        raise InputError(f"{path}: expected tensors by name and nothing else")
    return dict(held)


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:NUM_NAMED]) + more
