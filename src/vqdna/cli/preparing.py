"""What comes before the stages, and between them: `bpe`, `simulate` and `compile`.

One function per command, its docstring the help text; each imports what it drives only when called.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from typer import Option

from vqdna.cli import options as opt
from vqdna.cli.application import app
from vqdna.cli.options import print_result
from vqdna.quantities import bytes_of


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
    print_result(f"{species} genomes and a promoter task -> {out}")


@app.command("compile", epilog="Example: `vqdna compile --vocabulary runs/vocabulary`")
def compile_vocabulary(
    vocabulary: str = Option(help="Folder of a trained vocabulary, or a built-in one."),
    as_json: opt.AsJson = False,
) -> None:
    """Turn a vocabulary into look-up tables, which encode a genome in seconds. Happens by itself when it pays.

    The tables lie in the cache folder. Their hashes are written into the vocabulary's folder: whoever uses it, on
    whatever machine, then gets the same codes or an error.
    """
    from vqdna.genome.cache import cache_folder
    from vqdna.tokenizers.vq import VqTokenizer
    from vqdna.weights import part_folder

    tokenizer = VqTokenizer.from_directory(part_folder(vocabulary, "vocabulary"))
    levels = tokenizer.make_tables()
    if as_json:
        print_result(json.dumps([level._asdict() for level in levels], indent=2))
        return
    lines = [
        f"level {number}: {level.num_bases} bases, {bytes_of(level.num_bytes):>8}  {level.sha256[:16]}"
        for number, level in enumerate(levels)
    ]
    print_result("\n".join([*lines, str(cache_folder("tables"))]))
