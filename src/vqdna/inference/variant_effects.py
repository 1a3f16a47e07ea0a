"""What a model says of variants: a window of the reference beside the same window with the alternate in it.

Flow: VCF + FASTA -> pairs of windows, one sequence of the genome at a time -> what the model makes of both -> table of
`chrom, pos, id, ref, alt` and the numbers, a row for each alternate in the order of the VCF. A fine-tuned model gives
both predictions and their difference; a genome encoder the distance of the two embeddings, and a masked model besides
how much it expects each. An alternate that cannot be scored keeps its row, with no numbers. It must not know training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from rich.console import Console
from rich.progress import Progress

from vqdna.devices import own_device
from vqdna.encoder.causal_model import GenomeEncoderForCausalModeling
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError, check_name
from vqdna.finetune.evaluation import predict_sequences
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, SequenceClassifierConfig
from vqdna.genome.bases import N
from vqdna.genome.streams import stream_name
from vqdna.genome.vcf import Variant, read_variants
from vqdna.inference.base_likelihoods import has_ratios, log_likelihood_ratios
from vqdna.inference.embed import EmbedOptions, embed_pieces
from vqdna.inference.output_table import Columns, table_writer
from vqdna.inference.regions import Piece
from vqdna.inference.sequence_likelihoods import log_likelihoods
from vqdna.inference.variant_windows import MISMATCHES, Pair, variant_pairs
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.quiet import is_watched
from vqdna.tokenizers.padding import BATCH_SIZE

Model = (
    GenomeEncoder
    | GenomeEncoderForMaskedModeling
    | GenomeEncoderForCausalModeling
    | GenomeEncoderForSequenceClassification
)

LEAST_PROBABILITY = 1e-7
"""Below it, and above one less it, log-odds are those of this probability: float32 tells no finer ones apart."""


@dataclass(frozen=True)
class VariantOptions:
    """How variants are scored.

    Attributes:
        window: bases of the reference around each variant, fewer at the end of a sequence.
        mismatches: whether a REF that the genome does not have is an error or leaves its rows without numbers.
        both_strands: embeddings and likelihoods of windows are means over both strands; a fine-tuned model knows by
            itself whether it averages.
        batch_size: windows at once; changes nothing but speed and memory.
        precision: "fp32", "bf16", or "auto" for the fastest that the processor has.
    """

    window: int = 512
    mismatches: str = "error"
    both_strands: bool = False
    batch_size: int = BATCH_SIZE
    precision: str = "fp32"

    def check(self) -> None:
        """Refuses what makes no sense.

        Raises:
            InputError: an unknown name or a number below 1.
        """
        check_name("--mismatches", self.mismatches, MISMATCHES)
        if self.window < 1:
            raise InputError(f"--window: got {self.window}, expected at least 1")
        self.embedding.check()

    @property
    def embedding(self) -> EmbedOptions:
        """The same for an encoder's embeddings."""
        return EmbedOptions(both_strands=self.both_strands, batch_size=self.batch_size, precision=self.precision)


def score_variants(model: Model, variants: str, genome: Path, output: str, options: VariantOptions) -> dict[str, int]:
    """Writes what the model says of every alternate of a VCF file, and returns how many there are and were scored.

    Args:
        model: in evaluation mode; is moved to the accelerator where there is one.
        variants: VCF, plain, gzip or bgzip; "-" on standard input.
        genome: FASTA of the reference that the VCF was called on.
        output: CSV, TSV or Parquet by its suffix, gzipped text where it ends in `.gz`; `-` is CSV on standard output.
        options: see `VariantOptions`.

    Raises:
        InputError: unreadable input, a sequence or a REF that the genome does not have, a variant beyond its
            sequence's end; no output is left behind.
    """
    options.check()
    write = table_writer(output)
    held = read_variants(variants)
    model.to(own_device())  # type: ignore[arg-type]
    numbers: dict[str, Float[ndarray, "row"]] = {}
    scored = 0
    with _progress() as progress:
        task = progress.add_task("variants", total=len(held))
        advance = partial(progress.advance, task)
        for pairs in variant_pairs(held, variants, genome, options.window, options.mismatches, advance):
            scored += len(pairs)
            for name, values in effects(model, pairs, options, variants).items():
                column = numbers.setdefault(name, np.full(len(held), np.nan, np.float32))
                column[[pair.row for pair in pairs]] = values
    write({**_described(held), **numbers})
    return {"variants": len(held), "scored": scored, "left_out": len(held) - scored}


