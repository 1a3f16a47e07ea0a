"""STUDY in the report: quantizers, codebook sizes and widths under one probe, beside k-mers, BPE and the poster.

Owns the flow run of a study -> verdicts, pictures over K and width, the table of all rows, and what the authors
published for the same rows. Rec. and Lin. stand times 100. Must not know how a cell was trained or probed. Paper:
section 5.6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vqdna.reports.charts.sweep_chart import Level, Sweep, sweep_chart
from vqdna.reports.content import (
    MISSING,
    Block,
    Cell,
    Figure,
    Score,
    Section,
    Table,
    duration,
    known,
    listed,
    number_cell,
    plural,
)
from vqdna.reports.runs import Run, nested
from vqdna.studies.codebook.report.published import PUBLISHED
from vqdna.studies.codebook.report.rows import BEST_KMER, StudyRow, datasets_of, study_rows, swept

QUANTIZERS = {"vq": "VQ", "hrq": "HRQ"}
METRICS = {"f1_macro": "macro-F1", "mcc": "MCC"}
AXES = {"k": "K", "d": "width in the paper's sizes"}
LINES = {"nucleotide": "single bases", **{f"kmer_{k}": f"{k}-mers" for k in (3, 4, 5, 6)}, "bpe_4096": "BPE"}
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
    blocks = [block for run in runs if run.text("study") == "codebook" for block in _blocks(run)]
    return Section("study", "Codebook study", list(INTRODUCTION), blocks) if blocks else None


def verdicts(rows: Sequence[StudyRow], titles: dict[str, str]) -> list[str]:
    """For each metric: where HRQ is ahead of VQ, and how the best learned row stands to the best k-mer."""
    sentences = []
    for metric, title in titles.items():
        parts = [part for part in (_hrq_against_vq(rows, metric), _best_against_kmers(rows, metric)) if part]
        if parts:
            sentences.append(f"Lin. as {title}: {'; '.join(parts)}.")
    return sentences


def _blocks(run: Run) -> list[Block]:
    """Pictures, all rows, and the poster beside."""
    rows, titles = study_rows(run), _titles(run)
    if not rows:
        return []
    figures = [_lin_figures(rows, titles, along) for along in AXES]
    sentences = [*verdicts(rows, titles), *_dataset_sentences(run)]
    first = Block(run.name, sentences, _facts(run, rows), rows=[*figures, _rec_figures(rows)])
    tables = [table for table in (_rows_table(rows, titles), _poster_table(rows)) if table.rows]
    return [first, Block(tables=tables)]


def _titles(run: Run) -> dict[str, str]:
    """Name of each Lin. column: the metric with its dataset, or with the number of them."""
    titles = {}
    for metric, names in datasets_of(run).items():
        which = "variant windows" if names == [VARIANTS] else names[0] if len(names) == 1 else f"{len(names)} datasets"
        titles[metric] = f"{METRICS.get(metric, metric)}, {which}"
    return titles


def _dataset_sentences(run: Run) -> list[str]:
    """Which datasets a mean is over."""
    several = [names for names in datasets_of(run).values() if len(names) > 1]
    return [f"The {plural(len(names), 'dataset')}: {listed(names)}." for names in several]


def _facts(run: Run, rows: Sequence[StudyRow]) -> list[tuple[str, str]]:
    cells = run.items("cells")
    presets = sorted({str(preset) for cell in cells if (preset := nested(cell, "settings", "preset")) is not None})
    learned = [row for row in rows if row.is_learned]
    return known([
        ("cells", str(len(cells))),
        ("learned rows", str(len(learned))),
        ("preset", ", ".join(presets) or MISSING),
        ("seeds", ", ".join(str(seed) for seed in sorted({s for row in rows for s in row.seeds})) or MISSING),
        ("time, all cells", duration(run.value("seconds"))),
    ])  # fmt: skip


def _hrq_against_vq(rows: Sequence[StudyRow], metric: str) -> str:
    """Which of the two is ahead at each K that both have."""
    vq, hrq = (swept(rows, name, "k") for name in QUANTIZERS)
    leads = {
        size: 100 * (hrq[size].lin[metric].mean - vq[size].lin[metric].mean)
        for size in vq
        if size in hrq and metric in vq[size].lin and metric in hrq[size].lin
    }
    if not leads:
        return ""
    ahead = [size for size, lead in leads.items() if lead > 0]
    text = ", ".join(f"{lead:+.1f} at K = {size}" for size, lead in leads.items())
    return f"HRQ is ahead of VQ at {len(ahead)} of {plural(len(leads), 'size')} ({text})"


def _best_against_kmers(rows: Sequence[StudyRow], metric: str) -> str:
    """The learned row with the highest mean, and the best k-mer."""
    learned = [row for row in rows if row.is_learned and metric in row.lin]
    kmers = [row for row in rows if row.name == BEST_KMER and metric in row.lin]
    if not learned:
        return ""
    best = max(learned, key=lambda row: row.lin[metric].mean)
    text = f"highest learned row {best.name}, {_score(best.lin[metric])} in {_dimensions(best)}"
    return text + "".join(f", best k-mer {_score(row.lin[metric])} in {_dimensions(row)}" for row in kmers)


def _dimensions(row: StudyRow) -> str:
    return MISSING if row.num_features is None else plural(row.num_features, "dimension")


def _lin_figures(rows: Sequence[StudyRow], titles: dict[str, str], along: str) -> list[Figure]:
    """A picture for each metric, of VQ and HRQ over K or width."""
    figures = []
    for metric, title in titles.items():
        sweeps = _sweeps(rows, along, _lin_of(metric))
        if sweeps:
            levels = [
                Level("best k-mer" if row.name == BEST_KMER else LINES[row.name], 100 * row.lin[metric].mean, strong)
                for row in rows
                if metric in row.lin and ((strong := row.name == BEST_KMER) or row.name in LINES)
            ]
            name, size = f"Lin. against {AXES[along].split()[0]}: {title}", AXES[along]
            figures.append(sweep_chart(name, sweeps, x=size, y=f"{title} × 100", caption=LIN_CAPTION, levels=levels))
    return figures


def _lin_of(metric: str) -> Callable[[StudyRow], Score | None]:
    return lambda row: row.lin.get(metric)


def _rec_figures(rows: Sequence[StudyRow]) -> list[Figure]:
    """Reconstruction against K in nats and as a share, the poster's beside the latter."""
    nats = _sweeps(rows, "k", lambda row: row.nats, scale=1.0)
    shares = _sweeps(rows, "k", lambda row: row.reconstruction)
    figures = []
    if nats:
        title = "Reconstruction against K: nats per base"
        figures.append(
            sweep_chart(title, nats, x=AXES["k"], y="nats per base", caption=NATS_CAPTION, log_y=True, digits=4)
        )
    if shares:
        title = "Reconstruction against K: Rec."
        curves = [*shares, *_posters()]
        figures.append(sweep_chart(title, curves, x=AXES["k"], y="Rec., % of bases", caption=REC_CAPTION, digits=2))
    return figures


