"""What comes before the stages: `bpe` and `simulate`.

One function per command, its docstring the help text; each imports what it drives only when called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from vqdna.cli import options as opt
from vqdna.cli.application import app


@app.command(epilog="Example: `vqdna bpe --genomes genomes/ --out runs/bpe`, then `--tokenizer bpe:runs/bpe`")
def bpe(
    genomes: opt.Genomes,
    out: opt.Out,
    vocabulary_size: int = Option(4096, min=5, help="Tokens to learn."),
    max_bases: int = Option(4_000_000, min=1000, help="Bases to train on, taken from windows all over the genomes."),
    seed: opt.Seed = 0,
) -> None:
    """Train the BPE baseline, DNABERT-2's kind of tokenizer, on genomes."""
    from vqdna.genome.streams import sequence_files
    from vqdna.tokenizers.learning import learn_bpe

    tokenizer = learn_bpe(sequence_files(genomes), vocabulary_size=vocabulary_size, max_bases=max_bases, seed=seed)
    tokenizer.save(out)
    opt.print_result(f"{tokenizer.level_sizes[0]} tokens, {tokenizer.bases_per_position:.2f} bases per token -> {out}")


@app.command(epilog="Example: `vqdna simulate --out simulated`, then `--train simulated/promoter/train.csv`")
def simulate(
    out: Annotated[Path, Option("--out", "-o", help="Folder for the files: genomes/ and promoter/.")],
    species: int = Option(4, min=1, help="Genomes to make."),
    bases: int = Option(200_000, min=1000, help="Bases of each species."),
    sequences: int = Option(3000, min=10, help="Training sequences of the promoter task."),
    seed: opt.Seed = 0,
) -> None:
    """Make up genomes and a labelled promoter task, to try everything without any data."""
    from vqdna.simulation.genomes import write_example

    write_example(out, num_species=species, bases_per_species=bases, num_train=sequences, seed=seed)
    opt.print_result(f"{species} genomes and a promoter task -> {out}")
