"""SPECIES in the report: accuracy against length, what composition alone tells, and what a window costs.

Owns the flow runs of a species study, one a set -> findings, pictures over length, and the poster's table beside. Every
number in a sentence comes from the results. Must not know how a cell was run. Paper: section 5.7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vqdna.reports.charts.sweep_chart import Level, Sweep, sweep_chart
from vqdna.reports.content import MISSING, Block, Cell, Figure, Section, Table, decimal, known, number_cell, plural
from vqdna.reports.runs import Run, nested
from vqdna.stage_results import MeanAndSd
from vqdna.studies.species.cells import length_name
from vqdna.studies.species.report.rows import COMPOSITION, SPECIES, SPECTRUM, left_out, row_of, species_rows
from vqdna.studies.species.results import STUDY, LeftOut, SpeciesRow

OURS = ("vqdna-hrq", "vqdna-vq")
GC = "k=1"
"""Spectrum of single bases on both strands: the share of G and C."""

LEAST_MEGABYTES = 0.1
LEAST_SECONDS = 1e-4
SLOW_SECONDS = 0.1
"""Systems whose longest window takes longer are spoken of; the others are free in comparison."""

INTRODUCTION = (
    "Which species is a window from? Windows are drawn as HyenaDNA draws them, species, contig and place uniformly, "
    "with the contigs held apart between training, dev and test. A logistic regression reads what each system makes of "
    "a window, unless the system says fine-tuned; its strength, and the representation, were chosen on dev. A frozen "
    "encoder reads a short window whole, and of a long one the pieces that lie in it, each by itself.",
    "Two controls need no learned tokenizer: nucleotide counts single bases, which is composition and nothing else; "
    "spectrum counts k-mers on both strands, k chosen on dev. What they reach is no merit of a model.",
    "± is the standard deviation over seeds, each of which deals out other contigs. With few contigs a species it is "
    "wide, and it is the yardstick: a difference below it says nothing. Long test windows overlap, so the number that "
    "fits side by side stands beside each table.",
)
POSTER_CAPTION = (
    "The poster's table, top-1 percent, and ours below it. Theirs are other species (human, lemur, mouse, pig, hippo), "
    "models trained whole, and whole genomes to draw from; ours are the species sets named, with the systems as "
    "described. Compare shapes over length, not heights. A dash: the poster gives N/A, or ours did not run, for the "
    "reason in the set's list."
)
ACCURACY_CAPTION = "Mean over seeds, ± one standard deviation. Dotted curves: the controls. Dashed line: guessing."
TIME_CAPTION = (
    "Processor seconds that one window takes by itself, on one thread, from bases to what the classifier reads; both "
    "axes logarithmic. Measured in a process of its own."
)
MEMORY_CAPTION = (
    "Peak memory of one window beyond weights and libraries; what is below a tenth of a megabyte is drawn there. Both "
    "axes logarithmic."
)
SYSTEMS_CAPTION = "The systems, and how each came to be."
TABLE_CAPTION = "test accuracy, percent, mean ± standard deviation over seeds. Marked: the highest of a length."
WORDS_CAPTION = "test accuracy of k-mer spectra by k, percent: how much longer words add to composition (k = 1)."
COST_CAPTION = (
    "One window: processor seconds, and megabytes beyond weights and libraries as foreseen before the run and as "
    "measured. Memory is the peak of a process that reads nothing else."
)


def species_section(runs: Sequence[Run]) -> Section | None:
    """Poster's table, a block for each set, and the cost of a window; None without a species study."""
    named = [
        (_set_name(run), rows, left_out(run), run)
        for run in runs
        if run.text("study") == STUDY and (rows := species_rows(run))
    ]
    if not named:
        return None
    poster = _poster_table([(name, rows) for name, rows, _, _ in named])
    systems = _systems_table([row for _, rows, _, _ in named for row in rows])
    blocks = [Block("Beside the poster", tables=[poster, systems])]
    for name, rows, reasons, run in named:
        blocks += _set_blocks(name, rows, reasons, run)
    cost = _cost_block([row for _, rows, _, _ in named for row in rows])
    return Section("species", "Species classification", list(INTRODUCTION), [*blocks, *([cost] if cost else [])])


def findings(rows: Sequence[SpeciesRow]) -> list[str]:
    """What the rows of a set come to, each number theirs."""
    lengths = sorted({row.length for row in rows})
    sentences = [_composition_sentence(rows, length) for length in dict.fromkeys((lengths[0], lengths[-1]))]
    sentences += [_against_spectrum(rows, system) for system in OURS]
    return [sentence for sentence in [*sentences, _evidence(rows, lengths[-1])] if sentence]


def composition_share(rows: Sequence[SpeciesRow], length: int) -> tuple[SpeciesRow, SpeciesRow, float] | None:
    """Best system, composition's row, and the share of the best one's lead over guessing that composition has."""
    composition = row_of(rows, COMPOSITION, length)
    at_length = [row for row in rows if row.length == length]
    if composition is None or not composition.classes:
        return None
    best = max(at_length, key=lambda row: row.mean)
    chance = 1 / len(composition.classes)
    lead = best.mean - chance
    return None if lead <= 0 else (best, composition, (composition.mean - chance) / lead)


