"""What this installation can use, for `vqdna doctor`: versions, processor, precision, data root, extras."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vqdna.data_root import find_data_root
from vqdna.weights import PARTS, Part, built_in_folder, built_in_names

REQUIRED = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "safetensors",
    "tokenizers",
    "numpy",
    "scikit-learn",
    "pyarrow",
)
EXTRAS = {"report": ("plotly", "jinja2", "logomaker"), "baselines": ("lightgbm",)}


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
    lines = [
        f"vqdna {facts['vqdna']} on Python {facts['python']} ({facts['platform']})",
        f"processors: {facts['processors']}, torch threads: {facts['torch_threads']}",
        f"accelerators: {', '.join(facts['accelerators']) or 'none; everything runs on the processor'}",
        f"training precision: {facts['training_precision']}",
        f"data root: {facts['data_root'] or 'none (set VQDNA_DATA to use real benchmark data)'}",
        "built-in models: " + (", ".join(_model_line(*entry) for entry in facts["models"].items()) or "none"),
        "packages: " + ", ".join(f"{name} {found}" for name, found in facts["packages"].items()),
    ]
    for extra, usable in facts["extras"].items():
        lines.append(f"extra '{extra}': " + ("usable" if usable else f"missing; pip install 'vqdna[{extra}]'"))
    lines.append("problems: " + ("; ".join(facts["problems"]) or "none"))
    return "\n".join(lines)


def _megabytes(part: Part, name: str) -> float:
    """Size of a part of a built-in model."""
    return round(sum(file.stat().st_size for file in built_in_folder(name, part).rglob("*") if file.is_file()) / 1e6, 1)


def _model_line(name: str, parts: dict[str, float]) -> str:
    return f"{name} ({', '.join(f'{part} {size} MB' for part, size in parts.items())})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
