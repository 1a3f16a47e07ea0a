"""The later sections of a study of variants: tracks along the genome, marker codes, trees, and classes.

Flow: Study -> Section of blocks; a section that the results say nothing of is left out. Must not know how a page is
laid out, nor how anything was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqdna.reports.content import MISSING, Block, Cell, Section, Table, decimal, listed, number_cell, percent
from vqdna.reports.runs import nested, number
from vqdna.studies.sars_cov_2.report.figures import track_chart, tree_chart
from vqdna.studies.sars_cov_2.report.results import UNITS, Study, as_bar, bar_cell, level_name, representation_words

RECOVERY_CAPTION = (
    "Mutated bases are inferred from changed codes and the footprint of planted substitutions, without a look at the "
    "genome's bases, and held against the alignment. Neighboring lost bases are one site."
)
TRACK_CAPTION = (
    "Lines: places where a quarter or more of the variant's test genomes have another code than the reference, the "
    "fainter the fewer. Triangles: known substitutions whose base is told exactly in most genomes that carry it; "
    "crosses: those not told, or not carried by these genomes. Below: genes."
)


def track_section(study: Study) -> Section | None:
    """Code changes along the genome, and the bases read off them."""
    held = {system: study.result("tracks", system) for system in study.systems}
    held = {system: found for system, found in held.items() if found}
    if not held:
        return None
    shown = study.main if study.main in held else next(iter(held))
    variants = [{**track, "row": row} for row, track in enumerate(held[shown]["variants"])]
    genes, num_bases = study.record["knowledge"]["genes"], study.record["knowledge"]["num_bases"]
    figure = track_chart(f"Code changes along the genome, {shown}", variants, genes, num_bases, TRACK_CAPTION)
    tables = [_recovery_table(held), _known_table(held[shown]["variants"])]
    return Section("tracks", "Along the genome", [], [Block(rows=[[figure]]), Block(tables=tables)])


def _recovery_table(held: Mapping[str, Any]) -> Table:
    rows = []
    for system, found in held.items():
        recovery = found["recovery"]
        cells = [
            bar_cell(as_bar(recovery[w][m]), percent=True)
            for w in ("within_0", "within_2")
            for m in ("precision", "recall")
        ]
        rows.append([Cell(system), *cells, number_cell(number(recovery["num_sites"]), f"{recovery['num_sites']:,}")])
    columns = ["system", "precision, exact, %", "recall, exact, %", "precision, ± 2, %", "recall, ± 2, %", "sites"]
    return Table(RECOVERY_CAPTION, columns, rows)


def _known_table(variants: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for track in variants:
        missing = [m["mutation"] for m in track["mutations"] if m["carried"] < 0.5]
        rows.append(
            [
                Cell(str(track["variant"])),
                Cell(listed(missing) or MISSING),
                number_cell(number(track["num_known"]), str(track["num_known"])),
                number_cell(number(track["known_recall"]), percent(number(track["known_recall"]))),
                number_cell(number(track["mean_mutations"]), decimal(number(track["mean_mutations"]), 1)),
                number_cell(
                    number(track["mean_changed_positions"]), decimal(number(track["mean_changed_positions"]), 0)
                ),
            ]
        )
    columns = [
        "variant", "known, but rare in these genomes", "known substitutions", "told of those carried",
        "mutations a genome",
        "changed positions a genome",
    ]  # fmt: skip
    return Table("Known substitutions of each variant, of Nextclade's tree, in its test genomes.", columns, rows, 2)


def marker_section(study: Study) -> Section | None:
    """Codes that mark a variant."""
    shown = study.main
    placed = nested(study.result("markers", shown), "placed")
    tables = [_marker_table(placed, study.level_sizes(shown))] if isinstance(placed, list) else []
    counts = _anywhere_rows(study)
    if counts:
        variants = [str(v["name"]) for v in study.record["knowledge"]["variants"]]
        held = [name for name in variants if name in study.record["inputs"]["per_variant"]]
        caption = (
            "Codes of a level that mark a variant by occurring anywhere in its genomes: in nine of ten train genomes "
            "of the variant and at most one of twenty others."
        )
        tables.append(Table(caption, ["system", "level", *held], counts, 2))
    if not tables:
        return None
    sentences = [
        "A code marks a variant where nine of ten of its train genomes have it at one place of the reference and at "
        "most one of twenty others has. Beside each stand the bases around it, and the mutation that it follows "
        "from. Below: codes that mark a variant wherever they occur, which is rare where words are few and the "
        "genome is long."
    ]
    return Section("markers", "Marker codes", sentences, [Block(tables=tables)])


def _marker_table(placed: Sequence[Mapping[str, Any]], level_sizes: Sequence[int]) -> Table:
    rows = []
    for record in placed:
        for marker in record["best"][:3]:
            rows.append(
                [
                    Cell(str(record["variant"])),
                    Cell(f"{marker['start']:,}"),
                    Cell(level_name(marker["level"], len(level_sizes))),
                    Cell(str(marker["code"])),
                    Cell(f"{marker['motif']} (reference {marker['reference']})"),
                    Cell("; ".join(marker["mutations"]) or MISSING),
                    Cell(listed(marker["genes"]) or "between genes"),
                    number_cell(number(marker["held"]), percent(number(marker["held"]))),
                    number_cell(number(marker["elsewhere"]), percent(number(marker["elsewhere"]))),
                ]
            )
    columns = ["variant", "base", "level", "code", "motif", "mutation", "gene", "held", "elsewhere"]
    total = sum(sum(record["num_markers"]) for record in placed)
    caption = f"The best three places of each variant, of {total:,} found on train; shares are those of test genomes."
    return Table(caption, columns, rows, 7)


def _anywhere_rows(study: Study) -> list[list[Cell]]:
    rows = []
    for system in study.systems:
        anywhere = nested(study.result("markers", system), "anywhere")
        if isinstance(anywhere, Mapping):
            count = len(study.level_sizes(system))
            for level in range(count):
                cells = [number_cell(n := number(held[level]), f"{n:.0f}") for held in anywhere.values()]
                rows.append([Cell(system), Cell(level_name(level, count)), *cells])
    return rows


def tree_section(study: Study) -> Section | None:
    """Trees of the variants against Pango's hierarchy."""
    rows, order = [], []
    for system in study.systems:
        for source in ("places", "counts"):
            tree = nested(study.result("tree", system), source)
            if isinstance(tree, Mapping):
                order = tree["names"]
                rows += [_tree_row(system, source, method, tree) for method in ("neighbor_joining", "average_linkage")]
    if not rows:
        return None
    columns = [
        "system", "distance", "method", "clades shared", "against", "Robinson-Foulds (least)", "cophenetic correlation",
        "of genomes", "variants in one clade",
    ]  # fmt: skip
    caption = (
        "Clades of Pango's names that the tree of variants has, and its own that contradict them; Robinson-Foulds "
        "counts clades that one of the two has, the least is what a tree of twos cannot do without. Cophenetic: "
        "correlation of ways through the tree with steps between lineage names, of variants, and of genomes with "
        "their own lineages."
    )
    figures = [
        tree_chart(f"{system}, codes at their places", newick, order, "Neighbor joining, rooted at the reference.")
        for system in dict.fromkeys((study.main, "kmer:6"))
        if isinstance(newick := nested(study.result("tree", system), "places", "neighbor_joining", "newick"), str)
    ]
    clades = _clade_table(study)
    blocks = [Block(rows=[figures]), Block(tables=[Table(caption, columns, rows, 3), *([clades] if clades else [])])]
    return Section("tree", "Trees", [], blocks)


