"""One function for each kind of table in the documents: results file -> Markdown.

`FILLED` at the end names them. Each takes the results record and what stands between the file and the kind in the
marker (a protocol or a set; often nothing). Scores are shown x 100. What is done with the text is `fill_tables.py`'s.
"""

import statistics
from pathlib import Path
from typing import Any

import vqdna
from vqdna.benchmark.results import SummaryRow
from vqdna.benchmark.summary import BenchmarkResult
from vqdna.benchmark.summary_tables import (
    means_table,
    metric_table,
    percent,
    published_table,
    ranking_markdown,
    systems_in_order,
)
from vqdna.config import read_yaml
from vqdna.quantities import markdown_table
from vqdna.reports.runs import Run
from vqdna.stage_results import MeanAndSd
from vqdna.studies.codebook.results import CodebookRow
from vqdna.studies.pretraining.results import PretrainingRow
from vqdna.studies.species.cells import length_name
from vqdna.studies.species.report.section import findings, species_rows
from vqdna.studies.species.results import SpeciesRow
from vqdna.studies.species.summary import set_table
from vqdna.tasks.registry import GUE_13

Record = dict[str, Any]


def table(head: str, rows: list[list[str]]) -> str:
    """A Markdown table; `head` has its columns between bars."""
    return markdown_table(head.split(" | "), rows)


def hundred(value: float) -> str:
    return f"{100 * value:.1f}"


def spread(row: Record) -> str:
    """Mean x 100, with the standard deviation over seeds where there is one."""
    return MeanAndSd.model_validate(row).text()


# The benchmark


def means(summary: Record, protocol: str) -> str:
    return means_table(*rows_in_order(summary, protocol))


def mcc(summary: Record, protocol: str) -> str:
    return metric_table(*rows_in_order(summary, protocol), "mcc", "MCC")


def rows_in_order(summary: Record, protocol: str) -> tuple[list[SummaryRow], list[str]]:
    """Rows of a protocol, and its systems in their order."""
    result = BenchmarkResult.model_validate(summary)
    rows = result.of_protocol(protocol)
    return rows, systems_in_order(rows, result.rankings.get(protocol))


def ranks(summary: Record, protocol: str) -> str:
    ranking = BenchmarkResult.model_validate(summary).rankings[protocol]
    return "" if ranking is None else ranking_markdown(ranking)


def published(summary: Record, protocol: str) -> str:
    result = BenchmarkResult.model_validate(summary)
    return published_table(result.of_protocol(protocol), result.published[protocol])


def virus_windows(summary: Record, protocol: str) -> str:
    """Scores of the windows of SARS-CoV-2 lineages, and of an encoder's two parts."""
    own = BenchmarkResult.model_validate(summary).of_protocol(protocol)
    rows = []
    for row in sorted(own, key=lambda row: -(row.of("f1_macro").mean or 0.0)):
        parts = [percent(row.parts[part].of("mcc")) if part in row.parts else "" for part in ("encoder", "counts")]
        no_better = str(len(row.collapsed) or "")
        rows.append([row.system, percent(row.of("f1_macro")), percent(row.of("mcc")), *parts, no_better])
    head = "system | macro-F1 | MCC | encoder alone, MCC | counts alone, MCC | runs no better than chance"
    return table(head, rows)


HEADLINE = {
    "average:cnn-words:small+cnn+kmer-lightgbm+vqdna-views": "ours: encoder, both CNNs and boosted trees, averaged",
    "cnn-words:small": "ours: CNN on bases and codes, from scratch (`cnn-words:small`)",
    "vqdna-views": "ours: pre-trained genome encoder (`vqdna-views`)",
    "cnn": "baseline: CNN on bases, from scratch",
    "kmer-lightgbm": "baseline: k-mer counts, boosted trees",
    "kmer-logreg": "baseline: k-mer counts, logistic regression",
}
PACKAGE = Path(vqdna.__file__).parent
PUBLISHED = ("DNABERT-2", "NT-2500M-multi")


def short(number: float) -> str:
    """A count with its thousands or millions as a letter."""
    return f"{number / 1e6:,.1f} M".replace(".0 M", " M") if number >= 1e6 else f"{number / 1e3:.0f} k"


