"""What transformers knows of us after `import vqdna`: `AutoModel.from_pretrained` opens every model folder.

Our classes register themselves where they are defined, but their modules import torch, and `import vqdna` has to stay
fast. So they are imported when a script first asks `AutoConfig` for a folder's configuration, which is what every Auto
class and `pipeline` do first. Doing it as soon as transformers is imported would be in the midst of its own circular
imports. It must not know the models, only where they are.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

MODEL_MODULES = (
    "vqdna.vocabulary.autoencoder",
    "vqdna.encoder.genome_encoder",
    "vqdna.encoder.backbones.convolutions",
    "vqdna.encoder.backbones.hyena",
    "vqdna.encoder.backbones.mosaic_bert",
    "vqdna.encoder.backbones.nucleotide_transformer",
    "vqdna.pretrain.objective",
    "vqdna.encoder.causal_model",
    "vqdna.finetune.heads",
    "vqdna.finetune.token_labels",
)
AUTO_CONFIG_MODULE = "transformers.models.auto.configuration_auto"


def register_when_needed() -> None:
    """Has `AutoConfig.from_pretrained` import our models first: now where transformers is loaded, else once it is."""
    loaded = sys.modules.get(AUTO_CONFIG_MODULE)
    if loaded is None:
        sys.meta_path.insert(0, _AfterImport())
    else:
        _register_on_first_use(loaded.AutoConfig)


def _register_on_first_use(auto_config: Any) -> None:
    original = auto_config.__dict__["from_pretrained"]

    @functools.wraps(original.__func__)
    def from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
        for module in MODEL_MODULES:
            importlib.import_module(module)
        auto_config.from_pretrained = original
        return cls.from_pretrained(*args, **kwargs)

    auto_config.from_pretrained = classmethod(from_pretrained)


class _AfterImport:
    """Finds nothing by itself; lets the next finders load AutoConfig's module, and sees to it afterwards."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != AUTO_CONFIG_MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _register_on_first_use(module.AutoConfig)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
