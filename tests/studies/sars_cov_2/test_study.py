"""The whole study on simulated clades: every step's file, resumption, refusals, and the page.

A study runs for half a minute; what needs a finished one is marked slow.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from documents import ROOT

from vqdna.cli import main
from vqdna.cli.study_sars_cov_2 import named_folders
from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig
from vqdna.errors import InputError
from vqdna.experiments.locks import locked
from vqdna.genome import from_base_ids
from vqdna.studies.sars_cov_2 import study as module
from vqdna.studies.sars_cov_2.report.findings import findings
from vqdna.studies.sars_cov_2.report.page import PAGE, read_summary, render_lineages, write_lineage_page
from vqdna.studies.sars_cov_2.study import SUMMARY_FILE, Inputs, run_lineage_study
from vqdna.studies.sars_cov_2.summary import Sizes
from vqdna.studies.sars_cov_2.systems import check_held_out
from vqdna.tokenizers.vq import VqTokenizer

SIZES = Sizes(
    genomes=(6, 2, 3), window=256, windows_per_genome=2, tuned_windows=3, in_silico=20, calibration=120, tree_genomes=3,
    whole_genomes=1, config="linear", overrides=("training.epochs=1",),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _without_umap():
    """t-SNE in its place: compiling UMAP would take longer than all else here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vqdna.studies.sars_cov_2.representations.has_umap", lambda: False)
        yield


@pytest.fixture(scope="module")
def encoder(vocabulary, tmp_path_factory) -> Path:
    """A small encoder, randomly initialized, over the vocabulary."""
    torch.manual_seed(0)
    tokenizer = VqTokenizer.from_directory(vocabulary)
    backbone = {
        "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32,
    }  # fmt: skip
    model = GenomeEncoder(GenomeEncoderConfig(tokenizer=tokenizer.settings(), backbone=backbone))
    model.tokenizer.load_state_dict(tokenizer.state_dict())
    folder = tmp_path_factory.mktemp("encoder")
    model.save_pretrained(folder / "model")
    return folder


@pytest.fixture(scope="module")
def inputs(folder, vocabulary, encoder) -> Inputs:
    return Inputs(
        genomes=(folder / "genomes.fa",), reference=folder / "reference.fa", labels=folder / "labels.csv",
        vocabularies={"mine": vocabulary}, encoder=encoder, knowledge=folder / "knowledge.yaml",
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(inputs, tmp_path_factory):
    """Folder and summary of a study that was run through."""
    out = tmp_path_factory.mktemp("study")
    return out, run_lineage_study(inputs, out, sizes=SIZES)


@pytest.mark.slow
def test_every_question_is_answered_for_every_system_that_it_can_be_asked_of(done):
    out, summary = done
    assert [system.name for system in summary.systems] == ["mine", "kmer:6"]
    written = json.loads((out / SUMMARY_FILE).read_text())
    for step in ("separation", "claims", "tracks", "markers", "tree", "linear"):
        assert set(written["steps"][step]) == {"mine", "kmer:6"}, step
    assert set(summary.steps.plane) == {"mine"}
    assert written == summary.as_json()
    assert read_summary(out / SUMMARY_FILE) == summary


@pytest.mark.slow
def test_clades_are_found_and_mutations_are_read_off_k_mers(done):
    steps = done[1].steps
    tree = steps.tree["kmer:6"].result["places"].neighbor_joining
    assert (tree.num_clades_shared, tree.num_contradicting) == (3, 0)
    assert steps.tracks["kmer:6"].result.recovery.within_0.recall.value > 0.95
    assert steps.separation["kmer:6"].result.genomes["counts, all"].neighbor_accuracy.value == 1.0


@pytest.mark.slow
def test_windows_tell_less_than_whole_genomes(done):
    scores = done[1].steps.linear["kmer:6"].result["random"]
    assert scores.windows["counts, all"].value < scores.genomes["counts, all"].value


@pytest.mark.slow
def test_the_encoder_is_scored_on_windows_and_genomes(done):
    tuned = done[1].tuned
    assert tuned.num_windows == {"train": 108, "dev": 36, "test": 36}
    assert tuned.num_genomes == 6
    assert 0 <= tuned.windows.low <= tuned.windows.value <= tuned.windows.high <= 1


@pytest.mark.slow
def test_probes_read_the_windows_that_the_encoder_learns_from(done):
    """The page has them below the encoder, each with the number of windows."""
    out, summary = done
    controls = summary.tuned.controls
    assert set(controls) == {"kmer:6", "codes of the encoder"}
    assert controls["kmer:6"].value > 1 / 6
    classes = write_lineage_page(out).read_text().split('id="classes"')[1]
    rows = [re.sub(r"<[^>]+>|\s+", " ", row).split() for row in classes.split("<tr>")]
    of_probe = next(row for row in rows if row[:5] == ["codes", "of", "the", "encoder,", "linear"])
    assert of_probe[5:8] == ["108", "training", "windows"]
    assert f"{100 * controls['codes of the encoder'].value:.1f}" in " ".join(of_probe)


@pytest.mark.slow
def test_steps_that_are_there_are_not_run_again(done, inputs, monkeypatch):
    out, summary = done

    def run_again(*asked):
        raise AssertionError(asked)

    steps = {name: (record, run_again) for name, (record, _) in module.STEPS.items()}
    monkeypatch.setattr(module, "STEPS", steps)
    monkeypatch.setattr(module.questions, "fine_tuned_step", run_again)
    assert run_lineage_study(inputs, out, sizes=SIZES).steps == summary.steps


def test_what_another_process_has_locked_is_left_to_it(inputs, tmp_path, monkeypatch):
    """One system is locked elsewhere: the other is done, and the summary holds what is there."""
    monkeypatch.setattr(module, "STEPS", {"tree": module.STEPS["tree"]})
    alone = replace(inputs, encoder=None)
    with locked(tmp_path / "steps" / "mine"):
        first = run_lineage_study(alone, tmp_path, sizes=SIZES)
    assert set(first.steps.tree) == {"kmer:6"}
    assert set(run_lineage_study(alone, tmp_path, sizes=SIZES).steps.tree) == {"mine", "kmer:6"}


@pytest.mark.slow
def test_a_folder_with_steps_of_other_settings_is_refused(done, inputs):
    with pytest.raises(InputError, match=r"made with other settings \('sizes.planted' differs\)"):
        run_lineage_study(inputs, done[0], sizes=replace(SIZES, in_silico=21))


@pytest.mark.slow
def test_the_page_needs_nothing_from_outside_and_says_what_was_found(done):
    out, summary = done
    page = write_lineage_page(out).read_text().split('<script type="application/json"')[0]
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page)
    head = page.split('id="overview"')[1].split('id="plane"')[0]
    assert f"is {summary.steps.coarse_and_fine['mine'].result.verdict} for mine" in head
    for anchor in ("plane", "separation", "claim", "tracks", "markers", "tree", "classes", "genomes"):
        assert f'<section id="{anchor}"' in page
    assert {path.name for path in (out / "figures").iterdir()} == {"plane.svg", "tracks.svg"}