def headline(summary: Record, protocol: str) -> str:
    """The table of the README: a few systems, what was published, and what each costs."""
    rows = []
    every = [row for row in summary["rows"] if row["protocol"] == protocol]
    for system, name in HEADLINE.items():
        own = [row for row in every if row["system"] == system]
        score = statistics.fmean(row["mcc"]["mean"] for row in own)
        votes = statistics.fmean(row["vote"]["mcc"] for row in own)
        parameters = max(row["parameters"]["total"] for row in own)
        bases, minutes = own[0]["pretraining_bases"] / 1e6, sum(row["seconds"] for row in own) / 60
        seen = f"{bases:.0f} million bases" if bases else "none"
        rows.append([name, hundred(score), hundred(votes), short(parameters), seen, f"{minutes:.0f} min"])
    datasets = {row["dataset"] for row in every}
    known = read_yaml(PACKAGE / "tasks" / "published.yaml")
    for name in PUBLISHED:
        score = statistics.fmean(summary["published"][protocol][name][dataset] for dataset in datasets)
        parameters = summary["published_cost"][name]["parameters"]
        seen = f"{known[name]['cost']['tokens']} billion tokens"
        rows.append([f"published: {name}", f"{score:.1f}", "", short(parameters), seen, "not stated"])
    head = "system | mean MCC | seed ensemble | parameters | pre-training | CPU core time for the 13 sets"
    return table(head, rows)


# Vocabularies


def kmers(record: Record, _: str) -> str:
    """The vocabulary beside k-mers: MCC of 13 GUE sets, their mean, macro-F1 of the virus windows."""
    scores = {(row["system"], row["dataset"]): row for row in record["rows"]}
    systems = ("kmer-logreg", "kmer-logreg:6", "probe:work/views@4101")
    by_set = [[scores[system, name]["mcc"]["mean"] for system in systems] for name in GUE_13]
    virus = [scores[system, "covid-windows"]["f1_macro"]["mean"] for system in systems]
    lines = [*zip(GUE_13, by_set, strict=True), ("**mean of the 13**", [statistics.fmean(v) for v in zip(*by_set)])]
    lines.append(("SARS-CoV-2 windows, macro-F1", virus))
    head = "MCC, test | best of 3..6-mers (k chosen on dev) | 6-mers | learned vocabulary"
    return table(head, [[name, *map(hundred, values)] for name, values in lines])


def position_sets(record: Record, _: str) -> str:
    """Candidates for the position sets, counted as k-mers, by dev score."""
    found = {**record["fixed"], **{f"greedy, {len(step['views'])} sets": step for step in record["greedy"]}}
    names = {
        "coarse views": "the five coarse position sets",
        "1024 balls of 8 bases": "1024 clusters of 8-base windows",
    }
    rows = [
        [names.get(name, name), str(row["dimensions"]), hundred(row["mean_dev_mcc"])] for name, row in found.items()
    ]
    return table("tokens | dimensions | mean dev MCC of 13 GUE sets x 100", rows)


def codebook_sizes(record: Record, _: str) -> str:
    """VQ and HRQ by K: linear probe on GUE and on the virus windows."""
    trials = {row["cell"]: row["lin"] for row in record["rows"]}
    rows = [
        [str(k), *(spread(trials[f"{kind}_k{k}"][metric]) for metric in ("mcc", "f1_macro") for kind in ("vq", "hrq"))]
        for k in (128, 256, 512, 1024)
    ]
    return table("K | VQ, GUE | HRQ, GUE | VQ, SARS-CoV-2 | HRQ, SARS-CoV-2", rows)


OPEN_POINTS = {
    "hrq_k512": "HRQ (1024 + 2048), stopped, continuous: the default",
    "hrq_residual_gradient": "gradient through `e(M(n-1))`",
    "hrq_feed_quantized": "block 4 receives codes",
    "hrq_k256": "sizes (K, 2K) = 512 + 1024",
    "product_k512": "no residual: each level quantizes its own tap",
    "rvq_k512": "RVQ, the same two codebooks on the last block",
    "hrq_k128": "HRQ, 256 + 512 codes",
    "vq_k512": "VQ, 512 codes",
    "vq_k1024": "VQ, 1024 codes",
}


