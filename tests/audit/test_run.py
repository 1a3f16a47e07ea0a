from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from documents import ROOT
from known_tokenizers import MOTIF, planted_contig, random_contig

from vqdna.audit.results import AuditResults, TokenizerAudit, read_audit
from vqdna.audit.run import run_audit
from vqdna.cli import main
from vqdna.errors import InputError
from vqdna.simulation.genomes import write_fasta
from vqdna.tokenizers.bpe import BpeTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

STEPS, BATCH, WINDOW = 120, 16, 96


@pytest.fixture(scope="module")
def genome(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "planted.fa"
    contig, starts = planted_contig(40_000)
    write_fasta(path, [contig])
    path.with_suffix(".bed").write_text("".join(f"chr1\t{s}\t{s + len(MOTIF)}\tmotif\n" for s in starts))
    return path


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> Path:
    """HRQ of two small levels, trained for seconds on the planted genome."""
    torch.manual_seed(0)
    config = VQVAEConfig(
        level_sizes=(32, 64), width=24, stem_width=24, num_blocks=2, kernel_size=5, codebook_decay=0.9,
    )  # fmt: skip
    model = VQVAE(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    bases, random = planted_contig(40_000)[0].base_ids, np.random.default_rng(0)
    for _ in range(STEPS):
        starts = random.integers(0, len(bases) - WINDOW, BATCH)
        model(torch.from_numpy(bases[starts[:, None] + np.arange(WINDOW)])).loss.backward()
        optimizer.step()
        model.update_codebooks()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("vocabulary") / "hrq"
    model.eval().save_pretrained(folder / "model")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def results(genome, vocabulary, folder) -> AuditResults:
    options = {"annotation": genome.with_suffix(".bed"), "num_windows": 0, "window": 256}
    return run_audit([str(vocabulary), "kmer:6"], genomes=[genome], out=folder, **options)


def test_a_trained_vocabulary_has_codes_for_the_planted_motif(results):
    """Some code of the finest level knows the motif: its k-mers and its logo are part of it, on that strand."""
    hrq = results.tokenizers[0]
    found = [
        record
        for record in hrq.codes[-1]
        if any(kmer.kmer in MOTIF and kmer.enrichment > 20 for kmer in record.kmers[:3])
    ]
    assert found
    text = ["".join("ACGT"[int(np.argmax(place))] for place in record.matrix) for record in found]
    assert any(any(MOTIF[i : i + 7] in consensus for i in range(5)) for consensus in text)


def test_motif_codes_tell_where_the_motif_is(results):
    for record in results.tokenizers:
        (feature,) = [feature for feature in record.information if feature.name == "in motif"]
        column = list(feature.columns.values())[-1]
        assert column.share > 0.3
        assert column.excess_bits > 10 * column.null_deviation


def test_the_codes_of_a_genome_of_motifs_cost_less_than_guessing(results):
    assert results.bases.order_2 < 1.36
    assert results.bases.context_mixing < results.bases.order_2 < results.bases.uniform


def test_both_tokenizers_have_every_measure(results):
    hrq, kmer = results.tokenizers
    assert (hrq.name, kmer.name) == ("hrq", "kmer:6")
    assert list(hrq.sensitivity.columns) == ["level 0", "level 1", "joint"]
    assert [len(level) <= 64 for level in hrq.codes] == [True, True]
    assert hrq.between_levels[0].bits > 0
    assert results.input.whole_input


def test_what_is_written_reads_as_what_was_returned(results, folder):
    assert read_audit(folder) == results


def test_the_committed_audits_read_as_records():
    """Main numbers alone: the lists of codes and the curves are not among them."""
    audits = json.loads((ROOT / "docs" / "results" / "audit.json").read_text())["audits"]
    read = [TokenizerAudit.model_validate(found) for audit in audits.values() for found in audit["tokenizers"].values()]
    assert {"hrq", "kmer:6"} <= {audit.name for audit in read}
    assert all(audit.codes == [] for audit in read)


def test_a_value_out_of_place_is_named(tmp_path):
    (tmp_path / "results.json").write_text('{"stage": "audit", "seed": "none"}')
    with pytest.raises(InputError, match=r"results\.json: not the results of an audit \(seed: .*integer"):
        read_audit(tmp_path)


def test_equal_seeds_give_equal_numbers(genome, tmp_path):
    runs = [
        run_audit(["kmer:3"], genomes=[genome], out=tmp_path / name, num_windows=16, window=200, seed=seed)
        for name, seed in (("one", 1), ("two", 1), ("three", 2))
    ]
    one, two, three = (run.tokenizers for run in runs)
    assert one == two
    assert one != three


def test_two_vocabularies_of_one_kind_keep_names_of_their_own(genome, tmp_path):
    text = "".join("ACGT"[base] for base in random_contig(5000).base_ids)
    for name in ("small", "large"):
        BpeTokenizer.learn([text], vocabulary_size={"small": 16, "large": 64}[name]).save(tmp_path / name)
    specs = [f"bpe:{tmp_path / name}" for name in ("small", "large")]
    results = run_audit(specs, genomes=[genome], out=tmp_path / "out", num_windows=16, window=200)
    assert [record.name for record in results.tokenizers] == ["bpe 1 (small)", "bpe 2 (large)"]


def test_the_command_writes_numbers_and_page(genome, tmp_path, capsys):
    out = tmp_path / "audit"
    given = ["--genomes", str(genome), "--out", str(out), "--windows", "16", "--window", "200"]
    main_ending(["audit", "--tokenizer", "kmer:2", *given, "--json"], 0)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "results.json").read_text())
    assert "Audit of kmer:2" in (out / "audit.html").read_text()
    main_ending(["audit", "--tokenizer", "kmer:2", *given], 0)  # the same folder again
    assert "changes_seen" in capsys.readouterr().out


def main_ending(arguments: list[str], code: int) -> None:
    try:
        main(arguments)
    except SystemExit as end:
        assert (end.code or 0) == code
    else:
        assert code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vocabulary", "no/such/folder"], "no/such/folder: no such folder nor a built-in vocabulary"),
        (["--tokenizer", "kmr:6"], "did you mean 'kmer'"),
        (["--tokenizer", "kmer:6", "--window", "60"], "--window 60: wanted 80 or more"),
        (["--tokenizer", "kmer:6", "--window", "50000"], "no window of 50000 bases"),
        (["--tokenizer", "kmer:6", "--annotation", "no.gff"], "no.gff: no such file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(genome, tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    main_ending(["audit", *arguments, "--genomes", str(genome), "--out", str(out)], 2)
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("vqdna: error: ")
    assert error.count("\n") == 1
    assert not out.exists()


def test_an_untrained_vocabulary_is_refused(genome, tmp_path):
    config = VQVAEConfig(level_sizes=(8,), quantizer="vq", width=8, stem_width=8, num_blocks=1)
    VQVAE(config).save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="never trained"):
        run_audit([str(tmp_path)], genomes=[genome], out=tmp_path / "out")


def test_a_folder_that_holds_something_else_is_left_alone(genome, tmp_path):
    (tmp_path / "results.json").write_text('{"stage": "vocabulary"}')
    with pytest.raises(InputError, match="holds no audit"):
        run_audit(["kmer:2"], genomes=[genome], out=tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == {"stage": "vocabulary"}
