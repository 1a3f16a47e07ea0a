"""Splits the weights that learn, their gradients and the optimizer's state over the ranks (torch's FSDP2).

Flow: whole model -> shard: one group per Transformer layer and one for the rest -> training, layers gathered as they
are needed -> full_weights and full_optimizer_state, the same as a run that shards nothing would hold. So checkpoints
and models are the same files either way. Frozen weights stay whole on every rank: they have no gradients and no
optimizer state, and a frozen tokenizer is also asked outside the model's forward. It must not know stages.

accelerate would shard by itself, but on GPUs alone: on CPU it ignores the request and trains whole copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel


def shard(model: nn.Module, device: torch.device) -> None:
    """Splits the model in place over all ranks; the optimizer is to be made afterwards."""
    if is_sharded(model):
        return
    # Frozen weights stay whole: a frozen tokenizer is asked outside the model's forward, where nothing gathers them.
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    frozen = {parameter for parameter in model.parameters() if not parameter.requires_grad}
    # Layers first, the model last: what a layer takes, the rest does not, and each layer is gathered when it is needed.
    for layer in [*_layers(model), model]:
        fully_shard(layer, mesh=mesh, ignored_params=frozen)


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    models = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    names = {name for part in models for name in part._no_split_modules or ()}
    return (module for module in reversed(list(model.modules())) if type(module).__name__ in names)


def is_sharded(model: nn.Module) -> bool:
    return isinstance(model, FSDPModule)


def full_weights(model: nn.Module) -> dict[str, Tensor]:
    """State dict of the whole model, on every rank's CPU; all ranks must call it."""
    return {name: whole(value).cpu() for name, value in model.state_dict().items()}


def full_optimizer_state(optimizer: Any) -> Mapping[str, object]:
    """State dict of the optimizer as it is without sharding, on every rank's CPU; all ranks must call it."""
    held = optimizer.state_dict()
    state = held["state"].items()
    return {**held, "state": {number: {name: whole(value).cpu() for name, value in of.items()} for number, of in state}}


def split_optimizer_state(optimizer: Any) -> None:
    """Gives each rank its part of a whole state that was loaded into the optimizer of a sharded model."""
    # A checkpoint holds whole tensors, so that a run may be resumed on another number of ranks, or on one.
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(parameter, DTensor) and value.shape == parameter.shape and not isinstance(value, DTensor):
                values[name] = distribute_tensor(value, parameter.device_mesh, parameter.placements)


def whole(value: Any) -> Any:
    """A split tensor gathered from all ranks, which all must call it; anything else as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value
