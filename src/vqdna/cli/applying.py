"""What a trained model does for files: `encode`, `embed`, `predict` and `variants`.

One function per command, its docstring the help text; each opens a model and hands it, with the names of the files, to
its function in `vqdna.inference`, which is imported only then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from vqdna.cli.application import app
from vqdna.cli.options import (
    AsJson,
    EncoderFolder,
    Gaps,
    Quiet,
    TokenizerName,
    VocabularyFolder,
    gap_override,
    one_tokenizer,
    prepare,
    print_result,
)

Source = Annotated[str, typer.Argument(help="FASTA or FASTQ, also gzipped; - for standard input.")]


@app.command(
    epilog="Example: `vqdna predict --model runs/task sequences.fa -o predictions.csv`; `-` reads standard input."
)
def predict(
    source: Annotated[
        str,
        typer.Argument(
            help="FASTA, FASTQ, or a table with a column sequence (CSV, TSV, Parquet); - for FASTA on standard input."
        ),
    ],
    model: Annotated[Path, Option("--model", help="Run folder of a fine-tuned model.")],
    output: Annotated[
        str, Option("--output", "-o", help="Table to write (.csv, .tsv, .parquet); - for standard output.")
    ] = "-",
    batch_size: Annotated[
        int, Option("--batch-size", min=1, help="Sequences at once; changes speed and memory only.")
    ] = 64,
) -> None:
    """Predict the labels of sequences with a fine-tuned model: a table of predictions and probabilities."""
    from vqdna.inference.predict import predict_file

    prepare()
    predict_file(model, Path(source), Path(output), batch_size=batch_size)


@app.command(
    epilog="Example: `vqdna variants calls.vcf.gz --genome genome.fa.gz --model runs/task --window 300 -o effects.tsv`"
)
def variants(
    source: Annotated[str, typer.Argument(help="VCF, also gzipped; - for standard input.")],
    genome: Annotated[
        Path, Option("--genome", help="FASTA of the reference that the VCF was called on, also gzipped.")
    ],
    model: Annotated[
        str,
        Option(
            "--model",
            help="A fine-tuned model gives predictions; a pre-trained one gives likelihoods and distances. "
            "The built-in one, small, or a run folder.",
        ),
    ] = "small",
    output: Annotated[
        str, Option("--output", "-o", help="Table to write (.tsv, .csv, .parquet); - for CSV on standard output.")
    ] = "-",
    window: Annotated[
        int, Option("--window", help="Bases around each variant. Take as many as the model's training sequences had.")
    ] = 512,
    mismatches: Annotated[
        str, Option("--mismatches", help="Where the genome lacks a REF: error, or skip to leave the row empty.")
    ] = "error",
    both_strands: Annotated[
        bool,
        Option(
            "--both-strands",
            help="Average over both strands: distances of embeddings, and likelihoods of a causal model.",
        ),
    ] = False,
    batch_size: Annotated[int, Option("--batch-size", help="Windows at once; changes speed and memory only.")] = 64,
    precision: Annotated[
        str,
        Option("--precision", help="Numbers of the computation: fp32, bf16, or auto for the fastest on this machine."),
    ] = "fp32",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score variants of a VCF file: a model's output for a window with the variant, beside the reference's window."""
    from vqdna.inference.variant_effects import VariantOptions, score_variant_file
    from vqdna.models import load_model

    prepare(quiet)
    options = VariantOptions(window, mismatches, both_strands, batch_size, precision)
    options.check()
    totals = score_variant_file(load_model(model), source, genome, output, options)
    if output == "-":
        return
    text = f"{totals['scored']} of {totals['variants']} alternates scored -> {output}"
    print_result(json.dumps(totals) if as_json else text)


@app.command(epilog="Example: `vqdna embed genome.fa.gz --window 512 -o embeddings.parquet`")
def embed(
    source: Source,
    output: Annotated[
        str, Option("--output", "-o", help=".parquet, .tsv, .npz or .npy; - for TSV on standard output.")
    ] = "-",
    encoder: EncoderFolder = "small",
    pool: Annotated[
        str, Option("--pool", help="mean or mean+max over a sequence, or none for a row per position.")
    ] = "mean",
    window: Annotated[
        int | None, Option("--window", help="Embed windows of this many bases, not whole sequences.")
    ] = None,
    step: Annotated[
        int | None, Option("--step", help="Bases from one window's start to the next; without it as many as --window.")
    ] = None,
    bed: Annotated[Path | None, Option("--bed", help="Embed the regions of a BED file, on their strand.")] = None,
    both_strands: Annotated[
        bool, Option("--both-strands", help="Average the embeddings of each sequence and its reverse complement.")
    ] = False,
    batch_size: Annotated[int, Option("--batch-size", help="Sequences at once; changes speed and memory only.")] = 64,
    precision: Annotated[
        str,
        Option("--precision", help="Numbers of the computation: fp32, bf16, or auto for the fastest on this machine."),
    ] = "fp32",
    gaps: Gaps = "error",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Embed sequences, windows, regions or positions: a table of name, start, end, strand and the numbers."""
    from vqdna.inference.embed import EmbedOptions, embed_file
    from vqdna.models import load

    prepare(quiet)
    gap_override(gaps)
    options = EmbedOptions(pool, window, step, bed, both_strands, batch_size, precision, gaps)  # type: ignore[arg-type]
    options.check()
    totals = embed_file(load(encoder), source, output, options)
    if output == "-":
        return
    text = f"{totals['pieces']} sequences, {totals['bases']} bases, {totals['rows']} x {totals['width']} -> {output}"
    print_result(json.dumps(totals) if as_json else text)


@app.command(
    epilog="Example: `vqdna encode genome.fa.gz -o codes.parquet`, or `vqdna encode --tokenizer kmer:6 genome.fa.gz`"
)
def encode(
    source: Source,
    vocabulary: VocabularyFolder = None,
    tokenizer: TokenizerName = None,
    output: Annotated[
        str, Option("--output", "-o", help=".parquet, .csv, .tsv or .bed; - for rows on standard output.")
    ] = "-",
    gaps: Gaps = "error",
    as_json: AsJson = False,
) -> None:
    """Turn sequences into codes with any tokenizer: a table of name, start, end and one column per level.

    Coordinates are 0-based and half-open, as in BED files.
    """
    from vqdna.inference.encode import encode_file
    from vqdna.tokenizers import load_tokenizer

    gap_override(gaps)
    prepare()
    totals = encode_file(load_tokenizer(one_tokenizer(vocabulary, tokenizer)), source, output, gaps=gaps)  # type: ignore[arg-type]
    if output == "-":
        return
    ambiguous = f"{totals['ambiguous']} letters read as N"
    text = (
        f"{totals['sequences']} sequences, {totals['bases']} bases ({ambiguous}), {totals['codes']} codes -> {output}"
    )
    print_result(json.dumps(totals) if as_json else text)