def open_points(record: Record, _: str) -> str:
    """The choices that the paper leaves open, a row each."""
    trials = {row["cell"]: CodebookRow.model_validate(row) for row in record["rows"]}
    rows = []
    for own, what in ((trials[name], what) for name, what in OPEN_POINTS.items()):
        scores = [own.lin_score(metric).text() for metric in ("mcc", "f1_macro")]
        rows.append([what, str(sum(own.level_sizes)), str(len(own.seeds)), *scores])
    return table("trial | codes | seeds | GUE, mean MCC | SARS-CoV-2, macro-F1", rows)


def ends(values: list[float], form: str) -> str:
    """The coarsest and the finest level's value, or the only one."""
    return " / ".join(form.format(value) for value in ([values[0], values[-1]] if len(values) > 1 else values))


def audit(record: Record, _: str) -> str:
    """Three tokenizers measure by measure; where two numbers stand, the coarsest and the finest level."""
    hrq, six_mers = record["audits"]["hrq"]["tokenizers"].values()
    (views,) = record["audits"]["views"]["tokenizers"].values()

    def columns(measure: Record) -> list[Record]:
        own = measure["columns"]
        return [value for name, value in own.items() if name != "joint" or len(own) == 1]

    def joint(measure: Record) -> Record:
        return list(measure["columns"].values())[-1]

    measures = {
        "codes in use": lambda t: ends([100 * x["usage"] for x in t["usage"]["levels"]], "{:.1f} %"),
        "perplexity": lambda t: ends([x["perplexity"] for x in t["usage"]["levels"]], "{:,.0f}"),
        "all levels together are as varied as": lambda t: f"{t['usage']['joint']['perplexity']:,.0f} codes",
        "bits per base by size": lambda t: f"{t['usage']['nominal_bits_per_base']:.1f}",
        "nats per base, order 2": lambda t: f"{t['nats_per_base']['total']:.2f}",
        "single-base changes seen": lambda t: f"{100 * t['sensitivity']['altered_fraction']:.1f} %",
        "codes changed by one base change": lambda t: f"{joint(t['sensitivity'])['flips_per_change']:.1f}",
        "farthest code change, in bases": lambda t: f"{joint(t['sensitivity'])['farthest']}",
        "same codes when read one base later": lambda t: f"{100 * joint(t['shift'][0]):.1f} %",
        "same code on the other strand": lambda t: ends(
            [100 * x["same_code"] for x in columns(t["reverse_complement"])], "{:.1f} %"
        ),
        "other strand follows from this one": lambda t: ends(
            [100 * x["normalized_information"] for x in columns(t["reverse_complement"])], "{:.1f} %"
        ),
        "bits on GC content beyond chance": lambda t: ends(
            [x["excess_bits"] for x in columns(next(f for f in t["information"] if f["name"] == "GC"))], "{:.2f}"
        ),
    }
    rows = [[name, *(value(tokenizer) for tokenizer in (hrq, views, six_mers))] for name, value in measures.items()]
    return table("measure | HRQ | views | 6-mers", rows)


# Pre-training


def kind_of(row: PretrainingRow) -> str:
    """What a row of the pre-training study is, in words."""
    if row.bases_seen is None:
        spec = row.encoder.removeprefix("probe:")
        counted = f"{spec.removeprefix('kmer:')}-mer counts" if spec.startswith("kmer:") else "codes of the vocabulary"
        return f"{counted}, logistic regression"
    return f"pre-trained on {row.million_bases:.1f} M bases" if row.bases_seen else "random initialization"


def parts_of(record: Record) -> tuple[list[PretrainingRow], list[PretrainingRow]]:
    """Baselines of the study, and its encoders by how many bases they have seen."""
    rows = [PretrainingRow.model_validate(row) for row in record["rows"]]
    encoders = [row for row in rows if row.bases_seen is not None]
    return [row for row in rows if row.bases_seen is None], sorted(encoders, key=lambda row: row.bases_seen or 0)


def worth(record: Record, _: str) -> str:
    """What pre-training is worth."""
    baselines, encoders = parts_of(record)
    shown = (*baselines, encoders[0], encoders[-1])
    rows = [[kind_of(row), str(len(row.seeds)), row.score.text()] for row in shown]
    return table("system, 500 training sequences of each set | seeds | mean dev MCC of the 13", rows)


