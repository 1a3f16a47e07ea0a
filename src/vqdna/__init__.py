"""A learned vocabulary for DNA, after VQDNA (ICML 2024): bases -> latents -> codes -> embeddings -> predictions."""

from __future__ import annotations

__version__ = "0.1.0"
