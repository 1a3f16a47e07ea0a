"""`vqdna study sars-cov-2`: what codes know of the lineages of a virus, as numbers and as one page.

Resolves the user's files, or those of the data root, runs the study and writes its page. It must not know how anything
is measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from typer import Option

from vqdna.cli.options import AsJson, Out, Quiet, Seed, named_sources, prepare, print_result
from vqdna.cli.study import study
from vqdna.errors import InputError

if TYPE_CHECKING:
    from vqdna.studies.sars_cov_2.study import Inputs


@study.command(
    "sars-cov-2",
    epilog="Example: `vqdna study sars-cov-2 --genomes lineages.fa --reference reference.fa --labels labels.csv "
    "--out runs/lineages`",
)
def sars_cov_2(
    out: Out,
    genomes: list[Path] | None = Option(
        None, help="FASTA of the lineages' genomes (gzip too), or folders; the data root's without it."
    ),
    reference: Path | None = Option(None, help="FASTA of Wuhan-Hu-1 alone; the data root's without it."),
    labels: Path | None = Option(
        None, help="Table name,label[,lineage,date]; without it headers '>name label [lineage [date]]'."
    ),
    training: list[Path] | None = Option(
        None,
        "--training-genomes",
        help="Genomes without this virus that vocabularies learn from, or folders; the data root's without it.",
    ),
    vocabularies: list[str] | None = Option(
        None, "--vocabulary", help="A vocabulary of your own as NAME=DIR. May be repeated."
    ),
    encoder: str = Option("small", help="Encoder that is fine-tuned: a built-in one, a run folder, or none."),
    knowledge: Path | None = Option(None, help="YAML of genes, lineages and mutations; SARS-CoV-2's without it."),
    per_variant: str | None = Option(None, help="Genomes of each lineage in train, dev and test; 60,20,40 without it."),
    quick: bool = Option(False, "--quick", help="A few genomes and short trainings: minutes on two cores."),
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """The paper's SARS-CoV-2 study: embeddings, coarse against fine, mutations, trees and classes, beside k-mers."""
    from rich.console import Console

    from vqdna.studies.sars_cov_2.report.findings import findings
    from vqdna.studies.sars_cov_2.report.page import needed_for_lineages, write_lineage_page
    from vqdna.studies.sars_cov_2.study import FULL, QUICK, QUICK_TRAINED, QUICK_VOCABULARY, run_lineage_study
    from vqdna.studies.sars_cov_2.systems import BPE, TRAINED

    prepare(quiet)
    needed_for_lineages()
    sizes = QUICK if quick else FULL
    if per_variant is not None:
        sizes = replace(sizes, genomes=three_counts(per_variant))
    inputs = resolve_inputs(genomes, reference, labels, training, vocabularies or [], encoder, knowledge, quick=quick)
    summary = run_lineage_study(
        inputs,
        out,
        sizes=sizes,
        trained=(*(QUICK_TRAINED if quick else TRAINED), BPE),
        vocabulary_overrides=QUICK_VOCABULARY if quick else (),
        seed=seed,
        console=Console(stderr=True, quiet=quiet),
    )
    page = write_lineage_page(out)
    text = json.dumps(summary.as_json(), indent=2) if as_json else "\n".join([*findings(summary), f"-> {page}"])
    print_result(text)


def three_counts(text: str) -> tuple[int, int, int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise InputError(f"--per-variant '{text}': expected three whole numbers for train, dev and test, as 60,20,40")
    train, dev, test = map(int, parts)
    return train, dev, test


def resolve_inputs(
    genomes: list[Path] | None,
    reference: Path | None,
    labels: Path | None,
    training: list[Path] | None,
    vocabularies: list[str],
    encoder: str,
    knowledge: Path | None,
    *,
    quick: bool,
) -> Inputs:
    """Files of the study: the user's, and for what they left out the data root's, where there is one."""
    from vqdna.data_root import find_data_root
    from vqdna.genome.streams import sequence_files
    from vqdna.studies.sars_cov_2.knowledge import SARS_COV_2
    from vqdna.studies.sars_cov_2.study import Inputs
    from vqdna.studies.sars_cov_2.systems import BUILT_IN
    from vqdna.tasks.covid_windows import REFERENCE_FILE, SUBSTITUTIONS_FILE, VARIANTS_FILE
    from vqdna.weights import built_in_folder, part_folder

    root = find_data_root()
    if root is None and (genomes is None or reference is None):
        raise InputError("give --genomes and --reference: there is no data root (VQDNA_DATA) to take them from")
    place = root or Path()
    if genomes is None and labels is None:
        labels = place / SUBSTITUTIONS_FILE
    learned_from = training or ([place / ("genomes/viruses" if quick else "genomes")] if root else [])
    folders = {BUILT_IN: built_in_folder(BUILT_IN, "vocabulary")}
    folders |= {name: part_folder(folder, "vocabulary") for name, folder in named_folders(vocabularies).items()}
    return Inputs(
        genomes=tuple(sequence_files(genomes or [place / VARIANTS_FILE])),
        reference=reference or place / REFERENCE_FILE,
        labels=labels,
        training=tuple(sequence_files(learned_from)) if learned_from else (),
        vocabularies=folders,
        encoder=None if encoder == "none" else part_folder(encoder, "encoder"),
        knowledge=knowledge or SARS_COV_2,
    )


def named_folders(given: Sequence[str]) -> dict[str, Path]:
    """Folders of `NAME=DIR` options by name, none of them one of the study's own."""
    from vqdna.studies.sars_cov_2.systems import BPE, BUILT_IN, KMERS, TRAINED

    folders = named_sources(given, "--vocabulary", "DIR")
    for name in folders:
        if name in (*TRAINED, BPE, KMERS, BUILT_IN):
            raise InputError(f"--vocabulary: the name '{name}' is one of the study's own, choose another")
    return {name: Path(folder) for name, folder in folders.items()}
