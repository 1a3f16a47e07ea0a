"""Numbers on the page of the SARS-CoV-2 study are those of its committed results file."""

from __future__ import annotations

import json

from documents import ROOT

RESULTS = json.loads((ROOT / "docs" / "results" / "sars_cov_2.json").read_text())
PAGE = (ROOT / "docs" / "results" / "sars-cov-2.md").read_text()
PROSE = " ".join(PAGE.split())
NAMES = [system["name"] for system in RESULTS["systems"]]
SHOWN = RESULTS["shown"]


def result(step, name):
    held = RESULTS["steps"][step].get(name)
    return None if held is None else held["result"]


def percent(record):
    return "-" if record is None else f"{100 * record['value']:.1f}"


def spread(record):
    value, low, high = (f"{100 * record[key]:.1f}" for key in ("value", "low", "high"))
    return value if value == low == high else f"{value} ({low} to {high})"


def test_the_command_of_the_page_is_the_one_that_was_run():
    sizes = ",".join(map(str, RESULTS["sizes"]["genomes"]))
    assert f"--per-variant {sizes} " in RESULTS["command"]
    assert f"--per-variant {sizes} " in PAGE


def test_the_verdict_of_the_page_is_the_one_found():
    held = result("claims", SHOWN)
    lineage, seen = (spread(held[key]) for key in ("coarse_minus_fine_lineage", "fine_minus_coarse_seen"))
    assert f"this statement is **{held['verdict']}** for HRQ" in PROSE
    assert f"coarse codes have {lineage} points more explained by lineages" in PROSE
    assert f"Fine codes see {seen} points more" in PROSE


def test_the_fine_tuned_encoder_s_scores_are_the_measured_ones():
    tuned = RESULTS["fine_tuned"]["result"]
    assert f"has macro-F1 {spread(tuned['windows'])} on windows. On genomes it has {spread(tuned['genomes'])}," in PROSE
    assert f"{tuned['num_windows']['train']:,} training windows" in PROSE
    six_mers, own = (spread(tuned["controls"][name]) for name in ("kmer:6", "codes of the encoder"))
    assert f"6-mer counts has {six_mers}. On the counts of the encoder's own codes it has {own}." in PROSE


def test_sizes_and_budget_are_the_measured_ones():
    counts = RESULTS["splits"]["random"]["num_genomes"]
    assert f"{counts['train']} train, {counts['dev']} dev and {counts['test']} test genomes" in PROSE
    assert f"{RESULTS['inputs']['num_kept']:,} different genomes" in PROSE
    later = RESULTS["splits"]["by date"]
    assert f"up to {later['cutoff']}" in PROSE
    assert f"{100 * later['test_of_unseen_lineages']:.0f} % of them" in PROSE
    assert f"{RESULTS['vocabularies'][SHOWN]['bases_seen'] / 1e6:.1f} million bases" in PROSE
    assert f"{RESULTS['seconds'] / 60:.0f} minutes" in PROSE


def clades_found(method, source):
    trees = [held["result"][source] for held in RESULTS["steps"]["tree"].values() if source in held["result"]]
    return [{frozenset(w["clade"]) for w in tree[method]["wanted"] if w["found"]} for tree in trees]


def test_what_is_said_of_trees_holds_for_every_system():
    pair, other = frozenset({"Delta", "Kappa"}), frozenset({"Gamma", "Zeta"})
    for source in ("places", "counts"):
        assert not any(clades_found("average_linkage", source))
        assert all(pair in found for found in clades_found("neighbor_joining", source))
    assert all(other in found for found in clades_found("neighbor_joining", "places"))


def test_what_is_said_of_genomes_and_mutations_holds():
    genomes = {name: result("separation", name)["genomes"]["counts, all"]["neighbor_accuracy"] for name in NAMES}
    linear = {name: result("linear", name)["random"]["genomes"]["counts, all"]["value"] for name in NAMES}
    assert all(score["value"] == 1.0 for score in genomes.values())
    assert {name for name, score in linear.items() if score < 0.99} == {"bpe"}
    verdicts = [
        held["result"]["verdict"] for held in RESULTS["steps"]["claims"].values() if "verdict" in held["result"]
    ]
    assert set(verdicts) == {"refuted"}
    for kind in ("vectors", "counts"):
        score = result("separation", SHOWN)["genomes"][f"{kind}, all"]["neighbor_accuracy"]
        assert f"{percent(score)} %" in PROSE
