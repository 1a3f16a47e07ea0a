"""STUDY in the report: quantizers, codebook sizes and widths under one probe, beside k-mers, BPE and the poster.

Owns the flow run of a study -> verdicts, pictures over K and width, the table of all rows, and what the authors
published for the same rows. Rec. and Lin. stand times 100. Must not know how a cell was trained or probed. Paper:
section 5.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from vqdna.reports.charts.sweep_chart import Level, Sweep, sweep_chart
from vqdna.reports.content import (
    MISSING,
    Block,
    Cell,
    Figure,
    Section,
    Table,
    duration,
    known,
    listed,
    number_cell,
    plural,
    score_cell,
)
from vqdna.reports.runs import Run
from vqdna.stage_results import MeanAndSd
from vqdna.studies.codebook.results import BEST_KMER, STUDY, CodebookResult, CodebookRow
from vqdna.studies.codebook.summary import rows_of

LEARNED_NAME = re.compile(r"(vq|hrq)_([kd])(\d+)")
STANDARD = {"k": 512, "d": 384}
"""K and width of the paper; its rows over width have this K, and the other way round."""

PUBLISHED: dict[str, tuple[float | None, float]] = {
    "vq_k128": (98.2, 42.1),
    "vq_k256": (98.8, 43.6),
    "vq_k512": (99.5, 44.8),
    "vq_k1024": (99.6, 44.5),
    "hrq_k128": (98.4, 42.8),
    "hrq_k256": (99.1, 47.7),
    "hrq_k512": (99.6, 48.9),
    "hrq_k1024": (99.8, 48.2),
    "vq_d256": (99.4, 44.3),
    "vq_d768": (99.6, 44.6),
    "vq_d1024": (99.8, 44.7),
    "hrq_d256": (99.5, 48.2),
    "hrq_d768": (99.6, 48.9),
    "hrq_d1024": (99.7, 48.8),
    "nucleotide": (None, 5.47),
    "kmer_6": (None, 23.54),
    "bpe_4096": (None, 36.53),
}
"""Percentages that the authors published, by the row of our study that asks the same: Rec., and Lin. as macro-F1 of
their probe on GUE's Covid. Source: the poster's ablation (ICML 2024, arXiv 2405.10812) and the paper's comparison of
tokenizers; the HRQ figures over width and the tokenizers come from a second reader of the paper, who agrees with the
poster wherever both speak. K = 512 is also the row of width 384: 99.5 / 44.8 for VQ and 99.6 / 48.9 for HRQ stand in
both of their tables."""

QUANTIZERS = {"vq": "VQ", "hrq": "HRQ"}
METRICS = {"f1_macro": "macro-F1", "mcc": "MCC"}
AXES = {"k": "K", "d": "width in the paper's sizes"}
LINES = {"nucleotide": "single bases", **{f"kmer_{k}": f"{k}-mers" for k in (3, 4, 5, 6)}, "bpe_4096": "BPE"}
LINES[BEST_KMER] = "best k-mer"
VARIANTS = "covid-windows"

INTRODUCTION = (
    "Rec. is the share of bases that come back right from their codes; at one code per base it is a sanity check. Lin. "
    "is what a logistic regression makes of the codes alone, on test sequences, without any Transformer. K = 512 is "
    "the paper's size: VQ has K codes, HRQ 2K coarse and 4K fine ones.",
    "A row is the mean over its seeds, ± their standard deviation; a difference below it says little. Choices of the "
    "probe were made on dev. The best of many rows is flattered by being the best of many.",
)
ROWS_CAPTION = (
    "Every row. Rec. and Lin. (the columns by metric) times 100, mean ± standard deviation over seeds; width as "
    "trained, the paper's in brackets; nats per base of the reconstruction; dimensions that the probe read, the most "
    "over its datasets; usage in percent and perplexity per level, coarse to fine. The best k-mer is chosen on dev for "
    "each dataset. Marked: the highest Lin."
)
POSTER_CAPTION = (
    "Beside what the authors published for the same row. Theirs: the poster's ablation, and for HRQ over width and for "
    "the hand-made tokenizers a second reader of the paper. Their Lin. is macro-F1 on GUE's Covid dataset under a "
    "probe that they do not describe, ours on windows cut from other genomes: compare the order of "
    "rows, not the height."
)
LIN_CAPTION = (
    "Points: mean over seeds, with one standard deviation to either side where there are several. Lines: what needs no "
    "learned codes; the dashed one takes, for each dataset, the k that does best on dev. An arrow points to a line "
    "that lies outside the picture."
)
NATS_CAPTION = "Cross-entropy of the decoder for the true base, logarithmic: where Rec. is near 100, this still tells."
REC_CAPTION = "Bases that come back right. Dotted: the authors' poster, on GUE's Covid dataset."


def study_section(runs: Sequence[Run]) -> Section | None:
    """Pictures and tables of each study, or None without one."""
    blocks = [block for run in runs if run.text("study") == STUDY for block in _blocks(run)]
    return Section("study", "Codebook study", list(INTRODUCTION), blocks) if blocks else None


def _blocks(run: Run) -> list[Block]:
    """Pictures, all rows, and the poster beside."""
    rows, datasets = study_rows(run), datasets_of(run)
    if not rows:
        return []
    titles = {metric: _title(metric, names) for metric, names in datasets.items()}
    sentences = verdicts(rows, titles)
    several = [names for names in datasets.values() if len(names) > 1]
    sentences += [f"The {plural(len(names), 'dataset')}: {listed(names)}." for names in several]
    figures = [*(_lin_figures(rows, titles, along) for along in AXES), _rec_figures(rows)]
    tables = [table for table in (_rows_table(rows, titles), _poster_table(rows)) if table.rows]
    return [Block(run.name, sentences, _facts(run, rows), rows=figures), Block(tables=tables)]


def _title(metric: str, names: list[str]) -> str:
    """Name of a Lin. column: the metric with its dataset, or with the number of them."""
    which = "variant windows" if names == [VARIANTS] else names[0] if len(names) == 1 else f"{len(names)} datasets"
    return f"{METRICS.get(metric, metric)}, {which}"


def _facts(run: Run, rows: Sequence[CodebookRow]) -> list[tuple[str, str]]:
    presets = sorted({str(result.settings["preset"]) for result in results_of(run) if "preset" in result.settings})
    seeds = sorted({seed for row in rows for seed in row.seeds})
    return known([
        ("cells", str(len(run.items("cells")))),
        ("learned rows", str(sum(row.is_learned for row in rows))),
        ("preset", ", ".join(presets) or MISSING),
        ("seeds", ", ".join(map(str, seeds)) or MISSING),
        ("time, all cells", duration(run.results.seconds)),
    ])  # fmt: skip


def verdicts(rows: Sequence[CodebookRow], titles: Mapping[str, str]) -> list[str]:
    """For each metric: where HRQ is ahead of VQ, and how the best learned row stands to the best k-mer."""
    sentences = []
    for metric, title in titles.items():
        parts = [part for part in (_hrq_against_vq(rows, metric), _best_against_kmers(rows, metric)) if part]
        if parts:
            sentences.append(f"Lin. as {title}: {'; '.join(parts)}.")
    return sentences


def _hrq_against_vq(rows: Sequence[CodebookRow], metric: str) -> str:
    """Which of the two is ahead at each K that both have."""
    vq, hrq = (
        {size: mean for size, row in swept(rows, name, "k").items() if (mean := row.lin_score(metric).mean) is not None}
        for name in QUANTIZERS
    )
    leads = {size: 100 * (hrq[size] - vq[size]) for size in vq if size in hrq}
    if not leads:
        return ""
    ahead = sum(lead > 0 for lead in leads.values())
    text = ", ".join(f"{lead:+.1f} at K = {size}" for size, lead in leads.items())
    return f"HRQ is ahead of VQ at {ahead} of {plural(len(leads), 'size')} ({text})"


def _best_against_kmers(rows: Sequence[CodebookRow], metric: str) -> str:
    """The learned row with the highest mean, and the best k-mer."""
    scored = [row for row in rows if row.lin_score(metric).mean is not None]
    learned = [row for row in scored if row.is_learned]
    if not learned:
        return ""
    best = max(learned, key=lambda row: row.lin_score(metric).mean or 0.0)
    text = f"highest learned row {best.cell}, {best.lin[metric].text()} in {_dimensions(best)}"
    kmers = next((row for row in scored if row.cell == BEST_KMER), None)
    return text + (f", best k-mer {kmers.lin[metric].text()} in {_dimensions(kmers)}" if kmers else "")


def _dimensions(row: CodebookRow) -> str:
    return MISSING if row.num_features is None else plural(int(row.num_features), "dimension")


def _lin_figures(rows: Sequence[CodebookRow], titles: Mapping[str, str], along: str) -> list[Figure]:
    """For each metric VQ and HRQ over K or width, with lines for what needs no learned codes."""
    figures = []
    for metric, title in titles.items():
        means = {row.cell: row.lin_score(metric).mean for row in rows if row.cell in LINES}
        levels = [
            Level(LINES[name], 100 * mean, strong=name == BEST_KMER) for name, mean in means.items() if mean is not None
        ]
        name, size = f"Lin. against {AXES[along].split()[0]}: {title}", AXES[along]
        if sweeps := _sweeps(rows, along, partial(CodebookRow.lin_score, metric=metric)):
            figures.append(sweep_chart(name, sweeps, x=size, y=f"{title} × 100", caption=LIN_CAPTION, levels=levels))
    return figures


def _rec_figures(rows: Sequence[CodebookRow]) -> list[Figure]:
    """Reconstruction against K in nats and as a share, the poster's beside the latter."""
    title, size, figures = "Reconstruction against K", AXES["k"], []
    if nats := _sweeps(rows, "k", lambda row: row.nats, scale=1.0):
        name, unit = f"{title}: nats per base", "nats per base"
        figures.append(sweep_chart(name, nats, x=size, y=unit, caption=NATS_CAPTION, log_y=True, digits=4))
    if shares := _sweeps(rows, "k", lambda row: row.reconstruction_accuracy):
        for index, (key, name) in enumerate(QUANTIZERS.items()):
            published = {k: MeanAndSd(mean=PUBLISHED[f"{key}_k{k}"][0]) for k in (128, 256, 512, 1024)}
            shares.append(Sweep.of(f"{name}, poster", published, index, scale=1.0, faint=True))
        name, unit = f"{title}: Rec.", "Rec., % of bases"
        figures.append(sweep_chart(name, shares, x=size, y=unit, caption=REC_CAPTION, digits=2))
    return figures


