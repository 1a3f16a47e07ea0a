"""Published genome models by their Hub ids: the folder that each is fetched into, and its weights as tensors by name.

Flow: Hub id, or a folder in the published layout -> folder with config.json, vocabulary and weights -> {name: tensor}
of model.safetensors, its shards, or pytorch_model.bin. No code of a repository is fetched, let alone run, and no object
unpickled: `.bin` files go through PyTorch's reader of plain tensors. It must not know what the names mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vqdna.errors import InputError, nearest_name_hint
from vqdna.results import read_json

INSTADEEP = "InstaDeepAI/nucleotide-transformer"
HYENA = "LongSafari/hyenadna"

PUBLISHED: dict[str, str] = {
    **{f"zhihan1996/DNA_bert_{k}": "dnabert" for k in (3, 4, 5, 6)},
    **{
        f"{INSTADEEP}-{name}": "nucleotide_transformer"
        for name in ("500m-human-ref", "500m-1000g", "2.5b-1000g", "2.5b-multi-species")
    },
    **{f"{INSTADEEP}-v2-{size}-multi-species": "nucleotide_transformer_v2" for size in ("50m", "100m", "250m", "500m")},
    "zhihan1996/DNABERT-2-117M": "dnabert_2",
    "zhihan1996/DNABERT-S": "dnabert_2",
    **{
        f"{HYENA}-{name}-hf": "hyenadna"
        for name in (
            "tiny-1k-seqlen",
            "tiny-1k-seqlen-d256",
            "tiny-16k-seqlen-d128",
            "small-32k-seqlen",
            "medium-160k-seqlen",
            "medium-450k-seqlen",
            "large-1m-seqlen",
        )
    },
}
"""Layout of each known repository, a name of `vqdna.checkpoints.importing.LAYOUTS`."""

DESCRIPTIONS = ("config.json", "vocab.txt", "tokenizer.json", "*.safetensors.index.json")
SAFE_WEIGHTS = "*.safetensors"
PICKLED_WEIGHTS = ("pytorch_model*.bin", "pytorch_model.bin.index.json")


def published_names() -> list[str]:
    return sorted(PUBLISHED)


def published_folder(name_or_folder: str | Path, revision: str | None = None) -> Path:
    """Folder with the files of a known repository, fetched if it is not in the Hub's cache; a folder is itself."""
    name = str(name_or_folder)
    if Path(name).is_dir():
        if revision is not None:
            raise InputError(f"{name}: a folder has no revision (got '{revision}')")
        return Path(name)
    if name not in PUBLISHED:
        known = ", ".join(published_names())
        hint = nearest_name_hint(name, PUBLISHED)
        raise InputError(f"'{name}': neither a folder nor a published model that is known ({known}){hint}")
    folder = _fetched(name, revision, (*DESCRIPTIONS, SAFE_WEIGHTS))
    if not any(folder.glob(SAFE_WEIGHTS)):
        folder = _fetched(name, revision, (*DESCRIPTIONS, *PICKLED_WEIGHTS))
    return folder


def _fetched(name: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except OSError as error:  # what huggingface_hub raises of the network, of the disk and of absent revisions
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: cannot be fetched from the Hub ({reason})") from None


WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
NUM_NAMED = 3  # tensors that a message names


def read_weights(folder: Path) -> dict[str, Tensor]:
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
    more = f" and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:NUM_NAMED]) + more
