"""The genome encoder: a frozen tokenizer, its code vectors projected into a transformers encoder.

Flow: base_ids [batch, base] -> codes [batch, token, level] -> embeddings [batch, token, width] -> (with a stem, some
neighboring tokens make one position; special tokens stand around) -> hidden states [batch, position, width]. One saved
directory holds tokenizer, projection and backbone, so it takes DNA by itself. It sees the tokenizer contract only.
Paper: section 3.4 (stage 2), backbone BERT-Base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig
from transformers.utils import ModelOutput

from vqdna.config import validate
from vqdna.encoder.backbones import backbone_config, build_backbone, embedding_width, position_limit
from vqdna.encoder.code_embedding import CODE_EMBEDDINGS, CodeEmbedding, code_embedding
from vqdna.encoder.long_rows import Codes, States, TokenMask, in_chunks, reach_of_layers, recomputed_layers
from vqdna.encoder.saved_models import DnaModel, load_model, register_model
from vqdna.encoder.stem import SpecialTokens, Stem, StemSettings, surrounded
from vqdna.errors import InputError, check_name
from vqdna.tokenizers import Tokenizer, Tokens, tokenizer_from_settings


class GenomeEncoderConfig(PreTrainedConfig):
    """A tokenizer's settings and a backbone's configuration."""

    model_type = "vqdna_genome_encoder"

    def __init__(
        self,
        tokenizer: Mapping[str, Any] | None = None,  # what `Tokenizer.settings` gave
        # keyword arguments of the transformers configuration, with its `model_type`
        backbone: Mapping[str, Any] | None = None,
        # "vectors" projects the frozen code vectors (the paper's way), "table" learns a vector for each code of each
        # level, "both" adds the two; "one-hot" see `OneHotEmbedding`
        code_embedding: str = "vectors",
        # shape of the stem, see `StemSettings`; None for one position per token, as in the paper
        stem: Mapping[str, Any] | None = None,
        # codes that stand around every row, see `SpecialTokens`; None for none, as in all models of ours
        special_tokens: Mapping[str, Any] | None = None,
        # fraction of positions where "one-hot" hides the codes of all levels but the first in training
        code_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        check_name("code_embedding", code_embedding, CODE_EMBEDDINGS)
        self.code_embedding, self.code_dropout = code_embedding, code_dropout
        self.tokenizer = dict(tokenizer or {"kind": "nucleotide"})
        self.backbone = dict(backbone or {"model_type": "modernbert"})
        self.stem = None if stem is None else validate(StemSettings, stem, "stem").model_dump()
        around = None if special_tokens is None else validate(SpecialTokens, special_tokens, "special_tokens")
        self.special_tokens = None if around is None else around.model_dump(mode="json")
        kwargs.pop("hidden_size", None)
        super().__init__(**kwargs)
        self.hidden_size: int = backbone_config(self.backbone).hidden_size

    def encoder_settings(self) -> dict[str, Any]:
        """Keyword arguments that shape an encoder like this one, for the configurations of models around it."""
        names = ("tokenizer", "backbone", "code_embedding", "stem", "special_tokens", "code_dropout")
        return {name: getattr(self, name) for name in names}


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
        max_positions: positions of the longest row, special tokens left out; None where any length goes.
        token_width: width of what `token_states` gives.
    """

    config_class = GenomeEncoderConfig
    config: GenomeEncoderConfig

    def __init__(self, config: GenomeEncoderConfig) -> None:
        super().__init__(config)
        self.tokenizer = tokenizer_from_settings(config.tokenizer)
        stem = None if config.stem is None else StemSettings(**config.stem)
        shape = backbone_config(config.backbone)
        self.token_width = config.hidden_size if stem is None else stem.width
        width = embedding_width(shape) if stem is None else stem.width
        self.embedding = code_embedding(self.tokenizer, width, config.code_embedding, config.code_dropout)
        self.stem = None if stem is None else Stem(stem, embedding_width(shape), config.hidden_size)
        self.merge = 1 if stem is None else stem.merge
        self.bases_per_position = self.tokenizer.bases_per_position * self.merge
        self.special_tokens = _special_tokens(config, self.tokenizer, self.embedding)
        layers, limit = reach_of_layers(shape), position_limit(shape)
        local = layers is not None and not self.special_tokens
        self.reach = layers * self.merge + self._stem_reach if local and layers is not None else None
        self.max_positions = None if limit is None else limit - len(self.special_tokens)
        self.backbone: Any = build_backbone(shape)  # adapters of stage 3 wrap it
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
        special_tokens: Mapping[str, Any] | None = None,
        code_dropout: float = 0.0,
    ) -> GenomeEncoder:
        """Untrained encoder over a trained (or hand-made) tokenizer, whose weights it copies and keeps frozen."""
        shape = (backbone, code_embedding, stem, special_tokens, code_dropout)
        encoder = cls(GenomeEncoderConfig(tokenizer.settings(), *shape))
        encoder.tokenizer.load_state_dict(tokenizer.state_dict())
        return encoder

    def _init_weights(self, module: nn.Module) -> None:
        """Random weights of the embedding; stem, backbone and tokenizer set their own."""
        if isinstance(module, CodeEmbedding):
            module.reset_parameters()

    def forward(
        self,
        # bases, with `attention_mask` False on padding at the row's end
        base_ids: UInt8[Tensor, "batch base"] | None = None,
        attention_mask: Shaped[Tensor, "batch base"] | None = None,
        *,
        # another name of `base_ids`, by which scripts of the transformers ecosystem know it
        input_ids: Int[Tensor, "batch base"] | None = None,
        codes: Codes | None = None,  # instead of `base_ids`; needs `position_mask`, True where there is a token
        position_mask: TokenMask | None = None,
        hidden_positions: TokenMask | None = None,  # True where a token's embedding is replaced by the mask embedding
    ) -> GenomeEncoderOutput:
        """Hidden state of every position, from bases or from codes that `tokenizer.encode` gave before."""
        if codes is None:
            tokens = self.tokens_of(given_bases(base_ids, input_ids), attention_mask)
            codes, position_mask = tokens.codes, tokens.attention_mask
        if position_mask is None:
            position_mask = torch.ones(codes.shape[:2], dtype=torch.bool, device=codes.device)
        rows = (codes, position_mask, hidden_positions)
        # Where layers look at a window only, chunks of a long row go through all of them; else only through the stem,
        # and the backbone sees the row as a whole.
        if self.reach is not None:
            hidden, mask = in_chunks(self._hidden_states, *rows, merge=self.merge, reach=self.reach)
        else:
            embedded = in_chunks(self._embeddings, *rows, merge=self.merge, reach=self._stem_reach)
            hidden, mask = self._through_backbone(*embedded)
        return GenomeEncoderOutput(last_hidden_state=hidden, attention_mask=mask)

    @property
    def _stem_reach(self) -> int:
        return 0 if self.stem is None else self.stem.settings.kernel_size // 2

    def _hidden_states(self, codes: Codes, token_mask: TokenMask, hidden_tokens: TokenMask | None) -> States:
        return self._through_backbone(*self._embeddings(codes, token_mask, hidden_tokens))

    def _embeddings(self, codes: Codes, token_mask: TokenMask, hidden_tokens: TokenMask | None) -> States:
        """What the backbone takes: one embedding for each position, and which positions hold tokens."""
        embeddings = self.embedding(codes, self.tokenizer, hidden_tokens)
        return (embeddings, token_mask) if self.stem is None else self.stem.merge(embeddings, token_mask)

    def _through_backbone(
        self, embeddings: Float[Tensor, "batch position embedding"], position_mask: Bool[Tensor, "batch position"]
    ) -> States:
        num_positions = embeddings.shape[1]
        if self.max_positions is not None and num_positions > self.max_positions:
            name = self.backbone.config.model_type
            raise InputError(
                f"a row makes {num_positions} positions, and the {name} backbone holds {self.max_positions}"
            )
        rows, mask = embeddings, position_mask
        if self.special_tokens:
            around = (self.special_tokens.first, self.special_tokens.last)
            rows, mask = surrounded(embeddings, position_mask, *map(self._special_embeddings, around))
        with recomputed_layers(self.backbone, num_positions):
            hidden = self.backbone(inputs_embeds=rows, attention_mask=mask.long()).last_hidden_state
        before = len(self.special_tokens.first)
        return hidden[:, before : before + num_positions], position_mask

    def _special_embeddings(self, codes: tuple[int, ...]) -> Float[Tensor, "special width"]:
        own = torch.tensor(codes, dtype=torch.int64, device=self.embedding.mask_vector.device)
        embeddings: Tensor = self.embedding(own[None, :, None], self.tokenizer)[0]
        return embeddings

    def tokens_of(
        self, base_ids: Shaped[Tensor, "batch base"], attention_mask: Shaped[Tensor, "batch base"] | None
    ) -> Tokens:
        """Tokens of bases and masks in any type of numbers, as scripts of the transformers ecosystem have them."""
        kept = None if attention_mask is None else attention_mask.bool()
        return self.tokenizer.encode(base_ids.to(torch.uint8), kept)

    def token_states(self, output: GenomeEncoderOutput, num_tokens: int) -> Float[Tensor, "batch token token_width"]:
        """State of each of the `num_tokens` tokens of a row; without a stem the hidden states themselves."""
        hidden = output.last_hidden_state
        if hidden is None:
            raise ValueError("the encoder's output lacks its hidden states")
        return hidden if self.stem is None else self.stem.split(hidden, num_tokens)


