"""The pipeline: `vocabulary -> pretrain -> finetune -> predict`, and `variants`, `embed` and `encode` beside it.

One function per command, its docstring the help text; each imports its stage only when called.
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
    ConfigName,
    DevTable,
    EncoderFolder,
    Gaps,
    Genomes,
    Out,
    Overrides,
    PlanOnly,
    Quiet,
    Seed,
    TestTable,
    TokenizerName,
    TrainTable,
    VocabularyFolder,
    gap_override,
    one_tokenizer,
    prepare,
    print_result,
    show,
    show_plan,
    vocabulary_spec,
)

Source = Annotated[str, typer.Argument(help="FASTA or FASTQ (gzip too); - for standard input.")]


@app.command(
    epilog="Example: `vqdna vocabulary --config cpu --genomes genomes/ --out runs/hrq --set training.steps=2000`"
)
def vocabulary(
    genomes: Genomes,
    out: Out,
    config: ConfigName = "cpu",
    overrides: Overrides = None,
    gaps: Gaps = "error",
    seed: Seed = 0,
    plan: PlanOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Stage 1: learn a vocabulary (VQ or HRQ) from genomes."""
    from vqdna.config import load_config
    from vqdna.genome.streams import sequence_files
    from vqdna.vocabulary.train import VocabularyConfig, plan_vocabulary, run_vocabulary

    prepare(quiet)
    resolved = load_config(VocabularyConfig, config, "vocabulary", [*(overrides or ()), *gap_override(gaps)])
    files = sequence_files(genomes)
    if plan:
        return show_plan(plan_vocabulary(resolved, genomes=files, seed=seed), as_json)
    results = run_vocabulary(resolved, genomes=files, out=out, seed=seed)
    show(results, as_json, out, ("evaluation.reconstruction_accuracy", "evaluation.bits_per_base", "seconds"))