def _sweeps(
    rows: Sequence[CodebookRow], along: str, value: Callable[[CodebookRow], MeanAndSd], scale: float = 100.0
) -> list[Sweep]:
    """Curves of VQ and HRQ over the rows that have the value."""
    sweeps = [
        Sweep.of(name, {size: value(row) for size, row in swept(rows, key, along).items()}, index, scale=scale)
        for index, (key, name) in enumerate(QUANTIZERS.items())
    ]
    fewest = 2 if along == "d" else 1  # the paper's width alone is no curve over width
    return [sweep for sweep in sweeps if len(sweep.sizes) >= fewest]


def _rows_table(rows: Sequence[CodebookRow], titles: Mapping[str, str]) -> Table:
    """All rows."""
    scores = {metric: [row.lin_score(metric).mean for row in rows] for metric in titles}
    best = {metric: max((mean for mean in means if mean is not None), default=None) for metric, means in scores.items()}
    columns = ["row", "codes", "width", "Rec.", "nats", *titles.values(), "dimensions", "usage", "perplexity", "seeds"]
    return Table(ROWS_CAPTION, columns, [_table_row(row, best) for row in rows], num_text_columns=1)


def _table_row(row: CodebookRow, best: Mapping[str, float | None]) -> list[Cell]:
    scores = {metric: row.lin_score(metric) for metric in best}
    usage = (value.text(with_sd=False, missing=MISSING) for value in row.usage)
    perplexity = (value.text(0, 1.0, with_sd=False, missing=MISSING) for value in row.perplexity)
    return [
        Cell(_shown_name(row)),
        Cell(" + ".join(f"{size:,}" for size in row.level_sizes) or MISSING),
        Cell(row.width_text or MISSING, row.width),
        score_cell(row.reconstruction_accuracy, digits=2),
        score_cell(row.nats, digits=4, scale=1.0),
        *(score_cell(score, best=score.mean == best[metric]) for metric, score in scores.items()),
        number_cell(row.num_features, f"{row.num_features:,}" if row.num_features else MISSING),
        Cell(" / ".join(usage) or MISSING),
        Cell(" / ".join(perplexity) or MISSING),
        Cell(str(len(row.seeds)), len(row.seeds)),
    ]


