"""What a model says of variants: a window of the reference beside the same window with the alternate in it.

Flow: two lists of sequences, or VCF + FASTA -> pairs of windows -> what the model makes of both -> columns of numbers,
or a table of `chrom, pos, id, ref, alt` and the numbers, a row for each alternate in the order of the VCF. A fine-tuned
model gives both predictions and their difference; a genome encoder the distance of the two embeddings, and a masked or
causal model also how probable it finds each. An alternate that cannot be scored keeps its row, with no numbers. It must
not know training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from rich.console import Console
from rich.progress import Progress
from transformers import PreTrainedModel

from vqdna.devices import own_device
from vqdna.encoder.causal_model import GenomeEncoderForCausalModeling
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError, check_name
from vqdna.finetune.evaluation import predict_sequences
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, SequenceClassifierConfig
from vqdna.genome.bases import N, from_base_ids
from vqdna.genome.streams import stream_name
from vqdna.genome.vcf import Variant, read_variants
from vqdna.inference.base_likelihoods import has_ratios, log_likelihood_ratios
from vqdna.inference.embed import EmbedOptions, embed_sequences
from vqdna.inference.inputs import Bases, named_sequences
from vqdna.inference.output_table import Columns, table_writer
from vqdna.inference.sequence_likelihoods import log_likelihoods
from vqdna.inference.variant_windows import MISMATCHES, Pair, variant_pairs
from vqdna.models import evaluating, model_of
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.quiet import is_watched
from vqdna.tokenizers.padding import BATCH_SIZE
from vqdna.weights import DEFAULT

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


def score_variants(
    ref: str | Sequence[str],
    alt: str | Sequence[str],
    model: PreTrainedModel | str | Path = DEFAULT,
    *,
    both_strands: bool = False,
    batch_size: int = BATCH_SIZE,
    precision: str = "fp32",
    device: str | torch.device | None = None,
) -> dict[str, float] | dict[str, ndarray]:
    """What a model says of sequences with a change beside the same sequences without it.

    The numbers are those that `vqdna variants` writes for the same windows; the columns depend on the model. A
    fine-tuned model predicts for both (`ref_probability_...`, `alt_probability_...`, `log_odds_...` of each class, or
    `ref_value`, `alt_value`, `difference`). A pre-trained model with its head gives `log_likelihood_ratio`, in nats:
    log-probability of the changed bases less that of the reference's. An encoder gives how far the embeddings are
    apart, `cosine_distance` and `euclidean_distance`.

    Args:
        ref: sequences of the reference, one str or a list.
        alt: the same sequences with the change, as many. Where a pair differs in length, a masked model has no ratio
            for it, which is then not a number.
        model: a model, the name of a built-in one, or a run folder.
        both_strands: embeddings and likelihoods are means over both strands; a fine-tuned model knows by itself.
        batch_size: sequences at once; changes nothing but speed and memory.
        precision: "fp32", "bf16", or "auto" for the fastest that the processor has.
        device: where to compute. None leaves a model where it is, and opens a named one on the GPU if there is one.

    Returns:
        An array of one number per pair under each name; for two strs one number under each name.

    Raises:
        InputError: no such model, not as many sequences in both lists, an empty one, or a letter that is no base.

    Example:
        >>> import vqdna
        >>> effects = vqdna.score_variants(["ACGTTGCAAC"], ["ACGTCGCAAC"], "small")
        >>> sorted(effects), effects["cosine_distance"].shape
        (['cosine_distance', 'euclidean_distance'], (1,))
    """
    options = VariantOptions(both_strands=both_strands, batch_size=batch_size, precision=precision)
    options.embedding.check(prefix="")
    sides = [[one.base_ids for one in named_sequences(side)] for side in (ref, alt)]
    if len(sides[0]) != len(sides[1]):
        raise InputError(f"alt: got {len(sides[1])} sequences, expected {len(sides[0])}, one for each in ref")
    pairs = [_pair_of(number, *pair) for number, pair in enumerate(zip(*sides, strict=True))]
    opened = model_of(model, device)
    if not pairs:
        return {}
    with evaluating(opened):
        columns = effects(opened, pairs, options)
    if isinstance(ref, str):
        return {name: float(column[0]) for name, column in columns.items()}
    return columns


def _pair_of(number: int, ref: Bases, alt: Bases) -> Pair:
    """The windows, with the place where they differ: what is left without the same first and the same last bases."""
    first = _num_same(ref, alt)
    if first == len(ref) == len(alt):
        first = 0  # a window beside itself: all of it stands for the change, whose ratio is then 0
        behind = 0
    else:
        behind = min(_num_same(ref[::-1], alt[::-1]), min(len(ref), len(alt)) - first)
    texts = [from_base_ids(bases[first : len(bases) - behind]) for bases in (ref, alt)]
    return Pair(number, Variant(0, f"sequence {number + 1}", first, ".", *texts), first, ref, alt)


def _num_same(one: Bases, other: Bases) -> int:
    """First bases that both have."""
    shortest = min(len(one), len(other))
    differ = one[:shortest] != other[:shortest]
    return int(differ.argmax()) if differ.any() else shortest


def score_variant_file(
    model: Model, variants: str, genome: Path, output: str, options: VariantOptions
) -> dict[str, int]:
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
    model: Model, pairs: Sequence[Pair], options: VariantOptions, source: str = ""
) -> dict[str, Float[ndarray, "pair"]]:
    """What the model says of each pair, by the names of the columns.

    Args:
        model: in evaluation mode.
        pairs: windows with the reference's bases and with the alternate's.
        options: see `VariantOptions`.
        source: what messages call the file that the variants are from; nothing where they are from none.
    """
    if isinstance(model, GenomeEncoderForMaskedModeling):
        distances = effects(model.encoder, pairs, options, source)
        if not has_ratios(model):
            return distances
        return {"log_likelihood_ratio": log_likelihood_ratios(model, pairs, options.batch_size), **distances}
    if isinstance(model, GenomeEncoderForCausalModeling):
        ratios = _window_ratios(model, pairs, options)
        return {"log_likelihood_ratio": ratios, **effects(model.encoder, pairs, options, source)}
    windows, places, ref, alt = _windows(pairs, source)
    if isinstance(model, GenomeEncoder):
        embedded = embed_sequences(model, windows, places.__getitem__, options.embedding)
        vectors = np.concatenate([own.vectors for own in embedded]).astype(np.float64)
        return _distances(vectors[ref], vectors[alt])
    predicted = predict_sequences(
        model, windows, places.__getitem__, batch_size=options.batch_size, precision=options.precision
    )
    return _differences(predicted[ref], predicted[alt], model.config)


def _windows(
    pairs: Sequence[Pair], source: str = ""
) -> tuple[list[Bases], list[str], Int[ndarray, "pair"], Int[ndarray, "pair"]]:
    """Every window once, what messages call it, and the number of each pair's two windows."""
    # Alternates of one line share the reference's window, which would else be computed for each of them.
    numbers: dict[bytes, int] = {}
    windows: list[Bases] = []
    places: list[str] = []
    rows = np.empty((len(pairs), 2), np.int64)
    for row, pair in enumerate(pairs):
        for side, bases in enumerate((pair.ref, pair.alt)):
            key = bases.tobytes()
            if key not in numbers:
                numbers[key] = len(windows)
                windows.append(bases)
                named = f"'{pair.variant.sequence}' {pair.variant.start}-{pair.variant.end}"
                places.append(f"{stream_name(source)}: {named}" if source else named)
            rows[row, side] = numbers[key]
    return windows, places, rows[:, 0], rows[:, 1]


def _window_ratios(
    model: GenomeEncoderForCausalModeling, pairs: Sequence[Pair], options: VariantOptions
) -> Float[ndarray, "pair"]:
    """Log-likelihood of each window with ALT less that of the one with REF; not a number with N in an allele."""
    windows, _, ref, alt = _windows(pairs)
    likelihoods = log_likelihoods(model, windows, options.batch_size, both_strands=options.both_strands)
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
