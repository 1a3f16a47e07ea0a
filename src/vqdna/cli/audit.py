"""The commands that make a page: `audit`, which measures a tokenizer's codes, and `report` on run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from vqdna.cli import options as opt
from vqdna.cli.application import app
from vqdna.cli.options import print_result


@app.command(
    epilog="Example: `vqdna audit --vocabulary runs/hrq --tokenizer kmer:6 --genomes genome.fa --out runs/audit`"
)
def audit(
    genomes: opt.Genomes,
    out: Annotated[Path, Option("--out", "-o", help="Folder for results.json and audit.html.")],
    vocabulary: opt.VocabularyFolder = None,
    tokenizer: opt.TokenizerName = None,
    annotation: Path | None = Option(None, help="GFF3, GTF or BED of the genome's sequences (.gz too)."),
    windows: int = Option(256, min=0, help="Windows to look at; 0 takes all of the input."),
    window: int = Option(512, min=1, help="Bases of a window."),
    kmer: int = Option(6, min=2, max=12, help="Bases of the k-mers that describe a code."),
    seed: opt.Seed = 0,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
) -> None:
    """Measure what the codes of a vocabulary hold, beside a second tokenizer: numbers and an HTML page."""
    from vqdna.audit.report.page import needed_for_audit, write_audit_page
    from vqdna.audit.run import run_audit
    from vqdna.genome.streams import sequence_files

    opt.prepare(quiet)
    specs = [tokenizer] if tokenizer else []
    if vocabulary or not tokenizer:
        specs.insert(0, opt.vocabulary_spec(vocabulary))
    needed_for_audit()
    results = run_audit(
        specs,
        genomes=sequence_files(genomes),
        out=out,
        annotation=annotation,
        num_windows=windows,
        window=window,
        kmer=kmer,
        seed=seed,
    )
    write_audit_page(out)
    record = {
        audit.name: {
            "bits_per_base": audit.usage.nominal_bits_per_base,
            "nats_per_base": audit.nats_per_base.total,
            "changes_seen": audit.sensitivity.altered_fraction,
        }
        for audit in results.tokenizers
    }
    shown = results.model_dump(mode="json")
    opt.show(shown if as_json else {**record, **shown}, as_json, out, (*record, "seconds"))


@app.command(epilog="Example: `vqdna report runs/ -o report.html`")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders of run folders.")],
    output: Path = Option(Path("report.html"), "--output", "-o", help="HTML file to write; it works offline."),
    title: str = Option("VQDNA report", help="Title of the page."),
    summary: Path | None = Option(None, help="Also write the main numbers of all runs to this JSON file."),
) -> None:
    """Make one HTML page from run folders: curves, code usage, scores, configurations."""
    from vqdna.whole_report import write_main_numbers, write_report

    write_report(runs, output, title=title)
    if summary is not None:
        write_main_numbers(runs, summary)
    print_result(str(output))
