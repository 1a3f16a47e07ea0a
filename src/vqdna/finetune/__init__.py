"""Stage 3: a pre-trained genome encoder learns a labelled task, by LoRA, in full, or with a head alone.

The package is callable: `vqdna.finetune(model, splits, config, out)` is `vqdna.finetune.public.finetune`, while
`vqdna.finetune.heads` and the others are its modules as ever (decision record on the callable package). What needs
torch is imported when it is asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqdna.finetune.results import FinetuneResults

_MODULES = {
    "FinetuneResults": "results",
    "GenomeEncoderForSequenceClassification": "heads",
    "GenomeEncoderForTokenClassification": "token_labels",
    "SequenceClassifierConfig": "heads",
    "TokenClassifierConfig": "token_labels",
    "VqdnaClassifier": "classifier",
}

__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


class _CallablePackage(ModuleType):
    """A module whose call is the public function of the same name."""

    def __call__(self, *arguments: Any, **named: Any) -> FinetuneResults:
        from vqdna.finetune.public import finetune

        return finetune(*arguments, **named)


sys.modules[__name__].__class__ = _CallablePackage
