"""The sections of the study's page: planes, separation, coarse and fine, tracks, markers, trees, classes, and genomes.

Flow: Summary -> Section of blocks; a section that the results say nothing of is left out. Must not know how a page is
laid out, nor how anything was measured.
"""

from __future__ import annotations

from vqdna.reports.content import Block, Cell, Figure, Section, Table, duration, listed
from vqdna.studies.sars_cov_2.report.figures import interval_chart, plane_chart
from vqdna.studies.sars_cov_2.report.findings import findings, hypothesis_sentence
from vqdna.studies.sars_cov_2.report.genome_sections import class_section, marker_section, track_section, tree_section
from vqdna.studies.sars_cov_2.report.rows import (
    LEVEL_WORDS,
    answers,
    count_cell,
    decimal_cell,
    level_name,
    representation_words,
    score_cell,
    unit_words,
)
from vqdna.studies.sars_cov_2.results import LevelFindings, ScoreInterval, SeparationScores
from vqdna.studies.sars_cov_2.summary import Summary

SCORES_CAPTION = (
    "Test rows. All representations are centered on train and turned onto its 50 main axes. Silhouette: from -1 to 1; "
    "nearest neighbors: five among train; adjusted mutual information: k-means clusters of train against lineages. In "
    "brackets: 95 % of resampled sets of genomes."
)
LEVELS_CAPTION = (
    "Variation explained: bits that codes share with the lineage over the bits they have, summed over the places "
    "where test genomes differ; behind it, what shuffled lineages give. Told: share of the bits of a mutation's "
    "presence that the best place near it tells. Seen: in-silico substitutions that change any code. Code changes: "
    "codes changed by one."
)


def lineage_sections(summary: Summary) -> list[Section]:
    made = (
        plane_section, separation_section, hypothesis_section, track_section, marker_section, tree_section,
        class_section,
    )  # fmt: skip
    found = [section for make in made if (section := make(summary)) is not None]
    return [overview_section(summary), *found, genome_section(summary)]


def overview_section(summary: Summary) -> Section:
    facts = [
        ("genomes kept", f"{summary.inputs.num_kept:,}"),
        (
            "train, dev, test",
            ", ".join(str(summary.splits.random.num_genomes[part]) for part in ("train", "dev", "test")),
        ),
        ("systems", str(len(summary.systems))),
        ("computing time", duration(summary.seconds)),
    ]
    rows = [
        [
            Cell(system.name),
            Cell(system.source),
            Cell(" + ".join(f"{size:,}" for size in system.level_sizes)),
            Cell(f"{system.bases_per_position:.3g}", system.bases_per_position),
            count_cell(system.context_bases, str(system.context_bases)),
        ]
        for system in summary.systems
    ]
    columns = ["system", "from", "codes per level", "bases per position", "context, bases"]
    table = Table("Systems under study; none has seen a genome of this virus in training.", columns, rows, 3)
    return Section("overview", "What was found", findings(summary), [Block(facts=facts, tables=[table])])


def plane_section(summary: Summary) -> Section | None:
    found = answers(summary.steps.plane).get(summary.shown)
    if found is None:
        return None
    blocks = []
    for name, words in unit_words(summary).items():
        unit = found.genomes if name == "genomes" else found.windows
        figures = [
            plane_chart(
                f"{LEVEL_WORDS[levels]}, {words}", unit, levels, found.lineages,
                f"{view.method} of the mean code vectors of {summary.shown}, test {name}; no score is taken from it.",
            )
            for levels, view in unit.views.items()
        ]  # fmt: skip
        blocks.append(Block(_title(words), rows=[figures]))
    sentences = [
        f"The paper's picture, by {found.genomes.views['all'].method}: one point is one genome or one window, its "
        "place the mean of its code vectors. A window shows first of all which part of the genome it is from; a whole "
        "genome has no such other difference."
    ]
    return Section("plane", "Embeddings", sentences, blocks)


def separation_section(summary: Summary) -> Section | None:
    found = answers(summary.steps.separation)
    if not found:
        return None
    words = unit_words(summary)
    units = {
        words["genomes"]: {system: scores.genomes for system, scores in found.items()},
        words["windows"]: {system: scores.windows for system, scores in found.items()},
    }
    sentences = [
        "What a picture cannot say: how far lineages are apart, beside 6-mer counts and BPE under the same treatment."
    ]
    block = Block(
        tables=[_separation_table(held, unit) for unit, held in units.items()],
        rows=[_separation_figures(held, unit) for unit, held in units.items()],
    )
    return Section("separation", "Separation", sentences, [block])