def _tree_row(system: str, source: str, method: str, tree: Mapping[str, Any]) -> list[Cell]:
    held = tree[method]
    correlation, own = number(held["cophenetic_correlation"]), number(tree["genome_cophenetic_correlation"])
    return [
        Cell(system),
        Cell({"places": "codes at places", "counts": "code counts"}[source]),
        Cell(method.replace("_", " ")),
        number_cell(number(held["num_clades_shared"]), f"{held['num_clades_shared']} of {held['num_clades_wanted']}"),
        number_cell(number(held["num_contradicting"]), f"{held['num_contradicting']} of {held['num_clades']}"),
        number_cell(number(held["robinson_foulds"]), f"{held['robinson_foulds']} ({held['least_robinson_foulds']})"),
        number_cell(correlation, decimal(correlation, 2)),
        number_cell(own, decimal(own, 2)),
        number_cell(number(tree["variants_in_one_clade"]), percent(number(tree["variants_in_one_clade"]), 0)),
    ]


def _clade_table(study: Study) -> Table | None:
    rows = []
    for system in study.systems:
        wanted = nested(study.result("tree", system), "places", "neighbor_joining", "wanted")
        for record in wanted if isinstance(wanted, list) else []:
            support = number(record["support"])
            found = "yes" if record["found"] else "no"
            rows.append(
                [Cell(system), Cell(listed(record["clade"])), Cell(found), number_cell(support, percent(support, 0))]
            )
    caption = (
        "Pango's clades in the neighbor-joining trees from codes at places; support: share of resampled genome sets."
    )
    return Table(caption, ["system", "clade", "found", "support"], rows, 3) if rows else None


