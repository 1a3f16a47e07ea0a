from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_clades import best_guess, write_clade
from rich.console import Console

from vqdna.cli.options import named_sources
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.experiments.locks import locked
from vqdna.results import read_json, write_json
from vqdna.studies.species import study as species_study
from vqdna.studies.species.cells import Preset, length_name, parse_lengths, within_budget
from vqdna.studies.species.cost import measure_costs
from vqdna.studies.species.plan import Study
from vqdna.studies.species.results import SystemAbout, WindowCost
from vqdna.studies.species.sets import find_species_set
from vqdna.studies.species.study import run_species_study
from vqdna.studies.species.systems import SystemSpec, choose_systems
from vqdna.tokenizers import load_tokenizer

DIVERGENCE = 0.3
TINY = Preset("tiny", 100_000, 80_000, 240, 60, 2, 30.0)
COST = {"seconds": 0.001, "bases_per_second": 1.0, "peak_bytes": 2, "window_bytes": 1, "foreseen_bytes": 1}


@pytest.fixture(scope="module")
def clade(tmp_path_factory) -> Path:
    return write_clade(tmp_path_factory.mktemp("genomes") / "clade", DIVERGENCE)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """Folder of an untrained encoder over single bases, whose backbone has 300 positions."""
    folder = tmp_path_factory.mktemp("encoder")
    shape = {
        "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 300,
    }  # fmt: skip
    GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), shape).save_pretrained(folder)
    return folder


@pytest.fixture
def run(clade, tmp_path, monkeypatch):
    """Function that runs the study on the clade, costs not measured, and gives its rows and what it printed."""
    monkeypatch.setattr(
        species_study,
        "known_costs",
        lambda path, spec, lengths, most_seconds: dict.fromkeys(lengths, WindowCost(**COST)),
    )

    def call(*systems: str, lengths=(100, 1000), preset=TINY, plan_only=False, **options):
        shown = io.StringIO()
        study = Study(
            (find_species_set(clade),),
            tmp_path / "out",
            lengths,
            preset,
            **{"tokenizers": {}, "encoders": {}} | options,
        )
        console = Console(file=shown, width=200)
        rows = run_species_study(study, systems=systems or None, console=console, plan_only=plan_only)
        return [row.model_dump(mode="json", exclude_unset=True) for row in rows], shown.getvalue()

    return call


def accuracy(rows: list[dict], system: str, length: int) -> float:
    (row,) = [row for row in rows if row["system"] == system and row["length"] == length]
    return row["accuracy"]["mean"]


def test_composition_guesses_where_only_pairs_tell_and_pairs_come_near_the_best_guess(run, clade):
    rows, _ = run("spectrum", "nucleotide", "pairs", tokenizers={"pairs": "kmer:2"})
    split = Study((find_species_set(clade),), Path(), (100, 1000), TINY, {}, {}).split(find_species_set(clade), 0)
    best = {}
    for length in (100, 1000):
        windows = split.windows(length, "test", 400)
        guesses = [best_guess(windows.bases(split.corpus, row), DIVERGENCE) for row in range(400)]
        best[length] = np.mean([windows.classes[i] == guess for i, guess in zip(windows.labels, guesses)])
    assert 0.4 < best[100] < 0.85
    assert best[1000] > 0.9
    for length in (100, 1000):
        assert accuracy(rows, "nucleotide", length) < 0.4  # guessing: 0.25
        # Counts of pairs are all that tells chains of order 1 apart.
        assert best[length] - 0.15 < accuracy(rows, "pairs", length) < best[length] + 0.1
    (row,) = [row for row in rows if row["system"] == "spectrum" and row["length"] == 1000]
    assert row["representations"]["k=1"]["mean"] < 0.4 < row["representations"]["k=2"]["mean"]