def _composition_sentence(rows: Sequence[SpeciesRow], length: int) -> str:
    found = composition_share(rows, length)
    if found is None:
        return ""
    best, composition, share = found
    spectrum = row_of(rows, SPECTRUM, length)
    gc = None if spectrum is None else spectrum.representations.get(GC)
    of_gc = "" if gc is None else f", the share of G and C alone {gc.text()}"
    return (
        f"At {length_name(length)} the highest is {best.system} with {best.accuracy.text()}; single-base counts have "
        f"{composition.accuracy.text()}{of_gc} and guessing {100 / len(composition.classes):.1f}. So composition has "
        f"{100 * max(0.0, share):.0f} % of what lies above guessing."
    )


def _against_spectrum(rows: Sequence[SpeciesRow], system: str) -> str:
    """Where a learned vocabulary is ahead of the k-mer spectrum, beyond both spreads and within."""
    leads: dict[int, float] = {}
    clear = 0
    for row in rows:
        control = row_of(rows, SPECTRUM, row.length)
        if row.system == system and control is not None:
            leads[row.length] = 100 * (row.mean - control.mean)
            spread = (row.accuracy.sd or 0) + (control.accuracy.sd or 0)
            clear += abs(leads[row.length]) > 100 * spread
    if not leads:
        return ""
    text = ", ".join(f"{lead:+.1f} at {length_name(length)}" for length, lead in leads.items())
    beyond = f"{clear} of these differences {'is' if clear == 1 else 'are'} beyond the two spreads together"
    return f"{system} against the spectrum: {text}; {beyond}."


def _evidence(rows: Sequence[SpeciesRow], length: int) -> str:
    row = next((row for row in rows if row.length == length and row.independent), None)
    if row is None or row.independent is None:
        return ""
    return (
        f"The test windows of {length_name(length)} of one seed come from stretches that hold "
        f"{plural(row.independent, 'such window')} side by side, over {len(row.classes)} species."
    )


def _set_blocks(name: str, rows: Sequence[SpeciesRow], reasons: Sequence[LeftOut], run: Run) -> list[Block]:
    figures = [_accuracy_figure(name, rows)]
    tables = [_set_table(name, rows), *_words_table(name, rows), *([_reasons_table(name, reasons)] if reasons else [])]
    return [Block(name, findings(rows), _facts(rows, run), rows=[figures]), Block(tables=tables)]


def _facts(rows: Sequence[SpeciesRow], run: Run) -> list[tuple[str, str]]:
    return known([
        ("species", str(max(len(row.classes) for row in rows))),
        ("seeds", str(max(len(row.seeds) for row in rows))),
        ("systems", str(len({row.system for row in rows}))),
        ("cells", str(len(run.items("cells")))),
    ])  # fmt: skip


def _set_name(run: Run) -> str:
    names = (nested(cell, "set") for cell in run.items("cells"))
    return next((name for name in names if isinstance(name, str)), run.name)


def _accuracy_figure(name: str, rows: Sequence[SpeciesRow]) -> Figure:
    sweeps = _sweeps(rows, lambda row: row.accuracy, 100.0)
    chance = 100 / max(len(row.classes) for row in rows)
    return sweep_chart(
        f"Accuracy against length: {name}",
        sweeps,
        x="bases of a window",
        y="test accuracy, %",
        caption=ACCURACY_CAPTION,
        levels=[Level("guessing", chance, strong=True)],
        name_of=length_name,
    )


def _sweeps(
    rows: Sequence[SpeciesRow], value: Callable[[SpeciesRow], MeanAndSd], scale: float = 1.0, least: float = 0.0
) -> list[Sweep]:
    """A curve for each system over the lengths that have the value; the controls are faint."""
    sweeps = []
    for index, system in enumerate(dict.fromkeys(row.system for row in rows)):
        scores = {row.length: value(row) for row in rows if row.system == system}
        means = {length: max(least, scale * score.mean) for length, score in scores.items() if score.mean is not None}
        if means:
            deviations = [None if (sd := scores[length].sd) is None else scale * sd for length in means]
            is_control = system in (COMPOSITION, SPECTRUM)
            sweeps.append(Sweep(system, list(means), list(means.values()), deviations, index, faint=is_control))
    return sweeps


def _set_table(name: str, rows: Sequence[SpeciesRow]) -> Table:
    lengths = sorted({row.length for row in rows})
    best = {length: max(row.mean for row in rows if row.length == length) for length in lengths}
    cells = []
    for system in dict.fromkeys(row.system for row in rows):
        own = {row.length: row for row in rows if row.system == system}
        accuracies = [own[length].accuracy if length in own else None for length in lengths]
        cells.append([Cell(system), *(_score_cell(one, best[n]) for one, n in zip(accuracies, lengths))])
    return Table(f"{name}: {TABLE_CAPTION}", ["system", *map(length_name, lengths)], cells)


