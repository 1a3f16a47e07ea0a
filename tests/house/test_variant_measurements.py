"""Figures in the guide to the study of variants are those of its committed results file."""

from __future__ import annotations

import json

import pytest
from documents import ROOT

RESULTS = json.loads((ROOT / "docs" / "results" / "sars_cov_2.json").read_text())
GUIDE = (ROOT / "docs" / "guides" / "sars-cov-2.md").read_text()
PROSE = " ".join(GUIDE.split())
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


def codes(name):
    return " + ".join(f"{size:,}" for size in next(s for s in RESULTS["systems"] if s["name"] == name)["level_sizes"])


def tree_cell(name):
    """Pango's clades shared and contradicted by neighbor joining, from codes at places, else from counts."""
    held = result("tree", name)
    tree = held.get("places", held["counts"])["neighbor_joining"]
    return f"{tree['num_clades_shared']} of {tree['num_clades_wanted']}, {tree['num_contradicting']} against"


def system_lines():
    """A line for each system: mutated bases, silhouettes, windows, clades, classes."""
    lines = []
    for name in NAMES:
        tracks, linear = result("tracks", name), result("linear", name)
        exact = tracks["recovery"]["within_0"] if tracks else {"precision": None, "recall": None}
        genomes, windows = (result("separation", name)[unit]["counts, all"] for unit in ("genomes", "windows"))
        cells = [
            f"{percent(exact['precision'])} / {percent(exact['recall'])}",
            f"{genomes['silhouette']['value']:.2f}",
            percent(windows["neighbor_accuracy"]),
            tree_cell(name),
            percent(linear["random"]["genomes"]["counts, all"]),
            percent(linear["by date"]["genomes"]["counts, all"]),
            percent(linear["random"]["windows"]["counts, all"]),
        ]
        lines.append(f"| {name} | {codes(name)} | {' | '.join(cells)} |")
    return lines


def claim_lines():
    """A line for each level of the systems that have several."""
    lines = []
    for name in NAMES:
        held = result("claims", name)
        for record in held["levels"] if held and len(held["levels"]) > 1 else ():
            seen = record["planted_seen"]
            cells = [
                spread(record["lineage_share"]),
                percent(record["mutation_share"]["defining"]),
                f"{percent(seen['synonymous'])} / {percent(seen['missense'])}",
                f"{record['flips_per_planted']['missense']:.1f}",
            ]
            lines.append(f"| {name}, level {record['level']} | {' | '.join(cells)} |")
    return lines


@pytest.mark.parametrize("line", [*system_lines(), *claim_lines()])
def test_tables_of_the_guide_are_those_of_the_results_file(line):
    assert line in GUIDE


def test_the_command_of_the_guide_is_the_one_that_was_run():
    sizes = ",".join(map(str, RESULTS["sizes"]["genomes"]))
    assert f"--per-variant {sizes} " in RESULTS["command"]
    assert f"--per-variant {sizes} " in GUIDE


def test_the_verdict_of_the_guide_is_the_one_found():
    held = result("claims", SHOWN)
    lineage, seen = (spread(held[key]) for key in ("coarse_minus_fine_lineage", "fine_minus_coarse_seen"))
    assert f"the claim is **{held['verdict']}**" in PROSE
    assert f"{lineage} points" in PROSE
    assert f"{seen} points" in PROSE


def test_the_fine_tuned_encoder_s_scores_are_the_measured_ones():
    tuned = RESULTS["fine_tuned"]["result"]
    assert f"{spread(tuned['windows'])} on windows and {spread(tuned['genomes'])} on genomes" in PROSE
    assert f"{tuned['num_windows']['train']:,} training windows" in PROSE
    words, own = (spread(tuned["controls"][name]) for name in ("kmer:6", "codes of the encoder"))
    assert f"6-mer counts has {words}, on the counts of the encoder's own codes {own}:" in PROSE


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


def test_what_the_guide_says_of_trees_holds_for_every_system():
    pair, other = frozenset({"Delta", "Kappa"}), frozenset({"Gamma", "Zeta"})
    for source in ("places", "counts"):
        assert not any(clades_found("average_linkage", source))
        assert all(pair in found for found in clades_found("neighbor_joining", source))
    assert all(other in found for found in clades_found("neighbor_joining", "places"))


def test_what_the_guide_says_of_genomes_and_mutations_holds():
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