def effects(
    model: Model, pairs: Sequence[Pair], options: VariantOptions, source: str = "input"
) -> dict[str, Float[ndarray, "pair"]]:
    """What the model says of each pair, by the names of the columns.

    Args:
        model: in evaluation mode.
        pairs: windows with the reference's bases and with the alternate's.
        options: see `VariantOptions`.
        source: what messages call the file that the variants are from.
    """
    if isinstance(model, GenomeEncoderForMaskedModeling):
        distances = effects(model.encoder, pairs, options, source)
        if not has_ratios(model):
            return distances
        return {"log_likelihood_ratio": log_likelihood_ratios(model, pairs, options.batch_size), **distances}
    if isinstance(model, GenomeEncoderForCausalModeling):
        ratios = _window_ratios(model, pairs, options)
        return {"log_likelihood_ratio": ratios, **effects(model.encoder, pairs, options, source)}
    windows, ref, alt = _windows(pairs)
    if isinstance(model, GenomeEncoder):
        vectors = _embedded(model, windows, options, source)
        return _distances(vectors[ref], vectors[alt])
    predicted = predict_sequences(
        model,
        [piece.base_ids for piece in windows],
        lambda row: f"{stream_name(source)}: {windows[row]}",
        batch_size=options.batch_size,
        precision=options.precision,
    )
    return _differences(predicted[ref], predicted[alt], model.config)


def _windows(pairs: Sequence[Pair]) -> tuple[list[Piece], Int[ndarray, "pair"], Int[ndarray, "pair"]]:
    """Every window once, for alternates of one line share the reference's; and its number for each pair's two."""
    numbers: dict[bytes, int] = {}
    windows: list[Piece] = []
    rows = np.empty((len(pairs), 2), np.int64)
    for row, pair in enumerate(pairs):
        for side, bases in enumerate((pair.ref, pair.alt)):
            variant, key = pair.variant, bases.tobytes()
            if key not in numbers:
                numbers[key] = len(windows)
                windows.append(Piece(variant.sequence, variant.start, variant.end, "+", bases))
            rows[row, side] = numbers[key]
    return windows, rows[:, 0], rows[:, 1]


def _window_ratios(
    model: GenomeEncoderForCausalModeling, pairs: Sequence[Pair], options: VariantOptions
) -> Float[ndarray, "pair"]:
    """Log-likelihood of each window with ALT less that of the one with REF; not a number with N in an allele."""
    windows, ref, alt = _windows(pairs)
    rows = [piece.base_ids for piece in windows]
    likelihoods = log_likelihoods(model, rows, options.batch_size, both_strands=options.both_strands)
    return np.where([_holds_unknown(pair) for pair in pairs], np.nan, likelihoods[alt] - likelihoods[ref])


def _holds_unknown(pair: Pair) -> bool:
    """Whether an allele has an N."""
    alleles = ((pair.ref, pair.variant.ref), (pair.alt, pair.variant.alt))
    return any(N in window[pair.offset : pair.offset + len(allele)] for window, allele in alleles)


def _differences(
    ref: Float[ndarray, "pair class"], alt: Float[ndarray, "pair class"], config: SequenceClassifierConfig
) -> dict[str, Float[ndarray, "pair"]]:
    """Both predictions and what the alternate changes, class by class."""
    if config.task == "regression":
        return {"ref_value": ref[:, 0], "alt_value": alt[:, 0], "difference": alt[:, 0] - ref[:, 0]}
    columns = {}
    for number, label in enumerate(config.class_names):
        columns[f"ref_probability_{label}"], columns[f"alt_probability_{label}"] = ref[:, number], alt[:, number]
        columns[f"log_odds_{label}"] = log_odds(alt[:, number]) - log_odds(ref[:, number])
    return columns


def log_odds(probabilities: Float[ndarray, "row"]) -> Float[ndarray, "row"]:
    """Natural logarithm of p / (1 - p)."""
    kept = probabilities.astype(np.float64).clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(kept) - np.log1p(-kept), np.float32)


def _embedded(
    encoder: GenomeEncoder, windows: Sequence[Piece], options: VariantOptions, source: str
) -> Float[ndarray, "window width"]:
    """Embeddings as `vqdna embed` gives them."""
    return embed_pieces(encoder, windows, options.embedding, source).vectors.astype(np.float64)


def _distances(
    ref: Float[ndarray, "pair width"], alt: Float[ndarray, "pair width"]
) -> dict[str, Float[ndarray, "pair"]]:
    """How far the embeddings of each pair are apart."""
    lengths = np.linalg.norm(ref, axis=1) * np.linalg.norm(alt, axis=1)
    return {
        "cosine_distance": 1 - (ref * alt).sum(axis=1) / lengths,
        "euclidean_distance": np.linalg.norm(alt - ref, axis=1),
    }


def _described(variants: Sequence[Variant]) -> Columns:
    """What a row says of its alternate, positions from 1 as in the VCF."""
    return {
        "chrom": [variant.sequence for variant in variants],
        "pos": [variant.start + 1 for variant in variants],
        "id": [variant.identifier for variant in variants],
        "ref": [variant.ref for variant in variants],
        "alt": [variant.alt for variant in variants],
    }


def _progress() -> Progress:
    """A bar on the terminal."""
    return Progress(console=Console(stderr=True), disable=not is_watched())