def _systems_table(rows: Sequence[SpeciesRow]) -> Table:
    described = {row.system: row.how for row in rows}
    cells = [[Cell(system), Cell(how)] for system, how in described.items()]
    return Table(SYSTEMS_CAPTION, ["system", "what it is"], cells, num_text_columns=2)


def _words_table(name: str, rows: Sequence[SpeciesRow]) -> list[Table]:
    spectra = [row for row in rows if row.system == SPECTRUM and row.representations]
    if not spectra:
        return []
    words = list(spectra[0].representations)
    columns = [word.replace("=", " = ") for word in words]
    cells = [
        [Cell(length_name(row.length)), *(_score_cell(row.representations.get(word), with_sd=False) for word in words)]
        for row in spectra
    ]
    return [Table(f"{name}: {WORDS_CAPTION}", ["length", *columns], cells)]


def _reasons_table(name: str, reasons: Sequence[LeftOut]) -> Table:
    cells = [
        [
            Cell(reason.system or "every system"),
            Cell("every length" if reason.length is None else length_name(reason.length)),
            Cell(reason.reason),
        ]
        for reason in reasons
    ]
    return Table(f"{name}: what did not run, and why.", ["system", "length", "reason"], cells, num_text_columns=3)


def _poster_table(sets: Sequence[tuple[str, Sequence[SpeciesRow]]]) -> Table:
    """The poster's rows, then ours for each set."""
    lengths = sorted({length for row in SPECIES.values() for length in row})
    cells = [
        [Cell(name), Cell("poster"), *(number_cell(row.get(length), decimal(row.get(length), 2)) for length in lengths)]
        for name, row in SPECIES.items()
    ]
    for name, rows in sets:
        for system in dict.fromkeys(row.system for row in rows):
            own = [row_of(rows, system, length) for length in lengths]
            if any(own):
                cells.append([Cell(system), Cell(name), *(_score_cell(row.accuracy if row else None) for row in own)])
    return Table(POSTER_CAPTION, ["system", "species", *map(length_name, lengths)], cells, num_text_columns=2)


def _cost_block(rows: Sequence[SpeciesRow]) -> Block | None:
    """Pictures and table of what one window costs, the same whatever the set."""
    unique = {(row.system, row.length): row for row in rows if row.cost is not None and row.cost.seconds is not None}
    costs = sorted(unique.values(), key=lambda row: row.length)
    costs = [row for name in dict.fromkeys(row.system for row in rows) for row in costs if row.system == name]
    if not costs:
        return None
    seconds = _sweeps(costs, lambda row: _cost(row, "seconds"), least=LEAST_SECONDS)
    memory = _sweeps(costs, lambda row: _cost(row, "window_bytes"), 1e-6, LEAST_MEGABYTES)
    figures = [
        sweep_chart(
            "Time of one window", seconds, x="bases of a window", y="processor seconds", caption=TIME_CAPTION,
            log_y=True, digits=4, name_of=length_name,
        )
    ]  # fmt: skip
    if memory:
        figures.append(
            sweep_chart(
                "Memory of one window", memory, x="bases of a window", y="megabytes", caption=MEMORY_CAPTION,
                log_y=True, name_of=length_name,
            )
        )  # fmt: skip
    return Block("What a window costs", _cost_sentences(costs), tables=[_cost_table(costs)], rows=[figures])


def _cost(row: SpeciesRow, key: str) -> MeanAndSd:
    return MeanAndSd(mean=getattr(row.cost, key, None))


def _cost_sentences(costs: Sequence[SpeciesRow]) -> list[str]:
    """How time and memory grow from the shortest to the longest length."""
    sentences = []
    for system in dict.fromkeys(row.system for row in costs):
        own = [
            (row.length, seconds) for row in costs if row.system == system and (seconds := _cost(row, "seconds").mean)
        ]
        if len(own) > 1 and own[-1][1] > SLOW_SECONDS:
            (short, first), (long, last) = own[0], own[-1]
            sentences.append(
                f"{system}: {last:.3g} s at {length_name(long)}, a base {last / long / (first / short):.2f} times what "
                f"it takes at {length_name(short)}"
            )
    return [f"{'; '.join(sentences)}."] if sentences else []


def _cost_table(costs: Sequence[SpeciesRow]) -> Table:
    columns = ["system", "length", "seconds", "MB foreseen", "MB measured"]
    cells = [
        [
            Cell(row.system),
            Cell(length_name(row.length), row.length),
            number_cell(seconds, f"{seconds:.4g}"),
            *(_megabytes(_cost(row, key).mean) for key in ("foreseen_bytes", "window_bytes")),
        ]
        for row in costs
        if (seconds := _cost(row, "seconds").mean) is not None
    ]
    return Table(COST_CAPTION, columns, cells)


def _megabytes(value: float | None) -> Cell:
    return Cell(MISSING) if value is None else Cell(f"{value / 1e6:,.1f}", value / 1e6)


def _score_cell(score: MeanAndSd | None, best: float | None = None, *, with_sd: bool = True) -> Cell:
    if score is None or score.mean is None:
        return Cell(MISSING)
    return Cell(score.text(with_sd=with_sd), 100 * score.mean, score.mean == best)
