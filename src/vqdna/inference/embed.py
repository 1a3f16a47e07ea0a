"""Sequences to embeddings by a genome encoder: one for each sequence, window, region, or position of the backbone.

Flow: pieces of sequences -> codes -> batches of similar length -> hidden states -> pooled (or not) -> rows of a table
in the order of the input. Padding, batch size and neighbors in a batch change nothing. Rows are written as they come,
so memory does not grow with the file. It must not know training.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vqdna.devices import own_device, uses_bfloat16
from vqdna.encoder.encoded_sequences import encode_sequences
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.pooling import pool_positions
from vqdna.errors import InputError, check_name
from vqdna.genome.bases import Gaps
from vqdna.inference.embedding_table import EmbeddingRows, check_output, embedding_writer
from vqdna.inference.regions import Piece, regions_of_records, whole_records, windows_of_records
from vqdna.quiet import is_watched
from vqdna.tokenizers.padding import BATCH_SIZE, CodeRows, pad_codes, similar_batches

POOLINGS = ("mean", "mean+max", "none")
PRECISIONS = ("fp32", "bf16", "auto")
Vectors = Float32[np.ndarray, "row width"]

NUMBERS_AT_A_TIME = 1 << 26
"""Numbers of embeddings and of codes that are held before they are written: 256 MB in float32."""

PIECES_AT_A_TIME = 4096


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

    def check(self) -> None:
        """Refuses what makes no sense.

        Raises:
            InputError: an unknown name, a number below 1, or options that exclude each other.
        """
        check_name("--pool", self.pool, POOLINGS)
        check_name("--precision", self.precision, PRECISIONS)
        for option, number in (("window", self.window), ("step", self.step), ("batch-size", self.batch_size)):
            if number is not None and number < 1:
                raise InputError(f"--{option}: got {number}, expected at least 1")
        if self.step is not None and self.window is None:
            raise InputError("--step goes with --window, whose distance it is")
        if self.bed is not None and self.window is not None:
            raise InputError("give --window or --bed, not both")
        if self.both_strands and self.pool == "none":
            raise InputError("--both-strands goes with --pool mean or mean+max; positions of two strands do not meet")


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
            rows = embed_pieces(encoder, held, options, source)
            write(rows)
            totals["pieces"] += len(held)
            totals["bases"] += sum(len(piece.base_ids) for piece in held)
            totals["rows"] += len(rows.vectors)
            totals["width"] = rows.vectors.shape[1]
            progress.update(task, pieces=totals["pieces"], bases=totals["bases"])
    return totals


def embed_pieces(
    encoder: GenomeEncoder, pieces: Sequence[Piece], options: EmbedOptions, source: str = "input"
) -> EmbeddingRows:
    """Rows of some pieces, in their order.

    Args:
        encoder: in evaluation mode.
        pieces: what to embed.
        options: see `EmbedOptions`.
        source: what messages call the file that the pieces are from.
    """
    encoded = encode_sequences(
        encoder,
        [piece.base_ids for piece in pieces],
        lambda row: f"{source}: {pieces[row]}",
        both_strands=options.both_strands,
        with_spans=options.pool == "none",
    )
    vectors = _strand_vectors(encoder, encoded.codes, options)
    if encoded.reverse_codes is not None:
        others = _strand_vectors(encoder, encoded.reverse_codes, options)
        vectors = [(one + other) / 2 for one, other in zip(vectors, others, strict=True)]
    if encoded.spans is None:
        spans = [np.array([[piece.start, piece.end]]) for piece in pieces]
    else:
        spans = [_position_spans(encoder, *both) for both in zip(pieces, encoded.spans, strict=True)]
    return EmbeddingRows(
        names=[piece.name for piece, rows in zip(pieces, vectors) for _ in rows],
        starts=np.concatenate(spans)[:, 0],
        ends=np.concatenate(spans)[:, 1],
        strands=[piece.strand for piece, rows in zip(pieces, vectors) for _ in rows],
        vectors=np.concatenate(vectors),
        regions=[str(piece.region) for piece, rows in zip(pieces, vectors) for _ in rows] if options.bed else None,
    )


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


def _position_spans(
    encoder: GenomeEncoder, piece: Piece, tokens: Int[np.ndarray, "token 2"]
) -> Int[np.ndarray, "row 2"]:
    """Bases of each position of a piece, on the plus strand of its sequence."""
    last = np.minimum(np.arange(encoder.merge, len(tokens) + encoder.merge, encoder.merge), len(tokens)) - 1
    spans = np.stack([tokens[:: encoder.merge, 0], tokens[last, 1]], axis=1)
    return piece.start + spans if piece.strand == "+" else piece.end - spans[:, ::-1]


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


def held_together(pieces: Iterable[Piece], most_bases: int) -> Iterator[list[Piece]]:
    """Runs of pieces with at most so many bases; a longer piece alone."""
    held: list[Piece] = []
    bases = 0
    for piece in pieces:
        if held and (bases + len(piece.base_ids) > most_bases or len(held) == PIECES_AT_A_TIME):
            yield held
            held, bases = [], 0
        held.append(piece)
        bases += len(piece.base_ids)
    if held:
        yield held


def _progress() -> Progress:
    """A line on the terminal that says how far it is."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}  {task.fields[pieces]:,} sequences  {task.fields[bases]:,} bases"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not is_watched(),
    )
