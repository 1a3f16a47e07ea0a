"""Tables and numbers in README and docs are those of committed results files."""

import json
import re
import statistics
import subprocess
import sys

import pytest
from documents import ROOT, sentences

from vqdna.reports.runs import Run
from vqdna.studies.species.report.section import findings, species_rows

RESULTS = ROOT / "docs" / "results"

TABLES = {
    "README.md": ["benchmark_whole full headline"],
    "docs/results/tokenizers.md": [
        *(f"benchmark full {kind}" for kind in ("means", "mcc", "ranks", "published")),
        "benchmark covid-like virus-windows",
        "benchmark_whole covid-like virus-windows",
        *(f"benchmark reduced {kind}" for kind in ("means", "mcc", "ranks")),
    ],
    "docs/results/whole-splits.md": [f"benchmark_whole full {kind}" for kind in ("means", "mcc", "ranks", "published")],
    "docs/results/vocabulary.md": ["views_probes all kmers"],
    "docs/results/codebook.md": ["codebook_study all codebook-sizes"],
    "docs/results/pretraining.md": [f"pretraining all {kind}" for kind in ("worth", "worth-by-dataset", "curve")],
    "docs/results/speed.md": [
        "speed/results/tokenizers all tokenizer-speed",
        "speed/results/vocabulary all quantizer-speed",
    ],
    "docs/results/species.md": [
        *(
            f"species {name} {kind}"
            for name in ("mammals", "kingdoms", "klebsiella", "blochmannia")
            for kind in ("species", "species-findings")
        ),
        "species all species-costs",
    ],
    "docs/results/sars-cov-2.md": ["sars_cov_2 all virus-systems", "sars_cov_2 all virus-levels"],
    "docs/guides/audit.md": ["audit all audit"],
    "docs/decisions/0003-masking.md": ["leak all leak", "masking all masking"],
    "docs/decisions/0005-views.md": ["views_search all position-sets", "views_probes all kmers"],
    "docs/decisions/0006-quantizers.md": ["speed/results/vocabulary all quantizer-speed"],
    "docs/decisions/0007-hrq.md": ["codebook_study all open-points"],
    "docs/decisions/0009-pretraining.md": [
        f"pretraining all {kind}" for kind in ("worth", "worth-by-dataset", "curve")
    ],
}
"""The filled tables of each document, in their order."""


def said_in(path):
    """A document's text in one line."""
    return " ".join((ROOT / path).read_text().split())


