"""The genome encoder: a frozen tokenizer, its code vectors projected into a transformers encoder.

Flow: base_ids [batch, base] -> codes [batch, token, level] -> embeddings [batch, token, width] -> (with a stem, some
neighboring tokens make one position) -> hidden states [batch, position, width]. One saved directory holds tokenizer,
projection and backbone, so it takes DNA by itself. It sees the tokenizer contract only, never the vocabulary.
Paper: section 3.4 (stage 2), backbone BERT-Base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig
from transformers.utils import ModelOutput

from vqdna.config import validate
from vqdna.errors import InputError, nearest_name_hint
from vqdna.pretrain import blocked_attention
from vqdna.pretrain.long_rows import in_chunks, reach_of_layers, recomputed_layers
from vqdna.pretrain.merging import Stem, StemSettings
from vqdna.pretrain.sharing import DnaModel, register_model
from vqdna.tokenizers import Tokenizer, tokenizer_from_settings

BACKBONES = ("modernbert", "bert")
"""transformers encoders that take `inputs_embeds` and were tested here."""

CODE_EMBEDDINGS = ("vectors", "table", "both")
"""Ways from codes to the backbone's width."""


class GenomeEncoderConfig(PreTrainedConfig):
    """A tokenizer's settings and a backbone's configuration.

    Args:
        tokenizer: what `Tokenizer.settings` gave.
        backbone: keyword arguments of the transformers configuration, with its `model_type`.
        code_embedding: "vectors" projects the frozen code vectors (the paper's way), "table" learns a vector for each
            code of each level, "both" adds the two.
        stem: shape of the stem, see `StemSettings`; None for one position per token, as in the paper.
    """

    model_type = "vqdna_genome_encoder"

    def __init__(
        self,
        tokenizer: Mapping[str, Any] | None = None,
        backbone: Mapping[str, Any] | None = None,
        code_embedding: str = "vectors",
        stem: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if code_embedding not in CODE_EMBEDDINGS:
            raise InputError(
                f"code_embedding: got '{code_embedding}', expected one of {', '.join(CODE_EMBEDDINGS)}"
                f"{nearest_name_hint(code_embedding, CODE_EMBEDDINGS)}"
            )
        self.code_embedding = code_embedding
        self.tokenizer = dict(tokenizer or {"kind": "nucleotide"})
        self.backbone = dict(backbone or {"model_type": "modernbert"})
        self.stem = None if stem is None else validate(StemSettings, stem, "stem").model_dump()
        kwargs.pop("hidden_size", None)
        super().__init__(**kwargs)
        self.hidden_size: int = backbone_config(self.backbone).hidden_size

    def encoder_settings(self) -> dict[str, Any]:
        """Keyword arguments that shape an encoder like this one, for the configurations of models around it."""
        return {name: getattr(self, name) for name in ("tokenizer", "backbone", "code_embedding", "stem")}


def backbone_config(settings: Mapping[str, Any]) -> PreTrainedConfig:
    """Configuration of the backbone; its own word embeddings are shrunk, for codes replace them.

    Raises:
        InputError: an unknown `model_type`.
    """
    options = dict(settings)
    model_type = options.pop("model_type", "modernbert")
    if model_type not in BACKBONES:
        hint = nearest_name_hint(model_type, BACKBONES)
        raise InputError(f"backbone.model_type: got '{model_type}', expected one of {', '.join(BACKBONES)}{hint}")
    small = {
        "vocab_size": 1,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
        "cls_token_id": None,
        "sep_token_id": None,
    }
    return AutoConfig.for_model(model_type, **{**small, **options})


@dataclass
class GenomeEncoderOutput(ModelOutput):
    """Hidden states of each position and which positions hold tokens (True) rather than padding."""

    last_hidden_state: Tensor | None = None
    attention_mask: Tensor | None = None


class GenomeEncoder(DnaModel):
    """DNA to contextual embeddings, one per position: a token of the tokenizer, or the tokens that a stem merged.

    Attributes:
        merge: tokens in a position.
        bases_per_position: mean bases by which one position advances.
        reach: tokens on either side that can change a position's hidden state; None where a layer looks at all.
        token_width: width of what `token_states` gives.
    """

    config_class = GenomeEncoderConfig
    base_model_prefix = "encoder"
    main_input_name = "base_ids"
    config: GenomeEncoderConfig
    _supports_sdpa = True

    def __init__(self, config: GenomeEncoderConfig) -> None:
        super().__init__(config)
        self.tokenizer = tokenizer_from_settings(config.tokenizer)
        stem = None if config.stem is None else StemSettings(**config.stem)
        self.token_width = config.hidden_size if stem is None else stem.width
        self.embedding = CodeEmbedding(self.tokenizer, self.token_width, config.code_embedding)
        self.stem = None if stem is None else Stem(stem, config.hidden_size)
        self.merge = 1 if stem is None else stem.merge
        self.bases_per_position = self.tokenizer.bases_per_position * self.merge
        shape = backbone_config(config.backbone)
        options = {"add_pooling_layer": False} if shape.model_type == "bert" else {}
        layers = reach_of_layers(shape)
        self.reach = None if layers is None else layers * self.merge + self._stem_reach
        attention = blocked_attention.NAME if shape.model_type == "modernbert" else "sdpa"
        self.backbone = AutoModel.from_config(shape, attn_implementation=attention, **options)
        # Codes stand in for it: it is never read, and a parameter without gradient would stop a run on several ranks.
        self.backbone.get_input_embeddings().requires_grad_(False)
        self.post_init()

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: Tokenizer,
        backbone: Mapping[str, Any],
        code_embedding: str = "vectors",
        stem: Mapping[str, Any] | None = None,
    ) -> GenomeEncoder:
        """Untrained encoder over a trained (or hand-made) tokenizer, whose weights it copies and keeps frozen."""
        encoder = cls(GenomeEncoderConfig(tokenizer.settings(), backbone, code_embedding, stem))
        encoder.tokenizer.load_state_dict(tokenizer.state_dict())
        return encoder

    def _init_weights(self, module: nn.Module) -> None:
        """Normal weights of deviation 0.02 for the embedding; stem, backbone and tokenizer set their own."""
        if isinstance(module, CodeEmbedding):
            module.reset_parameters()

    def forward(
        self,
        base_ids: UInt8[Tensor, "batch base"] | None = None,
        attention_mask: Shaped[Tensor, "batch base"] | None = None,
        *,
        input_ids: Int[Tensor, "batch base"] | None = None,
        codes: Int[Tensor, "batch token level"] | None = None,
        position_mask: Bool[Tensor, "batch token"] | None = None,
        hidden_positions: Bool[Tensor, "batch token"] | None = None,
    ) -> GenomeEncoderOutput:
        """Hidden state of every position, from bases or from codes that `tokenizer.encode` gave before.

        Args:
            base_ids: bases, with `attention_mask` False on padding at the row's end.
            attention_mask: which bases are no padding.
            input_ids: another name of `base_ids`, by which scripts of the transformers ecosystem know it.
            codes: instead of `base_ids`; needs `position_mask`, True where there is a token.
            position_mask: see `codes`.
            hidden_positions: True where a token's embedding is replaced by the mask embedding.

        Raises:
            ValueError: neither bases nor codes were given.
        """
        if codes is None:
            codes, position_mask = self._tokens(base_ids if input_ids is None else input_ids, attention_mask)
        if position_mask is None:
            position_mask = torch.ones(codes.shape[:2], dtype=torch.bool, device=codes.device)
        tokens = (codes, position_mask, hidden_positions)
        if self.reach is not None:
            hidden, mask = in_chunks(self._hidden_states, *tokens, merge=self.merge, reach=self.reach)
        else:
            embedded = in_chunks(self._embeddings, *tokens, merge=self.merge, reach=self._stem_reach)
            hidden, mask = self._through_backbone(*embedded)
        return GenomeEncoderOutput(last_hidden_state=hidden, attention_mask=mask)

    @property
    def _stem_reach(self) -> int:
        return 0 if self.stem is None else self.stem.settings.kernel_size // 2

    def _hidden_states(
        self,
        codes: Int[Tensor, "batch token level"],
        token_mask: Bool[Tensor, "batch token"],
        hidden_tokens: Bool[Tensor, "batch token"] | None,
    ) -> tuple[Float[Tensor, "batch position width"], Bool[Tensor, "batch position"]]:
        return self._through_backbone(*self._embeddings(codes, token_mask, hidden_tokens))

    def _embeddings(
        self,
        codes: Int[Tensor, "batch token level"],
        token_mask: Bool[Tensor, "batch token"],
        hidden_tokens: Bool[Tensor, "batch token"] | None,
    ) -> tuple[Float[Tensor, "batch position width"], Bool[Tensor, "batch position"]]:
        """What the backbone takes: one embedding for each position, and which positions hold tokens."""
        embeddings = self.embedding(codes, self.tokenizer, hidden_tokens)
        return (embeddings, token_mask) if self.stem is None else self.stem.merge(embeddings, token_mask)

    def _through_backbone(
        self, embeddings: Float[Tensor, "batch position width"], position_mask: Bool[Tensor, "batch position"]
    ) -> tuple[Float[Tensor, "batch position width"], Bool[Tensor, "batch position"]]:
        with recomputed_layers(self.backbone, embeddings.shape[1]):
            hidden = self.backbone(inputs_embeds=embeddings, attention_mask=position_mask.long()).last_hidden_state
        return hidden, position_mask

    def _tokens(
        self, base_ids: Shaped[Tensor, "batch base"] | None, attention_mask: Shaped[Tensor, "batch base"] | None
    ) -> tuple[Int[Tensor, "batch token level"], Bool[Tensor, "batch token"]]:
        if base_ids is None:
            raise ValueError("give base_ids (or input_ids), or codes with position_mask")
        tokens = self.tokenizer.encode(
            base_ids.to(torch.uint8), None if attention_mask is None else attention_mask.bool()
        )
        return tokens.codes, tokens.attention_mask

    def token_states(self, output: GenomeEncoderOutput, num_tokens: int) -> Float[Tensor, "batch token token_width"]:
        """State of each of the `num_tokens` tokens of a row; without a stem the hidden states themselves."""
        hidden: Tensor = _given(output.last_hidden_state)
        return hidden if self.stem is None else self.stem.split(hidden, num_tokens)


