"""Sequences to embeddings by a genome encoder: one for each sequence, window, region, or position of the backbone.

Flow: base ids -> codes -> batches of similar length -> hidden states [batch, position, width] -> pooled (or not) ->
vectors [row, width] of each sequence, in the order given. `embed` does it for arrays; `embed_file` writes the rows of a
file as they come, so memory does not grow with it. Padding, batch size and neighbors in a batch change nothing. It must
not know training, nor any head.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int
from numpy import ndarray
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from transformers import PreTrainedModel

from vqdna.devices import own_device, uses_bfloat16
from vqdna.encoder.encoded_sequences import encode_sequences
from vqdna.encoder.genome_encoder import GenomeEncoder, pool_positions
from vqdna.errors import InputError, check_name
from vqdna.genome.bases import Gaps
from vqdna.inference.embedding_table import EmbeddingRows, check_output, embedding_writer
from vqdna.inference.inputs import (
    Bases,
    Piece,
    Sequences,
    held_together,
    is_single,
    named_sequences,
    regions_of_records,
    whole_records,
    windows_of_records,
)
from vqdna.models import encoder_of, evaluating
from vqdna.quiet import is_watched
from vqdna.tokenizers.padding import BATCH_SIZE, CodeRows, pad_codes, similar_batches
from vqdna.weights import DEFAULT

POOLINGS = ("mean", "mean+max", "none")
PRECISIONS = ("fp32", "bf16", "auto")
Vectors = Float32[ndarray, "row width"]

NUMBERS_AT_A_TIME = 1 << 26
"""Numbers of embeddings and of codes that are held before they are written: 256 MB in float32."""


@dataclass(frozen=True)
class EmbedOptions:
    """How embeddings are made.

    Attributes:
        pool: "mean" over a piece's positions, "mean+max" side by side, "none" for a row per position.
        window: bases of a window; None takes whole records.
        step: bases from one window's start to the next; None is as many as `window`.
        bed: file of regions to embed instead.
        both_strands: mean of the embeddings of a piece and of its reverse complement.
        batch_size: pieces at once, fewer where they are long; changes nothing but speed and memory.
        precision: "fp32", "bf16", or "auto" for the fastest that the processor has.
        gaps: whether `-`, `.` and `*` in a sequence are an error or dropped.
    """

    pool: str = "mean"
    window: int | None = None
    step: int | None = None
    bed: Path | None = None
    both_strands: bool = False
    batch_size: int = BATCH_SIZE
    precision: str = "fp32"
    gaps: Gaps = "error"

    def check(self, prefix: str = "--") -> None:
        """Refuses what makes no sense; messages write the prefix before an option's name.

        Raises:
            InputError: an unknown name, a number below 1, or options that exclude each other.
        """
        check_name(f"{prefix}pool", self.pool, POOLINGS)
        check_name(f"{prefix}precision", self.precision, PRECISIONS)
        batch_size = f"{prefix}batch-size" if prefix else "batch_size"
        for option, number in ((f"{prefix}window", self.window), (f"{prefix}step", self.step)):
            if number is not None and number < 1:
                raise InputError(f"{option}: got {number}, expected at least 1")
        if self.batch_size < 1:
            raise InputError(f"{batch_size}: got {self.batch_size}, expected at least 1")
        if self.step is not None and self.window is None:
            raise InputError("--step goes with --window, whose distance it is")
        if self.bed is not None and self.window is not None:
            raise InputError("give --window or --bed, not both")
        if self.both_strands and self.pool == "none":
            both = "--both-strands goes with --pool" if prefix else "both_strands goes with pool"
            raise InputError(f"{both} mean or mean+max; positions of two strands do not meet")


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of one sequence.

    Attributes:
        vectors: one row, or one for every position where nothing is pooled.
        spans: first base of each row and one past its last, in the sequence as it is read.
    """

    vectors: Vectors
    spans: Int[ndarray, "row 2"]