def worth_by_dataset(record: Record, _: str) -> str:
    """Random initialization, the built-in encoder and the best baseline, dataset by dataset."""
    baselines, encoders = parts_of(record)
    shown = (encoders[0], encoders[-1], max(baselines, key=lambda row: row.mean or 0))
    rows = [[name, *(row.score_on(name).text() for row in shown)] for name in GUE_13]
    return table("dataset | random initialization | pre-trained | codes of the vocabulary, logistic regression", rows)


def curve(record: Record, _: str) -> str:
    """Scores over the bases seen."""
    encoders = parts_of(record)[1]
    rows = [[f"{row.million_bases:.1f} M", str(len(row.seeds)), row.score.text(with_sd=False)] for row in encoders]
    return table("bases seen | seeds | mean dev MCC of the 13", rows)


MASKING = {
    "preset": "the preset: fields, 15 %, bases; half of the windows for contrastive learning",
    "unit_codes": "single positions, the vocabulary sees all bases (leaks)",
    "unit_spans": "spans, the vocabulary sees all bases (leaks)",
    "unit_bases": "spans, the vocabulary reads N",
    "fraction_20": "20 % masked",
    "fraction_25": "25 % masked",
    "fraction_30": "30 % masked",
    "target_levels": "codes, level by level, in place of bases",
    "target_joint": "codes jointly, by the chain rule",
    "learned_embedding": "code tables that learn",
    "masked_alone": "masking alone",
    "half_shuffled": "real or dinucleotide-shuffled, in place of contrastive learning",
    "all_cropped": "contrastive learning alone, no masks",
    "substituted_02": "augmented views with up to 2 % of the bases substituted",
    "substituted_20": "augmented views with up to 20 % of the bases substituted",
}


def masking(record: Record, _: str) -> str:
    """The ablation of stage 2, in the order of runs/masking.sh."""
    rows = []
    for row in record["rows"]:
        name = row["encoder"].rsplit("/", 1)[-1]
        nats = f"{record['runs'][name]['base_nats']:.3f}" if row["bases_seen"] else "-"
        rows.append([MASKING[name] if row["bases_seen"] else "random initialization", nats, spread(row)])
    return table("choice | nats per masked base, held out | mean dev MCC of the 7", rows)


def leak(record: Record, _: str) -> str:
    """Masked accuracy by the unit of masking, in all and by the distance to the nearest visible position."""
    rows = []
    for unit in ("codes", "spans", "bases"):
        run = record["runs"][unit]
        near = {entry["distance"]: entry["accuracy"][0] for entry in run["leak"] if entry["count"] >= 600}
        overall = " / ".join(f"{hundred(value)} %" for value in run["evaluation"]["masked_accuracy"])
        at = [f"{hundred(near[distance])} %" if distance in near else "-" for distance in (1, 4)]
        rows.append([unit, overall, f"{run['evaluation']['base_nats']:.3f}", *at])
    head = (
        "unit | masked accuracy, level 0 / 1 | nats per masked base (guessing: 1.386) | accuracy at distance 1, level 0"
    )
    return table(f"{head} | at distance 4", rows)


# Studies


def species(record: Record, name: str) -> str:
    """Accuracies of one species set."""
    return set_table([SpeciesRow.model_validate(row) for row in record["rows"] if row["set"] == name])


def species_findings(record: Record, name: str) -> str:
    """What the numbers of one species set come to."""
    rows = [row for row in record["rows"] if row["set"] == name]
    return " ".join(findings(species_rows(Run(name, {"stage": "study", "rows": rows}))))


def species_costs(record: Record, _: str) -> str:
    """Processor seconds and megabytes of one window, system by system, the same in all sets."""
    costs = record["costs"]
    lengths = sorted({int(length) for own in costs.values() for length in own})
    rows = []
    for system, own in costs.items():
        known = [own.get(str(length)) for length in lengths]
        rows.append([system, *(f"{c['seconds']:.2g} s, {c['window_bytes'] / 1e6:.1f} MB" if c else "-" for c in known)])
    return table(f"one window | {' | '.join(map(length_name, lengths))}", rows)


def found(record: Record, step: str, name: str) -> Record | None:
    own = record["steps"][step].get(name)
    return None if own is None else own["result"]


