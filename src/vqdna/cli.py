"""The command line: one function per command, each importing its stage only when called.

`vqdna vocabulary -> pretrain -> finetune -> predict` is the pipeline; `encode`, `probe`, `benchmark`, `report`, `bpe`
and `doctor` stand beside it. Results go to standard output (`--json` for machines), progress and errors to standard
error.
Bad input is one line and exit code 2.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from vqdna import __version__
from vqdna.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="A learned vocabulary for DNA: from bases to codes, embeddings and predictions.",
    epilog="Start here: `vqdna vocabulary --config demo --genomes genome.fa --out runs/vocabulary`",
)

SPREADING = ("--genomes", "--set", "--systems", "--datasets")
"""Options that take several values behind one name, as in `--genomes a.fa b.fa`."""

STOPPED = 130
"""Exit code of a command that was interrupted, as of a shell's."""

ConfigName = Annotated[str, Option("--config", "-c", help="A YAML file, or a name in configs/ of this stage.")]
Overrides = Annotated[list[str] | None, Option("--set", help="Change one key: training.steps=100. May be repeated.")]
Out = Annotated[
    Path, Option("--out", "-o", help="Run folder. The same command on it resumes or reports what is there.")
]
Seed = Annotated[int, Option("--seed", help="Seed of every random draw.")]
AsJson = Annotated[bool, Option("--json", help="Print the results record as JSON.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress on standard error.")]
Genomes = Annotated[list[Path], Option("--genomes", help="FASTA or FASTQ files (gzip too), or folders of them.")]
TokenizerName = Annotated[
    str | None, Option("--tokenizer", help="nucleotide, kmer:K, kmer:K:STRIDE, bpe:DIR, or a vocabulary's folder.")
]
VocabularyFolder = Annotated[str | None, Option("--vocabulary", help="Run folder of a trained vocabulary.")]
TrainTable = Annotated[Path, Option("--train", help="Table with columns sequence,label (CSV, TSV, Parquet; .gz too).")]
DevTable = Annotated[Path | None, Option("--dev", help="Table to choose by; without it a seeded tenth of --train.")]
Gaps = Annotated[str, Option("--gaps", help="What to do with - . * in sequences: error or drop.")]
TestTable = Annotated[Path | None, Option("--test", help="Table scored once at the end.")]


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
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Stage 1: learn a vocabulary (VQ or HRQ) from genomes."""
    from vqdna.config import load_config
    from vqdna.genome.streams import sequence_files
    from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

    _prepare(quiet)
    resolved = load_config(VocabularyConfig, config, "vocabulary", [*(overrides or ()), *_gap_override(gaps)])
    results = run_vocabulary(resolved, genomes=sequence_files(genomes), out=out, seed=seed)
    _show(results, as_json, out, ("evaluation.reconstruction_accuracy", "evaluation.bits_per_base", "seconds"))


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
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Stage 2: pre-train a genome encoder by masked code modelling over a frozen tokenizer."""
    from vqdna.config import load_config
    from vqdna.genome.streams import sequence_files
    from vqdna.pretrain.train import PretrainConfig, run_pretrain

    _prepare(quiet)
    resolved = load_config(PretrainConfig, config, "pretrain", [*(overrides or ()), *_gap_override(gaps)])
    spec = _one_tokenizer(vocabulary, tokenizer)
    results = run_pretrain(resolved, tokenizer=spec, genomes=sequence_files(genomes), out=out, seed=seed)
    _show(
        results,
        as_json,
        out,
        ("evaluation.masked_accuracy", "evaluation.base_nats", "evaluation.nats_per_base", "seconds"),
    )