def embed(
    sequences: Sequences,
    model: PreTrainedModel | str | Path = DEFAULT,
    *,
    pool: str = "mean",
    layer: int | None = None,
    both_strands: bool = False,
    batch_size: int = BATCH_SIZE,
    precision: str = "fp32",
    device: str | torch.device | None = None,
) -> ndarray | list[ndarray]:
    """Embeddings of sequences by a genome encoder, the numbers that `vqdna embed` writes.

    Args:
        sequences: a str, an array of base ids (A C G T = 0 to 3, N = 4) or a record of `read_sequences`; or a list,
            a 2-D array or an iterator of these. Lower case counts as upper case, U as T, ambiguity codes as N.
        model: an encoder, a model with one, the name of a built-in model, or a run folder.
        pool: "mean" over each sequence's positions, "mean+max" for the mean and the maximum side by side, "none" for a
            row per position.
        layer: layer whose hidden states are taken: 0 is what the first layer reads, -1 and None are the last one.
        both_strands: mean of the embeddings of each sequence and of its reverse complement.
        batch_size: sequences at once, fewer where they are long; changes nothing but speed and memory.
        precision: "fp32", "bf16", or "auto" for the fastest that the processor has.
        device: where to compute. None leaves a model where it is, and opens a named one on the GPU if there is one.

    Returns:
        float32. Many sequences give [sequence, width]; one sequence gives [width]. With "mean+max" the width is twice
        the encoder's. With "none" many sequences give a list of [position, width], one gives [position, width].

    Raises:
        InputError: no such model, layer, pooling or precision; an empty sequence, a letter that is no base, a sequence
            that is too short for a token or too long for the encoder. It names the sequence.

    Example:
        >>> import vqdna
        >>> vqdna.embed(["ACGTTGCANNACGT", "GATTACAGATTACA"], "small").shape
        (2, 128)
        >>> vqdna.embed("ACGTTGCANNACGT", "small", pool="none").shape
        (4, 128)
    """
    options = EmbedOptions(pool=pool, both_strands=both_strands, batch_size=batch_size, precision=precision)
    options.check(prefix="")
    encoder = encoder_of(model, device)
    if layer is not None:
        from vqdna.encoder.layers import up_to_layer

        encoder = up_to_layer(encoder, layer)
    rows: list[ndarray] = []
    with evaluating(encoder):
        for held in held_together(named_sequences(sequences), bases_at_a_time(encoder, options)):
            places = [named.place for named in held]
            embedded = embed_sequences(encoder, [named.base_ids for named in held], places.__getitem__, options)
            rows += [own.vectors if pool == "none" else own.vectors[0] for own in embedded]
    if is_single(sequences):
        return rows[0]
    if pool == "none":
        return rows
    width = encoder.config.hidden_size * (2 if pool == "mean+max" else 1)
    return np.stack(rows) if rows else np.empty((0, width), dtype=np.float32)


def embed_file(encoder: GenomeEncoder, source: str, output: str, options: EmbedOptions) -> dict[str, int]:
    """Writes the embeddings of a file of sequences to `output` and returns how many there are.

    Args:
        encoder: in evaluation mode; is moved to the accelerator where there is one.
        source: FASTA or FASTQ, "-" on standard input.
        output: `.parquet`, `.tsv`, `.npz` or `.npy`, "-" for TSV on standard output.
        options: see `EmbedOptions`.

    Raises:
        InputError: unreadable input, an unknown format, a piece too long for the encoder; no output is left behind.
    """
    options.check()
    check_output(output)
    encoder.to(own_device())  # type: ignore[arg-type]
    totals = {"pieces": 0, "bases": 0, "rows": 0, "width": 0}
    pieces = _pieces(source, options)
    first = next(pieces)
    with embedding_writer(output) as write, _progress() as progress:
        task = progress.add_task("embed", pieces=0, bases=0)
        for held in held_together(itertools.chain([first], pieces), bases_at_a_time(encoder, options)):
            rows = _embed_pieces(encoder, held, options, source)
            write(rows)
            totals["pieces"] += len(held)
            totals["bases"] += sum(len(piece.base_ids) for piece in held)
            totals["rows"] += len(rows.vectors)
            totals["width"] = rows.vectors.shape[1]
            progress.update(task, pieces=totals["pieces"], bases=totals["bases"])
    return totals