def _poster_table(rows: Sequence[CodebookRow]) -> Table:
    """The rows that the authors have too, ours and theirs."""
    columns = ["row", "Rec., ours", "Rec., theirs", "Lin. macro-F1, ours", "Lin. macro-F1, theirs"]
    named = {row.cell: row for row in rows}
    cells = [
        [
            Cell(_shown_name(named[name])),
            score_cell(named[name].reconstruction_accuracy, digits=2),
            number_cell(reconstruction, f"{reconstruction}"),
            score_cell(named[name].lin_score("f1_macro")),
            number_cell(lin, f"{lin:.1f}"),
        ]
        for name, (reconstruction, lin) in PUBLISHED.items()
        if name in named
    ]
    return Table(POSTER_CAPTION, columns, cells, num_text_columns=1)


def _shown_name(row: CodebookRow) -> str:
    return LINES[BEST_KMER] if row.cell == BEST_KMER else row.cell


def results_of(run: Run) -> list[CodebookResult]:
    """Results of the study's runs that name their row."""
    cells = [cell for cell in run.items("cells") if isinstance(cell, Mapping) and isinstance(cell.get("cell"), str)]
    return [CodebookResult.model_validate(cell) for cell in cells]


def study_rows(run: Run) -> list[CodebookRow]:
    """Hand-made rows first, then the best k-mer, BPE and the learned rows, by name with numbers in their order."""
    summary = [CodebookRow.model_validate(row) for row in run.items("rows")]
    return sorted([*rows_of(results_of(run)), *(row for row in summary if row.cell == BEST_KMER)], key=_place)


