"""The sections of an audit's page: what was asked, what is good and what is bad, tables and pictures.

Flow: results of an audit -> sections, tokenizers side by side throughout. Must not know how anything was measured, nor
draw: pictures come from `figures`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from vqdna.audit.report.figures import grouped_bars, heat_map, rank_curves
from vqdna.audit.results import (
    AuditInput,
    AuditResults,
    BaseCosts,
    FeatureInformation,
    TokenizerAudit,
    whole,
)
from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.content import (
    MISSING,
    Block,
    Cell,
    Section,
    Table,
    decimal,
    duration,
    known,
    listed,
    magnitude,
    number_cell,
    percent,
    plural,
)

Audits = Sequence[TokenizerAudit]
MAX_VALUES_WITH_SHARES, MAX_VALUES_TEXT = 3, 40
GOAL = 0.99
"""Share of single-base changes that should alter a code (the project's own goal)."""


def _digits(digits: int) -> Callable[[float | None], str]:
    return lambda value: decimal(value, digits)


MEASURES: tuple[tuple[str, Callable[[TokenizerAudit], float | None], Callable[[float | None], str]], ...] = (
    ("bases per position", lambda t: t.usage.bases_per_position, _digits(2)),
    ("bits per base by size of the codebooks", lambda t: t.usage.nominal_bits_per_base, _digits(2)),
    ("codes in use, level 0", lambda t: t.usage.levels[0].usage, percent),
    ("codes in use, finest level", lambda t: t.usage.levels[-1].usage, percent),
    ("perplexity, level 0", lambda t: t.usage.levels[0].perplexity, _digits(0)),
    ("perplexity, finest level", lambda t: t.usage.levels[-1].perplexity, _digits(0)),
    ("nats per base of the codes, order 2", lambda t: t.nats_per_base.total, decimal),
    ("single-base changes that alter a code", lambda t: t.sensitivity.altered_fraction, lambda v: percent(v, 2)),
    ("codes changed by one base change", lambda t: whole(t.sensitivity.columns).flips_per_change, _digits(1)),
    ("farthest code change, in bases", lambda t: whole(t.sensitivity.columns).farthest, _digits(0)),
    ("same codes when shifted by one base", lambda t: whole(t.shift[0].columns), percent),
    ("same codes on the other strand", lambda t: whole(t.reverse_complement.columns).same_code, percent),
    (
        "other strand follows from this one",
        lambda t: whole(t.reverse_complement.columns).normalized_information,
        percent,
    ),
)


def audit_sections(results: AuditResults) -> list[Section]:
    audits = results.tokenizers
    return [
        _overview(results),
        _usage(audits),
        _cost(results.bases, audits),
        _sensitivity(audits),
        _stability(audits),
        _information(audits),
    ]


def _overview(results: AuditResults) -> Section:
    audits, source = results.tokenizers, results.input
    rows = [[Cell(name), *(number_cell(of(t), text(of(t))) for t in audits)] for name, of, text in MEASURES]
    table = Table("The main numbers; each is explained below.", ["", *(t.name for t in audits)], rows)
    facts = known([
        ("sequences", decimal(source.num_sequences, 0)),
        ("bases", magnitude(source.num_bases)),
        ("windows looked at", f"{source.num_windows:,} of {source.num_possible_windows:,}"),
        ("bases counted", magnitude(source.num_counted_bases)),
        ("seed", str(results.seed)),
        ("time", duration(results.seconds)),
    ])  # fmt: skip
    return Section("overview", "Overview", _input_sentences(source), [Block(facts=facts, tables=[table])])


def _input_sentences(source: AuditInput) -> list[str]:
    files = [name.rsplit("/", 1)[-1] for name in source.files]
    shown = [*files[:6], plural(len(files) - 6, "more file")] if len(files) > 6 else files
    which = "All of the input was read" if source.whole_input else "A random choice of the input was read"
    sentences = [
        f"What the codes of a tokenizer hold, keep and lose, on {listed(shown)}. {which}, in windows of "
        f"{source.window} bases. The outer {source.margin} bases on either side of a window give context and are "
        "not counted."
    ]
    if source.annotation:
        elsewhere = source.num_features_elsewhere
        passed_over = f"; {elsewhere:,} more lie on sequences that are not among the genomes" if elsewhere else ""
        name = source.annotation.rsplit("/", 1)[-1]
        sentences.append(f"Annotation: {name}, {source.num_features or 0:,} features{passed_over}.")
    return sentences


def _usage(audits: Audits) -> Section:
    levels = [(t, index, level) for t in audits for index, level in enumerate(t.usage.levels)]
    rows = [
        [
            Cell(t.name),
            Cell(str(index), index),
            number_cell(level.size, decimal(level.size, 0)),
            number_cell(level.usage, percent(level.usage)),
            number_cell(level.dead_codes, decimal(level.dead_codes, 0)),
            number_cell(level.perplexity, decimal(level.perplexity, 1)),
            number_cell(level.entropy_bits_per_base, decimal(level.entropy_bits_per_base, 2)),
        ]
        for t, index, level in levels
    ]
    caption = "Over all positions read. Dead: codes that never occur there; rare codes may wait for more bases."
    columns = ["tokenizer", "level", "codes", "used", "dead", "perplexity", "entropy, bits per base"]
    lines = [
        Line(t.column_name(f"level {index}"), level.rank_frequency.rank, level.rank_frequency.share, place)
        for place, (t, index, level) in enumerate(levels)
    ]
    curve = rank_curves(
        "Frequency by rank",
        lines,
        caption="A curve that stays flat and then drops shares the work among its codes. One that falls from the start "
        "leaves it to a few.",
    )
    sentences = [
        "Codes that are never used are capacity paid for and wasted. Perplexity is how many equally frequent codes "
        "would be as varied. Close to the number of codes is good; far below it, a few codes do most of the work."
    ]
    joint = [_joint_sentence(t) for t in audits if len(t.level_sizes) > 1]
    block = Block(sentences=joint, tables=[Table(caption, columns, rows)], rows=[[curve]])
    return Section("usage", "Use", sentences, [block])


def _joint_sentence(audit: TokenizerAudit) -> str:
    joint = audit.usage.joint
    told = (
        f"{audit.name}: {joint.used_combinations:,} combinations of levels occur, as varied as "
        f"{joint.perplexity:,.0f} equally frequent ones."
    )
    for pair in audit.between_levels[:1]:
        told += (
            f" Level {pair.fine_level} shares {pair.bits:.2f} of its {pair.fine_entropy_bits:.2f} bits with level "
            f"{pair.coarse_level} (chance alone gives {pair.null_bits:.2f}) and adds {pair.fine_given_coarse_bits:.2f}."
            " Levels that share nearly all are one level bought twice."
        )
    return told


def _cost(bases: BaseCosts, audits: Audits) -> Section:
    scale = {
        "bases, gzip": bases.gzip,
        "bases, xz": bases.xz,
        "bases, order 2": bases.order_2,
        "bases, orders 1 to 12 mixed": bases.context_mixing,
    }
    most = max(len(t.level_sizes) for t in audits)
    groups: dict[str, dict[str, float | None]] = {
        f"level {level}": {t.name: t.nats_per_base.levels[level] for t in audits if level < len(t.level_sizes)}
        for level in range(most)
    }
    figure = grouped_bars(
        "Nats per base",
        {**groups, "bases": dict(scale)},
        y="nats per base",
        caption="Bars of several levels are stacked: a finer level's part is what it adds to the coarser one.",
        stacked=True,
    )
    costs = {t.name: t.nats_per_base.total for t in audits} | scale | {"guessing each base": bases.uniform}
    rows = [
        [Cell(name), number_cell(nats, decimal(nats)), number_cell(nats / math.log(2), decimal(nats / math.log(2)))]
        for name, nats in costs.items()
    ]
    caption = (
        f"gzip, xz and the mixture read {bases.num_bases:,} bases and learn as they go; gzip and xz read letters of "
        "eight bits. The order-2 models learn from seven eighths of the windows and price the other eighth."
    )
    table = Table(caption, ["", "nats per base", "bits per base"], rows)
    sentences = [
        "The nats that an order-2 model needs to spell the codes, each level given the coarser ones, beside those that "
        "the bases themselves cost. Overlapping and redundant codes cost more than their bases. Codes that cost less "
        "than the bases have lost some. A model that has seen few positions pays for every rare code, so large "
        "codebooks look dearer on short input."
    ]
    return Section("cost", "Cost", sentences, [Block(tables=[table], rows=[[figure]])])


def _sensitivity(audits: Audits) -> Section:
    columns = [(t.column_name(name), found) for t in audits for name, found in t.sensitivity.columns.items()]
    reach = max(len(found.flip_probability_by_distance) for _, found in columns)
    lines = []
    for place, (name, found) in enumerate(columns):
        chances = found.flip_probability_by_distance
        # Behind its farthest code change a curve goes on at zero.
        lines.append(Line(name, list(range(reach)), [*chances, *([0.0] * (reach - len(chances)))], place))
    curve = line_chart(
        "Chance of a code change by distance",
        lines,
        x="bases between the changed base and the position's span",
        y="codes changed",
        percent=True,
        caption="0 is the positions that hold the changed base. A long tail is context: one base changes many codes.",
    )
    rows = [
        [
            Cell(name),
            number_cell(found.altered_fraction, percent(found.altered_fraction, 2)),
            number_cell(found.flips_per_change, decimal(found.flips_per_change, 2)),
            number_cell(found.mean_distance, decimal(found.mean_distance, 1)),
            number_cell(found.farthest, decimal(found.farthest, 0)),
        ]
        for name, found in columns
    ]
    num_changes = audits[0].sensitivity.num_changes
    caption = f"{num_changes:,} random changes of a single base; positions count once for each level that differs."
    table = Table(caption, ["", "base changes seen", "codes changed", "mean distance", "farthest"], rows)
    sentences = [
        "A vocabulary that does not see a single changed base cannot tell variants apart. "
        f"At least {percent(GOAL, 0)} of the base changes should alter a code. Few code changes, all close to the "
        "changed base, make codes easy to compare. Code changes far away show how much context a code carries.",
        *(_verdict(t) for t in audits),
    ]
    return Section("sensitivity", "Single-base changes", sentences, [Block(tables=[table], rows=[[curve]])])


def _verdict(audit: TokenizerAudit) -> str:
    found, error = audit.sensitivity.altered_fraction, audit.sensitivity.altered_standard_error
    word = "reaches" if found >= GOAL else "misses"
    return f"{audit.name}: {percent(found, 2)} (± {100 * error:.2f}) of the changes alter a code: {word} the goal."


def _stability(audits: Audits) -> Section:
    shifted = grouped_bars(
        "Same codes after a shift",
        {t.name: {f"{entry.shift}": whole(entry.columns) for entry in t.shift} for t in audits},
        y="positions",
        percent=True,
        caption="Bases by which the reading starts later. All bars at 100 %: the codes depend on the DNA, not on where "
        "reading began. Gaps: tokens laid side by side fall out of step.",
    )
    strands = {t.column_name(name): found for t in audits for name, found in t.reverse_complement.columns.items()}
    opposite = grouped_bars(
        "Codes of the other strand",
        {
            "same code": {name: found.same_code for name, found in strands.items()},
            "follows from this strand": {name: found.normalized_information for name, found in strands.items()},
            "best partner": {name: found.partner_consistency for name, found in strands.items()},
        },
        y="share",
        percent=True,
        caption="Same code: the opposite position has the very same code. Follows: information between the strands' "
        "codes over their entropy, 100 % if each determines the other. Best partner: the opposite code is the one "
        "learned from the other half of the windows. Codes too rare to learn count as wrong. Positions "
        "with none at the same bases of the other strand count against all three.",
    )
    sentences = [
        "DNA has no natural first base, and it has two strands. Codes should not change when reading starts elsewhere, "
        "and should have a fixed relation to the other strand's codes. Otherwise a model learns the same thing several "
        "times.",
        *(
            f"{t.name}: only {percent(t.reverse_complement.aligned_fraction)} of its positions have one at the same "
            "bases of the other strand."
            for t in audits
            if t.reverse_complement.aligned_fraction < 0.999
        ),
    ]
    return Section("stability", "Shift and strand", sentences, [Block(rows=[[shifted, opposite]])])


def _information(audits: Audits) -> Section:
    features = audits[0].information
    if not features:
        return Section("information", "Information", ["No feature took more than one value here."], [])
    columns = [
        (t.column_name(column), [feature.columns[column] for feature in t.information])
        for t in audits
        for column in t.information[0].columns
    ]
    figure = heat_map(
        "Information about the genome",
        [feature.name for feature in features],
        [name for name, _ in columns],
        [[found[row].share for _, found in columns] for row in range(len(features))],
        [[f"{max(found[row].excess_bits, 0):.3f}" for _, found in columns] for row in range(len(features))],
        caption="Each field gives bits beyond chance; its color is the share of the feature's entropy.",
    )
    rows = [
        [
            Cell(feature.name),
            Cell(feature.meaning),
            Cell(_values(feature)),
            number_cell(feature.entropy_bits, decimal(feature.entropy_bits)),
        ]
        for feature in features
    ]
    heads = ["feature", "meaning", "values", "entropy, bits"]
    table = Table("The features, taken at the middle base of each position.", heads, rows, 3)
    sentences = [
        "What a code tells about its place in the genome, in bits beyond chance. Chance is what the same codes tell "
        "about the labels of other windows: many codes and few positions share bits with anything. High is good for "
        "whatever a task may ask. Colors show the share of the feature's entropy."
    ]
    return Section("information", "Information", sentences, [Block(tables=[table], rows=[[figure]])])


def _values(feature: FeatureInformation) -> str:
    names = feature.value_names
    if len(names) > MAX_VALUES_WITH_SHARES:
        text = ", ".join(names)
        return text if len(text) < MAX_VALUES_TEXT else f"{len(names)} bins, {names[0]} to {names[-1]}"
    return ", ".join(f"{name}: {percent(share)}" for name, share in zip(names, feature.value_shares)) or MISSING
