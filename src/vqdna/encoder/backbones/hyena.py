"""Hyena, HyenaDNA's backbone: gates and convolutions as long as the row instead of attention.

Flow: embeddings [batch, position, width] -> layers of Hyena operator and MLP, normalized before each -> final norm ->
hidden states. A small network turns places into the weights of the long convolution, which is computed by Fourier
transform, so time grows as n log n and memory linearly. Causal as published; `bidirectional` looks both ways, for
masked modelling. It must not know DNA.

Reference: Poli et al. 2023, "Hyena hierarchy", section 3; Nguyen et al. 2023, "HyenaDNA", section 3.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from vqdna.encoder.backbones import Backbone, Mask, States, register_backbone
from vqdna.errors import InputError

FAST_DECAY, SLOW_DECAY, DECAYED_TO, DECAY_FLOOR = 0.3, 1.5, 1e-2, 0.05
"""Shares of the longest row after which the fastest and the slowest channel's weights have decayed to a hundredth, that
hundredth, and what is left of weights at any distance."""

SLOWEST_BAND = 1e-4
BUILT_ON = "cpu"  # constants are made on the processor even while transformers builds a model without memory


class HyenaConfig(PreTrainedConfig):
    """Shape of a Hyena backbone."""

    model_type = "vqdna_hyena"

    def __init__(
        self,
        vocab_size: int = 1,
        hidden_size: int = 128,
        num_hidden_layers: int = 2,
        intermediate_size: int | None = None,
        # positions of the longest row, to which the convolution's places are scaled
        max_position_embeddings: int = 1024,
        bidirectional: bool = False,  # convolutions see what follows too; False is the published, causal model
        filter_size: int = 64,  # width of the network that gives the long convolution's weights
        num_filter_layers: int = 2,  # its hidden layers behind the first
        # numbers that describe a place to it: the place, and cosine and sine of some bands; odd
        filter_features: int = 5,
        filter_frequency: float = 10.0,  # factor within its sines at the start of training
        short_kernel_size: int = 3,  # positions that the short convolution sees
        hidden_dropout_prob: float = 0.0,
        layer_norm_eps: float = 1e-5,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        if filter_features < 3 or filter_features % 2 == 0:
            raise InputError(f"filter_features: got {filter_features}, expected an odd number of 3 or more")
        if bidirectional and short_kernel_size % 2 == 0:
            raise InputError(f"short_kernel_size: got {short_kernel_size}, expected an odd number where bidirectional")
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        self.intermediate_size = intermediate_size or 4 * hidden_size
        self.max_position_embeddings, self.bidirectional = max_position_embeddings, bidirectional
        self.filter_size, self.num_filter_layers = filter_size, num_filter_layers
        self.filter_features, self.filter_frequency = filter_features, filter_frequency
        self.short_kernel_size, self.hidden_dropout_prob = short_kernel_size, hidden_dropout_prob
        self.layer_norm_eps, self.initializer_range = layer_norm_eps, initializer_range
        super().__init__(**kwargs)


class Hyena(Backbone):
    config_class = HyenaConfig
    config: HyenaConfig
    base_model_prefix = "hyena"
    _no_split_modules = ["HyenaLayer"]  # noqa: RUF012  # transformers reads a list

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(HyenaLayer(config) for _ in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Weights by the number of inputs, as PyTorch sets them, and projections of the size of their input.

        Published is a deviation of 0.02 everywhere. The operator multiplies projections with each other and with a
        filter, of which nothing is left then: short runs learned nothing (docs/lab-notes.md).
        """
        if isinstance(module, nn.Linear | nn.Conv1d):
            module.reset_parameters()
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, LongFilter):
            nn.init.normal_(module.skip)
            nn.init.constant_(module.frequency, self.config.filter_frequency)
        if isinstance(module, Projections):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)

    def hidden_states(self, embeddings: States, attention_mask: Mask) -> States:
        """Padding belongs at the row's end where the model is causal."""
        states = embeddings
        for layer in self.layers:
            states = layer(states, attention_mask)
        normed: Tensor = self.final_norm(states)
        return normed


class Projections(nn.Linear):
    """The linear layer whose outputs are multiplied with each other."""