@app.command(
    epilog="Example: `vqdna pretrain --config cpu --vocabulary runs/hrq --genomes genomes/ --out runs/encoder`"
)
def pretrain(
    genomes: Genomes,
    out: Out,
    vocabulary: VocabularyFolder = None,
    tokenizer: TokenizerName = None,
    config: ConfigName = "cpu",
    overrides: Overrides = None,
    gaps: Gaps = "error",
    seed: Seed = 0,
    plan: PlanOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Stage 2: pre-train a genome encoder by masked code modelling over a frozen tokenizer."""
    from vqdna.config import load_config
    from vqdna.genome.streams import sequence_files
    from vqdna.pretrain.train import PretrainConfig, plan_pretrain, run_pretrain

    prepare(quiet)
    resolved = load_config(PretrainConfig, config, "pretrain", [*(overrides or ()), *gap_override(gaps)])
    spec = one_tokenizer(vocabulary, tokenizer)
    files = sequence_files(genomes)
    if plan:
        return show_plan(plan_pretrain(resolved, tokenizer=spec, genomes=files, seed=seed), as_json)
    results = run_pretrain(resolved, tokenizer=spec, genomes=files, out=out, seed=seed)
    show(
        results,
        as_json,
        out,
        ("evaluation.masked_accuracy", "evaluation.base_nats", "evaluation.nats_per_base", "seconds"),
    )


@app.command(
    epilog="Example: `vqdna finetune --encoder runs/encoder --train train.csv --test test.csv --out runs/task --json`"
)
def finetune(
    train: TrainTable,
    out: Out,
    encoder: EncoderFolder = "small",
    dev: DevTable = None,
    test: TestTable = None,
    labels: Annotated[
        Path | None, Option("--labels", help="Table name,label where the splits are FASTA files.")
    ] = None,
    config: Annotated[
        str | None,
        Option("--config", "-c", help="A YAML file, or a name in configs/; that of a shipped encoder, else cpu."),
    ] = None,
    overrides: Overrides = None,
    task: Annotated[
        str | None, Option("--task", help="classification, multilabel or regression; else seen from the labels.")
    ] = None,
    seed: Seed = 0,
    plan: PlanOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Stage 3: fine-tune a genome encoder on labelled sequences (LoRA, full, or a linear head).

    With `--config cnn-words` a small network of fresh weights learns in its place, from bases and learned words.
    """
    from vqdna.config import load_config
    from vqdna.finetune.train import FinetuneConfig, plan_finetune, run_finetune
    from vqdna.weights import part_folder, shipped_names

    prepare(quiet)
    suited = encoder if encoder in shipped_names("encoder") else "cpu"
    resolved = load_config(FinetuneConfig, config or suited, "finetune", overrides or ())
    source = part_folder(encoder, "encoder")
    if plan:
        about = {"train": train, "dev": dev, "seed": seed, "task": task, "labels": labels}
        return show_plan(plan_finetune(resolved, encoder=source, **about), as_json)  # type: ignore[arg-type]
    results = run_finetune(
        resolved,
        encoder=source,
        train=train,
        dev=dev,
        test=test,
        out=out,
        seed=seed,
        task=task,
        labels=labels,
    )
    show(results, as_json, out, ("dev", "test", "seconds"))


@app.command(
    epilog="Example: `vqdna predict --model runs/task sequences.fa -o predictions.csv`; `-` reads standard input."
)
def predict(
    source: Annotated[str, typer.Argument(help="FASTA, FASTQ, CSV, TSV or Parquet; - for FASTA on standard input.")],
    model: Annotated[Path, Option("--model", help="Run folder of a fine-tuned model.")],
    output: Annotated[
        str, Option("--output", "-o", help="Table to write (.csv, .tsv, .parquet); - for standard output.")
    ] = "-",
    batch_size: Annotated[int, Option("--batch-size", min=1)] = 64,
) -> None:
    """Apply a fine-tuned model: a table with predictions and probabilities."""
    from vqdna.inference.predict import predict as run_predict

    prepare()
    run_predict(model, Path(source), Path(output), batch_size=batch_size)


@app.command(
    epilog="Example: `vqdna variants calls.vcf.gz --genome genome.fa.gz --model runs/task --window 300 -o effects.tsv`"
)
def variants(
    source: Annotated[str, typer.Argument(help="VCF (gzip too); - for standard input.")],
    genome: Annotated[Path, Option("--genome", help="FASTA of the reference that the VCF was called on (gzip too).")],
    model: Annotated[
        str,
        Option(
            "--model",
            help="Run folder of a fine-tuned model: predictions; of a pre-training: likelihoods and distances.",
        ),
    ] = "small",
    output: Annotated[
        str, Option("--output", "-o", help="Table to write (.tsv, .csv, .parquet); - for CSV on standard output.")
    ] = "-",
    window: Annotated[
        int, Option("--window", help="Bases around each variant; as many as the model's training sequences had.")
    ] = 512,
    mismatches: Annotated[
        str, Option("--mismatches", help="A REF that the genome does not have: error, or skip to leave its row empty.")
    ] = "error",
    both_strands: Annotated[
        bool,
        Option(
            "--both-strands",
            help="Distances of embeddings, and likelihoods of a causal model, that are means over both strands.",
        ),
    ] = False,
    batch_size: Annotated[int, Option("--batch-size", help="Windows at once; changes speed and memory only.")] = 64,
    precision: Annotated[str, Option("--precision", help="fp32, bf16, or auto for the fastest here.")] = "fp32",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Effects of variants: what a model says of a window with the alternate beside the reference's window."""
    from vqdna.inference.variant_effects import VariantOptions, score_variants
    from vqdna.models import load_model

    prepare(quiet)
    options = VariantOptions(window, mismatches, both_strands, batch_size, precision)
    options.check()
    totals = score_variants(load_model(model), source, genome, output, options)
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
        str, Option("--pool", help="mean or mean+max over a sequence, or none: a row for every position.")
    ] = "mean",
    window: Annotated[int | None, Option("--window", help="Embed windows of so many bases.")] = None,
    step: Annotated[int | None, Option("--step", help="Bases from window to window; else as many as --window.")] = None,
    bed: Annotated[
        Path | None, Option("--bed", help="Embed the regions of a BED file (0-based, half-open, with strand).")
    ] = None,
    both_strands: Annotated[
        bool, Option("--both-strands", help="Mean of each sequence and its reverse complement.")
    ] = False,
    batch_size: Annotated[int, Option("--batch-size", help="Sequences at once; changes speed and memory only.")] = 64,
    precision: Annotated[str, Option("--precision", help="fp32, bf16, or auto for the fastest here.")] = "fp32",
    gaps: Gaps = "error",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Embeddings of sequences, windows, regions or positions: name, start, end, strand and the numbers."""
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


@app.command(epilog="Example: `vqdna encode --vocabulary runs/hrq genome.fa.gz -o codes.parquet`")
def encode(
    source: Source,
    vocabulary: VocabularyFolder = None,
    output: Annotated[
        str, Option("--output", "-o", help=".parquet, .csv, .tsv or .bed; - for rows on standard output.")
    ] = "-",
    gaps: Gaps = "error",
    as_json: AsJson = False,
) -> None:
    """Codes of whole sequences: name, start, end (0-based, half-open) and one column per level."""
    from vqdna.inference.encode import encode_file
    from vqdna.tokenizers import load_tokenizer

    gap_override(gaps)
    prepare()
    totals = encode_file(load_tokenizer(vocabulary_spec(vocabulary)), source, output, gaps=gaps)
    if output == "-":
        return
    ambiguous = f"{totals['ambiguous']} letters read as N"
    text = (
        f"{totals['sequences']} sequences, {totals['bases']} bases ({ambiguous}), {totals['codes']} codes -> {output}"
    )
    print_result(json.dumps(totals) if as_json else text)
