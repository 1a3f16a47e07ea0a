"""What a trained model does for files: `encode`, `embed`, `predict` and `variants`.

One function per command, its docstring the help text; each opens a model and hands it, with the names of the files, to
its function in `vqdna.inference`, which is imported only then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from vqdna.cli import options as opt
from vqdna.cli.application import app

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
    output: str = Option("-", "--output", "-o", help="Table to write (.csv, .tsv, .parquet); - for standard output."),
    batch_size: opt.BatchSize = 64,
) -> None:
    """Predict the labels of sequences with a fine-tuned model: a table of predictions and probabilities."""
    from vqdna.inference.predict import predict_file

    opt.prepare()
    predict_file(model, Path(source), Path(output), batch_size=batch_size)


@app.command(
    epilog="Example: `vqdna variants calls.vcf.gz --genome genome.fa.gz --model runs/task --window 300 -o effects.tsv`"
)
def variants(
    source: Annotated[str, typer.Argument(help="VCF, also gzipped; - for standard input.")],
    genome: Annotated[
        Path, Option("--genome", help="FASTA of the reference that the VCF was called on, also gzipped.")
    ],
    model: str = Option(
        "small",
        help="A fine-tuned model gives predictions; a pre-trained one gives likelihoods and distances. "
        "The built-in one, small, or a run folder.",
    ),
    output: str = Option(
        "-", "--output", "-o", help="Table to write (.tsv, .csv, .parquet); - for CSV on standard output."
    ),
    window: int = Option(512, help="Bases around each variant. Take as many as the model's training sequences had."),
    mismatches: str = Option("error", help="Where the genome lacks a REF: error, or skip to leave the row empty."),
    both_strands: bool = Option(
        False,
        "--both-strands",
        help="Average over both strands: distances of embeddings, and likelihoods of a causal model.",
    ),
    batch_size: opt.BatchSize = 64,
    precision: opt.Precision = "fp32",
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """Score variants of a VCF file: a model's output for a window with the variant, beside the reference's window."""
    from vqdna.inference.variant_effects import VariantOptions, score_variant_file
    from vqdna.models import load_model

    opt.prepare(quiet)
    options = VariantOptions(window, mismatches, both_strands, batch_size, precision)
    options.check()
    totals = score_variant_file(load_model(model), source, genome, output, options)
    opt.tell(totals, f"{totals['scored']} of {totals['variants']} alternates scored", output, as_json)


@app.command(epilog="Example: `vqdna embed genome.fa.gz --window 512 -o embeddings.parquet`")
def embed(
    source: Source,
    output: str = Option("-", "--output", "-o", help=".parquet, .tsv, .npz or .npy; - for TSV on standard output."),
    encoder: opt.EncoderFolder = "small",
    pool: str = Option("mean", help="mean or mean+max over a sequence, or none for a row per position."),
    window: int | None = Option(None, help="Embed windows of this many bases, not whole sequences."),
    step: int | None = Option(None, help="Bases from one window's start to the next; without it as many as --window."),
    bed: Path | None = Option(None, help="Embed the regions of a BED file, on their strand."),
    both_strands: bool = Option(
        False, "--both-strands", help="Average the embeddings of each sequence and its reverse complement."
    ),
    batch_size: opt.BatchSize = 64,
    precision: opt.Precision = "fp32",
    gaps: opt.Gaps = "error",
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """Embed sequences, windows, regions or positions: a table of name, start, end, strand and the numbers."""
    from vqdna.inference.embed import EmbedOptions, embed_file
    from vqdna.models import load

    opt.prepare(quiet)
    opt.gap_override(gaps)
    options = EmbedOptions(pool, window, step, bed, both_strands, batch_size, precision, gaps)  # type: ignore[arg-type]
    options.check()
    totals = embed_file(load(encoder), source, output, options)
    text = f"{totals['pieces']} sequences, {totals['bases']} bases, {totals['rows']} x {totals['width']}"
    opt.tell(totals, text, output, as_json)


@app.command(
    epilog="Example: `vqdna encode genome.fa.gz -o codes.parquet`, or `vqdna encode --tokenizer kmer:6 genome.fa.gz`"
)
def encode(
    source: Source,
    vocabulary: opt.VocabularyFolder = None,
    tokenizer: opt.TokenizerName = None,
    output: str = Option("-", "--output", "-o", help=".parquet, .csv, .tsv or .bed; - for rows on standard output."),
    gaps: opt.Gaps = "error",
    as_json: opt.AsJson = False,
) -> None:
    """Turn sequences into codes with any tokenizer: a table of name, start, end and one column per level.

    Coordinates are 0-based and half-open, as in BED files.
    """
    from vqdna.inference.encode import encode_file
    from vqdna.tokenizers import load_tokenizer

    opt.gap_override(gaps)
    opt.prepare()
    totals = encode_file(load_tokenizer(opt.one_tokenizer(vocabulary, tokenizer)), source, output, gaps=gaps)  # type: ignore[arg-type]
    read = f"{totals['bases']} bases ({totals['ambiguous']} letters read as N)"
    opt.tell(totals, f"{totals['sequences']} sequences, {read}, {totals['codes']} codes", output, as_json)
