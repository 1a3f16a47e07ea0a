"""Options that several commands share, and how a command prints: results on standard output, progress elsewhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from vqdna.errors import InputError
from vqdna.quiet import QUIET

ConfigName = Annotated[
    str, Option("--config", "-c", help="A YAML file, or the name of a configuration of this stage in configs/.")
]
Overrides = Annotated[
    list[str] | None,
    Option("--set", help="Change one key of the configuration, such as training.steps=100. May be repeated."),
]
Out = Annotated[
    Path,
    Option(
        "--out", "-o", help="Run folder. The same command resumes an unfinished run in it, and reports a finished one."
    ),
]
Seed = Annotated[int, Option("--seed", help="Seed of all random numbers.")]
AsJson = Annotated[bool, Option("--json", help="Print the results as JSON.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Show no progress.")]
PlanOnly = Annotated[bool, Option("--plan", help="Estimate memory, work and time of the run, and stop.")]
Genomes = Annotated[list[Path], Option("--genomes", help="FASTA or FASTQ files, also gzipped, or folders of them.")]
TokenizerName = Annotated[
    str | None,
    Option(
        "--tokenizer", help="Tokenizer: nucleotide, kmer:K, kmer:K:STRIDE, bpe:DIR, or a vocabulary by name or folder."
    ),
]
VocabularyFolder = Annotated[
    str | None,
    Option("--vocabulary", help="Vocabulary: the built-in one, small (the default), or the run folder of another."),
]
EncoderFolder = Annotated[
    str, Option("--encoder", help="Genome encoder: the built-in one, small, or the run folder of another.")
]
TrainTable = Annotated[
    Path, Option("--train", help="Training table with columns sequence,label (CSV, TSV or Parquet, also gzipped).")
]
DevTable = Annotated[
    Path | None, Option("--dev", help="Table for choosing the best epoch. Without it, a random tenth of --train.")
]
BatchSize = Annotated[int, Option("--batch-size", min=1, help="Sequences at once; changes speed and memory only.")]
Precision = Annotated[
    str, Option("--precision", help="Numbers of the computation: fp32, bf16, or auto for the fastest on this machine.")
]
Seeds = Annotated[int, Option("--seeds", min=1, help="Seeds 0 .. N-1.")]
Gaps = Annotated[str, Option("--gaps", help="What to do with the gaps - . * in sequences: error or drop.")]
TestTable = Annotated[Path | None, Option("--test", help="Table that is scored once, at the end.")]


def one_tokenizer(vocabulary: str | None, tokenizer: str | None) -> str:
    """The tokenizer that one of the two options names; the built-in vocabulary where neither is given."""
    if vocabulary is not None and tokenizer is not None:
        raise InputError("give either --vocabulary DIR or --tokenizer NAME")
    return tokenizer if tokenizer is not None else vocabulary_spec(vocabulary)


def vocabulary_spec(vocabulary: str | None) -> str:
    """Tokenizer spec of a vocabulary given by name or folder; None is the built-in one."""
    from vqdna.weights import DEFAULT, built_in_folder, part_folder

    folder = built_in_folder(DEFAULT, "vocabulary") if vocabulary is None else part_folder(vocabulary, "vocabulary")
    return f"vq:{folder}"


def gap_override(gaps: str) -> list[str]:
    """What `--gaps` changes in a configuration; nothing where it is the default. Refuses what it does not know."""
    if gaps not in ("error", "drop"):
        raise InputError(f"--gaps: got '{gaps}', expected 'error' or 'drop'")
    return [] if gaps == "error" else [f"data.gaps={gaps}"]


def prepare(quiet: bool = False) -> None:
    """No second progress bar from the libraries underneath, and none of ours where `quiet`."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    if quiet:
        os.environ[QUIET] = "1"


def print_result(text: str) -> None:
    print(text.rstrip("\n"), flush=True)


def tell(totals: Mapping[str, Any], text: str, output: str, as_json: bool) -> None:
    """What was written to `output`, as JSON or in words; nothing where standard output holds it."""
    if output != "-":
        print_result(json.dumps(totals) if as_json else f"{text} -> {output}")


def show(results: Mapping[str, Any], as_json: bool, out: Path | None, keys: Sequence[str]) -> None:
    """The record as JSON, or its main numbers a line each; under torchrun from the first rank only."""
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        print_result(json.dumps(results, indent=2))
        return
    for key in keys:
        value: Any = results
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            print_result(f"{key}: {json.dumps(_rounded(value))}")
    if out is not None:
        print_result(f"-> {out}")


def show_plan(plan: Any, as_json: bool) -> None:
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        print_result(plan.model_dump_json(indent=2))
    else:
        plan.show(sys.stdout)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def named_sources(given: Sequence[str], option: str, source: str = "SOURCE") -> dict[str, str]:
    """Sources by name from `NAME=SOURCE` texts of an option; messages say what a `source` is."""
    found: dict[str, str] = {}
    for text in given:
        name, mark, value = text.partition("=")
        if not (name and mark and value):
            raise InputError(f"{option}: got '{text}', expected NAME={source}")
        if name in found:
            raise InputError(f"{option}: '{name}' is given twice")
        found[name] = value
    return found
