"""Codes of labelled sequences kept on disk between runs: the tokenizer is frozen, so every seed has the same ones.

Flow: tokenizer + base_ids -> content hash -> codes from the cache folder, or computed and put there. The key covers the
tokenizer's settings and weights and every base, so a stale entry cannot be found. It must not know labels.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from vqdna.results import atomic_output
from vqdna.tokenizers import Tokenizer

CodeRows = list[Int[ndarray, "_ level"]]


def cached_codes(
    tokenizer: Tokenizer, base_ids: Sequence[UInt8[ndarray, "_"]], compute: Callable[[], CodeRows]
) -> CodeRows:
    """Codes of each record, from the cache or from `compute`, whose result is then kept.

    Hand-made tokenizers are faster than the disk and are not cached.
    """
    if (tokenizer.vector_size is None and not tokenizer.context_bases) or not len(base_ids):
        return compute()
    path = cache_folder() / f"{codes_key(tokenizer, base_ids)}.npz"
    held = _read(path)
    if held is not None:
        return held
    rows = compute()
    with atomic_output(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, codes=np.concatenate(rows), lengths=np.array([len(row) for row in rows]))
    return rows


def cache_folder() -> Path:
    """Folder of the cached codes, below VQDNA_CACHE or the user's cache."""
    root = os.environ.get("VQDNA_CACHE")
    return (Path(root) if root else Path("~/.cache/vqdna").expanduser()) / "codes"


def codes_key(tokenizer: Tokenizer, base_ids: Sequence[UInt8[ndarray, "_"]]) -> str:
    """Hash of everything the codes depend on."""
    digest = hashlib.sha256(json.dumps(tokenizer.settings(), sort_keys=True, default=str).encode())
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(np.array([len(row) for row in base_ids]).tobytes())
    digest.update(np.concatenate(base_ids).tobytes())
    return digest.hexdigest()[:32]


def _read(path: Path) -> CodeRows | None:
    """Cached codes, or None where there are none or the file is damaged (it is then written anew)."""
    try:
        with np.load(path, allow_pickle=False) as held:
            return list(np.split(held["codes"], np.cumsum(held["lengths"])[:-1]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