def given_bases(
    base_ids: Shaped[Tensor, "batch base"] | None, input_ids: Shaped[Tensor, "batch base"] | None
) -> Shaped[Tensor, "batch base"]:
    """Bases under either of their names; a ValueError where there are none."""
    bases = base_ids if input_ids is None else input_ids
    if bases is None:
        raise ValueError("give base_ids (or input_ids), or codes with position_mask")
    return bases


def load_encoder(path: Path) -> GenomeEncoder:
    """Pre-trained encoder in the run folder `path` or in its `model/`; InputError where none lies there."""
    return load_model(GenomeEncoder, path, GenomeEncoderConfig.model_type)


def _special_tokens(config: GenomeEncoderConfig, tokenizer: Tokenizer, embedding: CodeEmbedding) -> SpecialTokens:
    around = SpecialTokens(**(config.special_tokens or {}))
    if not around:
        return around
    if config.stem is not None or embedding.uses_vectors or len(tokenizer.level_sizes) > 1:
        raise InputError("special_tokens: expected a tokenizer of one level with a table of embeddings, and no stem")
    foreign = [code for code in (*around.first, *around.last) if not 0 <= code < tokenizer.level_sizes[0]]
    if foreign:
        raise InputError(f"special_tokens: got code {foreign[0]}, expected 0 to {tokenizer.level_sizes[0] - 1}")
    return around