def test_cells_hold_what_was_done_and_are_known_afterwards(run, tmp_path):
    rows, shown = run("nucleotide", "hyena")
    assert "left out: hyena: no encoder was given for it (--encoder hyena=DIR)" in shown
    record = read_json(tmp_path / "out/clade/nucleotide-1k/seed-1/results.json")
    assert record["classes"] == ["a", "b", "c", "d"]
    assert record["windows"] == {"train": 80, "dev": 20, "test": 40}
    assert record["independent_windows"]["test"] == 4 * (100_000 // 12 // 1000)
    assert record["about"]["how"] == "counts of tokens; nothing trained"
    assert record["padded_share"]["train"] == 0
    assert record["cost"] == COST
    assert 0 <= record["test"]["accuracy"] <= 1
    summary = read_json(tmp_path / "out/clade/summary.json")["rows"]
    assert [row["reason"] for row in summary if "reason" in row] == [
        "no encoder was given for it (--encoder hyena=DIR)"
    ]
    table = (tmp_path / "out/summary.md").read_text()
    assert "| system | 100 | 1k |" in table
    assert "- hyena: no encoder was given" in table

    kept = (tmp_path / "out/clade/nucleotide-1k/seed-1/results.json").read_bytes()
    again, shown = run("nucleotide", "hyena")
    assert again == rows
    assert "accuracy" not in shown
    assert (tmp_path / "out/clade/nucleotide-1k/seed-1/results.json").read_bytes() == kept


def test_a_cut_study_goes_on_where_it_broke(run, tmp_path, monkeypatch):
    real, ran = species_study.probe_windows, []

    def breaking(system, corpus, drawn):
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(drawn["train"].length)
        return real(system, corpus, drawn)

    monkeypatch.setattr(species_study, "probe_windows", breaking)
    with pytest.raises(KeyboardInterrupt):
        run("nucleotide")
    monkeypatch.setattr(
        species_study, "probe_windows", lambda system, corpus, drawn: ran.append(1) or real(system, corpus, drawn)
    )
    rows, _ = run("nucleotide")
    assert len(ran) == 4
    assert [row["seeds"] for row in rows] == [[0, 1], [0, 1]]


def test_a_system_of_another_process_is_left_to_it(run, tmp_path):
    with locked(tmp_path / "out/clade/.claims/nucleotide"):
        rows, shown = run("nucleotide", "spectrum", lengths=(100,))
    assert "clade, nucleotide, 100, seed 0: another process is at it" in shown
    assert [row["system"] for row in rows] == ["spectrum"]


def test_cells_of_other_settings_and_damaged_ones_are_refused(run, tmp_path):
    run("nucleotide", lengths=(100,))
    with pytest.raises(InputError, match=r"made with other settings \('preset.max_bases' differs\)"):
        run("nucleotide", lengths=(100,), preset=replace(TINY, max_bases=50_000))
    path = tmp_path / "out/clade/nucleotide-100/seed-0/results.json"
    write_json(path, {"study": "species"})
    with pytest.raises(InputError, match="not a result of the species study; delete it"):
        run("nucleotide", lengths=(100,))


def test_more_seeds_keep_what_is_there(run):
    run("nucleotide", lengths=(100,))
    rows, shown = run("nucleotide", lengths=(100,), preset=replace(TINY, seeds=3))
    assert rows[0]["seeds"] == [0, 1, 2]
    assert shown.count("accuracy") == 1


def test_what_cannot_fit_is_said_before_anything_runs(run, tmp_path, encoder):
    _, shown = run("bert", lengths=(100, 1000, 50_000), encoders={"bert": str(encoder)}, plan_only=True)
    assert "left out: clade, 50k: 0 of 4 species have 50,000 bases in a row in each split" in shown
    assert "left out: clade, bert, 1k: its backbone has positions for 300 bases" in shown
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"nothing to run: it takes about .* of memory, and there are 1 kB"):
        run("kmer6", memory=1000)
    with pytest.raises(InputError, match="nothing to run: 0 of 4 species have 50,000 bases"):
        run("kmer6", lengths=(50_000,))


def test_a_frozen_encoder_is_one_of_the_systems(run, encoder):
    rows, shown = run("bert", lengths=(100,), encoders={"bert": str(encoder)})
    assert rows[0]["kind"] == "encoder"
    assert rows[0]["how"].startswith("frozen encoder as given")
    assert "memory foreseen" in shown


def test_an_encoder_too_slow_for_the_budget_is_left_out_with_what_it_would_take(run, monkeypatch, encoder):
    slow = WindowCost(**{**COST, "seconds": 2.0})
    monkeypatch.setattr(species_study, "known_costs", lambda path, spec, lengths, most_seconds: {100: slow})
    rows, shown = run("bert", "nucleotide", lengths=(100,), encoders={"bert": str(encoder)})
    assert [row["system"] for row in rows] == ["nucleotide"]
    assert "bert, 100, seed 0: left out, the least of 64 windows takes about 128 processor seconds" in shown


