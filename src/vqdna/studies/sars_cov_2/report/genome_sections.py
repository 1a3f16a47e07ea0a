"""The later sections of the study's page: tracks along the genome, marker codes, trees, and classes.

Flow: Summary -> Section of blocks; a section that the results say nothing of is left out. Must not know how a page is
laid out, nor how anything was measured.
"""

from __future__ import annotations

from vqdna.reports.content import MISSING, Block, Cell, Section, Table, listed
from vqdna.studies.sars_cov_2.report.figures import track_chart, tree_chart
from vqdna.studies.sars_cov_2.report.rows import (
    answers,
    count_cell,
    decimal_cell,
    level_name,
    representation_words,
    score_cell,
    share_cell,
)
from vqdna.studies.sars_cov_2.results import LineageMarkers, LineageTrack, Tracks, Trees
from vqdna.studies.sars_cov_2.summary import BY_DATE, RANDOM, Summary

RECOVERY_CAPTION = (
    "Mutated bases are inferred from changed codes and the footprint of in-silico substitutions, without a look at the "
    "genome's bases, and held against the alignment. Neighboring lost bases are one site."
)
TRACK_CAPTION = (
    "Lines: places where a quarter or more of the lineage's test genomes have another code than the reference, the "
    "fainter the fewer. Triangles: known substitutions whose base is told exactly in most genomes that carry it; "
    "crosses: those not told, or not carried by these genomes. Below: genes."
)
ANYWHERE_CAPTION = (
    "Codes of a level that mark a lineage by occurring anywhere in its genomes: in nine of ten train genomes of the "
    "lineage and at most one of twenty others."
)
MARKER_SENTENCE = (
    "A code marks a lineage where nine of ten of its train genomes have it at one place of the reference and at most "
    "one of twenty others has. Beside each stand the bases around it, and the mutation that it follows from. Below: "
    "codes that mark a lineage wherever they occur, which is rare where codes are few and the genome is long."
)
TREE_CAPTION = (
    "Clades of Pango's names that the tree of lineages has, and its own that contradict them; Robinson-Foulds counts "
    "clades that one of the two has, the least is what a tree of twos cannot do without. Cophenetic: correlation of "
    "ways through the tree with steps between Pango names, of lineages, and of genomes with their own names."
)


def track_section(summary: Summary) -> Section | None:
    found = answers(summary.steps.tracks)
    if not found:
        return None
    shown = summary.shown if summary.shown in found else next(iter(found))
    tracks = found[shown].lineages
    figure = track_chart(f"Code changes along the genome, {shown}", tracks, summary.knowledge, TRACK_CAPTION)
    tables = [_recovery_table(found), _known_table(tracks)]
    return Section("tracks", "Along the genome", [], [Block(rows=[[figure]]), Block(tables=tables)])


def _recovery_table(found: dict[str, Tracks]) -> Table:
    rows = []
    for system, tracks in found.items():
        recovery = tracks.recovery
        scores = [s for within in (recovery.within_0, recovery.within_2) for s in (within.precision, within.recall)]
        rows.append([Cell(system), *map(score_cell, scores), count_cell(recovery.num_sites)])
    columns = ["system", "precision, exact, %", "recall, exact, %", "precision, ± 2, %", "recall, ± 2, %", "sites"]
    return Table(RECOVERY_CAPTION, columns, rows)


def _known_table(tracks: list[LineageTrack]) -> Table:
    rows = [
        [
            Cell(track.lineage),
            Cell(listed([known.mutation for known in track.mutations if known.carried < 0.5]) or MISSING),
            count_cell(track.num_known),
            share_cell(track.known_recall),
            decimal_cell(track.mean_mutations, 1),
            decimal_cell(track.mean_changed_positions, 0),
        ]
        for track in tracks
    ]
    columns = [
        "lineage", "known, but rare in these genomes", "known substitutions", "told of those carried",
        "mutations a genome", "changed positions a genome",
    ]  # fmt: skip
    return Table("Known substitutions of each lineage, of Nextclade's tree, in its test genomes.", columns, rows, 2)


def marker_section(summary: Summary) -> Section | None:
    found = answers(summary.steps.markers)
    tables = []
    if summary.shown in found and found[summary.shown].placed is not None:
        num_levels = len(summary.level_sizes[summary.shown])
        tables.append(_marker_table(found[summary.shown].placed or [], num_levels))
    rows = []
    for system, markers in found.items():
        num_levels = len(summary.level_sizes[system])
        for level in range(num_levels):
            counts = [count_cell(held[level], str(held[level])) for held in markers.anywhere.values()]
            rows.append([Cell(system), Cell(level_name(level, num_levels)), *counts])
    if rows:
        named = [one.name for one in summary.knowledge.lineages if one.name in summary.inputs.per_lineage]
        tables.append(Table(ANYWHERE_CAPTION, ["system", "level", *named], rows, 2))
    return Section("markers", "Marker codes", [MARKER_SENTENCE], [Block(tables=tables)]) if tables else None


