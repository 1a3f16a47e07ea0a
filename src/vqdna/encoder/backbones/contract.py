"""What our own backbones share: embeddings in, hidden states out, registered with transformers by a model type.

Flow: inputs_embeds [batch, position, width] + attention_mask [batch, position] -> layers, each one that can be computed
again in the backward pass -> hidden states. `input_ids` go through the word embeddings first, so that any of them is
also a plain transformers model. It must not know tokenizers, nor where weights come from.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


class Backbone(PreTrainedModel):
    """A stack of layers over embeddings of positions; subclasses give `hidden_states`."""

    main_input_name = "inputs_embeds"
    supports_gradient_checkpointing = True
    word_embeddings: nn.Embedding

    def get_input_embeddings(self) -> nn.Module:
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:  # type: ignore[override]
        self.word_embeddings = value

    def forward(
        self,
        input_ids: Int[Tensor, "batch position"] | None = None,
        attention_mask: Shaped[Tensor, "batch position"] | None = None,
        inputs_embeds: Float[Tensor, "batch position width"] | None = None,
    ) -> BaseModelOutput:
        """Hidden states of every position; what stands on padding changes none of the others.

        Args:
            input_ids: words, instead of `inputs_embeds`.
            attention_mask: true or 1 where a position is no padding; None where none is.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        embeddings = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if attention_mask is None:
            attention_mask = torch.ones(embeddings.shape[:2], dtype=torch.bool, device=embeddings.device)
        return BaseModelOutput(last_hidden_state=self.hidden_states(embeddings, attention_mask.bool()))

    def hidden_states(
        self, embeddings: Float[Tensor, "batch position width"], attention_mask: Bool[Tensor, "batch position"]
    ) -> Float[Tensor, "batch position width"]:
        raise TypeError(f"{type(self).__name__} has no layers")


def heads_of(
    states: Float[Tensor, "batch position width"], num_heads: int
) -> Float[Tensor, "batch head position head_width"]:
    heads: Tensor = states.unflatten(2, (num_heads, -1))
    return heads.transpose(1, 2)


def joined_heads(states: Float[Tensor, "batch head position head_width"]) -> Float[Tensor, "batch position width"]:
    return states.transpose(1, 2).flatten(2)


def register_backbone(model_class: type[Backbone]) -> None:
    """Lets `AutoConfig` and `AutoModel` know the model by its configuration's `model_type`."""
    config_class: type[PreTrainedConfig] = model_class.config_class  # type: ignore[assignment]
    AutoConfig.register(config_class.model_type, config_class)
    AutoModel.register(config_class, model_class)
