"""A genome encoder as other benchmarks want one: text in, arrays out.

Flow: texts -> base ids -> windows that the encoder can take -> `inference.embed` -> one vector for each sequence
(BEND 2.0, GENEB) or for each base (BEND). Padding, batch size and neighbors in a batch change nothing. It must not know
tasks, labels or files.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int
from numpy import ndarray

from vqdna.devices import own_device
from vqdna.encoder.genome_encoder import POOLINGS, GenomeEncoder
from vqdna.encoder.layers import up_to_layer
from vqdna.encoder.long_rows import MAX_BASES
from vqdna.encoder.saved_models import add_weights
from vqdna.errors import InputError, check_name
from vqdna.inference.embed import EmbedOptions, bases_at_a_time, embed_sequences
from vqdna.inference.inputs import Named, Piece, held_together, named_sequences
from vqdna.models import encoder_of
from vqdna.tokenizers.padding import BATCH_SIZE
from vqdna.weights import DEFAULT

REVISION_LENGTH = 12


class Extractor:
    """Embeddings of texts by a genome encoder.

    Upper and lower case are the same, U is T, and ambiguity codes are N. A sequence longer than `window` is embedded
    in windows of nearly equal length, each by itself.

    Attributes:
        encoder: in evaluation mode, up to the layer asked for.
        width: features of an embedding of a sequence.
        window: bases that are embedded together at most.
    """

    def __init__(
        self,
        model: GenomeEncoder | str | Path = DEFAULT,
        *,
        layer: int | None = None,
        pooling: str = "mean",
        both_strands: bool = False,
        window: int | None = None,
        batch_size: int = BATCH_SIZE,
        precision: str = "fp32",
        device: str | torch.device | None = None,
    ) -> None:
        """Opens the model.

        Args:
            model: an encoder, which is put into evaluation mode and onto the device, or what `vqdna.load` takes.
            layer: whose hidden states are taken, see `up_to_layer`; None is the last one.
            pooling: "mean" over a sequence's positions, or "mean+max" side by side, which is twice as wide.
            both_strands: embeddings of sequences are the mean over both strands.
            window: None is as many bases as the encoder takes for certain.
            batch_size: windows at once, fewer where they are long; changes nothing but speed and memory.
            precision: "fp32", "bf16", or "auto" for the fastest that the processor has.
            device: None is CUDA where there is a device, otherwise the CPU.
        """
        check_name("pooling", pooling, POOLINGS)
        self.options = EmbedOptions(
            pool=pooling, both_strands=both_strands, window=window, batch_size=batch_size, precision=precision
        )
        self.options.check()
        encoder = encoder_of(model)
        encoder = encoder if layer is None else up_to_layer(encoder, layer)
        encoder.to(device or own_device())  # type: ignore[arg-type]
        self.encoder = encoder.eval()
        self.width = encoder.config.hidden_size * (1 if pooling == "mean" else 2)
        self.window = window or safe_window(encoder)

    def embed(self, sequences: Sequence[str], batch_size: int | None = None) -> Float32[ndarray, "sequence width"]:
        """One vector for each sequence, in their order; finite whatever their length.

        Where a sequence takes several windows, the mean is over these, each weighing as much as it has bases; the
        maximum is the highest of theirs. It is what `bend2.Model(embed=...)` calls.

        Raises:
            InputError: a text alone, an empty sequence, one too short for a token, a letter that is no base.
        """
        rows = self._rows(sequences, _changed(self.options, batch_size=batch_size or self.options.batch_size))
        pooled = [self._over_windows(spans, vectors) for spans, vectors in rows]
        return np.stack(pooled) if pooled else np.empty((0, self.width), dtype=np.float32)

    def extract_embeddings(self, sequences: Sequence[str], batch_size: int = 8) -> Float32[ndarray, "sequence width"]:
        """`embed` under the name, and with the default, that GENEB's harness calls its extractors by."""
        return self.embed(sequences, batch_size)

    def embed_bases(self, sequences: Sequence[str]) -> list[Float32[ndarray, "base width"]]:
        """A vector for every base of each sequence: that of the position whose bases it is among.

        Where positions share bases (k-mers), these are parted in the middle. Always of the strand as given, and of the
        encoder's width whatever the pooling.
        """
        rows = self._rows(sequences, _changed(self.options, pool="none", both_strands=False))
        lengths = [len(text) for text in sequences]
        return [
            vectors[position_of_base(spans, length)] for (spans, vectors), length in zip(rows, lengths, strict=True)
        ]

    def __call__(
        self, sequence: str, *, upsample_embeddings: bool = True, **unused: object
    ) -> Float32[ndarray, "1 row width"]:
        """What BEND asks of an embedder: a row for each base, or without `upsample_embeddings` for each position.

        What other embedders take, such as `disable_tqdm`, is unused; there is no special token to remove.
        """
        del unused
        if upsample_embeddings:
            return self.embed_bases([sequence])[0][None]
        ((_, vectors),) = self._rows([sequence], _changed(self.options, pool="none", both_strands=False))
        return vectors[None]

    @property
    def revision(self) -> str:
        """Hash of weights and settings, for benchmarks that want to know which model it was."""
        told = (self.encoder.config.to_json_string(), self.options.pool, self.options.both_strands, self.window)
        digest = hashlib.sha256(repr(told).encode())
        add_weights(digest, self.encoder)
        return digest.hexdigest()[:REVISION_LENGTH]

    def _rows(
        self, sequences: Sequence[str], options: EmbedOptions
    ) -> list[tuple[Int[ndarray, "row 2"], Float32[ndarray, "row width"]]]:
        """Base spans and vectors of each sequence's rows: one for each window, or for each position."""
        if isinstance(sequences, str):
            raise InputError("sequences: got one text, expected a list of them")
        windows = [window for named in named_sequences(sequences) for window in self._windows(named)]
        spans: dict[str, list[ndarray]] = {window.name: [] for window in windows}
        vectors: dict[str, list[ndarray]] = {window.name: [] for window in windows}
        for held in held_together(windows, bases_at_a_time(self.encoder, options)):
            names, rows = [window.name for window in held], [window.base_ids for window in held]
            embedded = embed_sequences(self.encoder, rows, names.__getitem__, options)
            for window, own in zip(held, embedded, strict=True):
                spans[window.name].append(window.start + own.spans)
                vectors[window.name].append(own.vectors)
        return [(np.concatenate(spans[name]), np.concatenate(vectors[name])) for name in spans]

    def _windows(self, named: Named) -> Iterator[Piece]:
        """Windows of nearly equal length, named after their sequence."""
        num_bases = len(named.base_ids)
        count = -(-num_bases // self.window)
        ends = [num_bases * number // count for number in range(count + 1)]
        for start, end in itertools.pairwise(ends):
            yield Piece(named.place, start, end, "+", named.base_ids[start:end])

    def _over_windows(
        self, spans: Int[ndarray, "window 2"], vectors: Float32[ndarray, "window width"]
    ) -> Float32[ndarray, "width"]:
        width = self.encoder.config.hidden_size
        pooled: Float32[ndarray, "width"] = vectors[0].copy()
        pooled[:width] = np.average(vectors[:, :width], axis=0, weights=spans[:, 1] - spans[:, 0])
        pooled[width:] = vectors[:, width:].max(axis=0)
        return pooled


def safe_window(encoder: GenomeEncoder) -> int:
    """Bases that the encoder takes whatever they are: as many as it has positions for if every base makes a token."""
    positions = encoder.max_positions
    return MAX_BASES if positions is None else min(MAX_BASES, positions * encoder.merge)


def position_of_base(spans: Int[ndarray, "position 2"], num_bases: int) -> Int[ndarray, "base"]:
    """For each base the number of the position that it belongs to.

    Bases that two neighboring positions share, or that lie between them, are parted in the middle; the first and the
    last position also take what lies before and behind them.
    """
    first_bases = -(-(spans[1:, 0] + spans[:-1, 1]) // 2)
    positions: Int[ndarray, "base"] = np.searchsorted(first_bases, np.arange(num_bases), side="right")
    return positions


def _changed(options: EmbedOptions, **changes: object) -> EmbedOptions:
    return EmbedOptions(**{**vars(options), "window": None, **changes})
