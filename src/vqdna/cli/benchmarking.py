"""`vqdna benchmark`: systems x datasets x seeds under one protocol and one budget.

It takes names apart and prints; everything else is `vqdna.benchmark.runner`'s.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Option

from vqdna.cli.application import app
from vqdna.cli.options import (
    AsJson,
    DevTable,
    Out,
    PlanOnly,
    Quiet,
    Seed,
    TokenizerName,
    TrainTable,
    VocabularyFolder,
    one_tokenizer,
    prepare,
    print_result,
    show,
)
from vqdna.errors import InputError
from vqdna.quiet import is_quiet

SYSTEMS_HELP = (
    "Tokenizers with an encoder that is pre-trained here: vqdna-views, vqdna-hrq, vqdna-vq, nucleotide, kmer3, kmer6, "
    "bpe, hyena, random-init. Baselines: kmer-logreg[:K], kmer-lightgbm, cnn[:EPOCHS]. Yours: encoder:DIR[@CONFIG], "
    "probe:TOKENIZER[@DIMENSIONS], cnn-words:TOKENIZER. Averages: average:cnn+vqdna-views. With commas or spaces "
    "between."
)


@app.command(
    epilog="Example: `vqdna benchmark --suite gue --systems vqdna-views,kmer-logreg,cnn --seeds 3 --out runs/gue`, "
    "or `vqdna benchmark --datasets mouse/3,tf/0 --systems encoder:small,cnn --seeds 1 --out runs/two`"
)
def benchmark(
    systems: Annotated[list[str], Option("--systems", help=SYSTEMS_HELP)],
    out: Out,
    suite: Annotated[
        str | None, Option("--suite", help="gue, gue-13 (complete ones), eep, paper, covid-like, or own.")
    ] = None,
    datasets: Annotated[
        list[str] | None, Option("--datasets", help="Names such as mouse/3, tf/0, prom_core_tata; covid-windows.")
    ] = None,
    seeds: Annotated[int, Option("--seeds", min=1, help="Seeds 0 .. N-1.")] = 3,
    protocol: Annotated[
        str | None, Option("--protocol", help="full or reduced; without it what each dataset's files allow.")
    ] = None,
    budget: Annotated[str, Option("--budget", help="cpu, gpu, whole, or a YAML file: limits for all systems.")] = "cpu",
    genomes: Annotated[
        list[Path] | None,
        Option("--genomes", help="What tokenizers and encoders learn from; the data root's without it."),
    ] = None,
    workers: Annotated[int, Option("--workers", min=1, help="Processes; several calls may share a folder, too.")] = 1,
    plan: PlanOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Systems x datasets x seeds under one protocol, resumable; scores with intervals, ranks and costs."""
    from vqdna.benchmark.estimate import estimate
    from vqdna.benchmark.protocols import protocol_named
    from vqdna.benchmark.runner import checked_grid, run_grid

    prepare(quiet)
    grid = checked_grid(
        split_names(systems),
        benchmark_datasets(suite, datasets, protocol),
        seeds,
        out,
        protocol=None if protocol is None else protocol_named(protocol),
        budget=budget,
        genomes=genomes or (),
    )
    if plan:
        print_result(estimate(grid, workers=workers).sentence())
        return
    result = run_grid(grid, workers)
    rows = [row.model_dump(mode="json", exclude_unset=True) for row in result.rows]
    print_result(json.dumps(rows, indent=2) if as_json else (out / "summary.md").read_text())


def split_names(values: Sequence[str]) -> list[str]:
    """Names of an option that takes several, with commas or spaces between, each once."""
    return list(dict.fromkeys(name for value in values for name in value.split(",") if name))


def benchmark_datasets(suite: str | None, datasets: Sequence[str] | None, protocol: str | None) -> list[str]:
    """Names of the datasets asked for: those of the suite that are there, narrowed to `datasets` where both are given.

    Raises:
        InputError: neither was given, or nothing is left.
    """
    from vqdna.benchmark.protocols import protocol_named
    from vqdna.benchmark.suites import suite_names, with_protocols
    from vqdna.data_root import find_data_root
    from vqdna.tasks.registry import dataset

    if find_data_root() is None:
        raise InputError("no data root: set VQDNA_DATA to the folder that holds gue/")
    named = [dataset(name).name for name in split_names(datasets or ())]
    if suite is None:
        if not named:
            raise InputError("say which datasets: --suite gue, or --datasets mouse/3,tf/0")
        return named
    members = [name for name in suite_names(suite) if not named or name in named]
    chosen, left_out = with_protocols(members, None if protocol is None else protocol_named(protocol), all_needed=False)
    for reason in dict.fromkeys(left_out.values()):
        lacking = ", ".join(name for name, why in left_out.items() if why == reason)
        warn(f"left out, {reason}: {lacking}")
    if not chosen:
        raise InputError(
            f"suite {suite}: none of its datasets is in the data root; `vqdna datasets list` shows what is"
        )
    return list(chosen)


def warn(text: str) -> None:
    """A line on standard error, unless the command is to be quiet."""
    if not is_quiet():
        print(text, file=sys.stderr, flush=True)


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
    show(results.to_json(), as_json, out, ("features", "dev", "test", "seconds"))
