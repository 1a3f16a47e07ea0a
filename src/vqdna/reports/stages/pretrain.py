"""PRETRAIN in the report: how well each genome encoder guesses masked codes, and how much its neighbours give away.

Flow: results of stage 2 -> facts, curves and the leak picture (masked accuracy against the distance to the
nearest visible position). Must not know the encoder or the tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vqdna.reports.charts.curves import GUESSING, Curves, curve_figures
from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.content import Block, Section, decimal, duration, known, magnitude, percent
from vqdna.reports.runs import Run, of_kind
from vqdna.stage_results import PretrainResults

INTRODUCTION = (
    "Stage 2 learns the language. Some positions are hidden, and the genome encoder guesses their codes from the rest. "
    "Masked accuracy is the share it gets right, per level of the vocabulary. Accuracies of different vocabularies do "
    "not compare, since one of four codes is easier to guess than one of a thousand; nor do code nats per base, the "
    "loss shared out among the bases. Base nats do compare: each guessed code is read as the bases it stands for. A "
    f"uniform guess among four bases costs ln 4 = {math.log(4):.3f}; lower is better.",
)
ACCURACY_CAPTION = "Share of hidden codes guessed right; level 0 is the coarsest. It should rise and then level off."
LOSS = Curves(
    "Loss", "nats per masked position",
    "Cross-entropy of the true codes, summed over levels, with what the run asks beside them. "
    "Held out rising while training falls is overfitting.",
    {"loss": "training", "evaluation_loss": "held out"},
)  # fmt: skip
HELD_OUT_ACCURACY = Curves(
    "Masked accuracy, held out", "codes guessed right", ACCURACY_CAPTION,
    per_level="evaluation_masked_accuracy_level_", percent=True,
)  # fmt: skip
TRAINING_ACCURACY = Curves(
    "Masked accuracy, training", "codes guessed right", ACCURACY_CAPTION,
    per_level="masked_accuracy_level_", percent=True,
)  # fmt: skip
BASE_NATS = Curves(
    "Base nats", "nats per base",
    "What the true bases cost when guessed codes are read as bases; it should fall below guessing (dotted).",
    {"base_nats": "training", "evaluation_base_nats": "held out"},
    reference=GUESSING,
)  # fmt: skip
NATS_PER_BASE = Curves(
    "Code nats per base", "nats per base",
    "The loss shared out among the masked bases. Lower is better, within one vocabulary.",
    {"nats_per_base": "training", "evaluation_nats_per_base": "held out"},
)  # fmt: skip
QUESTIONS = Curves(
    "The other questions", "told right",
    "Some windows ask something other than what is masked. Which of several augmented views is of the same "
    "span? Guessing is right once in their number. Is a position real or dinucleotide-shuffled? Guessing is right "
    "half the time.",
    {
        "evaluation_contrast_accuracy": "which augmented views are of one span, held out",
        "contrast_accuracy": "the same, training",
        "evaluation_shuffling_accuracy": "real or dinucleotide-shuffled, held out",
    },
    percent=True,
)  # fmt: skip
MASKING = {
    "bases": "from the vocabulary as well as from the encoder, so no code can leak them",
    "fields": "from the encoder along with every code that looks at one of them, so no code can leak them",
    "spans": "from the encoder only, in spans, so the codes beside a span may leak it",
    "codes": "from the encoder only, one by one, so the codes beside them may leak them",
}
LEAK_CAPTION = (
    "Masked codes grouped by how many positions they lie from the nearest visible one; a larger point stands for "
    "more of them. A curve that starts high at distance 1 and then drops means that neighbors give the answer away, "
    "because a code also describes the bases around it. A flat curve means that the encoder "
    "has to use what it knows of genomes."
)


def pretrain_section(runs: Sequence[Run]) -> Section | None:
    blocks = [_block(run, results) for run, results in of_kind(runs, PretrainResults)]
    return Section("pretrain", "Stage 2: pretrain", list(INTRODUCTION), blocks) if blocks else None


def _block(run: Run, results: PretrainResults) -> Block:
    """Facts and pictures of one genome encoder: loss, masked accuracy (held out where measured), nats, and the leak."""
    accuracy = curve_figures(run, [HELD_OUT_ACCURACY]) or curve_figures(run, [TRAINING_ACCURACY])
    nats = curve_figures(run, [BASE_NATS]) or curve_figures(run, [NATS_PER_BASE])
    curves = [*curve_figures(run, [LOSS]), *accuracy, *nats, *curve_figures(run, [QUESTIONS])]
    leak = _leak_lines(results)
    x, y = "distance to the nearest visible position", "codes guessed right"
    pictures = [line_chart("Leak from neighbors", leak, x=x, y=y, caption=LEAK_CAPTION, percent=True)] if leak else []
    sentences = []
    fraction, unit = results.masking.fraction, results.masking.unit
    if fraction is not None and unit in MASKING:
        sentences.append(f"{percent(fraction, 0)} of the bases are hidden {MASKING[unit]}.")
    parts = [
        f"{percent(line.y[0])} at distance {line.x[0]:g} and {percent(line.y[-1])} at {line.x[-1]:g} ({line.name})"
        for line in leak
        if len(line.x) > 1
    ]
    told = f"Masked codes guessed right, by distance to the nearest visible position: {'; '.join(parts)}."
    return Block(run.name, [*sentences, *([told] if parts else [])], _facts(results), rows=[curves, pictures])


def _facts(results: PretrainResults) -> list[tuple[str, str]]:
    evaluation = results.evaluation
    return known([
        *((f"masked accuracy, level {i}", percent(value)) for i, value in enumerate(evaluation.masked_accuracy)),
        ("base nats", decimal(evaluation.base_nats, 4)),
        ("code nats per base", decimal(evaluation.nats_per_base, 4)),
        ("loss of the masked, held out", decimal(evaluation.loss)),
        ("augmented views found", percent(evaluation.contrast_accuracy)),
        ("parameters", magnitude(results.num_parameters)),
        ("training time", duration(results.seconds)),
    ])  # fmt: skip


def _leak_lines(results: PretrainResults) -> list[Line]:
    """Accuracy over rising distance, a line per level, points sized by count."""
    placed = [(point.distance, point) for point in results.leak if point.distance is not None]
    points = sorted(placed, key=lambda pair: pair[0])
    most = max((point.count or 0.0 for _, point in points), default=0.0)
    lines = []
    for level in range(max((len(point.accuracy) for _, point in points), default=0)):
        kept = [
            (distance, value, point.count or 0.0)
            for distance, point in points
            if len(point.accuracy) > level and (value := point.accuracy[level]) is not None
        ]
        # The area of a point grows with its count.
        sizes = [round(5 + 11 * (count / most) ** 0.5, 1) if most else 7.0 for _, _, count in kept]
        if kept:
            xs, ys = [distance for distance, _, _ in kept], [value for _, value, _ in kept]
            lines.append(Line(f"level {level}", xs, ys, color=level, sizes=sizes))
    return lines