@pytest.mark.slow
def test_a_fine_tuned_encoder_learns_what_the_frozen_one_cannot(run, tmp_path, encoder):
    rows, shown = run("bert-finetuned", lengths=(100, 200), encoders={"bert": str(encoder)}, finetune_up_to=100)
    assert [(row["system"], row["length"]) for row in rows] == [("bert-finetuned", 100)]
    assert "fine-tuning is asked for up to 100" in shown
    record = read_json(tmp_path / "out/clade/bert-finetuned-100/seed-0/results.json")
    assert record["finetune"]["method"] == "full"
    assert [path.name for path in (tmp_path / "out/clade/bert-finetuned-100/seed-0").iterdir()] == ["results.json"]


@pytest.mark.slow
def test_tokenizers_that_are_not_given_are_trained_once(run, tmp_path):
    rows, _ = run("bpe", lengths=(100,))
    assert "trained without labels on the genomes of the study" in rows[0]["how"]
    settings = tmp_path / "out/tokenizers/bpe/settings.json"
    stamp = settings.stat().st_mtime_ns
    run("bpe", lengths=(100,), preset=replace(TINY, seeds=3))
    assert settings.stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_cost_is_measured_in_a_process_of_its_own_and_memory_foreseen_about_right():
    spec = SystemSpec("kmer6", "tokens", "kmer:6", "")
    costs = measure_costs(spec, (1000, 400_000), 60.0)
    assert costs[400_000].seconds > costs[1000].seconds > 0
    long = costs[400_000]
    assert long.foreseen_bytes / 4 < long.window_bytes < 4 * long.foreseen_bytes


def test_lengths_are_read_with_their_thousands():
    assert parse_lengths("32k, 1k,500") == (500, 1000, 32_000)
    assert [length_name(length) for length in (500, 1000, 450_000)] == ["500", "1k", "450k"]
    for text in ("", "1m", "1k,,2k", "5", "-1k"):
        with pytest.raises(InputError, match="--lengths: got"):
            parse_lengths(text)


def test_a_budget_cuts_windows_in_proportion_and_never_below_the_fewest():
    wanted = {"train": 400, "dev": 100, "test": 200}
    assert within_budget(wanted, 4, 0.1, 700.0) == (wanted, None)
    assert within_budget(wanted, 4, 1.0, 350.0) == ({"train": 200, "dev": 50, "test": 100}, None)
    _kept, why = within_budget(wanted, 4, 10.0, 350.0)
    assert "least of 64 windows takes about 640 processor seconds, budget 350" in why


@pytest.mark.parametrize(
    ("systems", "tokenizers", "expected"),
    [
        (["spectrm"], {}, "no system 'spectrm' in the species study; did you mean 'spectrum'"),
        (None, {"nucleotide": "kmer:2"}, "'nucleotide' is taken by another system"),
        (None, {"small": "kmer:2"}, "'small' is taken by another system"),
    ],
)
def test_systems_that_make_no_sense_are_refused(systems, tokenizers, expected):
    with pytest.raises(InputError, match=expected):
        choose_systems(systems, tokenizers, {"small": "folder"}, Path(), finetuned=False)


def test_sources_have_names():
    assert named_sources(["a=vq:x", "b=y=z"], "--tokenizer") == {"a": "vq:x", "b": "y=z"}
    for given, expected in ((["a"], "got 'a', expected NAME=SOURCE"), (["a=b", "a=c"], "'a' is given twice")):
        with pytest.raises(InputError, match=expected):
            named_sources(given, "--encoder")


def test_a_system_says_what_it_is_and_how_it_was_trained():
    about = SystemAbout(how="counts", level_sizes=[5], parameters=0, trained={})
    assert about.sentence == "counts (5 codes)"
    trained = {"steps": 300, "genomes": {"species": ["a", "b"]}}
    about = SystemAbout(how="codes", level_sizes=[8, 16], parameters=1234, trained=trained)
    assert about.sentence == "codes (8 + 16 codes, 1,234 parameters, 300 training steps, on 2 genomes)"
    assert SystemAbout(how="encoder").sentence == "encoder"
