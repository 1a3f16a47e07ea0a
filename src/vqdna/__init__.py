"""A learned vocabulary for DNA, after VQDNA (ICML 2024): bases -> latents -> codes -> embeddings -> predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vqdna.registration import register_when_needed

if TYPE_CHECKING:
    from vqdna.models import load as load

__version__ = "0.1.0"

register_when_needed()


def __getattr__(name: str) -> Any:
    """`vqdna.load`, imported when it is asked for, for it needs torch."""
    if name == "load":
        from vqdna.models import load

        return load
    raise AttributeError(f"module 'vqdna' has no attribute '{name}'")
