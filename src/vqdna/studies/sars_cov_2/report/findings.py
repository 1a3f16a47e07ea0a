"""What a study of variants found, in sentences whose numbers come from its results alone.

Flow: Study -> sentences for the head of the page and of each section. A sentence whose numbers are missing is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vqdna.reports.content import listed, plural
from vqdna.reports.runs import nested, number
from vqdna.studies.sars_cov_2.report.results import Study, as_bar, bar_text

MARGIN_WORDS = "five points of a hundred, with the whole 95 % interval beyond it"
VERDICTS = {
    "confirmed": "is confirmed",
    "half confirmed": "is half confirmed",
    "refuted": "is refuted",
}


def findings(study: Study) -> list[str]:
    """The head of the page: one sentence for each question that the results answer."""
    made = (intake_sentence, claim_sentence, separation_sentence, sites_sentence, tree_sentence, classes_sentence)
    return [sentence for make in made if (sentence := make(study))]


def intake_sentence(study: Study) -> str:
    """How many genomes were kept and drawn."""
    inputs, splits = study.record["inputs"], study.record["splits"]["random"]["num_genomes"]
    refused = sum(entry["count"] for entry in inputs["refused"])
    return (
        f"{inputs['num_kept']:,} different genomes of {len(inputs['per_variant'])} variants were usable, {refused:,} "
        f"records were refused; {splits['train']} train, {splits['dev']} dev and {splits['test']} test genomes were "
        "drawn, split before any window was cut."
    )


def claim_sentence(study: Study) -> str:
    """The verdict on coarse and fine for the main system."""
    claims = study.result("claims", study.main)
    verdict = nested(claims, "verdict")
    lineage, seen = (as_bar(nested(claims, key)) for key in ("coarse_minus_fine_lineage", "fine_minus_coarse_seen"))
    if not isinstance(verdict, str) or lineage is None or seen is None:
        return ""
    return (
        f"The claim that coarse codes follow lineages and fine codes mutations {VERDICTS[verdict]} for {study.main}: "
        f"of what the coarse codes vary by, variants explain {bar_text(lineage, percent=True)} points more than of the "
        f"fine ones, and fine codes see {bar_text(seen, percent=True)} points more of the planted mutations. A lead "
        f"counts from {MARGIN_WORDS}."
    )


def separation_sentence(study: Study) -> str:
    """Silhouettes of whole genomes, main system against 6-mers and BPE, and windows."""
    parts = []
    for system in dict.fromkeys((study.main, "kmer:6", "bpe")):
        bar = study.bar("steps", "separation", system, "result", "genomes", "counts, all", "silhouette")
        near = study.bar("steps", "separation", system, "result", "windows", "counts, all", "neighbor_accuracy")
        if bar and near:
            parts.append(f"{system} {bar.value:.2f} and {100 * near.value:.1f} %")
    if not parts:
        return ""
    return (
        "Counts of codes set whole genomes of the variants apart with a silhouette of, and "
        f"{study.unit_words('windows')} with a nearest-neighbor accuracy of: {listed(parts)}.{_vector_words(study)}"
    )


def _vector_words(study: Study) -> str:
    """How the mean code vectors, which the paper's picture shows, compare with the counts of the same codes."""
    scores = [
        study.bar("steps", "separation", study.main, "result", "genomes", f"{kind}, all", "neighbor_accuracy")
        for kind in ("vectors", "counts")
    ]
    if not all(scores):
        return ""
    vectors, counts = (100 * bar.value for bar in scores if bar)
    return (
        f" By their mean code vectors, which the paper's picture shows, {vectors:.1f} % of the genomes lie next to "
        f"their variant, by the counts of the same codes {counts:.1f} %."
    )


def sites_sentence(study: Study) -> str:
    """Exact recovery of mutated bases."""
    parts = []
    for system in study.systems:
        recovery = nested(study.result("tracks", system), "recovery", "within_0")
        precision, recall = (as_bar(nested(recovery, key)) for key in ("precision", "recall"))
        if precision and recall:
            parts.append(f"{system} {100 * precision.value:.1f} % and {100 * recall.value:.1f} %")
    if not parts:
        return ""
    return f"Mutated bases read off changed codes alone, to the base, precision and recall: {listed(parts)}."


def tree_sentence(study: Study) -> str:
    """Pango clades found by the tree of the main system and by 6-mers."""
    parts = []
    for system in dict.fromkeys((study.main, "kmer:6")):
        tree = nested(study.result("tree", system), "places", "neighbor_joining")
        shared, wanted = (number(nested(tree, key)) for key in ("num_clades_shared", "num_clades_wanted"))
        against = number(nested(tree, "num_contradicting"))
        if shared is not None and wanted is not None and against is not None:
            parts.append(f"{system} has {shared:.0f} of {plural(int(wanted), 'clade')}, and {against:.0f} against them")
    return (
        f"Of Pango's hierarchy the neighbor-joining tree from codes at their places: {listed(parts)}." if parts else ""
    )


def classes_sentence(study: Study) -> str:
    """Macro-F1 of windows and of genomes."""
    parts = []
    for system in study.systems:
        best = best_linear(study, system, "windows")
        if best:
            parts.append(f"{system} {100 * best['value']:.1f}")
    tuned = study.bar("fine_tuned", "result", "windows")
    if tuned:
        parts.append(f"the LoRA fine-tuned encoder {100 * tuned.value:.1f}")
    words = f"{len(study.record['inputs']['per_variant'])} classes from {study.unit_words('windows')}"
    return f"Macro-F1 times 100, {words}: {listed(parts)}." if parts else ""


def best_linear(study: Study, system: str, unit: str) -> Mapping[str, Any] | None:
    """Score of all levels' counts under the probe, for the random split."""
    held = nested(study.result("linear", system), "random", unit, "counts, all")
    return held if isinstance(held, Mapping) else None


def method_words(study: Study) -> str:
    """Name of the method that the plane was made with."""
    name = nested(study.result("plane", study.main), "genomes", "views", "all", "method")
    return str(name) if name else "no plane"
