"""The learned tokenizer: a frozen vocabulary (latent encoder + codebooks of a trained VQ-VAE) behind the contract.

Flow: base_ids [batch, base] -> latents -> codes [batch, position, level], position p spanning
`[p * bases_per_position, (p + 1) * bases_per_position)`. The base decoder is left behind: stages 2 and 3 never decode.
It must not know training, tasks or encoders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from transformers.utils import logging

from vqdna.errors import InputError
from vqdna.quiet import no_bars_unwatched
from vqdna.tokenizers.contract import Tokenizer, TokenizerSettings, Tokens
from vqdna.vocabulary.autoencoder import VQVAE
from vqdna.vocabulary.configuration import VQVAEConfig
from vqdna.vocabulary.convolution import positions_with_bases
from vqdna.vocabulary.tapping import Feed, encode_bases
from vqdna.vocabulary.word_tables import WordTables, word_tables


class VqTokenizer(Tokenizer):
    """Frozen vocabulary of any quantizer.

    Args:
        vocabulary: trained VQ-VAE; its latent encoder and quantizer are taken over and frozen.
        num_levels: codes of the first so many levels are given; None for all.
    """

    kind = "vq"

    def __init__(self, vocabulary: VQVAE, num_levels: int | None = None) -> None:
        super().__init__()
        self.config: VQVAEConfig = vocabulary.config
        self.latent_encoder = vocabulary.latent_encoder
        self.quantizer = vocabulary.quantizer
        self.level_sizes = self.quantizer.level_sizes
        if num_levels is not None and not 1 <= num_levels <= len(self.level_sizes):
            raise InputError(f"num_levels: got {num_levels}, and the vocabulary has {len(self.level_sizes)} levels")
        self.num_levels = num_levels or len(self.level_sizes)
        self.level_sizes = self.level_sizes[: self.num_levels]
        self.bases_per_position = float(self.config.bases_per_position)
        self.context_bases = self.config.context_bases
        if self.config.views:  # each level has its own reach, and of fewer levels codes look less far
            views = self.config.views[: self.num_levels]
            self.context_bases = max(abs(offset) for view in views for offset in view)
        self.vector_size = self.config.width
        self.max_span = self.tile_step = self.config.bases_per_position
        self._tables: WordTables | None = None
        self.register_load_state_dict_post_hook(_forget_tables)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> VqTokenizer:
        """Stays in evaluation mode whatever the model around it does: a frozen vocabulary takes note of nothing."""
        del mode
        super().train(False)
        return self

    @torch.no_grad()
    def encode(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> Tokens:
        """Tokens of each row; the last position of a row whose length is no multiple of the stride is short."""
        mask = torch.ones_like(base_ids, dtype=torch.bool) if attention_mask is None else attention_mask
        if self._tables is None:  # made when first asked for: weights are loaded after the tokenizer is built
            self._tables = word_tables(self.latent_encoder, self.quantizer)
        if self._tables is not None:
            codes = self._tables.encode(base_ids, mask, self.num_levels)
        else:
            feed = cast(Feed, self.config.feed)
            codes = encode_bases(self.latent_encoder, self.quantizer, base_ids, mask, feed)[..., : self.num_levels]
        stride = self.config.bases_per_position
        positions = positions_with_bases(mask, stride)
        start = torch.arange(positions.shape[1], device=mask.device).mul(stride).expand(positions.shape)
        end = torch.minimum(start + stride, mask.sum(dim=1, keepdim=True))
        spans = torch.stack([start, end], dim=-1)
        return Tokens(codes * positions[..., None], spans * positions[..., None], positions)

    def with_levels(self, num_levels: int) -> VqTokenizer:
        """A tokenizer of the same vocabulary that gives its first levels alone."""
        reduced = VqTokenizer.from_settings({**self.settings(), "num_levels": num_levels})
        reduced.load_state_dict(self.state_dict())
        return reduced

    def code_vectors(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Token vectors: the levels' code vectors merged as the vocabulary does (HRQ: their mean)."""
        return self.quantizer.lookup(codes)

    def settings(self) -> TokenizerSettings:
        """The vocabulary's configuration; its weights are in the state dict."""
        levels = {} if self.num_levels == len(self.quantizer.level_sizes) else {"num_levels": self.num_levels}
        return {"kind": self.kind, "vocabulary": self.config.to_diff_dict(), **levels}

    @classmethod
    def from_settings(cls, settings: TokenizerSettings) -> VqTokenizer:
        """Tokenizer of the same shape, its weights still to be loaded."""
        return cls(VQVAE(VQVAEConfig.from_dict(dict(settings["vocabulary"]))), settings.get("num_levels"))

    @classmethod
    def from_directory(cls, path: str | Path) -> VqTokenizer:
        """Tokenizer from a trained vocabulary's directory (the run folder, or its `model/`).

        Raises:
            InputError: no vocabulary lies there, or one that was never trained, or of another version.
        """
        return cls(load_trained_vocabulary(Path(path)))


def load_trained_vocabulary(path: Path) -> VQVAE:
    """Vocabulary of a run folder or its `model/`, with its base decoder, in evaluation mode.

    Raises:
        InputError: no vocabulary lies there, or one that was never trained, or of another version.
    """
    directory = model_directory(path)
    try:
        with no_bars_unwatched(logging):
            vocabulary: VQVAE = VQVAE.from_pretrained(directory)
    except InputError as error:
        raise InputError(f"{directory / 'config.json'}: {error}") from None
    if not vocabulary.quantizer.is_trained:
        raise InputError(f"{directory}: this vocabulary was never trained; run `vqdna vocabulary` first")
    vocabulary.train(False)
    return vocabulary


def _forget_tables(module: Any, keys: Any) -> None:
    """After other weights were loaded the codes have to be worked out anew."""
    del keys
    module._tables = None


def model_directory(path: Path) -> Path:
    """Folder that holds config.json of a vocabulary: `path` itself or `path/model`.

    Raises:
        InputError: neither holds a vocabulary.
    """
    for directory in (path / "model", path):
        config = directory / "config.json"
        if config.is_file() and VQVAEConfig.model_type in config.read_text():
            return directory
    raise InputError(
        f"{path}: no vocabulary here (expected config.json of a '{VQVAEConfig.model_type}' in it or in model/)"
    )
