"""`vqdna study species`: species classification at every length of the poster's table, and its page."""

from __future__ import annotations

from typer import Option

from vqdna.cli.options import AsJson, Out, PlanOnly, Quiet, prepare
from vqdna.cli.study import print_rows, study

EXAMPLE = "vqdna study species --genomes klebsiella --lengths 1k,20k --out runs/species --encoder small=small"


@study.command(epilog=f"Example: `{EXAMPLE}`")
def species(
    out: Out,
    genomes: list[str] | None = Option(
        None,
        help="Folders of FASTA files (each a species), tables species,file, or sets by name: mammals, kingdoms, "
        "klebsiella, blochmannia, hyenadna. Those at hand without it.",
    ),
    lengths: str | None = Option(None, help="Windows, such as 1k,20k,32k,250k,450k."),
    systems: list[str] | None = Option(
        None, help="spectrum, nucleotide, kmer6, bpe, vqdna-vq, vqdna-hrq, hyena or names given below."
    ),
    tokenizer: list[str] | None = Option(
        None,
        help="NAME=SPEC: counts of its tokens. May be repeated; bpe, vqdna-vq and vqdna-hrq are "
        "trained on the genomes without it.",
    ),
    encoder: list[str] | None = Option(
        None, help="NAME=DIR or built-in name: its pooled hidden states. May be repeated."
    ),
    finetune_up_to: str | None = Option(None, help="Also fine-tune encoders on windows up to this length, such as 1k."),
    seeds: int | None = Option(None, min=1, help="Seeds 0 .. N-1; 5, or 1 with --quick."),
    budget: float | None = Option(None, min=1, help="Processor seconds an encoder may take for a run; 180."),
    memory: float | None = Option(None, min=0, help="Gigabytes that a run may take; all that are free without it."),
    max_bases: int | None = Option(None, min=1, help="Bases used of a species, about; 600,000."),
    min_fill: float = Option(1.0, min=0, max=1, help="Least share of a window that is DNA; the rest is N at its left."),
    quick: bool = Option(False, "--quick", help="Fewer windows and short lengths: minutes on two cores."),
    plan: PlanOnly = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Which species is a window from? HyenaDNA's task at 1k to 450k bases, beside what composition alone tells."""
    from dataclasses import replace

    from vqdna.cli.options import named_sources
    from vqdna.data_root import find_data_root
    from vqdna.errors import InputError
    from vqdna.studies.species.cells import LENGTHS, PRESETS, QUICK_LENGTHS, QUICK_SETS, parse_lengths
    from vqdna.studies.species.plan import Study
    from vqdna.studies.species.report.section import write_species_page
    from vqdna.studies.species.sets import find_species_set, sets_at_hand
    from vqdna.studies.species.study import run_species_study
    from vqdna.weights import part_folder

    prepare(quiet)
    root = find_data_root()
    names = genomes or [name for name in sets_at_hand(root) if not quick or name in QUICK_SETS]
    if not names:
        raise InputError("no species set lies in the data root; give --genomes DIR, TABLE or NAME")
    encoders = named_sources(encoder or (), "--encoder")
    preset = PRESETS["quick" if quick else "full"]
    preset = replace(
        preset,
        seeds=seeds or preset.seeds,
        budget=budget or preset.budget,
        max_bases=max_bases or preset.max_bases,
    )
    rows = run_species_study(
        Study(
            sets=tuple(find_species_set(name, root) for name in dict.fromkeys(names)),
            out=out,
            lengths=parse_lengths(lengths or (QUICK_LENGTHS if quick else LENGTHS)),
            preset=preset,
            tokenizers=named_sources(tokenizer or (), "--tokenizer"),
            encoders={name: str(part_folder(source, "encoder")) for name, source in encoders.items()},
            min_fill=min_fill,
            finetune_up_to=max(parse_lengths(finetune_up_to)) if finetune_up_to else 0,
            memory=None if memory is None else int(memory * 1e9),
        ),
        systems=systems,
        plan_only=plan,
    )
    if plan:
        return
    write_species_page(out)
    print_rows(rows, out, as_json)