def share(record: Record | None) -> str:
    return "-" if record is None else hundred(record["value"])


def with_interval(record: Record) -> str:
    value, low, high = (hundred(record[key]) for key in ("value", "low", "high"))
    return value if value == low == high else f"{value} ({low} to {high})"


def virus_systems(record: Record, _: str) -> str:
    """A row for each tokenizer: mutated bases, silhouettes, windows, clades, classes."""
    rows = []
    for system in record["systems"]:
        name, tracks, tree = system["name"], *(found(record, step, system["name"]) for step in ("tracks", "tree"))
        linear, genomes, windows = (
            found(record, "linear", name),
            *(found(record, "separation", name)[unit]["counts, all"] for unit in ("genomes", "windows")),
        )
        exact = tracks["recovery"]["within_0"] if tracks else {"precision": None, "recall": None}
        joined = tree.get("places", tree["counts"])["neighbor_joining"]
        clades = (
            f"{joined['num_clades_shared']} of {joined['num_clades_wanted']}, {joined['num_contradicting']} against"
        )
        sizes = " + ".join(f"{size:,}" for size in system["level_sizes"])
        probes = [
            share(linear[split][unit]["counts, all"])
            for split, unit in (("random", "genomes"), ("by date", "genomes"), ("random", "windows"))
        ]
        found_bases = f"{share(exact['precision'])} / {share(exact['recall'])}"
        silhouette = f"{genomes['silhouette']['value']:.2f}"
        rows.append([name, sizes, found_bases, silhouette, share(windows["neighbor_accuracy"]), clades, *probes])
    head = "system | codes | mutated bases, precision / recall | silhouette | neighbors, windows | Pango's clades"
    return table(f"{head} | F1, genomes | by date | F1, windows", rows)


def virus_levels(record: Record, _: str) -> str:
    """A row for each level of the vocabularies that have several."""
    rows = []
    for system in record["systems"]:
        own = found(record, "claims", system["name"])
        for level in own["levels"] if own and len(own["levels"]) > 1 else ():
            seen = level["planted_seen"]
            rows.append(
                [
                    f"{system['name']}, level {level['level']}",
                    with_interval(level["lineage_share"]),
                    share(level["mutation_share"]["defining"]),
                    f"{share(seen['synonymous'])} / {share(seen['missense'])}",
                    f"{level['flips_per_planted']['missense']:.1f}",
                ]
            )
    head = "level | variation explained by lineages, % | defining mutations seen, %"
    return table(f"{head} | in-silico mutations seen, synonymous / missense, % | code changes per mutation", rows)


# Speed


STEPS = {
    "VectorQuantize 512 training step / VQ 512 training step": (
        "VQ, K = 512, training step (its `VectorQuantize`, EMA, straight-through)"
    ),
    "ResidualVQ (1024, 2048) training step / HRQ (1024, 2048) training step": (
        "HRQ, 1024 + 2048, training step (its `ResidualVQ` of these sizes)"
    ),
    "bare addmm + argmin / nearest code": "nearest code (a bare addmm + argmin instead of the library)",
    "Conv1d on a transposed copy / depth-wise convolution": (
        "depth-wise convolution (torch's `Conv1d` on a transposed copy instead)"
    ),
}


def quantizer_speed(record: Record, _: str) -> str:
    """How many times as long the library's step takes as ours."""
    rows = [[STEPS[name], f"{ratio:.1f} x"] for name, ratio in record["median_ratio"].items()]
    return table("step | library / ours", rows)


def tokenizer_speed(record: Record, _: str) -> str:
    """Bases a second that each tokenizer encodes."""
    rows = [[name, f"{rates['best']:,.0f} Mb/s"] for name, rates in record["megabases_per_second"].items()]
    return table("tokenizer | fastest round", rows)


FILLED = {
    function.__name__.replace("_", "-"): function
    for function in (
        *(means, mcc, ranks, published, virus_windows, headline, kmers, position_sets, codebook_sizes, open_points),
        *(audit, worth, worth_by_dataset, curve, masking, leak, species, species_findings, species_costs),
        *(virus_systems, virus_levels, quantizer_speed, tokenizer_speed),
    )
}
"""The functions by the kind that a marker names."""