def _marker_table(placed: list[LineageMarkers], num_levels: int) -> Table:
    rows = [
        [
            Cell(record.lineage),
            Cell(f"{marker.start:,}"),
            Cell(level_name(marker.level, num_levels)),
            Cell(str(marker.code)),
            Cell(f"{marker.motif} (reference {marker.reference})"),
            Cell("; ".join(marker.mutations) or MISSING),
            Cell(listed(marker.genes) or "between genes"),
            share_cell(marker.held),
            share_cell(marker.elsewhere),
        ]
        for record in placed
        for marker in record.best[:3]
    ]
    columns = ["lineage", "base", "level", "code", "motif", "mutation", "gene", "held", "elsewhere"]
    total = sum(sum(record.num_markers) for record in placed)
    caption = f"The best three places of each lineage, of {total:,} found on train; shares are those of test genomes."
    return Table(caption, columns, rows, 7)


def tree_section(summary: Summary) -> Section | None:
    found = answers(summary.steps.tree)
    if not found:
        return None
    sources = {"places": "codes at places", "counts": "code counts"}
    rows = [
        row
        for system, trees in found.items()
        for source, words in sources.items()
        if source in trees
        for row in _tree_rows(system, words, trees[source])
    ]
    columns = [
        "system", "distance", "method", "clades shared", "against", "Robinson-Foulds (least)", "cophenetic correlation",
        "of genomes", "lineages in one clade",
    ]  # fmt: skip
    at_places = {system: trees["places"] for system, trees in found.items() if "places" in trees}
    title, caption = "codes at their places", "Neighbor joining, rooted at the reference."
    figures = [
        tree_chart(f"{system}, {title}", trees.neighbor_joining.newick, trees.names, caption)
        for system, trees in at_places.items()
        if system in (summary.shown, "kmer:6")
    ]
    tables = [Table(TREE_CAPTION, columns, rows, 3)]
    clades = [
        [Cell(system), Cell(listed(one.clade)), Cell("yes" if one.found else "no"), share_cell(one.support, 0)]
        for system, trees in at_places.items()
        for one in trees.neighbor_joining.wanted
    ]
    if clades:
        caption = "Pango's clades in the trees above, by neighbor joining; support: share of resampled genome sets."
        tables.append(Table(caption, ["system", "clade", "found", "support"], clades, 3))
    return Section("tree", "Trees", [], [Block(rows=[figures]), Block(tables=tables)])


def _tree_rows(system: str, distance: str, trees: Trees) -> list[list[Cell]]:
    methods = {"neighbor joining": trees.neighbor_joining, "average linkage": trees.average_linkage}
    return [
        [
            Cell(system),
            Cell(distance),
            Cell(method),
            count_cell(tree.num_clades_shared, f"{tree.num_clades_shared} of {tree.num_clades_wanted}"),
            count_cell(tree.num_contradicting, f"{tree.num_contradicting} of {tree.num_clades}"),
            count_cell(tree.robinson_foulds, f"{tree.robinson_foulds} ({tree.least_robinson_foulds})"),
            decimal_cell(tree.cophenetic_correlation, 2),
            decimal_cell(trees.genome_cophenetic_correlation, 2),
            share_cell(trees.lineages_in_one_clade, 0),
        ]
        for method, tree in methods.items()
    ]


def class_section(summary: Summary) -> Section | None:
    rows = []
    for system, found in answers(summary.steps.linear).items():
        splits = [found[RANDOM], found.get(BY_DATE)]
        for name in found[RANDOM].windows:
            units = [None if split is None else split.genomes for split in splits]
            units += [None if split is None else split.windows for split in splits]
            scores = [score_cell(None if unit is None else unit.get(name)) for unit in units]
            rows.append([Cell(f"{system}, linear"), Cell(representation_words(name)), *scores])
    sentences = ["Macro-F1 times 100 on test; regularization was chosen on dev, test was scored once."]
    later, tuned = summary.splits.by_date, summary.tuned
    if later is not None:
        sentences.append(
            f"By date: train and dev are genomes known by {later.cutoff}, test is later ones, of which "
            f"{100 * later.test_of_unseen_lineages:.0f} % are of Pango lineages that train has not."
        )
    if tuned is not None:
        windows, missing = f"{tuned.num_windows['train']:,}", Cell(MISSING)
        reads = Cell(f"{windows} training windows")
        own = [score_cell(tuned.genomes), missing, score_cell(tuned.windows), missing]
        rows.append([Cell("encoder, LoRA"), reads, *own])
        for name, score in tuned.controls.items():
            rows.append([Cell(f"{name}, linear"), reads, missing, missing, score_cell(score), missing])
        sentences.append(
            f"The encoder is fine-tuned on {windows} windows of the training genomes; below it stand probes on those "
            "very windows. It tells a genome by the mean over its windows."
        )
        chance = 1 / len(summary.inputs.per_lineage)
        if tuned.windows.low <= chance:
            sentences.append(f"On windows it is not above chance ({100 * chance:.1f}).")
    if not rows:
        return None
    columns = ["system", "reads", "genomes", "genomes, by date", "windows", "windows, by date"]
    caption = "Many windows hold no place that tells lineages apart, so no system can come near 100 on them."
    return Section("classes", "Classes", sentences, [Block(tables=[Table(caption, columns, rows, 2)])])
