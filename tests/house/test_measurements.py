"""Figures in README and docs are those of committed results files."""

import json
import re
import statistics
import subprocess
import sys

import pytest
from documents import ROOT

from vqdna.reports.runs import Run
from vqdna.studies.species.cells import length_name
from vqdna.studies.species.report.rows import species_rows
from vqdna.studies.species.report.section import findings
from vqdna.studies.species.summary import set_table

RESULTS = ROOT / "docs" / "results"


def table_lines(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_tables_of_the_benchmark_are_those_of_the_results_files():
    command = [sys.executable, str(ROOT / "runs" / "fill_tables.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "system", ["vqdna-views:4", "vqdna-views", "random-init", "vqdna-hrq", "vqdna-vq", "kmer3", "bpe", "nucleotide"]
)
def test_what_the_readme_says_of_encoders_alone_is_in_the_results_file(system):
    rows = json.loads((RESULTS / "benchmark.json").read_text())["rows"]
    own = [row for row in rows if row["system"] == system and row["protocol"] == "full"]
    alone = [row["parts"]["encoder"]["mcc"]["mean"] for row in own]
    assert f"{100 * statistics.fmean(alone):.1f}" in (ROOT / "README.md").read_text()


WORDS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def whole_splits():
    """The results of whole splits, rows by system and dataset, and what the README says of them in one line."""
    summary = json.loads((RESULTS / "benchmark_whole.json").read_text())
    rows = {}
    for row in summary["rows"]:
        if row["protocol"] == "full":
            rows.setdefault(row["system"], {})[row["dataset"]] = row
    readme = (ROOT / "README.md").read_text()
    said = readme.split("### Whole training splits", 1)[1].split("\n### ", 1)[0]
    return summary, rows, " ".join(said.split())


def mcc_of(rows):
    return {name: 100 * row["mcc"]["mean"] for name, row in rows.items()}


def vote_of(rows):
    return f"{statistics.fmean(100 * row['vote']['mcc'] for row in rows.values()):.1f}"


def test_what_the_readme_says_of_the_encoder_on_whole_splits_is_in_the_results_file():
    summary, rows, said = whole_splits()
    own = list(rows["vqdna-views"].values())
    alone = statistics.fmean(row["parts"]["encoder"]["mcc"]["mean"] for row in own)
    assert f"codes' regression, has {100 * alone:.1f}. Its three seeds vote for {vote_of(rows['vqdna-views'])}." in said
    assert {tuple(row["seeds"]) for row in own} == {(0, 1, 2)}
    published = summary["published"]["full"]["DNABERT-2"]
    above = sum(100 * row["mcc"]["mean"] > published[row["dataset"]] for row in own)
    assert f"above it on {WORDS[above]} of them" in said
    assert f"{statistics.fmean(published[row['dataset']] for row in own):.1f}" in said
    assert f"{own[0]['parameters']['total'] / 1e6:.1f} M parameters" in said
    assert f"{own[0]['pretraining_bases'] / 1e6:.1f} M bases" in said


def test_what_the_readme_says_of_words_beside_bases_is_in_the_results_file():
    _, rows, said = whole_splits()
    words, bases = mcc_of(rows["cnn-words:small"]), mcc_of(rows["cnn"])
    means = [f"{statistics.fmean(scores.values()):.1f}" for scores in (words, bases)]
    assert f"`cnn-words:small` has {means[0]} mean MCC, `cnn` {means[1]}," in said
    gains = {name: words[name] - bases[name] for name in bases}
    most, least = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    assert f"win on {WORDS[sum(gain > 0 for gain in gains.values())]} of the 13 sets" in said
    assert f"most on `{most}` ({gains[most]:.1f})" in said
    assert f"lose most on `{least}` ({-gains[least]:.1f})" in said
    assert f"their lead ({vote_of(rows['cnn-words:small'])} and {vote_of(rows['cnn'])})" in said
    of_kmers = statistics.fmean(mcc_of(rows["cnn-words:kmer:6"]).values())
    assert f"one seed) have {of_kmers:.1f}, no more than bases" in said
    minutes = [sum(row["seconds"] for row in rows[name].values()) / 60 for name in ("cnn-words:small", "cnn")]
    assert f"{minutes[0]:.0f} core minutes a seed, `cnn` {minutes[1]:.0f}" in said


def test_what_the_readme_says_of_averages_on_whole_splits_is_in_the_results_file():
    summary, rows, said = whole_splits()
    most = "average:cnn-words:small+cnn+kmer-lightgbm+vqdna-views"
    for system, words in (
        ("average:cnn-words:small+vqdna-views", "averaged with `cnn-words:small` has {}"),
        ("average:cnn-words:small+cnn+vqdna-views", "with `cnn` besides {}"),
        (most, "with boosted trees on k-mers too {}"),
        ("average:cnn+kmer-lightgbm+kmer-logreg", "without learned words, has {}"),
    ):
        assert words.format(f"{statistics.fmean(mcc_of(rows[system]).values()):.1f}") in said
    scores, control = mcc_of(rows[most]), mcc_of(rows["cnn"])
    average = summary["rankings"]["full"]["average"]
    assert "first by average rank and by dev scores" in said
    dev = {system: statistics.fmean(row["dev_mcc"]["mean"] for row in rows[system].values()) for system in average}
    assert min(average, key=average.__getitem__) == max(dev, key=dev.__getitem__) == most
    assert f"Its three seeds vote for {vote_of(rows[most])}, those of `cnn` alone for {vote_of(rows['cnn'])}." in said
    assert f"(vote {vote_of(rows['average:cnn+kmer-lightgbm+kmer-logreg'])})" in said
    assert len(summary["rankings"]["full"]["groups"][0]) == WORDS.index("nine")
    assert "the first nine rows are not told apart" in said
    published = summary["published"]["full"]
    assert f"control on {sum(scores[name] > control[name] for name in scores)} of the 13 sets" in said
    above = sum(scores[name] > published["DNABERT-2"][name] for name in scores)
    assert f"above DNABERT-2 on {WORDS[above]}." in said
    best = [max(known.get(name, 0) for known in published.values()) for name in scores]
    assert f"whichever model it is of, is {statistics.fmean(best):.1f} in the mean" in said


def lab_note_rows(heading):
    """Cells of the tables under a heading of the lab notes, by their first cell."""
    text = (ROOT / "docs" / "lab-notes.md").read_text().split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table_lines(text)]


def test_what_pre_training_on_a_gpu_was_worth_is_what_was_measured():
    results = json.loads((RESULTS / "gpu_pretraining.json").read_text())
    rows = lab_note_rows("2026-11: six times the pre-training helps those who fine-tune long")
    for name, by_bases in results["short_fine_tunings"]["mcc"].items():
        means = [f"{100 * statistics.fmean(by_bases[bases].values()):.1f}" for bases in ("19.7M", "3.3M")]
        assert [name, *means] in rows
    names = {"vqdna-views": "vqdna-views", "random-init": "the same, fresh weights", "nucleotide": "nucleotide"}
    for run in results["fine_tunings"]:
        if run["learning_rate"] == 1e-3 and run["encoder"] in names:
            column = ["tf/2", "prom_300_tata", "mouse/0"].index(run["dataset"])
            cells = next(row for row in rows if row[0] == names[run["encoder"]])
            assert cells[1 + column] == f"{100 * run['dev_mcc']:.1f}"


@pytest.mark.parametrize("unit", ["codes", "spans", "bases"])
def test_leak_table_is_that_of_the_results_file(unit):
    evaluation = json.loads((RESULTS / "leak.json").read_text())["runs"][unit]["evaluation"]
    first, second = (f"{100 * value:.1f} %" for value in evaluation["masked_accuracy"])
    line = next(
        line
        for line in table_lines((ROOT / "docs" / "decisions" / "0003-masking.md").read_text())
        if line.startswith(f"| {unit} ")
    )
    assert f"{first} / {second}" in line
    assert f"{evaluation['base_nats']:.3f}" in line


def test_speed_figures_of_the_readme_are_measured_ones():
    ratios = json.loads((ROOT / "speed" / "results" / "vocabulary.json").read_text())["median_ratio"]
    genome = json.loads((ROOT / "speed" / "results" / "genome.json").read_text())["benchmarks"]
    readme = (ROOT / "README.md").read_text()
    for ratio in ratios.values():
        assert f"{ratio:.1f} x" in readme
    for name in ("bench_text_to_base_ids", "bench_windows[5000-True]"):
        assert f"{genome[name]['megabases_per_second']['Mb/s']} Mb/s" in readme


def audit_lines():
    """The table of the audit's guide, made from the results file."""
    audits = json.loads((RESULTS / "audit.json").read_text())["audits"]
    tokenizers = [*audits["hrq"]["tokenizers"].values(), *audits["views"]["tokenizers"].values()]
    hrq, kmers, views = tokenizers

    def line(measure, whole):
        """One row; several values of a tokenizer stand side by side, coarsest level first."""
        cells = [" / ".join(whole(tokenizer)) for tokenizer in (hrq, views, kmers)]
        return f"| {measure} | {' | '.join(cells)} |"

    def ends(values, form):
        values = list(values)
        return [form(value) for value in ([values[0], values[-1]] if len(values) > 1 else values)]

    def levels(columns):
        return [value for name, value in columns.items() if name != "joint" or len(columns) == 1]

    def percent(value):
        return f"{100 * value:.1f} %"

    def joint(columns):
        return list(columns.values())[-1]

    gc = {id(t): next(f for f in t["information"] if f["name"] == "GC") for t in tokenizers}
    return [
        line("codes in use", lambda t: ends((x["usage"] for x in t["usage"]["levels"]), percent)),
        line("perplexity", lambda t: ends((x["perplexity"] for x in t["usage"]["levels"]), lambda v: f"{v:,.0f}")),
        line("all levels together are as varied as", lambda t: [f"{t['usage']['joint']['perplexity']:,.0f} codes"]),
        line("bits per base by size", lambda t: [f"{t['usage']['nominal_bits_per_base']:.1f}"]),
        line("nats per base, order 2", lambda t: [f"{t['nats_per_base']['total']:.2f}"]),
        line("single-base changes seen", lambda t: [percent(t["sensitivity"]["altered_fraction"])]),
        line(
            "positions flipped by a change", lambda t: [f"{joint(t['sensitivity']['columns'])['flips_per_change']:.1f}"]
        ),
        line("farthest flip, in bases", lambda t: [f"{joint(t['sensitivity']['columns'])['farthest']}"]),
        line("same codes when read one base later", lambda t: [percent(joint(t["shift"][0]["columns"]))]),
        line(
            "same code on the other strand",
            lambda t: ends((x["same_code"] for x in levels(t["reverse_complement"]["columns"])), percent),
        ),
        line(
            "other strand follows from this one",
            lambda t: ends((x["normalized_information"] for x in levels(t["reverse_complement"]["columns"])), percent),
        ),
        line(
            "bits on GC content beyond chance",
            lambda t: ends((x["excess_bits"] for x in levels(gc[id(t)]["columns"])), lambda v: f"{v:.2f}"),
        ),
    ]


@pytest.mark.parametrize("line", audit_lines())
def test_figures_of_the_audit_guide_are_those_of_the_results_file(line):
    assert line in (ROOT / "docs" / "guides" / "audit.md").read_text()


def test_bases_and_levels_in_the_audit_guide_are_those_of_the_results_file():
    audit = json.loads((RESULTS / "audit.json").read_text())["audits"]["hrq"]
    guide = (ROOT / "docs" / "guides" / "audit.md").read_text()
    for key in ("order_2", "context_mixing", "gzip", "xz"):
        assert f"{audit['bases'][key]:.2f}" in guide
    between = next(iter(audit["tokenizers"].values()))["between_levels"][0]
    for key in ("bits", "fine_entropy_bits", "null_bits", "fine_given_coarse_bits"):
        assert f"{between[key]:.2f}" in guide


def test_speed_figures_of_the_quantizers_decision_are_measured_ones():
    results = json.loads((ROOT / "speed" / "results" / "vocabulary.json").read_text())
    decision = next((ROOT / "docs" / "decisions").glob("0006-*.md")).read_text()
    for name, ratio in results["median_ratio"].items():
        assert f"{ratio:.1f} x" in decision, name
    assert f"{results['search_memory']['megabytes_beyond_inputs']:.0f} MB" in decision


def test_no_placeholder_is_left():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        assert not re.search(r"^[A-Z_]{6,}$", path.read_text(), re.MULTILINE), path


GUE_13 = [f"tf/{n}" for n in range(5)] + [f"mouse/{n}" for n in (0, 2, 3, 4)]
GUE_13 += ["prom_core_all", "prom_core_notata", "prom_core_tata", "prom_300_tata"]


def percent(value):
    return f"{100 * value:.1f}"


def views_lines():
    """The table of the vocabulary beside k-mers: MCC of 13 GUE sets, their mean, macro-F1 of the variant windows."""
    rows = json.loads((RESULTS / "views_probes.json").read_text())["rows"]
    scores = {(row["system"], row["dataset"]): row for row in rows}
    systems = ["kmer-logreg", "kmer-logreg:6", "probe:work/views@4101"]

    def line(title, values):
        return f"| {title} | {' | '.join(percent(value) for value in values)} |"

    lines = [line(name, (scores[system, name]["mcc"]["mean"] for system in systems)) for name in GUE_13]
    means = [sum(scores[system, name]["mcc"]["mean"] for name in GUE_13) / len(GUE_13) for system in systems]
    variants = [scores[system, "covid-windows"]["f1_macro"]["mean"] for system in systems]
    return [*lines, line("**mean of the 13**", means), line("variant windows, macro-F1", variants)]


@pytest.mark.parametrize("document", ["README.md", "docs/decisions/0005-views.md"])
def test_table_of_the_vocabulary_beside_kmers_is_that_of_the_results_file(document):
    text = (ROOT / document).read_text()
    assert [line for line in views_lines() if line not in text] == []


def study_lines():
    """The table of the codebook study's K: both Lin. of VQ and HRQ, mean and spread over seeds."""
    rows = {row["cell"]: row for row in json.loads((RESULTS / "codebook_study.json").read_text())["rows"]}

    def score(row, metric):
        lin = row["lin"][metric]
        return percent(lin["mean"]) + ("" if lin["sd"] is None else f" ± {percent(lin['sd'])}")

    return [
        f"| {k} | {' | '.join(score(rows[f'{kind}_k{k}'], m) for m in ('mcc', 'f1_macro') for kind in ('vq', 'hrq'))} |"
        for k in (128, 256, 512, 1024)
    ]


def test_table_of_the_codebook_study_is_that_of_the_results_file():
    text = (ROOT / "README.md").read_text()
    assert [line for line in study_lines() if line not in text] == []


def test_words_tried_for_the_views_are_those_of_the_results_file():
    results = json.loads((RESULTS / "views_search.json").read_text())
    text = (ROOT / "docs" / "decisions" / "0005-views.md").read_text()
    found = dict(results["fixed"])
    found |= {f"greedy, {len(step['views'])} views": step for step in results["greedy"]}
    for label, row in found.items():
        assert f"| {label} | {row['dimensions']} | {percent(row['mean_dev_mcc'])} |" in text


def test_encoder_speed_figures_of_the_readme_are_measured_ones():
    results = ROOT / "speed" / "results"
    encoder = json.loads((results / "encoder.json").read_text())
    training = json.loads((results / "pretraining.json").read_text())["presets"]["small"]
    rows = json.loads((results / "long.json").read_text())
    systems = {
        name: [run["forward"]["ratio"], run["training"]["ratio"]] for name, run in encoder["base"]["systems"].items()
    }
    readme = " ".join((ROOT / "README.md").read_text().split())
    ours, both, wide = (
        [f"{ratio:.1f} x" for ratio in systems[name]]
        for name in ("ours", "bert, bf16, lengths alike", "ours, 4 bases a position")
    )
    assert f"{ours[0]} forward and {ours[1]} in training" in readme
    assert f"both {both[0]} and {both[1]}" in readme
    assert f"to a position it is {wide[0]} and {wide[1]}" in readme
    padding = encoder["padding"]
    assert f"from {100 * padding['random batches']:.0f} % to {100 * padding['training']:.1f} %" in readme
    rates = [f"{100 * training[precision]['utilization']:.0f} %" for precision in ("fp32", "bf16")]
    assert f"reaches {rates[0]} (float32) and {rates[1]} (bfloat16) of a bare matrix product's rate" in readme
    assert f"{training['input']['ratio_to_training']:.0f} times as fast" in readme
    longest = [rows[way]["rows"]["450000"] for way in ("forward", "gradients")]
    assert "{:.0f} s forward and {:.0f} s with gradients".format(*(row["seconds"] for row in longest)) in readme
    assert "at {:.1f} and {:.1f} GB".format(*(row["peak_gb"] for row in longest)) in readme
    growth = [rows[way]["time_450k_over_32k_by_length"] for way in ("forward", "gradients")]
    assert "{:.2f} and {:.2f} times what 32,000 bases take".format(*growth) in readme


def shown(row):
    """Mean over the datasets x 100, with its spread over seeds."""
    return percent(row["mean"]) + ("" if row["sd"] is None else f" ± {percent(row['sd'])}")


def kind_of(row):
    """What a row of the pre-training study is, in words."""
    if row["bases_seen"] is None:
        spec = row["encoder"].removeprefix("probe:")
        counted = f"{spec.removeprefix('kmer:')}-mer counts" if spec.startswith("kmer:") else "codes of the vocabulary"
        return f"{counted}, logistic regression"
    return f"pre-trained on {row['bases_seen'] / 1e6:.1f} M bases" if row["bases_seen"] else "fresh weights"


def worth():
    """Rows of the pre-training study: controls, fresh weights, snapshots, the shipped encoder."""
    return json.loads((RESULTS / "pretraining.json").read_text())["rows"]


def fresh_and_shipped():
    ordered = sorted((row for row in worth() if row["bases_seen"] is not None), key=lambda row: row["bases_seen"])
    return ordered[0], ordered[-1]


def worth_lines():
    """What pre-training is worth: a line for each system."""
    rows = [row for row in worth() if row["bases_seen"] is None] + list(fresh_and_shipped())
    return [f"| {kind_of(row)} | {len(row['seeds'])} | {shown(row)} |" for row in rows]


def worth_lines_by_dataset():
    """Fresh weights, the shipped encoder and the best control, dataset by dataset."""
    control = max((row for row in worth() if row["bases_seen"] is None), key=lambda row: row["mean"])
    rows = (*fresh_and_shipped(), control)
    return [f"| {name} | {' | '.join(percent(row['datasets'][name]) for row in rows)} |" for name in GUE_13]


def curve_lines():
    rows = [row for row in worth() if row["bases_seen"] is not None]
    return [f"| {row['bases_seen'] / 1e6:.1f} M | {len(row['seeds'])} | {percent(row['mean'])} |" for row in rows]


def test_tables_of_what_pretraining_is_worth_are_those_of_the_results_file():
    decision = (ROOT / "docs" / "decisions" / "0009-pretraining.md").read_text()
    lines = [*worth_lines(), *worth_lines_by_dataset(), *curve_lines()]
    assert [line for line in lines if line not in decision] == []
    readme = (ROOT / "README.md").read_text()
    assert [line for line in worth_lines() if line not in readme] == []
    fresh, shipped = fresh_and_shipped()
    assert f"Pre-training is worth {100 * (shipped['mean'] - fresh['mean']):.1f} points." in readme


def test_the_shipped_encoder_beats_fresh_weights_on_the_mean_of_the_13_sets_beyond_the_spread_of_seeds():
    fresh, shipped = fresh_and_shipped()
    assert (fresh["seeds"], set(fresh["datasets"])) == (shipped["seeds"], set(GUE_13))
    assert len(shipped["seeds"]) >= 3
    assert shipped["mean"] - fresh["mean"] > 2 * (shipped["sd"] + fresh["sd"]) / len(shipped["seeds"]) ** 0.5


def masking_lines():
    """The ablation of stage 2: a line for each row, in the order of runs/masking.sh."""
    record = json.loads((RESULTS / "masking.json").read_text())
    lines = []
    for row in record["rows"]:
        run = record["runs"].get(row["encoder"].rsplit("/", 1)[-1], {})
        nats = f"{run['base_nats']:.3f}" if row["bases_seen"] else "-"
        lines.append(f"| {run['what'] if row['bases_seen'] else 'fresh weights'} | {nats} | {shown(row)} |")
    return lines


def test_table_of_the_masking_ablation_is_that_of_the_results_file():
    decision = (ROOT / "docs" / "decisions" / "0003-masking.md").read_text()
    assert [line for line in masking_lines() if line not in decision] == []


def species_sets():
    """Rows of the species study by set."""
    rows = json.loads((RESULTS / "species.json").read_text())["rows"]
    return {name: [row for row in rows if row["set"] == name] for name in dict.fromkeys(row["set"] for row in rows)}


def species_cost_lines():
    """Processor seconds and megabytes of one window, system by system, the same in all sets."""
    costs = json.loads((RESULTS / "species.json").read_text())["costs"]
    lengths = sorted({int(length) for own in costs.values() for length in own})
    lines = [f"| one window | {' | '.join(map(length_name, lengths))} |"]
    for system, own in costs.items():
        held = [own.get(str(length)) for length in lengths]
        cells = [f"{cost['seconds']:.2g} s, {cost['window_bytes'] / 1e6:.1f} MB" if cost else "-" for cost in held]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return lines


@pytest.mark.parametrize("name", species_sets())
def test_table_and_findings_of_the_species_guide_are_those_of_the_results_file(name):
    rows = species_sets()[name]
    guide = (ROOT / "docs" / "guides" / "species.md").read_text()
    assert [line for line in table_lines(set_table(rows)) if line not in guide] == []
    sentences = findings(species_rows(Run(name, {"stage": "study", "rows": rows})))
    assert len(sentences) >= 4
    assert [sentence for sentence in sentences if sentence not in " ".join(guide.split())] == []


def test_costs_in_the_species_guide_are_those_of_the_results_file():
    guide = (ROOT / "docs" / "guides" / "species.md").read_text()
    assert [line for line in species_cost_lines() if line not in guide] == []


def test_every_length_of_the_poster_has_a_number_for_every_system_that_was_given():
    record = json.loads((RESULTS / "species.json").read_text())
    lengths = {1000, 20_000, 32_000, 250_000, 450_000}
    for system in ("spectrum", "nucleotide", "kmer6", "bpe", "vqdna-vq", "vqdna-hrq", "hyena", "small"):
        for name in ("kingdoms", "klebsiella"):
            rows = [row for row in species_sets()[name] if row["system"] == system]
            assert {row["length"] for row in rows} == lengths
            assert {len(row["seeds"]) for row in rows} == {3}
    assert not {left["system"] for left in record["left_out"]} & {"hyena", "small"}


def test_which_system_is_ahead_in_the_species_guide_is_counted():
    guide = " ".join((ROOT / "docs" / "guides" / "species.md").read_text().split())
    rows = [row for own in species_sets().values() for row in own]
    scores = {(row["set"], row["length"], row["system"]): row["accuracy"]["mean"] for row in rows}
    cells = sorted({(name, length) for name, length, system in scores if system == "spectrum"})

    def wins(first, second):
        return sum(scores[*cell, first] > scores[*cell, second] for cell in cells)

    assert wins("vqdna-hrq", "vqdna-vq") == len(cells)
    assert "HRQ is ahead of VQ in every cell" in guide
    ours, plain = (f"{wins('spectrum', system)} of {len(cells)}" for system in ("vqdna-hrq", "vqdna-vq"))
    assert f"is ahead of HRQ in {ours} cells and of VQ in {plain}" in guide
    still, rival = (f"{wins('spectrum', system)} of {len(cells)}" for system in ("small", "hyena"))
    assert f"ahead of `small` in {still} cells and of `hyena` in {rival}" in guide
    assert f"`small` is ahead of `hyena` in {wins('small', 'hyena')}." in guide
    frozen, tuned, plain = (
        percent(scores["kingdoms", 1000, system]) for system in ("small", "small-finetuned", "spectrum")
    )
    assert f"({frozen} to {tuned}) and stays behind the spectrum there, too ({plain})" in guide