@app.command(
    epilog="Example: `vqdna finetune --encoder runs/encoder --train train.csv --test test.csv --out runs/task --json`"
)
def finetune(
    encoder: Annotated[Path, Option("--encoder", help="Run folder of a pre-trained genome encoder.")],
    train: TrainTable,
    out: Out,
    dev: DevTable = None,
    test: TestTable = None,
    labels: Annotated[
        Path | None, Option("--labels", help="Table name,label where the splits are FASTA files.")
    ] = None,
    config: ConfigName = "cpu",
    overrides: Overrides = None,
    task: Annotated[
        str | None, Option("--task", help="classification, multilabel or regression; else seen from the labels.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Stage 3: fine-tune a genome encoder on labelled sequences (LoRA, full, or a linear head)."""
    from vqdna.config import load_config
    from vqdna.finetune.train import FinetuneConfig, run_finetune

    _prepare(quiet)
    resolved = load_config(FinetuneConfig, config, "finetune", overrides or ())
    results = run_finetune(
        resolved, encoder=encoder, train=train, dev=dev, test=test, out=out, seed=seed, task=task, labels=labels
    )
    _show(results, as_json, out, ("dev", "test", "seconds"))


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

    _prepare()
    run_predict(model, Path(source), Path(output), batch_size=batch_size)


@app.command(epilog="Example: `vqdna encode --vocabulary runs/hrq genome.fa.gz -o codes.parquet`")
def encode(
    source: Annotated[str, typer.Argument(help="FASTA or FASTQ (gzip too); - for standard input.")],
    vocabulary: Annotated[str, Option("--vocabulary", help="Run folder of a trained vocabulary.")],
    output: Annotated[
        str, Option("--output", "-o", help=".parquet, .csv, .tsv or .bed; - for rows on standard output.")
    ] = "-",
    gaps: Gaps = "error",
    as_json: AsJson = False,
) -> None:
    """Codes of whole sequences: name, start, end (0-based, half-open) and one column per level."""
    from vqdna.inference.encode import encode_file
    from vqdna.tokenizers import load_tokenizer

    _gap_override(gaps)
    _prepare()
    totals = encode_file(load_tokenizer(f"vq:{vocabulary}"), source, output, gaps=gaps)
    if output == "-":
        return
    ambiguous = f"{totals['ambiguous']} letters read as N"
    text = (
        f"{totals['sequences']} sequences, {totals['bases']} bases ({ambiguous}), {totals['codes']} codes -> {output}"
    )
    _print(json.dumps(totals) if as_json else text)


@app.command(epilog="Example: `vqdna probe --tokenizer kmer:4 --train train.csv --test test.csv --json`")
def probe(
    train: TrainTable,
    test: Annotated[Path, Option("--test", help="Table scored once at the end.")],
    dev: DevTable = None,
    vocabulary: VocabularyFolder = None,
    tokenizer: TokenizerName = None,
    out: Annotated[Path | None, Option("--out", "-o", help="Folder for results.json.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """The paper's *Lin.*: logistic regression on a tokenizer's output alone."""
    from vqdna.benchmark.probe import probe_files

    _prepare()
    spec = _one_tokenizer(vocabulary, tokenizer)
    results = probe_files(spec, train=train, dev=dev, test=test, out=out, seed=seed)
    _show(results, as_json, out, ("features", "dev", "test", "seconds"))


@app.command(epilog="Example: `vqdna report runs/ -o report.html`")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders of run folders.")],
    output: Annotated[Path, Option("--output", "-o", help="The HTML file; it works offline.")] = Path("report.html"),
    title: Annotated[str, Option("--title", help="Headline of the page.")] = "VQDNA report",
    summary: Annotated[
        Path | None, Option("--summary", help="Also write the main numbers of all runs as JSON here.")
    ] = None,
) -> None:
    """One self-contained HTML page from run folders: curves, code usage, scores, configurations."""
    from vqdna.reports import write_report, write_summary

    write_report(runs, output, title=title)
    if summary is not None:
        write_summary(runs, summary)
    _print(str(output))


@app.command(epilog="Example: `vqdna benchmark --systems kmer-logreg cnn --datasets mouse/3 --seeds 3 --out runs/gue`")
def benchmark(
    systems: Annotated[
        list[str],
        Option("--systems", help="kmer-logreg, kmer-logreg:K, probe:TOKENIZER, cnn, encoder:DIR, encoder:DIR@CONFIG."),
    ],
    datasets: Annotated[list[str], Option("--datasets", help="GUE names such as mouse/3, tf/0, prom_core_tata.")],
    out: Out,
    seeds: Annotated[int, Option("--seeds", min=1, help="Seeds 0 .. N-1.")] = 3,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Systems x datasets x seeds under one protocol, resumable; a table of means and spread."""
    from vqdna.benchmark.runner import run_benchmark
    from vqdna.data_root import find_data_root

    _prepare(quiet)
    root = find_data_root()
    if root is None:
        raise InputError("no data root: set VQDNA_DATA to the folder that holds gue/")
    rows = run_benchmark(systems, datasets, seeds, out, root)
    _print(json.dumps(rows, indent=2) if as_json else (out / "summary.md").read_text())


@app.command(epilog="Example: `vqdna bpe --genomes genomes/ --out runs/bpe`, then `--tokenizer bpe:runs/bpe`")
def bpe(
    genomes: Genomes,
    out: Out,
    vocabulary_size: Annotated[int, Option("--vocabulary-size", min=5)] = 4096,
    max_bases: Annotated[
        int, Option("--max-bases", min=1000, help="Bases to train on, in windows spread over the genomes.")
    ] = 4_000_000,
    seed: Seed = 0,
) -> None:
    """Train the BPE rival (DNABERT-2's tokenizer) on genomes."""
    from vqdna.genome.streams import sequence_files
    from vqdna.tokenizers.learning import learn_bpe

    tokenizer = learn_bpe(sequence_files(genomes), vocabulary_size=vocabulary_size, max_bases=max_bases, seed=seed)
    tokenizer.save(out)
    _print(f"{tokenizer.level_sizes[0]} words, {tokenizer.bases_per_position:.2f} bases per word -> {out}")


@app.command(epilog="Example: `vqdna simulate --out simulated`, then `--train simulated/promoter/train.csv`")
def simulate(
    out: Annotated[Path, Option("--out", "-o", help="Folder for genomes/ and promoter/.")],
    species: Annotated[int, Option("--species", min=1)] = 4,
    bases: Annotated[int, Option("--bases", min=1000, help="Bases of each species.")] = 200_000,
    sequences: Annotated[int, Option("--sequences", min=10, help="Training sequences of the labelled task.")] = 3000,
    seed: Seed = 0,
) -> None:
    """Genomes and a labelled promoter task with known truth, to try things on without any data."""
    from vqdna.genome.simulate import write_example

    write_example(out, num_species=species, bases_per_species=bases, num_train=sequences, seed=seed)
    _print(f"{species} genomes and a promoter task -> {out}")


@app.command(epilog="Example: `vqdna doctor --json`")
def doctor(as_json: AsJson = False) -> None:
    """What this installation can use: versions, processor, data root, packages of the extras."""
    from vqdna.inspection import inspect_installation, show_installation

    facts = inspect_installation()
    _print(json.dumps(facts, indent=2) if as_json else show_installation(facts))


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, Option("--version", is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    if version:
        _print(__version__)
        raise typer.Exit


def _one_tokenizer(vocabulary: str | None, tokenizer: str | None) -> str:
    if (vocabulary is None) == (tokenizer is None):
        raise InputError("give either --vocabulary DIR or --tokenizer NAME")
    return vocabulary if vocabulary is not None else str(tokenizer)


def _gap_override(gaps: str) -> list[str]:
    """What `--gaps` changes in a configuration; nothing where it is the default. Refuses what it does not know."""
    if gaps not in ("error", "drop"):
        raise InputError(f"--gaps: got '{gaps}', expected 'error' or 'drop'")
    return [] if gaps == "error" else [f"data.gaps={gaps}"]


def _prepare(quiet: bool = False) -> None:
    """No second progress bar from the libraries underneath, and none of ours where `quiet`."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    if quiet:
        os.environ["VQDNA_QUIET"] = "1"


def _print(text: str) -> None:
    print(text.rstrip("\n"), flush=True)


def _show(results: Mapping[str, Any], as_json: bool, out: Path | None, keys: Sequence[str]) -> None:
    """The record as JSON, or its main numbers a line each; under torchrun from the first rank only."""
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        _print(json.dumps(results, indent=2))
        return
    for key in keys:
        value: Any = results
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            _print(f"{key}: {json.dumps(_rounded(value))}")
    if out is not None:
        _print(f"-> {out}")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def spread_options(arguments: Sequence[str]) -> list[str]:
    """Arguments with `--genomes a b` written out as `--genomes a --genomes b`, which is what the parser takes."""
    spread: list[str] = []
    repeating: str | None = None
    for argument in arguments:
        if argument.startswith("-") and argument != "-":
            repeating = argument if argument in SPREADING else None
            spread.append(argument)
        elif repeating and spread[-1] != repeating:
            spread.extend([repeating, argument])
        else:
            spread.append(argument)
    return spread


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs a command; a user's mistake becomes one line on standard error and exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=spread_options(given), prog_name="vqdna")
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    except SystemExit as end:
        if end.code == STOPPED:  # typer turns an interrupt into this code and says nothing
            print("vqdna: stopped; a training resumes from its last checkpoint with the same command", file=sys.stderr)
        raise


def _fail(message: str) -> None:
    print(f"vqdna: error: {message}", file=sys.stderr)
    raise SystemExit(2)