def datasets_of(run: Run) -> dict[str, list[str]]:
    """Names of the datasets that each metric is a mean over."""
    found: dict[str, dict[str, None]] = {}
    for result in results_of(run):
        for name, probe in result.datasets.items():
            found.setdefault(probe.metric, {})[name] = None
    return {metric: list(names) for metric, names in found.items()}


def swept(rows: Sequence[CodebookRow], quantizer: str, along: str) -> dict[int, CodebookRow]:
    """Rows of `quantizer` over K (`along` "k") or over the paper's width ("d"), by that number, ascending."""
    found = {}
    for row in rows:
        match = LEARNED_NAME.fullmatch(row.cell)
        if match is None or match[1] != quantizer:
            continue
        if match[2] == along:
            found[int(match[3])] = row
        elif int(match[3]) == STANDARD[match[2]]:
            found[STANDARD[along]] = row
    return dict(sorted(found.items()))


def _place(row: CodebookRow) -> tuple[int, list[tuple[int, str]]]:
    """Key of a row: single bases, k-mers, the best of them, BPE, learned rows; then its name."""
    group = 4 if row.is_learned else 3 if row.kind == "bpe" else 2 if row.cell == BEST_KMER else 1
    parts = re.findall(r"\d+|\D+", row.cell)
    return (0 if row.cell == "nucleotide" else group), [(int(p), "") if p.isdigit() else (-1, p) for p in parts]
