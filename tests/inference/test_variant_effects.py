from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.evaluation import predict_sequences
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.genome.bases import from_base_ids, to_base_ids
from vqdna.genome.vcf import read_variants
from vqdna.inference import variant_windows
from vqdna.inference.base_likelihoods import log_likelihood_ratios
from vqdna.inference.embed import EmbedOptions, embed_file
from vqdna.inference.variant_effects import VariantOptions, score_variant_file
from vqdna.models import load_model
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16,
}  # fmt: skip
GENOME = {
    name: from_base_ids(np.random.default_rng(seed).integers(0, 4, 300).astype(np.uint8))
    for name, seed in (("chr1", 0), ("chr2", 1))
}
OPTIONS = VariantOptions(window=40)


def encoder() -> GenomeEncoder:
    torch.manual_seed(0)
    return GenomeEncoder.from_tokenizer(NucleotideTokenizer(), BACKBONE).eval()


def classifier(**settings: object) -> GenomeEncoderForSequenceClassification:
    model = GenomeEncoderForSequenceClassification.from_encoder(encoder(), **settings)
    torch.nn.init.normal_(model.head.output.weight)
    return model.eval()


def other(base: str) -> str:
    return {"A": "C", "C": "G", "G": "T", "T": "A"}[base]


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name} comment\n{text.lower()}\n" for name, text in GENOME.items()))
    return path


def vcf(path: Path, *variants: tuple[str, int, str, str]) -> str:
    lines = [f"{name}\t{position}\tv{n}\t{ref}\t{alt}" for n, (name, position, ref, alt) in enumerate(variants)]
    path.write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(f"{line}\n" for line in lines))
    return str(path)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ","))


def predicted(model: GenomeEncoderForSequenceClassification, text: str) -> np.ndarray:
    return predict_sequences(model, [to_base_ids(text).base_ids], str)[0]