def _sweeps(
    rows: Sequence[StudyRow], along: str, value: Callable[[StudyRow], Score | None], scale: float = 100.0
) -> list[Sweep]:
    """Curves of VQ and HRQ over the rows that have the value."""
    sweeps = []
    for index, (quantizer, name) in enumerate(QUANTIZERS.items()):
        found = {
            size: score for size, row in swept(rows, quantizer, along).items() if (score := value(row)) is not None
        }
        if len(found) > (along == "d"):  # the paper's width alone is no curve over width
            deviations = [None if score.deviation is None else scale * score.deviation for score in found.values()]
            means = [scale * score.mean for score in found.values()]
            sweeps.append(Sweep(name, list(found), means, deviations, color=index))
    return sweeps


def _posters() -> list[Sweep]:
    """The poster's Rec. over K."""
    sweeps = []
    for index, (quantizer, name) in enumerate(QUANTIZERS.items()):
        found = {
            size: published.reconstruction
            for size in (128, 256, 512, 1024)
            if (published := PUBLISHED[f"{quantizer}_k{size}"]).reconstruction is not None
        }
        sweeps.append(
            Sweep(f"{name}, poster", list(found), list(found.values()), [None] * len(found), index, faint=True)
        )
    return sweeps


def _rows_table(rows: Sequence[StudyRow], titles: dict[str, str]) -> Table:
    """All rows."""
    best = {metric: max((row.lin[metric].mean for row in rows if metric in row.lin), default=None) for metric in titles}
    columns = ["row", "codes", "width", "Rec.", "nats", *titles.values(), "dimensions", "usage", "perplexity", "seeds"]
    return Table(ROWS_CAPTION, columns, [_table_row(row, best) for row in rows], num_text_columns=1)


def _table_row(row: StudyRow, best: dict[str, float | None]) -> list[Cell]:
    scores = {metric: row.lin.get(metric) for metric in best}
    return [
        Cell(_shown_name(row)),
        Cell(" + ".join(f"{size:,}" for size in row.level_sizes) or MISSING),
        Cell(_width(row), row.width),
        _score_cell(row.reconstruction, digits=2),
        _score_cell(row.nats, digits=4, scale=1.0),
        *(
            _score_cell(score, best=score is not None and score.mean == best[metric])
            for metric, score in scores.items()
        ),
        number_cell(row.num_features, f"{row.num_features:,}" if row.num_features else MISSING),
        Cell(" / ".join(_score(usage, with_deviation=False) for usage in row.usage) or MISSING),
        Cell(
            " / ".join(_score(value, digits=0, scale=1.0, with_deviation=False) for value in row.perplexity) or MISSING
        ),
        Cell(str(len(row.seeds)), len(row.seeds)),
    ]


def _poster_table(rows: Sequence[StudyRow]) -> Table:
    """The rows that the authors have too, ours and theirs."""
    columns = ["row", "Rec., ours", "Rec., theirs", "Lin. macro-F1, ours", "Lin. macro-F1, theirs"]
    named = {row.name: row for row in rows}
    common = [named[name] for name in PUBLISHED if name in named]
    cells = [
        [
            Cell(_shown_name(row)),
            _score_cell(row.reconstruction, digits=2),
            number_cell(published.reconstruction, f"{published.reconstruction}"),
            _score_cell(row.lin.get("f1_macro")),
            number_cell(published.lin, f"{published.lin:.1f}"),
        ]
        for row in common
        if (published := PUBLISHED[row.name])
    ]
    return Table(POSTER_CAPTION, columns, cells, num_text_columns=1)


def _shown_name(row: StudyRow) -> str:
    return "best k-mer" if row.name == BEST_KMER else row.name


def _width(row: StudyRow) -> str:
    if row.width is None:
        return MISSING
    return str(row.width) + ("" if row.paper_width in (None, row.width) else f" ({row.paper_width})")


def _score_cell(score: Score | None, *, digits: int = 1, scale: float = 100.0, best: bool = False) -> Cell:
    return Cell(MISSING) if score is None else Cell(_score(score, digits, scale), scale * score.mean, best)


def _score(score: Score | None, digits: int = 1, scale: float = 100.0, *, with_deviation: bool = True) -> str:
    """Mean ± deviation as text."""
    if score is None:
        return MISSING
    spread = "" if score.deviation is None or not with_deviation else f" ± {scale * score.deviation:.{digits}f}"
    return f"{scale * score.mean:,.{digits}f}{spread}"
