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

from vqdna.cli import options as opt
from vqdna.cli.application import app
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
    out: opt.Out,
    suite: str | None = Option(None, help="gue, gue-13 (complete ones), eep, paper, covid-like, or own."),
    datasets: list[str] | None = Option(None, help="Names such as mouse/3, tf/0, prom_core_tata; covid-windows."),
    seeds: opt.Seeds = 3,
    protocol: str | None = Option(None, help="full or reduced; without it what each dataset's files allow."),
    budget: str = Option("cpu", help="cpu, gpu, whole, or a YAML file: limits for all systems."),
    genomes: list[Path] | None = Option(
        None, help="What tokenizers and encoders learn from; the data root's without it."
    ),
    workers: int = Option(1, min=1, help="Processes; several calls may share a folder, too."),
    plan: opt.PlanOnly = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """Systems x datasets x seeds under one protocol, resumable; scores with intervals, ranks and costs."""
    from vqdna.benchmark.estimate import estimate
    from vqdna.benchmark.protocols import protocol_named
    from vqdna.benchmark.runner import checked_grid, run_grid

    opt.prepare(quiet)
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
        opt.print_result(estimate(grid, workers=workers).sentence())
        return
    result = run_grid(grid, workers)
    rows = [row.model_dump(mode="json", exclude_unset=True) for row in result.rows]
    opt.print_result(json.dumps(rows, indent=2) if as_json else (out / "summary.md").read_text())


def split_names(values: Sequence[str]) -> list[str]:
    """Names of an option that takes several, with commas or spaces between, each once."""
    return list(dict.fromkeys(name for value in values for name in value.split(",") if name))


def benchmark_datasets(suite: str | None, datasets: Sequence[str] | None, protocol: str | None) -> list[str]:
    """Names of the datasets asked for: those of the suite that are there, narrowed to `datasets` if both are given."""
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
        if not is_quiet():
            print(f"left out, {reason}: {lacking}", file=sys.stderr, flush=True)
    if not chosen:
        raise InputError(
            f"suite {suite}: none of its datasets is in the data root; `vqdna datasets list` shows what is"
        )
    return list(chosen)


@app.command(epilog="Example: `vqdna probe --tokenizer kmer:4 --train train.csv --test test.csv --json`")
def probe(
    train: opt.TrainTable,
    test: Annotated[Path, Option("--test", help="Table scored once at the end.")],
    dev: opt.DevTable = None,
    vocabulary: opt.VocabularyFolder = None,
    tokenizer: opt.TokenizerName = None,
    out: Path | None = Option(None, "--out", "-o", help="Folder for results.json."),
    max_train: int | None = Option(None, min=2, help="Fit on so many sequences, a seeded draw; all without it."),
    seed: opt.Seed = 0,
    as_json: opt.AsJson = False,
) -> None:
    """The paper's *Lin.*: logistic regression on a tokenizer's output alone."""
    from vqdna.baselines.probe import Limits, probe_files

    opt.prepare()
    spec = opt.one_tokenizer(vocabulary, tokenizer)
    results = probe_files(spec, train=train, dev=dev, test=test, out=out, seed=seed, limits=Limits(train=max_train))
    opt.show(results.to_json(), as_json, out, ("features", "dev", "test", "seconds"))
