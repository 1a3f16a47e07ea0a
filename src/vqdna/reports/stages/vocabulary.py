"""VOCABULARY in the report: how each vocabulary learned, how its codes are used, and where its code vectors lie.

Flow: results of stage 1 -> one table over all of them, and curves, code usage and code map for each. Must not know the
quantizers: a vocabulary is a list of levels here, level 0 the coarsest.
"""

from __future__ import annotations

from collections.abc import Sequence

from vqdna.reports.charts.code_map import map_chart
from vqdna.reports.charts.curves import GUESSING, Curves, curve_figures
from vqdna.reports.charts.figures import rank_chart
from vqdna.reports.content import (
    Block,
    Cell,
    Figure,
    Section,
    Table,
    decimal,
    duration,
    known,
    magnitude,
    number_cell,
    percent,
)
from vqdna.reports.runs import Run, of_kind
from vqdna.stage_results import CodeOnMap, VocabularyResults

INTRODUCTION = (
    "Stage 1 learns the codes. A latent encoder turns bases into latents. Each latent is replaced by its nearest code "
    "vector, and a base decoder spells the bases again from these. A vocabulary with one level is VQ; with two, "
    "coarse to fine, it is HRQ.",
    "Reconstruction is how many bases come back right. With one position per base (stride 1) it is a sanity check, not "
    "a quality measure: a code then has room for far more than the 2 bits of a base, so nearly 100 % is expected. "
    "How many codes are used, and the comparison, show whether the codes are useful.",
)
OVERVIEW_CAPTION = (
    "Each vocabulary at the end of training, on held-out sequences. Used: share of the codes that occur at all. "
    "Perplexity: how many equally frequent codes would be as varied. Dead: codes that never occur."
)
LOSS_CURVES = (
    Curves(
        "Reconstruction loss", "nats per base",
        "Cross-entropy of the decoder for the true base; it should fall from the cost of guessing (dotted).",
        {"reconstruction": "training", "evaluation_reconstruction": "held out"},
        reference=GUESSING,
    ),
    Curves(
        "Commitment loss", "squared distance",
        "How far latents lie from their code vectors. It may rise while the latents spread, then settles.",
        {"commitment": "training", "evaluation_commitment": "held out", "codebook": "codebook term, training"},
    ),
    Curves(
        "Reconstruction accuracy", "bases spelled right",
        "Share of bases that come back right. At stride 1 this is a sanity check only.",
        {"reconstruction_accuracy": "training", "evaluation_reconstruction_accuracy": "held out"},
        percent=True,
    ),
)  # fmt: skip
HEALTH_CURVES = (
    Curves(
        "Codes in use", "codes used",
        "Share of each level's codes that occur at all. A falling curve is a codebook that loses its codes.",
        per_level="evaluation_usage_level_", percent=True,
    ),
    Curves(
        "Perplexity", "equally frequent codes",
        "How many equally frequent codes would be as varied. Higher: the work is shared among more codes.",
        per_level="evaluation_perplexity_level_",
    ),
)  # fmt: skip
USAGE_CAPTION = (
    "Along the dotted line all codes would be used alike; the steeper the bars fall, the more a few codes do the work. "
    "Empty space at the right is dead codes."
)
MAP_CAPTION = (
    "Every point is a code, and codes that lie close have similar code vectors. Area: how often it is used. Color: "
    "share of G and C in the bases it most often stands for. Patches of one color are codes grouped by content."
)


def vocabulary_section(runs: Sequence[Run]) -> Section | None:
    """Table over all vocabularies and the pictures of each, or None without a vocabulary run."""
    vocabularies = of_kind(runs, VocabularyResults)
    if not vocabularies:
        return None
    columns = ["vocabulary", "level", "codes", "used", "perplexity", "dead", "reconstruction"]
    rows = [
        [
            Cell(run.name),
            Cell(str(index), index),
            number_cell(level.size, decimal(level.size, 0)),
            number_cell(level.usage, percent(level.usage)),
            number_cell(level.perplexity, decimal(level.perplexity, 1)),
            number_cell(level.dead_codes, decimal(level.dead_codes, 0)),
            number_cell(accuracy, percent(accuracy, 2)),
        ]
        for run, results in vocabularies
        for accuracy in [results.evaluation.reconstruction_accuracy]
        for index, level in enumerate(results.evaluation.levels)
    ]
    table = [Block(tables=[Table(OVERVIEW_CAPTION, columns, rows)])] if rows else []
    blocks = [*table, *(_block(run, results) for run, results in vocabularies)]
    return Section("vocabulary", "Stage 1: vocabulary", list(INTRODUCTION), blocks)


def _block(run: Run, results: VocabularyResults) -> Block:
    """Facts and pictures of one vocabulary; name and system once where they are the same."""
    usage, maps = _usage_figures(results), _map_figures(results)
    beside = [[figures[level] for figures in (usage, maps) if level in figures] for level in sorted({*usage, *maps})]
    title = run.name if run.system in run.name.split("/") else f"{run.name} ({run.system})"
    rows = [curve_figures(run, LOSS_CURVES), curve_figures(run, HEALTH_CURVES), *beside]
    return Block(title, _sentences(results), _facts(results), rows=rows)


def _sentences(results: VocabularyResults) -> list[str]:
    accuracy = results.evaluation.reconstruction_accuracy
    parts = [
        f"level {index}: {level.size:,.0f} codes, as varied as {level.perplexity:,.0f} equally frequent ones"
        for index, level in enumerate(results.evaluation.levels)
        if level.size is not None and level.perplexity is not None
    ]
    parts += [f"{percent(accuracy, 2)} of the held-out bases are spelled back right"] if accuracy is not None else []
    text = "; ".join(parts)
    return [f"{text[0].upper()}{text[1:]}."] if text else []


def _facts(results: VocabularyResults) -> list[tuple[str, str]]:
    """Key numbers of one vocabulary, those it has; its parameters in one number or, without a total, in parts."""
    parameters = [("parameters", magnitude(results.num_parameters))]
    if isinstance(results.parameters, dict) and results.num_parameters is None:
        parameters = [
            (f"parameters, {name.replace('_', ' ')}", magnitude(count)) for name, count in results.parameters.items()
        ]
    return known([
        ("reconstruction", percent(results.evaluation.reconstruction_accuracy, 2)),
        ("nats per base", decimal(results.evaluation.reconstruction, 4)),
        ("code bits per base", decimal(results.evaluation.bits_per_base, 2)),
        ("bases per position", decimal(results.bases_per_position, 0)),
        *parameters,
        ("training time", duration(results.seconds)),
    ])  # fmt: skip


def _usage_figures(results: VocabularyResults) -> dict[int, Figure]:
    figures = {}
    for level, found in enumerate(results.code_usage):
        counts = [count or 0 for count in found]
        if any(counts):
            used = sum(count > 0 for count in counts)
            caption = f"{used:,} of {len(counts):,} codes occur. {USAGE_CAPTION}"
            figures[level] = rank_chart(f"Code usage, level {level}", counts, color_index=level, caption=caption)
    return figures


def _map_figures(results: VocabularyResults) -> dict[int, Figure]:
    levels: dict[int, list[CodeOnMap]] = {}
    for point in results.code_map:
        if point.level is not None and None not in (point.code, point.x, point.y):
            levels.setdefault(int(point.level), []).append(point)
    title = "Map of the code vectors, level {}"
    return {level: map_chart(title.format(level), points, caption=MAP_CAPTION) for level, points in levels.items()}
