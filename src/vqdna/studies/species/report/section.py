"""SPECIES in the report: accuracy against length, what composition alone tells, and what a window costs.

Owns the flow runs of a species study, one a set -> findings, pictures over length, and the poster's table beside. Every
number in a sentence comes from the results. Must not know how a cell was run. Paper: section 5.7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from vqdna.errors import InputError
from vqdna.reports.charts.sweep_chart import Level, Sweep, sweep_chart
from vqdna.reports.content import Block, Cell, Section, Table, decimal, known, number_cell, plural, score_cell
from vqdna.reports.page import render_page
from vqdna.reports.runs import SUMMARY_FILE, Run, find_runs, nested
from vqdna.results import write_atomically
from vqdna.stage_results import MeanAndSd
from vqdna.studies.species.cells import length_name
from vqdna.studies.species.results import STUDY, LeftOut, SpeciesRow

SPECIES: dict[str, dict[int, float]] = {
    "HyenaDNA": {1000: 61.13, 20_000: 87.42, 32_000: 93.42, 250_000: 97.90, 450_000: 99.40},
    "DNABERT": {1000: 39.61, 20_000: 76.21, 32_000: 91.93},
    "DNABERT-2": {1000: 61.04, 20_000: 86.83, 32_000: 99.28},
    "VQDNA (HRQ)": {1000: 61.57, 20_000: 88.05, 32_000: 99.46},
}
"""Top-1 percentages of species classification by length in bases. NT-500M-1000g is left out: the poster prints
DNABERT-2's numbers for it, so one of the two rows is a slip."""

SPECTRUM, COMPOSITION = "spectrum", "nucleotide"
"""Systems that need no learning: k-mers of the best k, and single bases, which are composition alone."""

PAGE = "species.html"
TITLE = "Which species is it? Classification from 1k to 450k bases"
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
    sets = [(run, rows) for run in runs if run.text("study") == STUDY and (rows := species_rows(run))]
    if not sets:
        return None
    every = [row for _, rows in sets for row in rows]
    how = {row.system: row.how for row in every}
    described = [[Cell(system), Cell(text)] for system, text in how.items()]
    systems = Table(SYSTEMS_CAPTION, ["system", "what it is"], described, num_text_columns=2)
    poster = _poster_table([(_set_name(run), rows) for run, rows in sets])
    blocks = [Block("Beside the poster", tables=[poster, systems])]
    for run, rows in sets:
        blocks += _set_blocks(run, rows)
    return Section("species", "Species classification", list(INTRODUCTION), [*blocks, *_cost_blocks(every)])


def write_species_page(folder: Path) -> Path:
    """Page `species.html` in the folder of a species study, on all of its sets; returns its path.

    Raises:
        InputError: no set has results yet, or a package is missing.
    """
    sets = sorted(path.parent for path in folder.glob(f"*/{SUMMARY_FILE}"))
    if not sets:
        raise InputError(f"{folder}: no results of a species study yet")
    runs = find_runs(sets)
    section = species_section(runs)
    page = render_page(runs, [section] if section else [], title=TITLE)
    write_atomically(folder / PAGE, page.encode())
    return folder / PAGE


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


def _set_name(run: Run) -> str:
    names = (nested(cell, "set") for cell in run.items("cells"))
    return next((name for name in names if isinstance(name, str)), run.name)


def _set_blocks(run: Run, rows: Sequence[SpeciesRow]) -> list[Block]:
    name, num_species = _set_name(run), max(len(row.classes) for row in rows)
    facts = known([
        ("species", str(num_species)),
        ("seeds", str(max(len(row.seeds) for row in rows))),
        ("systems", str(len({row.system for row in rows}))),
        ("cells", str(len(run.items("cells")))),
    ])  # fmt: skip
    figure = sweep_chart(
        f"Accuracy against length: {name}",
        _sweeps(rows, lambda row: row.accuracy),
        x="bases of a window",
        y="test accuracy, %",
        caption=ACCURACY_CAPTION,
        levels=[Level("guessing", 100 / num_species, strong=True)],
        name_of=length_name,
    )
    tables = [_set_table(name, rows), *_words_table(name, rows), *_reasons_table(name, left_out(run))]
    return [Block(name, findings(rows), facts, rows=[[figure]]), Block(tables=tables)]


def _sweeps(
    rows: Sequence[SpeciesRow], value: Callable[[SpeciesRow], MeanAndSd], scale: float = 100.0, least: float = 0.0
) -> list[Sweep]:
    """A curve for each system over the lengths that have the value; the controls are faint."""
    sweeps = []
    for index, system in enumerate(dict.fromkeys(row.system for row in rows)):
        scores = {row.length: value(row) for row in rows if row.system == system}
        faint = system in (COMPOSITION, SPECTRUM)
        sweeps.append(Sweep.of(system, scores, index, scale=scale, least=least, faint=faint))
    return [sweep for sweep in sweeps if sweep.sizes]