def table_lines(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_tables_are_those_of_the_results_files():
    command = [sys.executable, str(ROOT / "runs" / "fill_tables.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_document_has_its_tables():
    found = {
        str(path.relative_to(ROOT)): re.findall(
            r"<!-- table (\S+ \S+ \S+) -->.+?<!-- /table -->", path.read_text(), re.DOTALL
        )
        for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    }
    assert {path: tables for path, tables in found.items() if tables} == TABLES


@pytest.mark.parametrize(
    "system", ["vqdna-views:4", "vqdna-views", "random-init", "vqdna-hrq", "vqdna-vq", "kmer3", "bpe", "nucleotide"]
)
def test_what_is_said_of_encoders_alone_is_in_the_results_file(system):
    rows = json.loads((RESULTS / "benchmark.json").read_text())["rows"]
    own = [row for row in rows if row["system"] == system and row["protocol"] == "full"]
    alone = [row["parts"]["encoder"]["mcc"]["mean"] for row in own]
    text = (RESULTS / "tokenizers.md").read_text().split("average rank over", 1)[0]
    assert f"{100 * statistics.fmean(alone):.1f}" in " ".join(sentences(text))


WORDS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def whole_splits():
    """The results of whole splits, rows by system and dataset, and what their page says of them in one line."""
    summary = json.loads((RESULTS / "benchmark_whole.json").read_text())
    rows = {}
    for row in summary["rows"]:
        if row["protocol"] == "full":
            rows.setdefault(row["system"], {})[row["dataset"]] = row
    return summary, rows, said_in("docs/results/whole-splits.md")


def mcc_of(rows):
    return {name: 100 * row["mcc"]["mean"] for name, row in rows.items()}


def vote_of(rows):
    return f"{statistics.fmean(100 * row['vote']['mcc'] for row in rows.values()):.1f}"


def test_what_is_said_of_the_encoder_on_whole_splits_is_in_the_results_file():
    summary, rows, said = whole_splits()
    own = list(rows["vqdna-views"].values())
    alone = statistics.fmean(row["parts"]["encoder"]["mcc"]["mean"] for row in own)
    assert f"Without the regression on its codes it has {100 * alone:.1f}." in said
    assert f"it has {100 * alone:.1f}. Its seed ensemble has {vote_of(rows['vqdna-views'])}." in said
    assert {tuple(row["seeds"]) for row in own} == {(0, 1, 2)}
    published = summary["published"]["full"]["DNABERT-2"]
    above = sum(100 * row["mcc"]["mean"] > published[row["dataset"]] for row in own)
    assert f"above it on {WORDS[above]}." in said
    assert f"{statistics.fmean(published[row['dataset']] for row in own):.1f}" in said
    assert f"{own[0]['parameters']['total'] / 1e6:.1f} M parameters" in said
    assert f"{own[0]['pretraining_bases'] / 1e6:.1f} M bases" in said
    assert f"`vqdna-views` (three seeds) has {statistics.fmean(mcc_of(rows['vqdna-views']).values()):.1f}." in said


def test_what_is_said_of_codes_beside_bases_is_in_the_results_file():
    _, rows, said = whole_splits()
    words, bases = mcc_of(rows["cnn-words:small"]), mcc_of(rows["cnn"])
    means = [f"{statistics.fmean(scores.values()):.1f}" for scores in (words, bases)]
    assert f"`cnn-words:small` has {means[0]} mean MCC, `cnn` {means[1]}." in said
    gains = {name: words[name] - bases[name] for name in bases}
    most, least = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    assert f"win on {WORDS[sum(gain > 0 for gain in gains.values())]} of the 13 sets" in said
    assert f"most on `{most}` ({gains[most]:.1f})" in said
    assert f"lose most on `{least}` ({-gains[least]:.1f})" in said
    assert f"of the lead is left ({vote_of(rows['cnn-words:small'])} and {vote_of(rows['cnn'])})" in said
    of_kmers = statistics.fmean(mcc_of(rows["cnn-words:kmer:6"]).values())
    assert f"one seed) have {of_kmers:.1f}. That is no more than bases" in said
    minutes = [sum(row["seconds"] for row in rows[name].values()) / 60 for name in ("cnn-words:small", "cnn")]
    assert f"{minutes[0]:.0f} core minutes a seed, `cnn` {minutes[1]:.0f}" in said


def test_what_is_said_of_averages_on_whole_splits_is_in_the_results_file():
    summary, rows, said = whole_splits()
    most = "average:cnn-words:small+cnn+kmer-lightgbm+vqdna-views"
    for system, words in (
        ("average:cnn-words:small+vqdna-views", "averaged with `cnn-words:small` has {}"),
        ("average:cnn-words:small+cnn+vqdna-views", "With `cnn` as a third member it has {}"),
        (most, "With boosted trees on k-mers as a fourth it has {}"),
        ("average:cnn+kmer-lightgbm+kmer-logreg", "without learned codes, has {}"),
    ):
        assert words.format(f"{statistics.fmean(mcc_of(rows[system]).values()):.1f}") in said
    scores, control = mcc_of(rows[most]), mcc_of(rows["cnn"])
    average = summary["rankings"]["full"]["average"]
    assert "first by average rank and by dev scores" in said
    dev = {system: statistics.fmean(row["dev_mcc"]["mean"] for row in rows[system].values()) for system in average}
    assert min(average, key=average.__getitem__) == max(dev, key=dev.__getitem__) == most
    assert f"Its ensemble of three seeds has {vote_of(rows[most])}." in said
    assert f"The ensemble of `cnn` alone has {vote_of(rows['cnn'])}." in said
    assert f"(seed ensemble {vote_of(rows['average:cnn+kmer-lightgbm+kmer-logreg'])})" in said
    assert len(summary["rankings"]["full"]["groups"][0]) == WORDS.index("nine")
    assert "the first nine rows are not told apart" in said
    published = summary["published"]["full"]
    assert f"baseline on {sum(scores[name] > control[name] for name in scores)} of the 13 sets" in said
    above = sum(scores[name] > published["DNABERT-2"][name] for name in scores)
    assert f"above DNABERT-2 on {WORDS[above]}." in said
    best = [max(known.get(name, 0) for known in published.values()) for name in scores]
    assert f"whichever model it is from: the mean is {statistics.fmean(best):.1f}." in said


def test_the_three_sentences_of_the_readme_hold():
    summary, rows, _ = whole_splits()
    said = said_in("README.md")
    codes, bases = rows["cnn-words:small"], rows["cnn"]
    gain = statistics.fmean(mcc_of(codes).values()) - statistics.fmean(mcc_of(bases).values())
    assert round(gain) == 1
    assert "Codes gain one point over the same CNN without them for single seeds" in said
    assert abs(float(vote_of(codes)) - float(vote_of(bases))) <= 0.2
    assert "and nothing for ensembles of three seeds" in said
    published = {name: summary["published"]["full"][name] for name in ("DNABERT-2", "NT-2500M-multi")}
    means = {name: statistics.fmean(scores[name] for name in codes) for name, scores in published.items()}
    assert abs(statistics.fmean(mcc_of(codes).values()) - means["DNABERT-2"]) < 1
    parameters = max(row["parameters"]["total"] for row in codes.values())
    times = summary["published_cost"]["DNABERT-2"]["parameters"] / parameters
    assert f"DNABERT-2, which has {10 * round(times / 10)} times as many parameters" in said
    most = "average:cnn-words:small+cnn+kmer-lightgbm+vqdna-views"
    assert statistics.fmean(mcc_of(rows[most]).values()) > max(means.values())
    assert "ahead of every published model in this table" in said


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
    names = {"vqdna-views": "vqdna-views", "random-init": "the same, random initialization", "nucleotide": "nucleotide"}
    for run in results["fine_tunings"]:
        if run["learning_rate"] == 1e-3 and run["encoder"] in names:
            column = ["tf/2", "prom_300_tata", "mouse/0"].index(run["dataset"])
            cells = next(row for row in rows if row[0] == names[run["encoder"]])
            assert cells[1 + column] == f"{100 * run['dev_mcc']:.1f}"


def test_speed_figures_of_reading_and_of_stage_one_are_measured_ones():
    genome = json.loads((ROOT / "speed" / "results" / "genome.json").read_text())["benchmarks"]
    said = said_in("docs/results/speed.md")
    for name in ("bench_text_to_base_ids", "bench_windows[5000-True]"):
        assert f"{genome[name]['megabases_per_second']['Mb/s']} Mb/s" in said
    paper = json.loads((ROOT / "speed" / "results" / "stage_one.json").read_text())["presets"]["paper_hrq"]
    rates = [f"{100 * paper[precision]['utilization']:.0f} %" for precision in ("float32", "bfloat16")]
    assert f"reaches {rates[0]} (float32) and {rates[1]} (bfloat16) of the rate of a bare matrix product" in said


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
    assert f"{results['search_memory']['megabytes_beyond_inputs']:.0f} MB" in decision


def test_no_placeholder_is_left():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        assert not re.search(r"^[A-Z_]{6,}$", path.read_text(), re.MULTILINE), path


GUE_13 = [f"tf/{n}" for n in range(5)] + [f"mouse/{n}" for n in (0, 2, 3, 4)]
GUE_13 += ["prom_core_all", "prom_core_notata", "prom_core_tata", "prom_300_tata"]


def percent(value):
    return f"{100 * value:.1f}"


def test_encoder_speed_figures_are_measured_ones():
    results = ROOT / "speed" / "results"
    encoder = json.loads((results / "encoder.json").read_text())
    training = json.loads((results / "pretraining.json").read_text())["presets"]["small"]
    rows = json.loads((results / "long.json").read_text())
    systems = {
        name: [run["forward"]["ratio"], run["training"]["ratio"]] for name, run in encoder["base"]["systems"].items()
    }
    said = said_in("docs/results/speed.md")
    ours, both, wide = (
        [f"{ratio:.1f} x" for ratio in systems[name]]
        for name in ("ours", "bert, bf16, lengths alike", "ours, 4 bases a position")
    )
    assert f"{ours[0]} forward and {ours[1]} in training" in said
    assert f"both {both[0]} and {both[1]}" in said
    assert f"to a position it is {wide[0]} and {wide[1]}" in said
    padding = encoder["padding"]
    assert f"from {100 * padding['random batches']:.0f} % to {100 * padding['training']:.1f} %" in said
    rates = [f"{100 * training[precision]['utilization']:.0f} %" for precision in ("fp32", "bf16")]
    assert f"reaches {rates[0]} (float32) and {rates[1]} (bfloat16) of a bare matrix product's rate" in said
    assert f"{training['input']['ratio_to_training']:.0f} times as fast" in said
    longest = [rows[way]["rows"]["450000"] for way in ("forward", "gradients")]
    assert "{:.0f} s forward and {:.0f} s with gradients".format(*(row["seconds"] for row in longest)) in said
    assert "at {:.1f} and {:.1f} GB".format(*(row["peak_gb"] for row in longest)) in said
    growth = [rows[way]["time_450k_over_32k_by_length"] for way in ("forward", "gradients")]
    assert "{:.2f} and {:.2f} times what 32,000 bases take".format(*growth) in said


def worth():
    """Rows of the pre-training study: baselines, random initialization, snapshots, the built-in encoder."""
    return json.loads((RESULTS / "pretraining.json").read_text())["rows"]


def random_and_built_in():
    ordered = sorted((row for row in worth() if row["bases_seen"] is not None), key=lambda row: row["bases_seen"])
    return ordered[0], ordered[-1]


def test_the_gain_of_pre_training_is_the_one_measured():
    random, built_in = random_and_built_in()
    gain = f"Pre-training is worth {100 * (built_in['mean'] - random['mean']):.1f} points."
    assert gain in said_in("docs/results/pretraining.md")


def test_the_built_in_encoder_beats_random_initialization_on_the_mean_of_the_13_sets_beyond_the_spread_of_seeds():
    random, built_in = random_and_built_in()
    assert (random["seeds"], set(random["datasets"])) == (built_in["seeds"], set(GUE_13))
    assert len(built_in["seeds"]) >= 3
    assert built_in["mean"] - random["mean"] > 2 * (built_in["sd"] + random["sd"]) / len(built_in["seeds"]) ** 0.5


def species_sets():
    """Rows of the species study by set."""
    rows = json.loads((RESULTS / "species.json").read_text())["rows"]
    return {name: [row for row in rows if row["set"] == name] for name in dict.fromkeys(row["set"] for row in rows)}


@pytest.mark.parametrize("name", species_sets())
def test_each_species_set_has_its_findings(name):
    found = findings(species_rows(Run(name, {"stage": "study", "rows": species_sets()[name]})))
    assert len(found) >= 4
    assert [sentence for sentence in found if sentence not in said_in("docs/results/species.md")] == []


def test_every_length_of_the_poster_has_a_number_for_every_system_that_was_given():
    record = json.loads((RESULTS / "species.json").read_text())
    lengths = {1000, 20_000, 32_000, 250_000, 450_000}
    for system in ("spectrum", "nucleotide", "kmer6", "bpe", "vqdna-vq", "vqdna-hrq", "hyena", "small"):
        for name in ("kingdoms", "klebsiella"):
            rows = [row for row in species_sets()[name] if row["system"] == system]
            assert {row["length"] for row in rows} == lengths
            assert {len(row["seeds"]) for row in rows} == {3}
    assert not {left["system"] for left in record["left_out"]} & {"hyena", "small"}


def test_which_system_is_ahead_on_the_species_page_is_counted():
    said = said_in("docs/results/species.md")
    rows = [row for own in species_sets().values() for row in own]
    scores = {(row["set"], row["length"], row["system"]): row["accuracy"]["mean"] for row in rows}
    cells = sorted({(name, length) for name, length, system in scores if system == "spectrum"})

    def wins(first, second):
        return sum(scores[*cell, first] > scores[*cell, second] for cell in cells)

    assert wins("vqdna-hrq", "vqdna-vq") == len(cells)
    assert "HRQ is ahead of VQ in every comparison" in said
    ours, plain = (f"{wins('spectrum', system)} of {len(cells)}" for system in ("vqdna-hrq", "vqdna-vq"))
    assert f"is ahead of HRQ in {ours} comparisons and of VQ in {plain}" in said
    still, other = (f"{wins('spectrum', system)} of {len(cells)}" for system in ("small", "hyena"))
    assert f"ahead of `small` in {still} comparisons and of `hyena` in {other}" in said
    assert f"`small` is ahead of `hyena` in {wins('small', 'hyena')}." in said
    frozen, tuned, plain = (
        percent(scores["kingdoms", 1000, system]) for system in ("small", "small-finetuned", "spectrum")
    )
    assert f"({frozen} to {tuned}). It stays behind the spectrum there, too ({plain})." in said
