from __future__ import annotations

from vqdna.checkpoints.importing import (
    import_published,
    load_published,
    load_published_causal_model,
    load_published_masked_model,
)
from vqdna.checkpoints.published import PUBLISHED, published_names

__all__ = [
    "PUBLISHED",
    "import_published",
    "load_published",
    "load_published_causal_model",
    "load_published_masked_model",
    "published_names",
]