def embed_sequences(
    encoder: GenomeEncoder, base_ids: Sequence[Bases], place: Callable[[int], str], options: EmbedOptions
) -> list[Embedded]:
    """Embeddings of each sequence, in the order given; of `options` all but those of files count.

    Args:
        encoder: in evaluation mode.
        base_ids: one array per sequence.
        place: where sequence i comes from, for messages.
        options: see `EmbedOptions`.

    Raises:
        InputError: a sequence makes no token, or is too long for the encoder.
    """
    by_position = options.pool == "none"
    encoded = encode_sequences(encoder, base_ids, place, both_strands=options.both_strands, with_spans=by_position)
    vectors = _strand_vectors(encoder, encoded.codes, options)
    if encoded.reverse_codes is not None:
        others = _strand_vectors(encoder, encoded.reverse_codes, options)
        vectors = [(one + other) / 2 for one, other in zip(vectors, others, strict=True)]
    if encoded.spans is None:
        return [Embedded(own, np.array([[0, len(row)]])) for own, row in zip(vectors, base_ids, strict=True)]
    return [Embedded(own, _merged(spans, encoder.merge)) for own, spans in zip(vectors, encoded.spans, strict=True)]


@torch.no_grad()
def _strand_vectors(encoder: GenomeEncoder, rows: CodeRows, options: EmbedOptions) -> list[Vectors]:
    """Embeddings of each piece: one row, or one for every position."""
    vectors: dict[int, Vectors] = {}
    for batch in similar_batches([len(row) for row in rows], options.batch_size):
        codes, mask = (part.to(encoder.device) for part in pad_codes([rows[row] for row in batch]))
        with torch.autocast(encoder.device.type, torch.bfloat16, enabled=uses_bfloat16(options.precision)):
            output = encoder(codes=codes, position_mask=mask)
        hidden, kept = output.last_hidden_state.float(), output.attention_mask
        if options.pool == "none":
            parts = [states[own].cpu().numpy() for states, own in zip(hidden, kept)]
        else:
            parts = list(pool_positions(hidden, kept, options.pool).cpu().numpy()[:, None])
        vectors |= {int(row): part for row, part in zip(batch, parts)}
    return [vectors[row] for row in range(len(rows))]


def _merged(tokens: Int[ndarray, "token 2"], merge: int) -> Int[ndarray, "position 2"]:
    """Bases of each position, from those of the tokens that it merges; the last position may have fewer tokens."""
    last = np.minimum(np.arange(merge, len(tokens) + merge, merge), len(tokens)) - 1
    return np.stack([tokens[::merge, 0], tokens[last, 1]], axis=1)


def _embed_pieces(encoder: GenomeEncoder, pieces: Sequence[Piece], options: EmbedOptions, source: str) -> EmbeddingRows:
    """Rows of some pieces of a file, in their order, with their places on the sequences' plus strands."""
    rows = [piece.base_ids for piece in pieces]
    embedded = embed_sequences(encoder, rows, lambda row: f"{source}: {pieces[row]}", options)
    spans = np.concatenate(
        [
            # Position i of a reverse complement has its first base where the plus strand has its last.
            piece.start + own.spans if piece.strand == "+" else piece.end - own.spans[:, ::-1]
            for piece, own in zip(pieces, embedded, strict=True)
        ]
    )
    of_rows = [piece for piece, own in zip(pieces, embedded, strict=True) for _ in own.vectors]
    return EmbeddingRows(
        names=[piece.name for piece in of_rows],
        starts=spans[:, 0],
        ends=spans[:, 1],
        strands=[piece.strand for piece in of_rows],
        vectors=np.concatenate([own.vectors for own in embedded]),
        regions=[str(piece.region) for piece in of_rows] if options.bed else None,
    )


def _pieces(source: str, options: EmbedOptions) -> Iterator[Piece]:
    if options.bed is not None:
        return iter(regions_of_records(source, options.bed, options.gaps))
    if options.window is not None:
        return windows_of_records(source, options.window, options.step or options.window, options.gaps)
    return whole_records(source, options.gaps)


def bases_at_a_time(encoder: GenomeEncoder, options: EmbedOptions) -> int:
    """Bases whose codes and embeddings are held together."""
    numbers = len(encoder.tokenizer.level_sizes) / encoder.tokenizer.bases_per_position
    if options.pool == "none":
        numbers += encoder.config.hidden_size / encoder.bases_per_position
    return int(NUMBERS_AT_A_TIME / numbers)


def _progress() -> Progress:
    """A line on the terminal that says how far it is."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}  {task.fields[pieces]:,} sequences  {task.fields[bases]:,} bases"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not is_watched(),
    )
