"""The learned tokenizer: a frozen vocabulary (latent encoder + codebooks of a trained VQ-VAE) behind the contract.

Flow: base_ids [batch, base] -> latents -> codes [batch, position, level], position p spanning
`[p * bases_per_position, (p + 1) * bases_per_position)`. The base decoder is left behind: stages 2 and 3 never decode.
It must not know training, tasks or encoders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from torch import Tensor
from transformers.utils import logging

from vqdna.errors import InputError
from vqdna.quiet import no_bars_unwatched
from vqdna.tokenizers.contract import Tokenizer, TokenizerSettings, Tokens
from vqdna.vocabulary.autoencoder import VQVAE, Feed, encode_bases
from vqdna.vocabulary.compiled import CompiledLevel, CompiledVocabulary
from vqdna.vocabulary.configuration import VQVAEConfig
from vqdna.vocabulary.convolution import positions_with_bases
from vqdna.vocabulary.exact_codes import fits_tables, position_sets
from vqdna.weights import FOLDER


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
        self._compiled: CompiledVocabulary | None = None
        self.is_compilable = fits_tables(self.config)
        self.known_tables = [FOLDER / "tables"]
        self.register_load_state_dict_post_hook(_forget_tables)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> VqTokenizer:
        """Stays in evaluation mode whatever the model around it does: a frozen vocabulary takes note of nothing."""
        del mode
        super().train(False)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> VqTokenizer:
        """Moves with the model around it, but keeps its precision: rounded, a vocabulary gives other codes."""

        def moved(tensor: Tensor) -> Tensor:
            changed = fn(tensor)
            return changed if changed.dtype == tensor.dtype else tensor.to(changed.device)

        super()._apply(moved, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """A copy or a pickle leaves out the tables, which it opens again."""
        return {**self.__dict__, "_compiled": None}

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # tables are made and read outside of any graph
    @torch.no_grad()
    def encode(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> Tokens:
        """Tokens of each row; the last position of a row whose length is no multiple of the stride is short."""
        mask = torch.ones_like(base_ids, dtype=torch.bool) if attention_mask is None else attention_mask
        compiled = self.compiled()
        if compiled is not None:
            codes = compiled.codes_of_batch(base_ids, mask, self.num_levels)
        else:
            feed = cast(Feed, self.config.feed)
            codes = encode_bases(self.latent_encoder, self.quantizer, base_ids, mask, feed)[..., : self.num_levels]
        stride = self.config.bases_per_position
        positions = positions_with_bases(mask, stride)
        start = torch.arange(positions.shape[1], device=mask.device).mul(stride).expand(positions.shape)
        end = torch.minimum(start + stride, mask.sum(dim=1, keepdim=True))
        spans = torch.stack([start, end], dim=-1)
        return Tokens(codes * positions[..., None], spans * positions[..., None], positions)

    def compiled(self) -> CompiledVocabulary | None:
        """The vocabulary as look-up tables; None where a level reads too many bases for one."""
        if self._compiled is None and self.is_compilable:  # when first asked for: weights are loaded after building
            self._compiled = CompiledVocabulary(self.config, self.latent_encoder, self.quantizer, self.known_tables)
        return self._compiled

    def codes_of_rows(self, rows: Sequence[UInt8[ndarray, "_"]]) -> list[Int[ndarray, "_ level"]] | None:
        """Codes of each row by look-up, all rows in one go."""
        compiled = self.compiled()
        return None if compiled is None else compiled.codes_of_rows(rows, self.num_levels)

    def with_levels(self, num_levels: int) -> VqTokenizer:
        """A tokenizer of the same vocabulary that gives its first levels alone."""
        reduced = VqTokenizer.from_settings({**self.settings(), "num_levels": num_levels})
        reduced.load_state_dict(self.state_dict())
        reduced.known_tables = self.known_tables
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
        tokenizer = cls(load_trained_vocabulary(Path(path)))
        tokenizer.known_tables = [model_directory(Path(path)) / "tables", FOLDER / "tables"]
        return tokenizer

    def make_tables(self) -> list[CompiledLevel]:
        """Makes all look-up tables now, and writes their hashes into the vocabulary's folder.

        Raises:
            InputError: a level reads too many bases.
        """
        position_sets(self.config)
        compiled = cast(CompiledVocabulary, self.compiled())
        levels, own = compiled.compile(), self.known_tables[0]
        if FOLDER not in own.parents:
            compiled.write_known(own)
        return levels


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
    module._compiled = None


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
