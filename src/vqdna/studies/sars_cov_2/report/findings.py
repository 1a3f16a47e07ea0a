"""What the study found, in sentences whose numbers come from its results alone.

Flow: Summary -> sentences for the head of the page and of each section. A sentence whose numbers are missing is left
out.
"""

from __future__ import annotations

from vqdna.reports.content import listed, plural
from vqdna.studies.sars_cov_2.report.rows import answers, unit_words
from vqdna.studies.sars_cov_2.summary import RANDOM, Summary

MARGIN_WORDS = "five points of a hundred, with the whole 95 % interval beyond it"
ALL_COUNTS, ALL_VECTORS = "counts, all", "vectors, all"


def findings(summary: Summary) -> list[str]:
    """The head of the page: one sentence for each question that the results answer."""
    made = (
        intake_sentence, hypothesis_sentence, separation_sentence, sites_sentence, tree_sentence, classes_sentence,
    )  # fmt: skip
    return [sentence for make in made if (sentence := make(summary))]


def intake_sentence(summary: Summary) -> str:
    inputs, drawn = summary.inputs, summary.splits.random.num_genomes
    return (
        f"{inputs.num_kept:,} different genomes of {len(inputs.per_lineage)} lineages were usable, "
        f"{sum(refused.count for refused in inputs.refused):,} records were refused; {drawn['train']} train, "
        f"{drawn['dev']} dev and {drawn['test']} test genomes were drawn, split before any window was cut."
    )


def hypothesis_sentence(summary: Summary) -> str:
    found = answers(summary.steps.coarse_and_fine).get(summary.shown)
    if found is None or found.coarse_minus_fine_lineage is None or found.fine_minus_coarse_seen is None:
        return ""
    lineage, seen = (half.text(scale=100) for half in (found.coarse_minus_fine_lineage, found.fine_minus_coarse_seen))
    return (
        f"The hypothesis that coarse codes follow lineages and fine codes mutations is {found.verdict} for "
        f"{summary.shown}: of what the coarse codes vary by, lineages explain {lineage} points more than of the fine "
        f"ones, and fine codes see {seen} points more of the in-silico mutations. A lead counts from {MARGIN_WORDS}."
    )


def separation_sentence(summary: Summary) -> str:
    scores = answers(summary.steps.separation)
    parts = [
        f"{system} {scores[system].genomes[ALL_COUNTS].silhouette.value:.2f} and "
        f"{100 * scores[system].windows[ALL_COUNTS].neighbor_accuracy.value:.1f} %"
        for system in dict.fromkeys((summary.shown, "kmer:6", "bpe"))
        if system in scores
    ]
    if not parts:
        return ""
    # How the mean code vectors, which the paper's picture shows, compare with the counts of the same codes.
    own, more = scores[summary.shown].genomes if summary.shown in scores else {}, ""
    if ALL_VECTORS in own:
        vectors, counts = (100 * own[name].neighbor_accuracy.value for name in (ALL_VECTORS, ALL_COUNTS))
        more = (
            f" By their mean code vectors, which the paper's picture shows, {vectors:.1f} % of the genomes lie next to "
            f"their lineage, by the counts of the same codes {counts:.1f} %."
        )
    return (
        "Counts of codes set whole genomes of the lineages apart with a silhouette of, and "
        f"{unit_words(summary)['windows']} with a nearest-neighbor accuracy of: {listed(parts)}.{more}"
    )


def sites_sentence(summary: Summary) -> str:
    exact = {system: found.recovery.within_0 for system, found in answers(summary.steps.tracks).items()}
    parts = [f"{s} {100 * e.precision.value:.1f} % and {100 * e.recall.value:.1f} %" for s, e in exact.items()]
    if not parts:
        return ""
    return f"Mutated bases read off changed codes alone, to the base, precision and recall: {listed(parts)}."


def tree_sentence(summary: Summary) -> str:
    found, parts = answers(summary.steps.tree), []
    for system in dict.fromkeys((summary.shown, "kmer:6")):
        if "places" in found.get(system, {}):
            tree = found[system]["places"].neighbor_joining
            clades = plural(tree.num_clades_wanted, "clade")
            parts.append(
                f"{system} has {tree.num_clades_shared} of {clades}, and {tree.num_contradicting} against them"
            )
    words = "Of Pango's hierarchy the neighbor-joining tree from codes at their places"
    return f"{words}: {listed(parts)}." if parts else ""


def classes_sentence(summary: Summary) -> str:
    linear = answers(summary.steps.linear)
    parts = [f"{system} {100 * found[RANDOM].windows[ALL_COUNTS].value:.1f}" for system, found in linear.items()]
    if summary.tuned is not None:
        parts.append(f"the LoRA fine-tuned encoder {100 * summary.tuned.windows.value:.1f}")
    words = f"{len(summary.inputs.per_lineage)} classes from {unit_words(summary)['windows']}"
    return f"Macro-F1 times 100, {words}: {listed(parts)}." if parts else ""