def _set_table(name: str, rows: Sequence[SpeciesRow]) -> Table:
    lengths = sorted({row.length for row in rows})
    best = {length: max(row.mean for row in rows if row.length == length) for length in lengths}
    cells = []
    for system in dict.fromkeys(row.system for row in rows):
        scores = [accuracy_of(rows, system, length) for length in lengths]
        marked = zip(scores, best.values(), strict=True)
        cells.append([Cell(system), *(score_cell(score, best=score.mean == top) for score, top in marked)])
    return Table(f"{name}: {TABLE_CAPTION}", ["system", *map(length_name, lengths)], cells)


def _words_table(name: str, rows: Sequence[SpeciesRow]) -> list[Table]:
    spectra = [row for row in rows if row.system == SPECTRUM and row.representations]
    if not spectra:
        return []
    words = list(spectra[0].representations)
    cells = []
    for row in spectra:
        means = [MeanAndSd(mean=row.representations.get(word, MeanAndSd()).mean) for word in words]
        cells.append([Cell(length_name(row.length)), *map(score_cell, means)])
    return [Table(f"{name}: {WORDS_CAPTION}", ["length", *(word.replace("=", " = ") for word in words)], cells)]


def _reasons_table(name: str, reasons: Sequence[LeftOut]) -> list[Table]:
    cells = [
        [
            Cell(one.system or "every system"),
            Cell("every length" if one.length is None else length_name(one.length)),
            Cell(one.reason),
        ]
        for one in reasons
    ]
    caption = f"{name}: what did not run, and why."
    return [Table(caption, ["system", "length", "reason"], cells, num_text_columns=3)] if cells else []


def _poster_table(sets: Sequence[tuple[str, Sequence[SpeciesRow]]]) -> Table:
    """The poster's rows, then ours for each set."""
    lengths = sorted({length for row in SPECIES.values() for length in row})
    cells = [
        [Cell(name), Cell("poster"), *(number_cell(row.get(length), decimal(row.get(length), 2)) for length in lengths)]
        for name, row in SPECIES.items()
    ]
    for name, rows in sets:
        for system in dict.fromkeys(row.system for row in rows if row.length in lengths):
            scores = [accuracy_of(rows, system, length) for length in lengths]
            cells.append([Cell(system), Cell(name), *map(score_cell, scores)])
    return Table(POSTER_CAPTION, ["system", "species", *map(length_name, lengths)], cells, num_text_columns=2)


def _cost_blocks(rows: Sequence[SpeciesRow]) -> list[Block]:
    """Pictures and table of what one window costs, the same whatever the set."""
    unique = {(row.system, row.length): row for row in rows if row.cost is not None and row.cost.seconds is not None}
    systems = list(dict.fromkeys(row.system for row in rows))
    costs = sorted(unique.values(), key=lambda row: (systems.index(row.system), row.length))
    if not costs:
        return []
    seconds = _sweeps(costs, lambda row: _cost(row, "seconds"), 1.0, LEAST_SECONDS)
    memory = _sweeps(costs, lambda row: _cost(row, "window_bytes"), 1e-6, LEAST_MEGABYTES)
    draw = partial(sweep_chart, x="bases of a window", log_y=True, name_of=length_name)
    figures = [draw("Time of one window", seconds, y="processor seconds", caption=TIME_CAPTION, digits=4)]
    if memory:
        figures.append(draw("Memory of one window", memory, y="megabytes", caption=MEMORY_CAPTION))
    cells = []
    for row in costs:
        taken, sizes = _cost(row, "seconds").mean, [_cost(row, key).mean for key in ("foreseen_bytes", "window_bytes")]
        shown = [number_cell(taken, f"{taken:.4g}"), *map(_megabytes, sizes)]
        cells.append([Cell(row.system), Cell(length_name(row.length), row.length), *shown])
    table = Table(COST_CAPTION, ["system", "length", "seconds", "MB foreseen", "MB measured"], cells)
    return [Block("What a window costs", _cost_sentences(costs), tables=[table], rows=[figures])]


def _megabytes(count: float | None) -> Cell:
    megabytes = None if count is None else count / 1e6
    return number_cell(megabytes, decimal(megabytes, 1))


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


def species_rows(run: Run) -> list[SpeciesRow]:
    """Rows with an accuracy: controls first, then systems in the order of the summary; lengths ascending."""
    found = [SpeciesRow.model_validate(record) for record in run.items("rows")]
    rows = [row for row in found if row.accuracy.mean is not None and row.length and row.system]
    order = [COMPOSITION, SPECTRUM, *dict.fromkeys(row.system for row in rows)]
    return sorted(rows, key=lambda row: (order.index(row.system), row.length))


def left_out(run: Run) -> list[LeftOut]:
    records = [record for record in run.items("rows") if isinstance(record, Mapping) and "reason" in record]
    return [LeftOut.model_validate(record) for record in records]


def row_of(rows: Sequence[SpeciesRow], system: str, length: int) -> SpeciesRow | None:
    return next((row for row in rows if row.system == system and row.length == length), None)


def accuracy_of(rows: Sequence[SpeciesRow], system: str, length: int) -> MeanAndSd:
    """Accuracy of a system at a length; without a mean where it has none."""
    row = row_of(rows, system, length)
    return MeanAndSd() if row is None else row.accuracy