def _separation_table(found: dict[str, dict[str, SeparationScores]], words: str) -> Table:
    rows = [
        [
            Cell(system),
            Cell(representation_words(name)),
            score_cell(scores.silhouette, 1, 3),
            score_cell(scores.neighbor_accuracy),
            score_cell(scores.adjusted_mutual_information, 1, 3),
        ]
        for system, views in found.items()
        for name, scores in views.items()
    ]
    columns = ["system", "representation", "silhouette", "nearest neighbors right, %", "adjusted mutual information"]
    return Table(f"{_title(words)}. {SCORES_CAPTION}", columns, rows, 2)


def _separation_figures(found: dict[str, dict[str, SeparationScores]], words: str) -> list[Figure]:
    silhouettes: dict[str, dict[str, ScoreInterval]] = {}
    neighbors: dict[str, dict[str, ScoreInterval]] = {}
    for system, views in found.items():
        for name, scores in views.items():
            kind, _, levels = name.partition(", ")
            if kind == "counts":
                silhouettes.setdefault(LEVEL_WORDS[levels], {})[system] = scores.silhouette
                neighbors.setdefault(LEVEL_WORDS[levels], {})[system] = scores.neighbor_accuracy
    caption = "Code counts; lines are 95 % intervals over genomes."
    return [
        interval_chart(f"{title}, {words}", groups, x=title.lower(), caption=caption, percent=groups is neighbors)
        for title, groups in (("Silhouette", silhouettes), ("Nearest neighbors right", neighbors))
    ]


def hypothesis_section(summary: Summary) -> Section | None:
    found = answers(summary.steps.coarse_and_fine)
    rows = [_level_row(system, one, len(held.levels)) for system, held in found.items() for one in held.levels]
    if not rows:
        return None
    columns = [
        "system", "level", "variation explained, %", "by chance, %", "defining told, %", "other synonymous told, %",
        "synonymous seen, %", "missense seen, %", "code changes",
    ]  # fmt: skip
    verdicts = [f"{system}: {held.verdict}" for system, held in found.items() if held.verdict]
    sentences = [
        "The paper says that the coarse codebook follows lineages and the fine one mutations. If so, lineages should "
        "explain more of how coarse codes vary, and fine codes should see mutations that coarse ones do not.",
        *filter(None, [hypothesis_sentence(summary)]),
        *([f"By system: {listed(verdicts)}."] if verdicts else []),
    ]
    return Section("claim", "Coarse and fine", sentences, [Block(tables=[Table(LEVELS_CAPTION, columns, rows, 2)])])


def _level_row(system: str, found: LevelFindings, num_levels: int) -> list[Cell]:
    return [
        Cell(system),
        Cell(level_name(found.level, num_levels)),
        score_cell(found.lineage_share),
        Cell(f"{100 * found.lineage_share_by_chance:.1f}", found.lineage_share_by_chance),
        *(score_cell(found.mutation_share[group]) for group in ("defining", "other synonymous")),
        *(score_cell(found.in_silico_seen[effect]) for effect in ("synonymous", "missense")),
        decimal_cell(found.changes_per_mutation["missense"], 1),
    ]


def genome_section(summary: Summary) -> Section:
    inputs, tables = summary.inputs, []
    if inputs.refused:
        refused = [[Cell(one.reason), Cell(listed(one.examples)), count_cell(one.count)] for one in inputs.refused]
        tables.append(Table("Records refused, with the first names.", ["reason", "such as", "records"], refused, 2))
    if inputs.handled:
        handled = [[Cell(name), count_cell(count)] for name, count in inputs.handled.items()]
        caption = "Kept genomes that needed care; nothing unknown is compared."
        tables.append(Table(caption, ["genomes", "number"], handled))
    if not tables:
        kept = [[Cell("kept"), Cell(f"{inputs.num_kept:,}")]]
        tables.append(Table("Every record was kept as it came.", ["records", "number"], kept))
    per_lineage = listed([f"{name} {count:,}" for name, count in inputs.per_lineage.items()])
    return Section("genomes", "Genomes", [f"Different usable genomes: {per_lineage}."], [Block(tables=tables)])


def _title(words: str) -> str:
    return words[:1].upper() + words[1:]