def class_section(study: Study) -> Section | None:
    """Classification of windows and of whole genomes."""
    rows = []
    for system in study.systems:
        found = study.result("linear", system)
        for name in nested(found, "random", "windows") or {}:  # type: ignore[attr-defined]
            cells = [
                bar_cell(as_bar(nested(found, split, unit, name)), percent=True)
                for unit in UNITS
                for split in ("random", "by date")
            ]
            rows.append([Cell(f"{system}, linear"), Cell(representation_words(name)), *cells])
    rows += tuned_rows(study)
    if not rows:
        return None
    columns = ["system", "reads", "genomes", "genomes, by date", "windows", "windows, by date"]
    unseen = study.record["splits"].get("by date")
    sentences = ["Macro-F1 times 100 on test; regularization was chosen on dev, test was scored once."]
    if unseen:
        sentences.append(
            f"By date: train and dev are genomes known by {unseen['cutoff']}, test is later ones, of which "
            f"{100 * unseen['test_of_unseen_lineages']:.0f} % are of lineages that train has not."
        )
    sentences += tuned_sentences(study)
    caption = "Many windows hold no place that tells variants apart, so no system can come near 100 on them."
    return Section("classes", "Classes", sentences, [Block(tables=[Table(caption, columns, rows, 2)])])


def tuned_rows(study: Study) -> list[list[Cell]]:
    """Scores of the fine-tuned encoder, and of probes on the windows that it learned from."""
    tuned = nested(study.record, "fine_tuned", "result")
    if not isinstance(tuned, Mapping):
        return []
    scores = {"encoder, LoRA": tuned, **{f"{n}, linear": {"windows": s} for n, s in tuned.get("controls", {}).items()}}
    rows = []
    for name, held in scores.items():
        genomes, windows = (bar_cell(as_bar(held.get(unit)), percent=True) for unit in UNITS)
        reads = f"{tuned['num_windows']['train']:,} training windows"
        rows.append([Cell(name), Cell(reads), genomes, Cell(MISSING), windows, Cell(MISSING)])
    return rows


def tuned_sentences(study: Study) -> list[str]:
    """What the fine-tuned encoder learned from, and whether it learned anything."""
    windows = nested(study.record, "fine_tuned", "result", "num_windows", "train")
    if not isinstance(windows, int):
        return []
    found = [
        f"The encoder is fine-tuned on {windows:,} windows of the training genomes; below it stand probes on those "
        "very windows. It tells a genome by the mean over its windows."
    ]
    chance = 1 / len(study.record["inputs"]["per_variant"])
    by_window = study.bar("fine_tuned", "result", "windows")
    if by_window and by_window.low <= chance:
        found.append(f"On windows it is not above chance ({100 * chance:.1f}).")
    return found
