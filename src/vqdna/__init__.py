"""A learned vocabulary for DNA, after VQDNA (ICML 2024): bases -> latents -> codes -> embeddings -> predictions.

The names in `__all__` are the public API, described in docs/reference/api.md. Each is imported when it is first asked
for, so that `import vqdna` stays fast and loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqdna.registration import register_when_needed

if TYPE_CHECKING:
    from vqdna import benchmark as benchmark
    from vqdna.finetune.classifier import VqdnaClassifier as VqdnaClassifier
    from vqdna.finetune.public import finetune as finetune
    from vqdna.genome.sequences import read_sequences as read_sequences
    from vqdna.inference.embed import embed as embed
    from vqdna.inference.encode import decode as decode
    from vqdna.inference.encode import encode as encode
    from vqdna.inference.predict import predict as predict
    from vqdna.inference.variant_effects import score_variants as score_variants
    from vqdna.models import load as load
    from vqdna.models import load_model as load_model
    from vqdna.models import load_vocabulary as load_vocabulary
    from vqdna.tokenizers.loading import load_tokenizer as load_tokenizer

__version__ = "0.1.0"

PUBLIC = {
    "VqdnaClassifier": "vqdna.finetune.classifier",
    "benchmark": "vqdna.benchmark",
    "decode": "vqdna.inference.encode",
    "embed": "vqdna.inference.embed",
    "encode": "vqdna.inference.encode",
    "finetune": "vqdna.finetune",
    "load": "vqdna.models",
    "load_model": "vqdna.models",
    "load_tokenizer": "vqdna.tokenizers.loading",
    "load_vocabulary": "vqdna.models",
    "predict": "vqdna.inference.predict",
    "read_sequences": "vqdna.genome.sequences",
    "score_variants": "vqdna.inference.variant_effects",
}
"""Module of each public name; a package of the name itself is given as it is."""

__all__ = [*PUBLIC]

register_when_needed()


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        module = import_module(PUBLIC[name])
        return module if PUBLIC[name] == f"vqdna.{name}" else getattr(module, name)
    raise AttributeError(f"module 'vqdna' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
