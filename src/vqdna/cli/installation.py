"""`vqdna doctor`: what this installation can use. `vqdna cache`: the folder of cached files, and removing them."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from typer import Argument, Option

from vqdna.cli.application import app
from vqdna.cli.options import AsJson, print_result
from vqdna.data_root import find_data_root
from vqdna.errors import InputError
from vqdna.quantities import bytes_of
from vqdna.weights import PARTS, Part, built_in_folder, built_in_names

REQUIRED = (
    "torch", "transformers", "accelerate", "peft", "safetensors", "tokenizers", "numpy", "scikit-learn", "pyarrow",
)  # fmt: skip
EXTRAS = {"report": ("plotly", "jinja2", "logomaker"), "baselines": ("lightgbm",)}


@app.command(epilog="Example: `vqdna doctor --json`")
def doctor(as_json: AsJson = False) -> None:
    """Show what this installation can use: versions, processor, data folder, optional packages."""
    facts = inspect_installation()
    print_result(json.dumps(facts, indent=2) if as_json else show_installation(facts))


@app.command(epilog="Example: `vqdna cache --clear codes`")
def cache(
    kind: str | None = Argument(None, help="With --clear: remove this kind alone.", metavar="[KIND]"),
    clear: bool = Option(False, "--clear", help="Remove all cached files, or those of KIND."),
    as_json: AsJson = False,
) -> None:
    """Show the folder of cached files, or clear it. VQDNA_CACHE chooses another folder."""
    from vqdna.genome.cache import cache_contents, cache_root, clear_cache

    if kind is not None and not clear:
        raise InputError(f"cache: '{kind}' needs --clear: `vqdna cache --clear {kind}`")
    if clear:
        clear_cache(kind)
    contents = cache_contents()
    if as_json:
        print_result(json.dumps({"folder": str(cache_root()), "kinds": [asdict(one) for one in contents]}, indent=2))
        return
    lines = [
        f"{one.kind:<14}{bytes_of(one.num_bytes):>10}  {one.num_entries:>6} entries  {one.holds}" for one in contents
    ]
    print_result("\n".join([str(cache_root()), *lines]))


def inspect_installation() -> dict[str, Any]:
    """Facts about this installation; `problems` lists what stands in the way of the main commands."""
    import torch

    from vqdna.devices import uses_bfloat16

    root = find_data_root()
    packages = {name: _version(name) for name in REQUIRED}
    return {
        "vqdna": _version("vqdna"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "accelerators": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())],
        "training_precision": "bf16" if uses_bfloat16("auto") else "fp32",
        "data_root": str(root) if root else None,
        "models": {
            name: {part: _megabytes(part, name) for part in PARTS if name in built_in_names(part)}
            for name in built_in_names()
        },
        "packages": packages,
        "extras": {extra: all(importlib.util.find_spec(name) for name in names) for extra, names in EXTRAS.items()},
        "problems": [f"package '{name}' is missing" for name, found in packages.items() if found is None],
    }


def show_installation(facts: dict[str, Any]) -> str:
    """The facts as lines to read, with what to do about each gap."""
    models = [
        f"{name} ({', '.join(f'{part} {size} MB' for part, size in parts.items())})"
        for name, parts in facts["models"].items()
    ]
    lines = [
        f"vqdna {facts['vqdna']} on Python {facts['python']} ({facts['platform']})",
        f"processors: {facts['processors']}, torch threads: {facts['torch_threads']}",
        f"accelerators: {', '.join(facts['accelerators']) or 'none; everything runs on the processor'}",
        f"training precision: {facts['training_precision']}",
        f"data root: {facts['data_root'] or 'none (set VQDNA_DATA to use real benchmark data)'}",
        "built-in models: " + (", ".join(models) or "none"),
        "packages: " + ", ".join(f"{name} {found}" for name, found in facts["packages"].items()),
    ]
    for extra, usable in facts["extras"].items():
        lines.append(f"extra '{extra}': " + ("usable" if usable else f"missing; pip install 'vqdna[{extra}]'"))
    lines.append("problems: " + ("; ".join(facts["problems"]) or "none"))
    return "\n".join(lines)


def _megabytes(part: Part, name: str) -> float:
    return round(sum(file.stat().st_size for file in built_in_folder(name, part).rglob("*") if file.is_file()) / 1e6, 1)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
