"""A learned vocabulary for DNA, after VQDNA (ICML 2024): bases -> latents -> codes -> embeddings -> predictions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqdna.registration import register_when_needed

if TYPE_CHECKING:
    from vqdna.finetune.classifier import VqdnaClassifier as VqdnaClassifier
    from vqdna.finetune.public import finetune as finetune
    from vqdna.models import load as load

__version__ = "0.1.0"

register_when_needed()


def __getattr__(name: str) -> Any:
    """Public names, imported when they are asked for, for they need torch."""
    if name == "load":
        from vqdna.models import load

        return load
    if name == "finetune":
        return import_module("vqdna.finetune")  # a package that can be called
    if name == "VqdnaClassifier":
        return import_module("vqdna.finetune.classifier").VqdnaClassifier
    raise AttributeError(f"module 'vqdna' has no attribute '{name}'")
