"""The encoder cut behind one of its layers, for embeddings that are not those of the last.

Flow: GenomeEncoder + number of a layer -> GenomeEncoder of that many layers, on the same weights. Numbers are those of
transformers' `hidden_states`: 0 is what the first layer is given. It must not know what embeddings are for.
"""

from __future__ import annotations

import copy
from typing import TypeVar, cast

from torch import nn

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError

Module = TypeVar("Module", bound=nn.Module)


def num_layers(encoder: GenomeEncoder) -> int:
    return len(_layers(encoder.backbone))


def up_to_layer(encoder: GenomeEncoder, layer: int) -> GenomeEncoder:
    """Encoder whose hidden states are those behind the given layer; it shares the weights with the whole one.

    What a backbone does behind its last layer (ModernBERT's norm) belongs to that layer alone.

    Args:
        layer: 0 to the number of layers; negative numbers count from the last one, -1.
    """
    last = num_layers(encoder)
    number = layer if layer >= 0 else last + 1 + layer
    if not 0 <= number <= last:
        raise InputError(f"layer: got {layer}, expected 0 to {last} (or -1 to -{last + 1}, from the last one)")
    if number == last:
        return encoder
    cut = _with_own_children(encoder)
    cut.backbone = _cut_backbone(encoder.backbone, number)
    return cut


def _cut_backbone(backbone: nn.Module, number: int) -> nn.Module:
    cut, kept = _with_own_children(backbone), nn.ModuleList(_layers(backbone)[:number])
    if hasattr(backbone, "layers"):
        cut.layers = kept
        cut.final_norm = nn.Identity()
    else:
        stack = _with_own_children(backbone.get_submodule("encoder"))
        stack.layer, cut.encoder = kept, stack
    return cut


def _layers(backbone: nn.Module) -> nn.ModuleList:
    place = "layers" if hasattr(backbone, "layers") else "encoder.layer"
    return cast(nn.ModuleList, backbone.get_submodule(place))


def _with_own_children(module: Module) -> Module:
    """Copy that holds the same modules and weights; another module put in place of one is not seen by the original."""
    twin = copy.copy(module)
    twin.__dict__["_modules"] = dict(module._modules)
    return twin