class HyenaLayer(GradientCheckpointingLayer):
    """Hyena operator and MLP, each of its normalized input and added to it."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.operator_norm = nn.LayerNorm(config.hidden_size)
        self.operator = HyenaOperator(config)
        self.mlp_norm = nn.LayerNorm(config.hidden_size)
        self.expand = nn.Linear(config.hidden_size, config.intermediate_size)
        self.contract = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, states: States, attention_mask: Mask) -> States:
        states = states + self.operator(self.operator_norm(states), attention_mask)
        expanded = functional.gelu(self.expand(self.mlp_norm(states)), approximate="tanh")
        contracted: Tensor = self.contract(expanded)
        return states + contracted


class HyenaOperator(nn.Module):
    """Order two: `output(gate * long(value * other gate))`, all three projected and convolved over a few positions."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        width, kernel_size = config.hidden_size, config.short_kernel_size
        self.input = Projections(width, 3 * width)
        self.short = nn.Conv1d(3 * width, 3 * width, kernel_size, groups=3 * width)
        self.long = LongFilter(config)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        before = kernel_size // 2 if config.bidirectional else kernel_size - 1
        self.padding = (before, kernel_size - 1 - before)

    def forward(self, states: States, attention_mask: Mask) -> States:
        """Mixed states; padding counts as zero in both convolutions, as what lies beyond a row's ends does."""
        # Projections of padding are not zero, for the layer has a bias; unmasked they would leak through both
        # convolutions into the row's last positions.
        kept = attention_mask[..., None]
        projected = (self.input(states) * kept).transpose(1, 2)
        gate, other_gate, value = self.short(functional.pad(projected, self.padding)).chunk(3, dim=1)
        value = self.dropout(value * other_gate) * kept.transpose(1, 2)
        mixed: Tensor = self.output((self.long(value) * gate).transpose(1, 2))
        return mixed


class LongFilter(nn.Module):
    """A convolution as long as the row, its weights given by a network of sines and decaying with distance.

    Attributes:
        frequency: factor within the sines, of all layers.
        skip: weight of the position itself, beside the convolution.
    """

    places: Tensor  # what the network is told of each distance, [1, distance, feature]
    decays: Tensor  # decay of each channel, [1, 1, channel]; with `bidirectional` the same for both directions

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        size, width = config.filter_size, config.hidden_size
        self.max_positions, self.directions = config.max_position_embeddings, 2 if config.bidirectional else 1
        self.register_buffer("places", place_features(self.max_positions, config.filter_features))
        self.register_buffer("decays", channel_decays(width))
        sizes = [config.filter_features] + [size] * (config.num_filter_layers + 1)
        self.layers = nn.ModuleList(nn.Linear(one, other) for one, other in itertools.pairwise(sizes))
        self.to_weights = nn.Linear(size, width * self.directions, bias=False)
        self.frequency = nn.Parameter(torch.full((1, size), config.filter_frequency))
        self.skip = nn.Parameter(torch.randn(width))

    def weights(self, num_positions: int) -> Float[Tensor, "distance channel"]:
        """Weight of each distance for each channel; with two directions the channels looking back come first."""
        # In float32 whatever the precision around: sines of ten times a number leave nothing of one in bfloat16.
        with torch.autocast(self.places.device.type, enabled=False):
            state = self.places[0, :num_positions].to(self.frequency.dtype)
            for layer in self.layers:
                state = torch.sin(self.frequency * layer(state))
            # Distances are shares of the longest row, not of this one: a row's length must not change the filter.
            share = torch.arange(num_positions, device=state.device) / max(1, self.max_positions - 1)
            decay = torch.exp(-share[:, None] * self.decays[0].abs()) + DECAY_FLOOR
            weighed: Tensor = self.to_weights(state) * decay.repeat(1, self.directions)
        return weighed

    def forward(self, values: Float[Tensor, "batch channel position"]) -> Float[Tensor, "batch channel position"]:
        """Computed in float32 whatever the precision around."""
        num_positions = values.shape[-1]
        weights = self.weights(num_positions).float().T
        # A product of Fourier transforms is a circular convolution; as many zeros as values keep it from wrapping
        # around.
        size = 2 * num_positions
        back, *ahead = (torch.fft.rfft(part, n=size) for part in weights.chunk(self.directions))
        # Conjugation turns a filter around in time: the second half looks ahead. Both directions are one product.
        kernel = back + ahead[0].conj() if ahead else back
        mixed = torch.fft.irfft(torch.fft.rfft(values.float(), n=size) * kernel, n=size)[..., :num_positions]
        convolved: Tensor = (mixed + values * self.skip[:, None]).to(values.dtype)
        return convolved


def place_features(num_places: int, num_features: int) -> Float[Tensor, "1 place feature"]:
    """Each place as its share of the longest row, and as cosine and minus sine of `(num_features - 1) / 2` bands.

    Reference: HyenaDNA's published code, the positional embedding of its filters.
    """
    bands = (num_features - 1) // 2
    share = torch.linspace(0, 1, num_places, device=BUILT_ON)[:, None]
    angles = 2 * math.pi * torch.arange(num_places, device=BUILT_ON)[:, None] / num_places
    angles = angles * torch.linspace(SLOWEST_BAND, bands - 1, bands, device=BUILT_ON)
    return torch.cat([share, angles.cos(), -angles.sin()], dim=1)[None]


def channel_decays(num_channels: int) -> Float[Tensor, "1 1 channel"]:
    """Rate of each channel, from slow to fast, in natural logarithms a longest row; negative as published."""
    slow, fast = (math.log(DECAYED_TO) / share for share in (SLOW_DECAY, FAST_DECAY))
    return torch.linspace(slow, fast, num_channels, device=BUILT_ON)[None, None]


register_backbone(Hyena)