register_model(GenomeEncoder, AutoModel)

POOLINGS = ("mean", "mean+max")


def pool_positions(
    hidden: Float[Tensor, "batch position width"], attention_mask: Bool[Tensor, "batch position"], pooling: str
) -> Float[Tensor, "batch pooled"]:
    """Mean (and with "mean+max" also the maximum) over each row's positions that hold a token, in float32."""
    padding = ~attention_mask[..., None]
    hidden = hidden.float()
    mean = hidden.masked_fill(padding, 0.0).sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)
    if pooling == "mean":
        return mean
    return torch.cat([mean, hidden.masked_fill(padding, -torch.inf).amax(dim=1)], dim=1)


UNKNOWN_BASE = 4

Marked = Bool[Tensor, "batch base"]
Spans = Int[Tensor, "batch position 2"]


def positions_touching(bases: Marked, spans: Spans) -> Bool[Tensor, "batch position"]:
    """True for each position whose span holds at least one of the marked bases."""
    return num_held(bases, spans) > 0


def positions_over_unknown(base_ids: Shaped[Tensor, "batch base"], spans: Spans) -> Bool[Tensor, "batch position"]:
    return positions_touching(base_ids >= UNKNOWN_BASE, spans)


def num_held(bases: Marked, spans: Spans) -> Int[Tensor, "batch position"]:
    """How many of the marked bases each position's span holds."""
    before = torch.nn.functional.pad(bases.long().cumsum(dim=1), (1, 0))
    return before.gather(1, spans[..., 1]) - before.gather(1, spans[..., 0])