@pytest.mark.slow
def test_the_same_results_give_the_same_page_and_pictures(done):
    out, _ = done
    write_lineage_page(out)
    names = [PAGE, "figures/plane.svg", "figures/tracks.svg"]
    first = [(out / name).read_bytes() for name in names]
    write_lineage_page(out)
    assert [(out / name).read_bytes() for name in names] == first


def test_results_of_an_earlier_version_are_read_and_shown():
    """The committed file lacks the points of pictures and the settings of steps; its keys are the former words."""
    path = ROOT / "docs" / "results" / "sars_cov_2.json"
    summary = read_summary(path)
    assert summary.as_json() == json.loads(path.read_text())
    assert summary.steps.coarse_and_fine["hrq"].result.levels[0].changes_per_mutation["missense"] > 1
    page = html.unescape(render_lineages(summary))
    assert all(sentence in page for sentence in findings(summary))


def test_another_study_s_summary_is_refused(tmp_path):
    (tmp_path / SUMMARY_FILE).write_text(json.dumps({"study": "codebook"}))
    with pytest.raises(InputError, match="wanted that of `vqdna study sars-cov-2`"):
        write_lineage_page(tmp_path)


def test_training_genomes_that_hold_the_virus_are_refused(folder, knowledge, tmp_path):
    other = knowledge.reference[::-1].copy()
    clean, dirty = tmp_path / "clean.fa", tmp_path / "dirty.fa"
    clean.write_text(f">clean\n{from_base_ids(other)}\n")
    dirty.write_text(f">clean\n{from_base_ids(other)}\n>part\n{from_base_ids(knowledge.reference[500:1500])}\n")
    check_held_out([clean], knowledge.reference, "the virus")
    with pytest.raises(InputError, match="record 'part' is the virus"):
        check_held_out([clean, dirty], knowledge.reference, "the virus")


@pytest.mark.parametrize(
    ("given", "message"),
    [(["mine"], "expected NAME=DIR"), (["=x"], "expected NAME=DIR"), (["hrq=x"], "the name 'hrq' is one of the"),
     (["a=x", "a=y"], "'a' is given twice")],
)  # fmt: skip
def test_vocabularies_are_named_once_and_not_as_the_study_s_own(given, message):
    with pytest.raises(InputError, match=message):
        named_folders(given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give --genomes and --reference"),
        ("--genomes missing.fa --reference missing.fa", "missing.fa"),
        ("--genomes {folder}/genomes.fa --reference {folder}/reference.fa", "written for SARS-CoV-2 of 29903"),
        ("--genomes {folder}/genomes.fa --reference {folder}/reference.fa --encoder smal", "did you mean 'small'"),
        ("--genomes {folder}/genomes.fa --reference {folder}/genomes.fa", "expected the reference genome alone"),
        ("--per-variant 6,2", "expected three whole numbers"),
        ("--per-variant 6,0,2", "expected three whole numbers"),
    ],
)
def test_mistakes_are_one_line(capsys, monkeypatch, tmp_path, folder, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VQDNA_DATA", raising=False)
    with pytest.raises(SystemExit) as end:
        main(f"study sars-cov-2 --out {tmp_path}/out {arguments.format(folder=folder)}".split())
    assert end.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vqdna: error")]
    assert message in line


@pytest.mark.slow
def test_the_command_runs_on_files_of_one_s_own(capsys, monkeypatch, tmp_path, folder, vocabulary):
    """`--quick` on another virus: built-in vocabulary, one's own, and 6-mers; nothing is trained without genomes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VQDNA_DATA", raising=False)
    monkeypatch.setattr(module, "QUICK", replace(SIZES, calibration=60))
    files = f"--genomes {folder}/genomes.fa --reference {folder}/reference.fa --labels {folder}/labels.csv"
    given = f"{files} --knowledge {folder}/knowledge.yaml --vocabulary mine={vocabulary} --encoder none --quick -q"
    with pytest.raises(SystemExit) as end:
        main(f"study sars-cov-2 --out {tmp_path}/out {given}".split())
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "The hypothesis that coarse codes follow lineages" in printed
    assert printed.splitlines()[-1] == f"-> {tmp_path}/out/{PAGE}"
    assert [s["name"] for s in json.loads((tmp_path / "out" / SUMMARY_FILE).read_text())["systems"]] == [
        "small", "mine", "kmer:6",
    ]  # fmt: skip