@pytest.mark.parametrize(
    ("position", "ref_length", "alt"),
    [(150, 1, "?"), (150, 3, "A"), (150, 1, "GATTACA"), (1, 1, "?"), (300, 1, "?")],
    ids=["substitution", "deletion", "insertion", "first base", "last base"],
)
def test_both_windows_are_the_genome_around_the_variant_without_and_with_it(
    position: int, ref_length: int, alt: str, genome: Path, tmp_path: Path
) -> None:
    text, start = GENOME["chr1"], position - 1
    ref = text[start : start + ref_length]
    alt = other(ref) if alt == "?" else alt
    model = classifier(class_names=("no", "yes"))
    score_variant_file(
        model, vcf(tmp_path / "a.vcf", ("chr1", position, ref, alt)), genome, f"{tmp_path}/a.csv", OPTIONS
    )
    [row] = table(tmp_path / "a.csv")
    first = max(0, (2 * start + ref_length - 40) // 2)
    before, behind = text[first:start], text[start + ref_length : first + 40]
    for kind, middle in (("ref", ref), ("alt", alt)):
        wanted = predicted(model, before + middle + behind)
        assert float(row[f"{kind}_probability_yes"]) == pytest.approx(wanted[1], abs=1e-6)
        assert float(row[f"{kind}_probability_no"]) == pytest.approx(wanted[0], abs=1e-6)
    odds = [float(row[f"{kind}_probability_yes"]) for kind in ("ref", "alt")]
    expected = math.log(odds[1] / (1 - odds[1])) - math.log(odds[0] / (1 - odds[0]))
    assert float(row["log_odds_yes"]) == pytest.approx(expected, abs=1e-4)
    assert (row["chrom"], row["pos"], row["id"], row["ref"], row["alt"]) == ("chr1", str(position), "v0", ref, alt)


def test_a_regression_gives_values_and_their_difference(genome: Path, tmp_path: Path) -> None:
    model = classifier(task="regression", label_mean=5.0, label_deviation=2.0)
    ref = GENOME["chr2"][99]
    calls = vcf(tmp_path / "a.vcf", ("chr2", 100, ref, other(ref)))
    score_variant_file(model, calls, genome, f"{tmp_path}/a.tsv", OPTIONS)
    [row] = table(tmp_path / "a.tsv")
    assert float(row["ref_value"]) == pytest.approx(predicted(model, GENOME["chr2"][79:119])[0], abs=1e-5)
    assert float(row["difference"]) == pytest.approx(float(row["alt_value"]) - float(row["ref_value"]), abs=1e-5)


@pytest.mark.parametrize("both_strands", [False, True])
def test_distances_are_those_of_the_embeddings_of_both_windows(
    both_strands: bool, genome: Path, tmp_path: Path
) -> None:
    text, ref = GENOME["chr1"], GENOME["chr1"][199]
    windows = [text[179:199] + base + text[200:219] for base in (ref, other(ref))]
    (tmp_path / "windows.fa").write_text("".join(f">{n}\n{window}\n" for n, window in enumerate(windows)))
    embed_file(encoder(), f"{tmp_path}/windows.fa", f"{tmp_path}/e.npy", EmbedOptions(both_strands=both_strands))
    one, two = np.load(tmp_path / "e.npy").astype(float)
    calls = vcf(tmp_path / "a.vcf", ("chr1", 200, ref, other(ref)))
    options = VariantOptions(window=40, both_strands=both_strands)
    score_variant_file(encoder(), calls, genome, f"{tmp_path}/a.csv", options)
    [row] = table(tmp_path / "a.csv")
    cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
    assert float(row["cosine_distance"]) == pytest.approx(1 - cosine, abs=1e-6)
    assert float(row["euclidean_distance"]) == pytest.approx(np.linalg.norm(one - two), rel=1e-4)
    assert float(row["euclidean_distance"]) > 0


@pytest.mark.parametrize("target", ["bases", "levels", "joint"])
def test_a_masked_model_that_tells_alleles_apart_gives_their_ratio_too(
    target: str, genome: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    encoder().save_pretrained(folder / "model")
    model = GenomeEncoderForMaskedModeling.from_encoder(encoder(), target=target).eval()
    model.save_pretrained(folder / "masked_model")
    ref = GENOME["chr1"][199]
    calls = vcf(tmp_path / "a.vcf", ("chr1", 200, ref, f"{other(ref)},{ref}A"))
    score_variant_file(load_model(folder), calls, genome, f"{tmp_path}/a.csv", OPTIONS)
    rows = table(tmp_path / "a.csv")
    assert ("log_likelihood_ratio" in rows[0]) == (target != "joint")
    assert [row["cosine_distance"] != "" for row in rows] == [True, True]
    if target != "joint":
        [pairs] = variant_windows.variant_pairs(read_variants(calls), calls, genome, window=40)
        wanted = log_likelihood_ratios(model, pairs[:1], batch_size=1)[0]
        assert float(rows[0]["log_likelihood_ratio"]) == pytest.approx(wanted, abs=1e-5)
        assert rows[1]["log_likelihood_ratio"] == "", "an insertion hides no base of the reference for another"


def test_rows_keep_the_order_of_the_file_whatever_is_held_together(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(2)
    chosen = [(f"chr{random.integers(1, 3)}", int(position)) for position in random.permutation(300)[:50] + 1]
    calls = vcf(
        tmp_path / "a.vcf",
        *((name, at, GENOME[name][at - 1], other(GENOME[name][at - 1])) for name, at in chosen),
    )
    model = classifier()
    score_variant_file(model, calls, genome, f"{tmp_path}/whole.csv", OPTIONS)
    monkeypatch.setattr(variant_windows, "VARIANTS_AT_A_TIME", 3)
    score_variant_file(model, calls, genome, f"{tmp_path}/parts.csv", VariantOptions(window=40, batch_size=2))
    whole, parts = table(tmp_path / "whole.csv"), table(tmp_path / "parts.csv")
    assert [(row["chrom"], int(row["pos"])) for row in whole] == chosen
    for one, two in zip(whole, parts, strict=True):
        assert float(one["log_odds_1"]) == pytest.approx(float(two["log_odds_1"]), abs=1e-4)


def test_what_cannot_be_scored_keeps_an_empty_row(genome: Path, tmp_path: Path) -> None:
    ref = GENOME["chr1"][9]
    long = GENOME["chr1"][9:59]
    calls = vcf(
        tmp_path / "a.vcf", ("chr1", 10, ref, f"<DEL>,{other(ref)},*"), ("chr1", 10, long, ref), ("chr1", 10, ref, long)
    )
    totals = score_variant_file(encoder(), calls, genome, f"{tmp_path}/a.csv", OPTIONS)
    assert totals == {"variants": 5, "scored": 1, "left_out": 4}
    rows = table(tmp_path / "a.csv")
    assert [row["cosine_distance"] != "" for row in rows] == [False, True, False, False, False]
    score_variant_file(encoder(), calls, genome, f"{tmp_path}/a.parquet", OPTIONS)
    column = pyarrow.parquet.read_table(tmp_path / "a.parquet")["cosine_distance"]
    assert column.null_count == 4


WRONG = other(GENOME["chr1"][9])
MISMATCHES = {
    "REF": (
        ("chr1", 10, WRONG, "N"),
        f"REF is '{WRONG}', and 'chr1' has '{GENOME['chr1'][9]}' at 10; another assembly",
    ),
    "end": (("chr1", 299, "AAAA", "A"), "REF ends at 302, and 'chr1' has 300 bases; another assembly"),
    "sequence": (("1", 10, "A", "C"), "has no sequence '1'; did you mean 'chr1'?"),
    "nearly": (("chr11", 10, "A", "C"), "has no sequence 'chr11'; did you mean 'chr1'?"),
}


@pytest.mark.parametrize("kind", MISMATCHES)
def test_another_genome_is_refused_with_the_line_or_left_out_when_asked(
    kind: str, genome: Path, tmp_path: Path
) -> None:
    wrong, message = MISMATCHES[kind]
    ref = GENOME["chr2"][19]
    calls = vcf(tmp_path / "a.vcf", ("chr2", 20, ref, other(ref)), wrong)
    with pytest.raises(InputError) as refused:
        score_variant_file(encoder(), calls, genome, f"{tmp_path}/a.csv", OPTIONS)
    assert str(refused.value).startswith(f"{calls}:3: ")
    assert message in str(refused.value)
    assert not (tmp_path / "a.csv").exists()
    totals = score_variant_file(
        encoder(), calls, genome, f"{tmp_path}/a.csv", VariantOptions(window=40, mismatches="skip")
    )
    assert totals == {"variants": 2, "scored": 1, "left_out": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "--window: got 0, expected at least 1"),
        ({"mismatches": "ignore"}, "--mismatches: got 'ignore', expected one of error, skip"),
        ({"precision": "fp8"}, "--precision: got 'fp8'"),
        ({"batch_size": 0}, "--batch-size: got 0"),
    ],
)
def test_options_without_sense_are_refused(options: dict, message: str, genome: Path, tmp_path: Path) -> None:
    calls = vcf(tmp_path / "a.vcf", ("chr1", 1, "A", "C"))
    with pytest.raises(InputError) as refused:
        score_variant_file(encoder(), calls, genome, "-", VariantOptions(**options))
    assert str(refused.value).startswith(message)
