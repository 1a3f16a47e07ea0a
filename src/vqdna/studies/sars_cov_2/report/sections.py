"""The sections of a study of variants: planes, separation, the claim, tracks, markers, trees, classes, and the genomes.

Flow: Study -> Section of blocks; a section that the results say nothing of is left out. Must not know how a page is
laid out, nor how anything was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vqdna.reports.content import (
    Block,
    Cell,
    Figure,
    Section,
    Table,
    duration,
    known,
    listed,
    number_cell,
)
from vqdna.reports.runs import nested, number
from vqdna.studies.sars_cov_2.report.figures import Bar, interval_bars, plane_chart
from vqdna.studies.sars_cov_2.report.findings import claim_sentence, findings, method_words
from vqdna.studies.sars_cov_2.report.genome_sections import class_section, marker_section, track_section, tree_section
from vqdna.studies.sars_cov_2.report.results import (
    LEVEL_WORDS,
    UNITS,
    Study,
    as_bar,
    bar_cell,
    level_name,
    representation_words,
)

METRICS = {
    "silhouette": "silhouette",
    "neighbor_accuracy": "nearest neighbors right, %",
    "adjusted_mutual_information": "adjusted mutual information",
}
SCORES_CAPTION = (
    "Test rows. All representations are centered on train and turned onto its 50 main axes. Silhouette: from -1 to 1; "
    "nearest neighbors: five among train; adjusted mutual information: k-means clusters of train against variants. In "
    "brackets: 95 % of resampled sets of genomes."
)
CLAIM_CAPTION = (
    "Variation explained: bits that codes share with the variant over the bits they have, summed over the places "
    "where test genomes differ; behind it, what shuffled variants give. Told: share of the bits of a mutation's "
    "presence that the best place near it tells. Seen: planted single substitutions that change any code. Flips: "
    "codes changed by one."
)


def lineage_sections(study: Study) -> list[Section]:
    """Sections in reading order."""
    made = (
        plane_section,
        separation_section,
        claim_section,
        track_section,
        marker_section,
        tree_section,
        class_section,
    )
    found = [section for make in made if (section := make(study)) is not None]
    return [overview_section(study), *found, genome_section(study)]


def overview_section(study: Study) -> Section:
    """What was found, and of how much."""
    splits = study.record["splits"]["random"]["num_genomes"]
    facts = known(
        [
            ("genomes kept", f"{study.record['inputs']['num_kept']:,}"),
            ("train, dev, test", ", ".join(str(splits[part]) for part in ("train", "dev", "test"))),
            ("systems", str(len(study.systems))),
            ("computing time", duration(number(study.record.get("seconds")))),
        ]
    )
    rows = [
        [
            Cell(str(s["name"])),
            Cell(str(s["source"])),
            Cell(" + ".join(f"{size:,}" for size in s["level_sizes"])),
            number_cell(number(s["bases_per_position"]), f"{s['bases_per_position']:.3g}"),
            number_cell(number(s["context_bases"]), str(s["context_bases"])),
        ]
        for s in study.record["systems"]
    ]
    columns = ["system", "from", "codes per level", "bases per position", "context, bases"]
    table = Table("Systems under study; none has seen a genome of this virus in training.", columns, rows, 3)
    return Section("overview", "What was found", findings(study), [Block(facts=facts, tables=[table])])


def plane_section(study: Study) -> Section | None:
    """Embeddings on a plane, all levels, coarse and fine."""
    found = study.result("plane", study.main)
    if not found:
        return None
    blocks = []
    for unit in UNITS:
        words = study.unit_words(unit)
        views = found[unit]["views"]
        figures = [
            plane_chart(
                f"{LEVEL_WORDS[levels]}, {words}", view["points"], found[unit]["labels"], found["variants"],
                f"{view['method']} of the mean code vectors of {study.main}, test {unit}; no score is taken from it.",
            )
            for levels, view in views.items()
        ]  # fmt: skip
        blocks.append(Block(words[:1].upper() + words[1:], rows=[figures]))
    sentences = [
        f"The paper's picture, by {method_words(study)}: one point is one genome or one window, its place the mean of "
        "its code vectors. A window shows first of all which part of the genome it is from; a whole genome has no "
        "such other difference."
    ]
    return Section("plane", "Embeddings", sentences, blocks)


def separation_section(study: Study) -> Section | None:
    """Scores of all systems and levels under one treatment."""
    tables, rows_of_figures = [], []
    for unit in UNITS:
        words = study.unit_words(unit)
        found = {system: nested(study.result("separation", system), unit) for system in study.systems}
        held = {system: views for system, views in found.items() if isinstance(views, Mapping)}
        if held:
            tables.append(_separation_table(held, words))
            rows_of_figures.append(_separation_figures(held, words))
    if not tables:
        return None
    sentences = [
        "What a picture cannot say: how far variants are apart, beside 6-mer counts and BPE under the same treatment."
    ]
    return Section("separation", "Separation", sentences, [Block(tables=tables, rows=rows_of_figures)])


def _separation_table(found: Mapping[str, Mapping[str, Any]], words: str) -> Table:
    rows = [
        [
            Cell(system),
            Cell(representation_words(name)),
            bar_cell(as_bar(scores["silhouette"]), digits=3),
            bar_cell(as_bar(scores["neighbor_accuracy"]), percent=True),
            bar_cell(as_bar(scores["adjusted_mutual_information"]), digits=3),
        ]
        for system, views in found.items()
        for name, scores in views.items()
    ]
    caption = f"{words[:1].upper() + words[1:]}. {SCORES_CAPTION}"
    return Table(caption, ["system", "representation", *METRICS.values()], rows, 2)


def _separation_figures(found: Mapping[str, Mapping[str, Any]], words: str) -> list[Figure]:
    figures = []
    for metric, title in (("silhouette", "Silhouette"), ("neighbor_accuracy", "Nearest neighbors right")):
        groups: dict[str, dict[str, Bar]] = {}
        for system, views in found.items():
            for name, scores in views.items():
                kind, _, levels = name.partition(", ")
                bar = as_bar(scores[metric])
                if kind == "counts" and bar is not None:
                    groups.setdefault(LEVEL_WORDS[levels], {})[system] = bar
        is_share = metric != "silhouette"
        caption = "Code counts; lines are 95 % intervals over genomes."
        figures.append(interval_bars(f"{title}, {words}", groups, x=title.lower(), caption=caption, percent=is_share))
    return figures


def claim_section(study: Study) -> Section | None:
    """Coarse against fine."""
    held = {system: study.result("claims", system) for system in study.systems}
    rows = [row for system, found in held.items() if found for row in _claim_rows(system, found)]
    if not rows:
        return None
    columns = [
        "system", "level", "variation explained, %", "by chance, %", "defining told, %", "other synonymous told, %",
        "synonymous seen, %", "missense seen, %", "flips",
    ]  # fmt: skip
    verdicts = [f"{system}: {found['verdict']}" for system, found in held.items() if found and "verdict" in found]
    sentences = [
        "The paper says that the coarse codebook follows lineages and the fine one mutations. If so, variants should "
        "explain more of how coarse codes vary, and fine codes should see mutations that coarse ones do not.",
        *filter(None, [claim_sentence(study)]),
        *([f"By system: {listed(verdicts)}."] if verdicts else []),
    ]
    return Section("claim", "Coarse and fine", sentences, [Block(tables=[Table(CLAIM_CAPTION, columns, rows, 2)])])


def _claim_rows(system: str, found: Mapping[str, Any]) -> list[list[Cell]]:
    levels = found["levels"]
    return [
        [
            Cell(system),
            Cell(level_name(record["level"], len(levels))),
            bar_cell(as_bar(record["lineage_share"]), percent=True),
            number_cell(number(record["lineage_share_by_chance"]), f"{100 * record['lineage_share_by_chance']:.1f}"),
            *(bar_cell(as_bar(record["mutation_share"][g]), percent=True) for g in ("defining", "other synonymous")),
            *(bar_cell(as_bar(record["planted_seen"][k]), percent=True) for k in ("synonymous", "missense")),
            number_cell(
                number(record["flips_per_planted"]["missense"]), f"{record['flips_per_planted']['missense']:.1f}"
            ),
        ]
        for record in levels
    ]


def genome_section(study: Study) -> Section:
    """What was kept, handled and refused."""
    inputs = study.record["inputs"]
    handled = [[Cell(name), number_cell(float(count), f"{count:,}")] for name, count in inputs["handled"].items()]
    refused = [
        [
            Cell(entry["reason"]),
            Cell(listed(entry["examples"])),
            number_cell(float(entry["count"]), f"{entry['count']:,}"),
        ]
        for entry in inputs["refused"]
    ]
    tables = []
    if refused:
        tables.append(Table("Records refused, with the first names.", ["reason", "such as", "records"], refused, 2))
    if handled:
        caption = "Kept genomes that needed care; nothing unknown is compared."
        tables.append(Table(caption, ["genomes", "number"], handled))
    if not tables:
        tables = [
            Table(
                "Every record was kept as it came.",
                ["records", "number"],
                [[Cell("kept"), Cell(f"{inputs['num_kept']:,}")]],
            )
        ]
    per_variant = listed([f"{name} {count:,}" for name, count in inputs["per_variant"].items()])
    return Section("genomes", "Genomes", [f"Different usable genomes: {per_variant}."], [Block(tables=tables)])
