"""A few convolutions as a backbone: for short sequences and thousands of labels, from scratch.

Flow: embeddings [batch, position, embedding] -> wide convolution -> maximum of each two neighbors -> residual
convolutions -> back to every position -> hidden states. It looks at its surroundings only, and learns motifs from few
sequences where attention learns none. It must not know DNA.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from vqdna.encoder.backbones import Backbone, Mask, States, register_backbone
from vqdna.errors import InputError

Kept = Float[Tensor, "batch 1 step"]


class ConvolutionsConfig(PreTrainedConfig):
    """Shape of a convolutional backbone."""

    model_type = "vqdna_convolutions"

    def __init__(
        self,
        vocab_size: int = 1,
        hidden_size: int = 96,
        embedding_size: int | None = None,  # width of the embeddings that it reads; None for `hidden_size`
        stem_kernel_size: int = 15,  # positions that the first convolution sees, an odd number
        kernel_size: int = 7,  # steps that the later convolutions see, an odd number; a step is two positions
        dilations: Sequence[int] = (1, 4),  # one residual convolution for each
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        for name, size in (("stem_kernel_size", stem_kernel_size), ("kernel_size", kernel_size)):
            if size < 1 or size % 2 == 0:
                raise InputError(f"{name}: got {size}, expected an odd number, as many positions on either side")
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.embedding_size = embedding_size or hidden_size
        self.stem_kernel_size, self.kernel_size, self.dilations = stem_kernel_size, kernel_size, list(dilations)
        self.initializer_range = initializer_range
        super().__init__(**kwargs)

    @property
    def num_hidden_layers(self) -> int:
        return len(self.dilations)


class Convolutions(Backbone):
    """Hidden states by convolutions; those of two neighboring positions are one and the same."""

    config_class = ConvolutionsConfig
    config: ConvolutionsConfig
    base_model_prefix = "convolutions"

    def __init__(self, config: ConvolutionsConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.stem = MaskedConvolution(config.embedding_size, config.hidden_size, config.stem_kernel_size)
        self.layers = nn.ModuleList(
            ResidualConvolution(config.hidden_size, config.kernel_size, dilation) for dilation in config.dilations
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv1d | nn.BatchNorm1d):
            module.reset_parameters()
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)

    def hidden_states(self, embeddings: States, attention_mask: Mask) -> Float[Tensor, "batch position hidden"]:
        keep = attention_mask.unsqueeze(1).to(embeddings.dtype)
        # Features are never negative and padding is zero, so the plain maximum is that of the kept positions.
        features = functional.max_pool1d(self.stem(embeddings.transpose(1, 2) * keep, keep), 2, ceil_mode=True)
        keep = functional.max_pool1d(keep, 2, ceil_mode=True)
        for layer in self.layers:
            features = layer(features, keep)
        states: Tensor = features.repeat_interleave(2, dim=2)[..., : embeddings.shape[1]]
        return states.transpose(1, 2)


class MaskedConvolution(nn.Module):
    """Convolution, batch normalization and ReLU that leave padding at exactly zero."""

    def __init__(self, in_channels: int, width: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(in_channels, width, kernel_size, padding="same", dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, features: Float[Tensor, "batch channel step"], keep: Kept) -> Float[Tensor, "batch width step"]:
        return functional.relu(self.norm(self.convolution(features))) * keep


class ResidualConvolution(GradientCheckpointingLayer):
    def __init__(self, width: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.added = MaskedConvolution(width, width, kernel_size, dilation)

    def forward(self, features: Float[Tensor, "batch width step"], keep: Kept) -> Float[Tensor, "batch width step"]:
        summed: Tensor = features + self.added(features, keep)
        return summed


register_backbone(Convolutions)