def _given(value: Tensor | None) -> Tensor:
    if value is None:
        raise ValueError("the encoder's output lacks its hidden states")
    return value


class CodeEmbedding(nn.Module):
    """Codes to the width asked for: frozen code vectors projected, a table learned per level, or their sum.

    Hand-made tokenizers have no code vectors, so theirs is always a table.
    """

    def __init__(self, tokenizer: Tokenizer, width: int, kind: str = "vectors") -> None:
        super().__init__()
        self.tables = nn.ModuleList()
        self.uses_vectors = tokenizer.vector_size is not None and kind != "table"
        if tokenizer.vector_size is not None and self.uses_vectors:
            self.norm = nn.LayerNorm(tokenizer.vector_size)
            self.projection = nn.Linear(tokenizer.vector_size, width)
        if not self.uses_vectors or kind == "both":
            self.tables.extend(nn.Embedding(size, width) for size in tokenizer.level_sizes)
        self.mask_vector = nn.Parameter(torch.zeros(width))

    def reset_parameters(self) -> None:
        """Fresh weights."""
        for table in self.tables.parameters():
            nn.init.normal_(table, std=0.02)
        if self.uses_vectors:
            nn.init.normal_(self.projection.weight, std=0.02)
            nn.init.zeros_(self.projection.bias)
        nn.init.normal_(self.mask_vector, std=0.02)

    def forward(
        self,
        codes: Int[Tensor, "batch position level"],
        tokenizer: Tokenizer,
        hidden_positions: Bool[Tensor, "batch position"] | None = None,
    ) -> Float[Tensor, "batch position width"]:
        """Embedding of each position; the mask embedding where `hidden_positions` is True."""
        parts = [table(codes[..., level]) for level, table in enumerate(self.tables)]
        if self.uses_vectors:
            parts.append(self.projection(self.norm(tokenizer.code_vectors(codes))))
        embeddings = torch.stack(parts).sum(dim=0)
        if hidden_positions is None:
            return embeddings
        return torch.where(hidden_positions[..., None], self.mask_vector.to(embeddings.dtype), embeddings)


register_model(GenomeEncoder, AutoModel)
