"""What looks into a tokenizer: `audit`, which measures its codes on genomes and writes a page beside the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from vqdna.cli.application import app
from vqdna.cli.options import (
    AsJson,
    Genomes,
    Quiet,
    Seed,
    TokenizerName,
    VocabularyFolder,
    prepare,
    show,
    vocabulary_spec,
)


@app.command(
    epilog="Example: `vqdna audit --vocabulary runs/hrq --tokenizer kmer:6 --genomes genome.fa --out runs/audit`"
)
def audit(
    genomes: Genomes,
    out: Annotated[Path, Option("--out", "-o", help="Folder for results.json and audit.html.")],
    vocabulary: VocabularyFolder = None,
    tokenizer: TokenizerName = None,
    annotation: Annotated[
        Path | None, Option("--annotation", help="GFF3, GTF or BED of the genome's sequences (.gz too).")
    ] = None,
    windows: Annotated[int, Option("--windows", min=0, help="Windows to look at; 0 takes all of the input.")] = 256,
    window: Annotated[int, Option("--window", min=1, help="Bases of a window.")] = 512,
    kmer: Annotated[int, Option("--kmer", min=2, max=12, help="Bases of the k-mers that describe a code.")] = 6,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure what the codes of a vocabulary hold, beside a second tokenizer: numbers and an HTML page."""
    from vqdna.audit.report.page import needed_for_audit, write_audit_page
    from vqdna.audit.run import run_audit
    from vqdna.genome.streams import sequence_files

    prepare(quiet)
    specs = [tokenizer] if tokenizer else []
    if vocabulary or not tokenizer:
        specs.insert(0, vocabulary_spec(vocabulary))
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
    show(shown if as_json else {**record, **shown}, as_json, out, (*record, "seconds"))
