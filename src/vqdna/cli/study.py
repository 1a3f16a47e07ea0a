"""`vqdna study`: experiments of many runs, resumable, which several processes may share.

One function per study, its docstring the help text; each imports what it drives only when called.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from vqdna.cli import options as opt
from vqdna.cli.application import app

if TYPE_CHECKING:
    from pydantic import BaseModel

study = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Experiments of many runs: resumable, and several processes may share one folder.",
    epilog="Example: `vqdna study codebook --genomes genomes/ --out runs/codebook --cells hrq_k512 vq_k512 kmer_6`",
)
app.add_typer(study, name="study")


@study.callback()
def _together() -> None:
    """Experiments of many runs: resumable, and several processes may share one folder."""


def print_rows(rows: Sequence[BaseModel], out: Path, as_json: bool) -> None:
    records = [row.model_dump(mode="json", exclude_unset=True) for row in rows]
    opt.print_result(json.dumps(records, indent=2) if as_json else (out / "summary.md").read_text())


@study.command(
    epilog="Example: `vqdna study codebook --genomes genomes/ --out runs/codebook --cells hrq_k512 vq_k512 kmer_6`"
)
def codebook(
    genomes: opt.Genomes,
    out: opt.Out,
    cells: list[str] | None = Option(None, help="Rows of configs/vocabulary/ablations/, kmer_6, ...; all without it."),
    seeds: opt.Seeds = 3,
    preset: str = Option("scaled", help="scaled (an eighth of the paper's widths) or paper."),
    datasets: list[str] | None = Option(
        None, help="Names, or folders of train, dev and test tables; 13 GUE sets and covid-windows."
    ),
    max_train: int | None = Option(None, min=2, help="Training sequences of each dataset; the preset's without it."),
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """The paper's codebook ablation: Rec. and Lin. of quantizers, codebook sizes and widths, beside k-mers and BPE."""
    from vqdna.data_root import find_data_root
    from vqdna.genome.streams import sequence_files
    from vqdna.studies.codebook.study import DATASETS, run_codebook_study

    opt.prepare(quiet)
    rows = run_codebook_study(
        sequence_files(genomes),
        out,
        names=cells,
        seeds=seeds,
        preset=preset,
        datasets=datasets or DATASETS,
        max_train=max_train,
        data_root=find_data_root(),
    )
    print_rows(rows, out, as_json)


@study.command(
    epilog="Example: `vqdna study pretraining --encoders random:runs/small runs/small --datasets tf/0 --out runs/pay`"
)
def pretraining(
    encoders: Annotated[
        list[str],
        Option(
            "--encoders",
            help="Run folders of pre-trainings, snapshots, random: and one (untrained), or probe: and a tokenizer.",
        ),
    ],
    out: opt.Out,
    datasets: list[str] | None = Option(None, help="Names, or folders of train and dev tables; the 13 GUE sets."),
    seeds: opt.Seeds = 3,
    config: str = Option("small", "--config", "-c", help="Fine-tuning configuration, the same for all."),
    overrides: opt.Overrides = None,
    max_train: int | None = Option(None, min=2, help="Training sequences of each dataset; all without it."),
    max_dev: int | None = Option(None, min=2, help="Dev sequences of each dataset that are scored; all without it."),
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """What pre-training is worth: dev scores after the same fine-tuning, beside random weights; test stays unread."""
    from vqdna.data_root import find_data_root
    from vqdna.studies.pretraining.study import run_pretraining_study
    from vqdna.tasks.registry import GUE_13

    opt.prepare(quiet)
    rows = run_pretraining_study(
        encoders,
        out,
        datasets=datasets or GUE_13,
        seeds=seeds,
        config=config,
        overrides=overrides or (),
        max_train=max_train,
        max_dev=max_dev,
        data_root=find_data_root(),
    )
    print_rows(rows, out, as_json)
