"""The sections of an audit's page: what was asked, what is good and what is bad, tables and pictures.

Owns the flow results of an audit -> sections, tokenizers side by side throughout. Must not know how anything was
measured, nor draw: pictures come from `audit_figures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vqdna.audit.report.figures import grouped_bars, heat_map, rank_curves
from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.content import (
    MISSING,
    Block,
    Cell,
    Figure,
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
from vqdna.reports.runs import number

Record = Mapping[str, Any]
MAX_VALUES_WITH_SHARES, MAX_VALUES_TEXT = 3, 40
GOAL = 0.99
"""Share of single-base changes that should alter a code (the project's own goal)."""

MEASURES: tuple[tuple[str, Callable[[Record], float | None], Callable[[float | None], str]], ...] = (
    ("bases per position", lambda r: r["usage"]["bases_per_position"], lambda v: decimal(v, 2)),
    ("bits per base by size of the codebooks", lambda r: r["usage"]["nominal_bits_per_base"], lambda v: decimal(v, 2)),
    ("codes in use, level 0", lambda r: r["usage"]["levels"][0]["usage"], percent),
    ("codes in use, finest level", lambda r: r["usage"]["levels"][-1]["usage"], percent),
    ("perplexity, level 0", lambda r: r["usage"]["levels"][0]["perplexity"], lambda v: decimal(v, 0)),
    ("perplexity, finest level", lambda r: r["usage"]["levels"][-1]["perplexity"], lambda v: decimal(v, 0)),
    ("nats per base of the codes, order 2", lambda r: r["nats_per_base"]["total"], decimal),
    ("single-base changes that alter a code", lambda r: r["sensitivity"]["altered_fraction"], lambda v: percent(v, 2)),
    ("positions flipped by a change", lambda r: _whole(r["sensitivity"])["flips_per_change"], lambda v: decimal(v, 1)),
    ("farthest flip, in bases", lambda r: _whole(r["sensitivity"])["farthest"], lambda v: decimal(v, 0)),
    ("same codes when shifted by one base", lambda r: _whole(r["shift"][0]), percent),
    ("same codes on the other strand", lambda r: _whole(r["reverse_complement"])["same_code"], percent),
    (
        "other strand follows from this one",
        lambda r: _whole(r["reverse_complement"])["normalized_information"],
        percent,
    ),
)


def audit_sections(results: Record) -> list[Section]:
    """Sections in reading order."""
    records: list[Record] = results["tokenizers"]
    return [
        _overview(results, records),
        _usage(records),
        _cost(results, records),
        _sensitivity(records),
        _stability(records),
        _information(records),
    ]


def _whole(record: Record) -> Any:
    """Value below `columns` for all levels together."""
    return list(record["columns"].values())[-1]


def _columns(records: Sequence[Record], key: str) -> list[tuple[str, Any]]:
    """Name and value of each column of `key`, over all tokenizers: `hrq level 0`, ..., `hrq joint`, `kmer:6`."""
    named = []
    for record in records:
        columns = record[key]["columns"]
        named += [(_column_name(record, name), value) for name, value in columns.items()]
    return named


def _column_name(record: Record, column: str) -> str:
    return f"{record['name']}, {column}" if len(record["level_sizes"]) > 1 else str(record["name"])


def _overview(results: Record, records: Sequence[Record]) -> Section:
    rows = [
        [Cell(name), *(number_cell(value(record), text(value(record))) for record in records)]
        for name, value, text in MEASURES
    ]
    table = Table("The main numbers; each is explained below.", ["", *(str(r["name"]) for r in records)], rows)
    source = results["input"]
    facts = known([
        ("sequences", decimal(number(source["num_sequences"]), 0)),
        ("bases", magnitude(number(source["num_bases"]))),
        ("windows looked at", f"{source['num_windows']:,} of {source['num_possible_windows']:,}"),
        ("bases counted", magnitude(number(source["num_counted_bases"]))),
        ("seed", str(results["seed"])),
        ("time", duration(number(results["seconds"]))),
    ])  # fmt: skip
    return Section("overview", "Overview", _input_sentences(source), [Block(facts=facts, tables=[table])])


def _input_sentences(source: Record) -> list[str]:
    files = [str(name).rsplit("/", 1)[-1] for name in source["files"]]
    shown = [*files[:6], plural(len(files) - 6, "more file")] if len(files) > 6 else files
    which = "All of the input was read" if source["whole_input"] else "A random choice of the input was read"
    sentences = [
        f"What the codes of a tokenizer hold, keep and lose, on {listed(shown)}. {which}, in windows of "
        f"{source['window']} bases; the outer {source['margin']} bases on either side of a window give context and are "
        "not counted."
    ]
    if source["annotation"]:
        elsewhere = source["num_features_elsewhere"]
        passed_over = f"; {elsewhere:,} more lie on sequences that are not among the genomes" if elsewhere else ""
        name = str(source["annotation"]).rsplit("/", 1)[-1]
        sentences.append(f"Annotation: {name}, {source['num_features']:,} features{passed_over}.")
    return sentences


def _usage(records: Sequence[Record]) -> Section:
    levels = [(r, i, level) for r in records for i, level in enumerate(r["usage"]["levels"])]
    rows = [
        [
            Cell(str(record["name"])),
            Cell(str(index), index),
            number_cell(level["size"], decimal(level["size"], 0)),
            number_cell(level["usage"], percent(level["usage"])),
            number_cell(level["dead_codes"], decimal(level["dead_codes"], 0)),
            number_cell(level["perplexity"], decimal(level["perplexity"], 1)),
            number_cell(level["entropy_bits_per_base"], decimal(level["entropy_bits_per_base"], 2)),
        ]
        for record, index, level in levels
    ]
    caption = "Over all positions read. Dead: codes that never occur there; rare codes may wait for more bases."
    columns = ["tokenizer", "level", "codes", "used", "dead", "perplexity", "entropy, bits per base"]
    lines = [
        Line(
            _column_name(record, f"level {index}"),
            level["rank_frequency"]["rank"],
            level["rank_frequency"]["share"],
            place,
        )
        for place, (record, index, level) in enumerate(levels)
    ]
    curve = rank_curves(
        "Frequency by rank",
        lines,
        caption="A curve that stays flat and then drops shares the work among its codes; one that falls from the start "
        "leaves it to a few.",
    )
    sentences = [
        "Codes that are never used are capacity paid for and wasted. Perplexity is how many equally frequent codes "
        "would be as varied: close to the number of codes is good, far below it means a few codes do most of the work."
    ]
    joint = [_joint_sentence(r) for r in records if len(r["level_sizes"]) > 1]
    return Section(
        "usage", "Use", sentences, [Block(sentences=joint, tables=[Table(caption, columns, rows)], rows=[[curve]])]
    )


def _joint_sentence(record: Record) -> str:
    joint = record["usage"]["joint"]
    between = record["between_levels"][0] if record["between_levels"] else {}
    text = (
        f"{record['name']}: {joint['used_combinations']:,} combinations of levels occur, as varied as "
        f"{joint['perplexity']:,.0f} equally frequent ones."
    )
    if between:
        text += (
            f" Level {between['fine_level']} shares {between['bits']:.2f} of its "
            f"{between['fine_entropy_bits']:.2f} bits "
            f"with level {between['coarse_level']} (chance alone gives {between['null_bits']:.2f}) and adds "
            f"{between['fine_given_coarse_bits']:.2f}; levels that share nearly all are one level bought twice."
        )
    return text


def _cost(results: Record, records: Sequence[Record]) -> Section:
    bases = results["bases"]
    depth = max(len(record["level_sizes"]) for record in records)
    names = [str(record["name"]) for record in records]
    scale = [("bases, gzip", "gzip"), ("bases, xz", "xz"), ("bases, order 2", "order_2")]
    scale += [("bases, orders 1 to 12 mixed", "context_mixing")]
    groups: dict[str, list[float | None]] = {
        f"level {level}": [
            *(r["nats_per_base"]["levels"][level] if level < len(r["level_sizes"]) else None for r in records),
            *([None] * len(scale)),
        ]
        for level in range(depth)
    }
    groups["bases"] = [*([None] * len(records)), *(number(bases[key]) for _, key in scale)]
    figure = grouped_bars(
        "Nats per base",
        [*names, *(name for name, _ in scale)],
        groups,
        y="nats per base",
        caption="Bars of several levels are stacked: a finer level's part is what it adds to the coarser one.",
    )
    figure.spec["layout"]["barmode"] = "stack"
    rows = [
        *([Cell(str(r["name"])), *_cost_cells(r["nats_per_base"]["total"])] for r in records),
        *([Cell(name), *_cost_cells(number(bases[key]))] for name, key in scale),
        [Cell("guessing each base"), *_cost_cells(number(bases["uniform"]))],
    ]
    caption = (
        f"gzip, xz and the mixture read {bases['num_bases']:,} bases and learn as they go; gzip and xz read letters of "
        "eight bits. The order-2 models learn from seven eighths of the windows and price the other eighth."
    )
    table = Table(caption, ["", "nats per base", "bits per base"], rows)
    sentences = [
        "How much text the codes are: what an order-2 model needs to spell them, each level given the coarser ones, "
        "next to what the bases themselves cost. Overlapping and redundant codes cost more than their bases; "
        "codes that cost less than the bases have lost some. A model that has seen few positions pays for every rare "
        "code, so large codebooks look dearer on short input."
    ]
    return Section("cost", "Cost", sentences, [Block(tables=[table], rows=[[figure]])])


def _cost_cells(nats: float | None) -> list[Cell]:
    bits = None if nats is None else nats / 0.6931471805599453
    return [number_cell(nats, decimal(nats)), number_cell(bits, decimal(bits))]


def _sensitivity(records: Sequence[Record]) -> Section:
    columns = _columns(records, "sensitivity")
    chances = {name: v["flip_probability_by_distance"] for name, v in columns}
    reach = max(map(len, chances.values()))  # behind its farthest flip a curve goes on at zero
    lines = [
        Line(name, list(range(reach)), [*values, *([0.0] * (reach - len(values)))], place)
        for place, (name, values) in enumerate(chances.items())
    ]
    curve = line_chart(
        "Chance of a flip by distance",
        lines,
        x="bases between the change and the position's span",
        y="positions flipped",
        percent=True,
        caption="0 is the positions that hold the changed base. A long tail is context: one change rewrites many "
        "codes.",
    )
    rows = [
        [
            Cell(name),
            number_cell(v["altered_fraction"], percent(v["altered_fraction"], 2)),
            number_cell(v["flips_per_change"], decimal(v["flips_per_change"], 2)),
            number_cell(v["mean_distance"], decimal(v["mean_distance"], 1)),
            number_cell(v["farthest"], decimal(v["farthest"], 0)),
        ]
        for name, v in columns
    ]
    num_changes = records[0]["sensitivity"]["num_changes"]
    caption = f"{num_changes:,} random changes of a single base; positions count once for each level that differs."
    heads = ["", "changes seen", "positions flipped", "mean distance", "farthest"]
    sentences = [
        f"A vocabulary that does not see a single changed base cannot tell variants apart: at least {percent(GOAL, 0)} "
        "of the changes should alter at least one code. Few flips close to the change make codes easy to compare; "
        "flips far away show how much context a code carries.",
        *(_verdict(record) for record in records),
    ]
    return Section(
        "sensitivity", "Single-base changes", sentences, [Block(tables=[Table(caption, heads, rows)], rows=[[curve]])]
    )


def _verdict(record: Record) -> str:
    found, error = (record["sensitivity"][key] for key in ("altered_fraction", "altered_standard_error"))
    word = "reaches" if found >= GOAL else "misses"
    return f"{record['name']}: {percent(found, 2)} (± {100 * error:.2f}) of the changes alter a code: {word} the goal."


def _stability(records: Sequence[Record]) -> Section:
    longest = max((record["shift"] for record in records), key=len)
    shifts = [f"{entry['shift']}" for entry in longest]
    shift_groups = {
        str(r["name"]): [*(number(_whole(entry)) for entry in r["shift"]), *([None] * (len(longest) - len(r["shift"])))]
        for r in records
    }
    shifted = grouped_bars(
        "Same codes after a shift",
        shifts,
        shift_groups,
        y="positions",
        percent=True,
        caption="Bases by which the reading starts later. All bars at 100 %: the codes depend on the DNA, not on where "
        "reading began. Gaps: words laid side by side fall out of step.",
    )
    strands = _columns(records, "reverse_complement")
    keys = {
        "same code": "same_code",
        "follows from this strand": "normalized_information",
        "best partner": "partner_consistency",
    }
    opposite = grouped_bars(
        "Codes of the other strand",
        [name for name, _ in strands],
        {label: [number(v[key]) for _, v in strands] for label, key in keys.items()},
        y="share",
        percent=True,
        caption="Same code: the opposite position has the very same code. Follows: information between the strands' "
        "codes over their entropy, 100 % if each determines the other. Best partner: the opposite code is the one "
        "learned from the other half of the windows; codes too rare to learn count as wrong. Positions "
        "with none at the same bases of the other strand count against all three.",
    )
    sentences = [
        "DNA has no natural first base and two strands. Codes that change when reading starts elsewhere, or that have "
        "no fixed relation to the other strand's codes, make a model learn the same thing several times.",
        *(_aligned_sentence(r) for r in records if r["reverse_complement"]["aligned_fraction"] < 0.999),
    ]
    return Section("stability", "Shift and strand", sentences, [Block(rows=[[shifted, opposite]])])


def _aligned_sentence(record: Record) -> str:
    share = record["reverse_complement"]["aligned_fraction"]
    return f"{record['name']}: only {percent(share)} of its positions have one at the same bases of the other strand."


def _information(records: Sequence[Record]) -> Section:
    names = [str(feature["name"]) for feature in records[0]["information"]]
    columns = [
        (_column_name(record, column), [feature["columns"][column] for feature in record["information"]])
        for record in records
        for column in (record["information"][0]["columns"] if record["information"] else ())
    ]
    sentences = [
        "What a code tells about its place in the genome, in bits, beyond what chance gives: the same codes held "
        "against the labels of other windows. High is good for whatever a task may ask. Colors show the share of the "
        "feature's entropy; codes too many for the positions read share bits by chance, which are taken off."
    ]
    if not names or not columns:
        return Section("information", "Information", ["No feature took more than one value here."], [])
    figure: Figure = heat_map(
        "Information about the genome",
        names,
        [name for name, _ in columns],
        [[number(cells[row]["share"]) for _, cells in columns] for row in range(len(names))],
        [[f"{max(cells[row]['excess_bits'], 0):.3f}" for _, cells in columns] for row in range(len(names))],
        caption="Bits beyond chance in each cell; color by the share of the feature's entropy.",
    )
    rows = [
        [
            Cell(str(feature["name"])),
            Cell(str(feature["meaning"])),
            Cell(_values(feature)),
            number_cell(feature["entropy_bits"], decimal(feature["entropy_bits"])),
        ]
        for feature in records[0]["information"]
    ]
    table = Table(
        "The features, taken at the middle base of each position.",
        ["feature", "meaning", "values", "entropy, bits"],
        rows,
        3,
    )
    return Section("information", "Information", sentences, [Block(tables=[table], rows=[[figure]])])


def _values(feature: Mapping[str, Any]) -> str:
    """What the feature's values are, with their shares where they are few."""
    pairs = list(zip(feature["value_names"], feature["value_shares"]))
    names = [str(name) for name, _ in pairs]
    if len(pairs) > MAX_VALUES_WITH_SHARES:
        text = ", ".join(names)
        return text if len(text) < MAX_VALUES_TEXT else f"{len(names)} bins, {names[0]} to {names[-1]}"
    return ", ".join(f"{name}: {percent(number(share))}" for name, share in pairs) or MISSING
