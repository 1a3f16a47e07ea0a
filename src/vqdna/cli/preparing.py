"""What compares and reports: `probe`, `report`, `bpe`, `simulate` and `doctor`.

One function per command, its docstring the help text; each imports what it drives only when called.
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
    DevTable,
    Genomes,
    Out,
    Seed,
    TokenizerName,
    TrainTable,
    VocabularyFolder,
    one_tokenizer,
    prepare,
    print_result,
    show,
)


@app.command(epilog="Example: `vqdna probe --tokenizer kmer:4 --train train.csv --test test.csv --json`")
def probe(
    train: TrainTable,
    test: Annotated[Path, Option("--test", help="Table scored once at the end.")],
    dev: DevTable = None,
    vocabulary: VocabularyFolder = None,
    tokenizer: TokenizerName = None,
    out: Annotated[Path | None, Option("--out", "-o", help="Folder for results.json.")] = None,
    max_train: Annotated[
        int | None, Option("--max-train", min=2, help="Fit on so many sequences, a seeded draw; all without it.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """The paper's *Lin.*: logistic regression on a tokenizer's output alone."""
    from vqdna.baselines.probe import Limits, probe_files

    prepare()
    spec = one_tokenizer(vocabulary, tokenizer)
    results = probe_files(spec, train=train, dev=dev, test=test, out=out, seed=seed, limits=Limits(train=max_train))
    show(results, as_json, out, ("features", "dev", "test", "seconds"))


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
    print_result(str(output))


@app.command(epilog="Example: `vqdna pack --vocabulary runs/views --encoder runs/small --out models/mine`")
def pack(
    vocabulary: Annotated[
        Path, Option("--vocabulary", help="Run folder, or name, of the vocabulary inside the encoder.")
    ],
    encoder: Annotated[Path, Option("--encoder", help="Run folder of a finished pre-training.")],
    out: Annotated[Path, Option("--out", "-o", help="Folder to write; its name is the model's.")],
    study: Annotated[
        Path | None, Option("--study", help="Folder of a pre-training study; its scores go on the card.")
    ] = None,
    limits: Annotated[list[str] | None, Option("--limit", help="A sentence for the card. May be repeated.")] = None,
) -> None:
    """A trained model made small enough to ship: vocabulary, encoder in half precision, and a card."""
    from vqdna.inference.packing import pack as run_pack
    from vqdna.weights import part_folder

    prepare()
    sizes = run_pack(part_folder(vocabulary, "vocabulary"), encoder, out, study=study, limits=limits or ())
    print_result(", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in sizes.items()) + f" -> {out}")


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
    print_result(f"{tokenizer.level_sizes[0]} words, {tokenizer.bases_per_position:.2f} bases per word -> {out}")


@app.command(epilog="Example: `vqdna simulate --out simulated`, then `--train simulated/promoter/train.csv`")
def simulate(
    out: Annotated[Path, Option("--out", "-o", help="Folder for genomes/ and promoter/.")],
    species: Annotated[int, Option("--species", min=1)] = 4,
    bases: Annotated[int, Option("--bases", min=1000, help="Bases of each species.")] = 200_000,
    sequences: Annotated[int, Option("--sequences", min=10, help="Training sequences of the labelled task.")] = 3000,
    seed: Seed = 0,
) -> None:
    """Genomes and a labelled promoter task with known truth, to try things on without any data."""
    from vqdna.simulation.genomes import write_example

    write_example(out, num_species=species, bases_per_species=bases, num_train=sequences, seed=seed)
    print_result(f"{species} genomes and a promoter task -> {out}")


@app.command(epilog="Example: `vqdna doctor --json`")
def doctor(as_json: AsJson = False) -> None:
    """What this installation can use: versions, processor, data root, packages of the extras."""
    from vqdna.cli.installation import inspect_installation, show_installation

    facts = inspect_installation()
    print_result(json.dumps(facts, indent=2) if as_json else show_installation(facts))
