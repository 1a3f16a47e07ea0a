"""PRETRAIN in the report: how well each genome encoder guesses masked codes, and how much its neighbours give away.

Owns the flow runs of stage 2 -> facts, curves and the leak picture (masked accuracy against the distance to the
nearest visible position). Must not know the encoder or the tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vqdna.reports.charts.curves import Curves, LevelCurves, curve_figures
from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.content import Block, Figure, Section, decimal, duration, known, magnitude, percent
from vqdna.reports.runs import Run, nested, number

INTRODUCTION = (
    "Stage 2 learns the language. Some positions are hidden, and the genome encoder guesses their codes from the rest. "
    "Masked accuracy is the share it gets right, per level of the vocabulary. Accuracies of different vocabularies do "
    "not compare, since one of four codes is easier to guess than one of a thousand; nor do code nats per base, the "
    "loss shared out among the bases. Base nats do compare: each guessed code is read as the bases it stands for. A "
    f"uniform guess among four bases costs ln 4 = {math.log(4):.3f}; lower is better.",
)
ACCURACY_CAPTION = "Share of hidden codes guessed right; level 0 is the coarsest. It should rise and then level off."
LOSS = Curves(
    "Loss",
    y="nats per masked position",
    metrics={"loss": "training", "evaluation_loss": "held out"},
    caption="Cross-entropy of the true codes, summed over levels, with what the run asks beside them. "
    "Held out rising while training falls is overfitting.",
)
HELD_OUT_ACCURACY = LevelCurves(
    "Masked accuracy, held out",
    y="codes guessed right",
    prefix="evaluation_masked_accuracy_level_",
    percent=True,
    caption=ACCURACY_CAPTION,
)
TRAINING_ACCURACY = LevelCurves(
    "Masked accuracy, training",
    y="codes guessed right",
    prefix="masked_accuracy_level_",
    percent=True,
    caption=ACCURACY_CAPTION,
)
BASE_NATS = Curves(
    "Base nats",
    y="nats per base",
    metrics={"base_nats": "training", "evaluation_base_nats": "held out"},
    caption="What the true bases cost when guessed codes are read as bases; it should fall below guessing (dotted).",
    reference=(math.log(4), f"guessing, ln 4 = {math.log(4):.3f}"),
)
NATS_PER_BASE = Curves(
    "Code nats per base",
    y="nats per base",
    metrics={"nats_per_base": "training", "evaluation_nats_per_base": "held out"},
    caption="The loss shared out among the masked bases. Lower is better, within one vocabulary.",
)
QUESTIONS = Curves(
    "The other questions",
    y="told right",
    metrics={
        "evaluation_contrast_accuracy": "which crops are of one stretch, held out",
        "contrast_accuracy": "the same, training",
        "evaluation_shuffling_accuracy": "real or drawn, held out",
    },
    percent=True,
    caption="Some windows ask something else than what is masked: which of several crops is of the same stretch "
    "(guessing is one over their number), or whether a position is real or drawn from pairs of bases (guessing: 1/2).",
)
MASKING = {
    "bases": "from the vocabulary as well as from the encoder, so no code can leak them",
    "fields": "from the encoder along with every code that looks at one of them, so no code can leak them",
    "spans": "from the encoder only, in stretches, so the codes beside a stretch may leak it",
    "codes": "from the encoder only, one by one, so the codes beside them may leak them",
}
LEAK_CAPTION = (
    "Masked codes grouped by how many positions they lie from the nearest visible one; a larger point stands for "
    "more of them. A curve that starts high at distance 1 and then drops means that neighbors give the answer away, "
    "because a code also describes the bases around it. A flat curve means that the encoder "
    "has to use what it knows of genomes."
)


def pretrain_section(runs: Sequence[Run]) -> Section | None:
    """Pictures of each genome encoder, or None without a run of stage 2."""
    runs = [run for run in runs if run.stage == "pretrain"]
    if not runs:
        return None
    return Section("pretrain", "Stage 2: pretrain", list(INTRODUCTION), [_run_block(run) for run in runs])


def _run_block(run: Run) -> Block:
    """Facts and pictures of one genome encoder."""
    return Block(
        run.name,
        [*_masking_sentences(run), *_leak_sentences(run)],
        _facts(run),
        rows=[_curve_figures(run), _leak_figures(run)],
    )


def _facts(run: Run) -> list[tuple[str, str]]:
    """Key numbers of one genome encoder, those it has."""
    accuracies = enumerate(run.items("evaluation", "masked_accuracy"))
    return known([
        *((f"masked accuracy, level {level}", percent(number(value))) for level, value in accuracies),
        ("base nats", decimal(run.value("evaluation", "base_nats"), 4)),
        ("code nats per base", decimal(run.value("evaluation", "nats_per_base"), 4)),
        ("loss of the masked, held out", decimal(run.value("evaluation", "loss"))),
        ("crops found", percent(run.value("evaluation", "contrast_accuracy"))),
        ("parameters", magnitude(run.value("parameters", "total"))),
        ("training time", duration(run.value("seconds"))),
    ])  # fmt: skip


def _curve_figures(run: Run) -> list[Figure]:
    """Loss, masked accuracy (held out where that was measured) and nats over training."""
    accuracy = curve_figures(run, [HELD_OUT_ACCURACY]) or curve_figures(run, [TRAINING_ACCURACY])
    nats = curve_figures(run, [BASE_NATS]) or curve_figures(run, [NATS_PER_BASE])
    return [*curve_figures(run, [LOSS]), *accuracy, *nats, *curve_figures(run, [QUESTIONS])]


def _leak_points(run: Run) -> list[tuple[float, list[float | None], float]]:
    """(distance, accuracy of each level, count) with rising distance."""
    points = []
    for record in run.items("leak"):
        distance, accuracies = number(nested(record, "distance")), nested(record, "accuracy")
        if distance is not None and isinstance(accuracies, list):
            points.append((distance, [number(value) for value in accuracies], number(nested(record, "count")) or 0.0))
    return sorted(points, key=lambda point: point[0])


def _leak_lines(run: Run) -> list[Line]:
    """Accuracy over distance, a line per level, points sized by count."""
    points = _leak_points(run)
    most = max((count for _, _, count in points), default=0.0)
    lines = []
    for level in range(max((len(accuracies) for _, accuracies, _ in points), default=0)):
        known = [(distance, values[level], count) for distance, values, count in points if len(values) > level]
        kept = [(distance, value, count) for distance, value, count in known if value is not None]
        sizes = [round(5 + 11 * (count / most) ** 0.5, 1) if most else 7.0 for _, _, count in kept]
        if kept:
            xs, ys = [distance for distance, _, _ in kept], [value for _, value, _ in kept]
            lines.append(Line(f"level {level}", xs, ys, color=level, sizes=sizes))
    return lines


def _leak_figures(run: Run) -> list[Figure]:
    """Picture of the leak, where it was measured."""
    lines = _leak_lines(run)
    if not lines:
        return []
    x = "distance to the nearest visible position"
    y = "codes guessed right"
    return [line_chart("Leak from neighbors", lines, x=x, y=y, caption=LEAK_CAPTION, percent=True)]


def _masking_sentences(run: Run) -> list[str]:
    """How much was hidden, and from whom."""
    fraction, unit = run.value("masking", "fraction"), nested(run.results, "masking", "unit")
    if fraction is None or not isinstance(unit, str) or unit not in MASKING:
        return []
    return [f"{percent(fraction, 0)} of the bases are hidden {MASKING[unit]}."]


def _leak_sentences(run: Run) -> list[str]:
    """What the leak picture shows, in numbers."""
    lines = [line for line in _leak_lines(run) if len(line.x) > 1]
    parts = [
        f"{percent(line.y[0])} at distance {line.x[0]:g} and {percent(line.y[-1])} at {line.x[-1]:g} ({line.name})"
        for line in lines
    ]
    return (
        [f"Masked codes guessed right, by distance to the nearest visible position: {'; '.join(parts)}."]
        if parts
        else []
    )
