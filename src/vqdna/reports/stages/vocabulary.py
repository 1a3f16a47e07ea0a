"""VOCABULARY in the report: how each vocabulary learned, how its codes are used, and where its code vectors lie.

Owns the flow runs of stage 1 -> one table over all of them, and curves, code usage and code map for each. Must not know
the quantizers: a vocabulary is a list of levels here, level 0 the coarsest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vqdna.reports.charts.code_map import CodePoint, map_chart
from vqdna.reports.charts.curves import Curves, LevelCurves, curve_figures
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
from vqdna.reports.runs import Run, nested, number

INTRODUCTION = (
    "Stage 1 learns the words. A latent encoder turns bases into latents, each latent is replaced by its nearest code "
    "vector, and a base decoder must spell the bases again from these. A vocabulary with one level is VQ; with two, "
    "coarse to fine, it is HRQ.",
    "Reconstruction is how many bases come back right. With one position per base (stride 1) it is a sanity check, not "
    "a quality measure: a code then has room for far more than the 2 bits of a base, so nearly 100 % is expected. "
    "Whether the words are useful shows in how many of them are used, and in the comparison.",
)
OVERVIEW_CAPTION = (
    "Each vocabulary at the end of training, on held-out sequences. Used: share of the codes that occur at all. "
    "Perplexity: how many equally frequent codes would be as varied. Dead: codes that never occur."
)
LOSS_CURVES = (
    Curves(
        "Reconstruction loss",
        y="nats per base",
        metrics={"reconstruction": "training", "evaluation_reconstruction": "held out"},
        caption="Cross-entropy of the decoder for the true base; it should fall from the cost of guessing (dotted).",
        reference=(math.log(4), f"guessing, ln 4 = {math.log(4):.3f}"),
    ),
    Curves(
        "Commitment loss",
        y="squared distance",
        metrics={"commitment": "training", "evaluation_commitment": "held out", "codebook": "codebook term, training"},
        caption="How far latents lie from their code vectors. It may rise while the latents spread, then settles.",
    ),
    Curves(
        "Reconstruction accuracy",
        y="bases spelled right",
        metrics={"reconstruction_accuracy": "training", "evaluation_reconstruction_accuracy": "held out"},
        caption="Share of bases that come back right. At stride 1 this is a sanity check only.",
        percent=True,
    ),
)
HEALTH_CURVES = (
    LevelCurves(
        "Codes in use",
        y="codes used",
        prefix="evaluation_usage_level_",
        caption="Share of each level's codes that occur at all. A falling curve is a codebook that collapses.",
        percent=True,
    ),
    LevelCurves(
        "Perplexity",
        y="equally frequent codes",
        prefix="evaluation_perplexity_level_",
        caption="How many equally frequent codes would be as varied. Higher: the work is shared among more codes.",
    ),
)
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
    runs = [run for run in runs if run.stage == "vocabulary"]
    if not runs:
        return None
    table = _overview_table(runs)
    blocks = [*([Block(tables=[table])] if table.rows else []), *(_run_block(run) for run in runs)]
    return Section("vocabulary", "Stage 1: vocabulary", list(INTRODUCTION), blocks)


def evaluated_levels(run: Run) -> list[dict[str, object]]:
    """Records of the levels at the end of training, level 0 first."""
    return [level for level in run.items("evaluation", "levels") if isinstance(level, dict)]


def _overview_table(runs: Sequence[Run]) -> Table:
    """Every level of every vocabulary at the end of its training."""
    columns = ["vocabulary", "level", "codes", "used", "perplexity", "dead", "reconstruction"]
    return Table(OVERVIEW_CAPTION, columns, [row for run in runs for row in _level_rows(run)], num_text_columns=1)


def _level_rows(run: Run) -> list[list[Cell]]:
    """Rows of the levels of one vocabulary."""
    accuracy = run.value("evaluation", "reconstruction_accuracy")
    return [_level_row(run.name, index, level, accuracy) for index, level in enumerate(evaluated_levels(run))]


def _level_row(name: str, index: int, level: dict[str, object], accuracy: float | None) -> list[Cell]:
    """Row of one level."""
    size, usage, perplexity, dead = (number(level.get(key)) for key in ("size", "usage", "perplexity", "dead_codes"))
    return [
        Cell(name),
        Cell(str(index), index),
        number_cell(size, decimal(size, 0)),
        number_cell(usage, percent(usage)),
        number_cell(perplexity, decimal(perplexity, 1)),
        number_cell(dead, decimal(dead, 0)),
        number_cell(accuracy, percent(accuracy, 2)),
    ]


def _run_block(run: Run) -> Block:
    """Facts and pictures of one vocabulary."""
    rows = [curve_figures(run, LOSS_CURVES), curve_figures(run, HEALTH_CURVES), *_level_figures(run)]
    return Block(_title(run), _sentences(run), _facts(run), rows=rows)


def _title(run: Run) -> str:
    """Run and system, once where they are the same."""
    return run.name if run.system in run.name.split("/") else f"{run.name} ({run.system})"


def _sentences(run: Run) -> list[str]:
    """What the numbers of this vocabulary say."""
    levels, accuracy = evaluated_levels(run), run.value("evaluation", "reconstruction_accuracy")
    pairs = [(number(level.get("size")), number(level.get("perplexity"))) for level in levels]
    parts = [
        f"level {level}: {size:,.0f} codes, as varied as {perplexity:,.0f} equally frequent ones"
        for level, (size, perplexity) in enumerate(pairs)
        if size is not None and perplexity is not None
    ]
    parts += [f"{percent(accuracy, 2)} of the held-out bases are spelled back right"] if accuracy is not None else []
    text = "; ".join(parts)
    return [f"{text[0].upper()}{text[1:]}."] if text else []


def _facts(run: Run) -> list[tuple[str, str]]:
    """Key numbers of one vocabulary, those it has."""
    return known([
        ("reconstruction", percent(run.value("evaluation", "reconstruction_accuracy"), 2)),
        ("nats per base", decimal(run.value("evaluation", "reconstruction"), 4)),
        ("code bits per base", decimal(run.value("evaluation", "bits_per_base"), 2)),
        ("bases per position", decimal(run.value("bases_per_position"), 0)),
        *_parameter_facts(run),
        ("training time", duration(run.value("seconds"))),
    ])  # fmt: skip


def _parameter_facts(run: Run) -> list[tuple[str, str]]:
    """Number of parameters: one number, or one for each named part."""
    parameters = run.results.get("parameters")
    if isinstance(parameters, dict):
        counts = {str(name): number(count) for name, count in parameters.items()}
        named = {name: count for name, count in counts.items() if count is not None}
        if "total" in named:
            return [("parameters", magnitude(named["total"]))]
        return [(f"parameters, {name.replace('_', ' ')}", magnitude(count)) for name, count in named.items()]
    whole = number(parameters)
    return [] if whole is None else [("parameters", magnitude(whole))]


def _level_figures(run: Run) -> list[list[Figure]]:
    """Code usage and map of the code vectors side by side, a row per level."""
    usage, maps = _usage_figures(run), _map_figures(run)
    levels = sorted({*usage, *maps})
    return [[figures[level] for figures in (usage, maps) if level in figures] for level in levels]


def _usage_figures(run: Run) -> dict[int, Figure]:
    """Code usage at the end by level."""
    figures = {}
    for level, record in enumerate(run.items("code_usage")):
        counts = [number(count) or 0.0 for count in record] if isinstance(record, list) else []
        if any(counts):
            used = sum(count > 0 for count in counts)
            caption = f"{used:,} of {len(counts):,} codes occur. {USAGE_CAPTION}"
            figures[level] = rank_chart(f"Code usage, level {level}", counts, color_index=level, caption=caption)
    return figures


def _map_figures(run: Run) -> dict[int, Figure]:
    """Map of the code vectors by level."""
    levels: dict[int, list[CodePoint]] = {}
    for record in run.items("code_map"):
        level, point = number(nested(record, "level")), _code_point(record)
        if level is not None and point is not None:
            levels.setdefault(int(level), []).append(point)
    title = "Map of the code vectors, level {}"
    return {level: map_chart(title.format(level), points, caption=MAP_CAPTION) for level, points in levels.items()}


def _code_point(record: object) -> CodePoint | None:
    """Point of one code, or None where the record does not place it."""
    code, x, y, count = (number(nested(record, key)) for key in ("code", "x", "y", "count"))
    kmer = nested(record, "top_kmer")
    if code is None or x is None or y is None:
        return None
    return CodePoint(int(code), x, y, count or 0.0, kmer if isinstance(kmer, str) else "")
