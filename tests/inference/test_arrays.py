"""What functions on arrays give is what the commands write, for every form that sequences come in."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

import vqdna
from vqdna.encoder.causal_model import GenomeEncoderForCausalModeling
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.genome.bases import to_base_ids
from vqdna.models import encoder_of, tokenizer_of
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.bpe import BpeTokenizer
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 16,
}  # fmt: skip
TEXTS = ["ACGTTGCANNACGTTTGACC", "gattacagattacaR", "ACGTA" * 30]
IDS = [to_base_ids(text).base_ids for text in TEXTS]


@functools.cache
def encoder() -> GenomeEncoder:
    torch.manual_seed(0)
    return GenomeEncoder.from_tokenizer(NucleotideTokenizer(), BACKBONE).eval()


@functools.cache
def classifier(**settings: object) -> GenomeEncoderForSequenceClassification:
    model = GenomeEncoderForSequenceClassification.from_encoder(encoder(), **settings)
    torch.nn.init.normal_(model.head.output.weight)
    return model.eval()


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "in.fa"
    path.write_text("".join(f">s{number}\n{text}\n" for number, text in enumerate(TEXTS)))
    return path


def table(path: Path) -> dict[str, list]:
    return pyarrow.parquet.read_table(path).to_pydict()


@pytest.mark.parametrize("options", [[], ["--pool", "mean+max"], ["--both-strands"], ["--pool", "none"]])
def test_embed_gives_what_the_command_writes(options, fasta, tmp_path, run_command):
    encoder().save_pretrained(tmp_path / "model")
    output = tmp_path / "out.parquet"
    code, _, err = run_command("embed", fasta, "-o", output, "--encoder", tmp_path / "model", *options)
    assert code == 0, err
    pool = options[1] if options[:1] == ["--pool"] else "mean"
    found = vqdna.embed(TEXTS, tmp_path / "model", pool=pool, both_strands="--both-strands" in options)
    assert np.allclose(np.concatenate(found) if pool == "none" else found, table(output)["embedding"], atol=1e-6)


@pytest.mark.parametrize("spec", ["small", "kmer:6", "kmer:3:3", "nucleotide", "bpe"])
def test_encode_gives_what_the_command_writes_for_every_tokenizer(spec, fasta, tmp_path, run_command):
    if spec == "bpe":
        BpeTokenizer.learn([TEXTS[2]], vocabulary_size=12).save(tmp_path / "bpe")
        spec = f"bpe:{tmp_path / 'bpe'}"
    output = tmp_path / "out.parquet"
    code, _, err = run_command("encode", fasta, "-o", output, "--tokenizer", spec)
    assert code == 0, err
    codes, spans = vqdna.encode(TEXTS, spec)
    written = table(output)
    levels = [name for name in written if name.startswith("level_")]
    assert np.array_equal(np.concatenate(codes), np.stack([written[name] for name in levels], axis=1))
    assert np.array_equal(np.concatenate(spans), np.stack([written["start"], written["end"]], axis=1))
    assert [name for name, own in zip(["s0", "s1", "s2"], codes, strict=True) for _ in own] == written["name"]
    alone = load_tokenizer(spec).encode(torch.from_numpy(IDS[0])[None])
    assert np.array_equal(codes[0], alone.codes[0].numpy())
    assert np.array_equal(spans[0], alone.spans[0].numpy())


@pytest.mark.parametrize("average", [False, True])
def test_predict_gives_what_the_command_writes_on_both_strands_too(average, fasta, tmp_path, run_command):
    model = classifier(class_names=("no", "yes"), reverse_complement_average=average)
    model.save_pretrained(tmp_path / "model")
    output = tmp_path / "out.parquet"
    code, _, err = run_command("predict", fasta, "-o", output, "--model", tmp_path)
    assert code == 0, err
    expected = np.stack([table(output)[f"probability_{name}"] for name in ("no", "yes")], axis=1)
    for given in (tmp_path, tmp_path / "model", model):
        assert np.allclose(vqdna.predict(TEXTS, given), expected, atol=1e-6)
    turned = vqdna.predict([np.ascontiguousarray(3 - row[::-1]) for row in IDS[2:]], model)
    assert np.allclose(turned, expected[2:], atol=1e-5) == average


def scored(model, tmp_path: Path, run_command) -> tuple[dict, dict]:
    """Columns of the command and of the function, for the same windows."""
    model.save_pretrained(tmp_path / {"vqdna_masked_modeling": "masked_model"}.get(model.config.model_type, "model"))
    if model.config.model_type == "vqdna_masked_modeling":
        encoder().save_pretrained(tmp_path / "model")
    genome = "ACGGTCATTGCAGTCAATCGGATTACAGGCATTCAGACGTTAGC"
    (tmp_path / "g.fa").write_text(f">c\n{genome}\n")
    changes = [(20, genome[20], "A" if genome[20] != "A" else "C"), (22, genome[22:24], genome[22]), (21, "A", "AGG")]
    changes[2] = (21, genome[21], genome[21] + "GG")
    lines = "".join(f"c\t{start + 1}\t.\t{ref}\t{alt}\n" for start, ref, alt in changes)
    (tmp_path / "v.vcf").write_text(f"#CHROM\tPOS\tID\tREF\tALT\n{lines}")
    output = tmp_path / "out.parquet"
    arguments = ("--genome", tmp_path / "g.fa", "--model", tmp_path, "--window", 100, "-o", output)
    code, _, err = run_command("variants", tmp_path / "v.vcf", *arguments)
    assert code == 0, err
    alts = [genome[:start] + alt + genome[start + len(ref) :] for start, ref, alt in changes]
    return table(output), vqdna.score_variants([genome] * 3, alts, model)


@pytest.mark.parametrize("kind", ["encoder", "masked", "classifier", "regression"])
def test_score_variants_gives_what_the_command_writes(kind, tmp_path, run_command):
    model = {
        "encoder": encoder,
        "masked": lambda: GenomeEncoderForMaskedModeling.from_encoder(encoder()).eval(),
        "classifier": lambda: classifier(class_names=("no", "yes")),
        "regression": lambda: classifier(task="regression"),
    }[kind]()
    written, found = scored(model, tmp_path, run_command)
    assert set(found) == set(written) - {"chrom", "pos", "id", "ref", "alt"}
    for name, column in found.items():
        expected = np.array([np.nan if value is None else value for value in written[name]])
        assert np.allclose(column, expected, atol=1e-5, equal_nan=True), name


def test_a_sequence_beside_itself_has_no_effect():
    masked = GenomeEncoderForMaskedModeling.from_encoder(encoder()).eval()
    found = vqdna.score_variants("ACGTTGCA", "ACGTTGCA", masked)
    assert {name: round(value, 5) for name, value in found.items()} == dict.fromkeys(found, 0)
    hyena = {"model_type": "vqdna_hyena", "hidden_size": 16, "num_hidden_layers": 1, "max_position_embeddings": 64}
    causal = GenomeEncoderForCausalModeling.from_encoder(
        GenomeEncoder.from_tokenizer(KmerTokenizer(1), hyena, "table")
    ).eval()
    assert vqdna.score_variants("ACGTTGCA", "ACGTTGCA", causal)["log_likelihood_ratio"] == 0
    assert np.isfinite(vqdna.score_variants(["ACGTTGCA"], ["ACGTGCA"], causal)["log_likelihood_ratio"]).all()


def forms(tmp_path: Path) -> dict[str, object]:
    path = tmp_path / "forms.fa"
    path.write_text("".join(f">s{number}\n{text}\n" for number, text in enumerate(TEXTS)))
    return {
        "texts": TEXTS,
        "array of texts": np.array(TEXTS),
        "arrays": IDS,
        "tensors": [torch.from_numpy(row.astype(np.int64)) for row in IDS],
        "records": vqdna.read_sequences(path),
        "generator": (text for text in TEXTS),
        "mixed": [TEXTS[0], IDS[1], next(record for record in vqdna.read_sequences(path) if record.name == "s2")],
    }


def test_every_form_of_sequences_gives_the_same(tmp_path):
    expected = vqdna.embed(TEXTS, encoder())
    for name, given in forms(tmp_path).items():
        assert np.array_equal(vqdna.embed(given, encoder()), expected), name
    square = np.stack([IDS[2], IDS[2][::-1]])
    assert vqdna.embed(square, encoder()).shape == (2, 16)


def test_one_sequence_in_gives_one_result_out():
    expected = vqdna.embed(TEXTS, encoder())[0]
    record = vqdna.genome.sequences.Sequence("s", IDS[0])
    for one in (TEXTS[0], IDS[0], record):
        assert np.allclose(vqdna.embed(one, encoder()), expected, atol=1e-6)
        assert vqdna.embed(one, encoder(), pool="none").shape == (20, 16)
        assert vqdna.predict(one, classifier()).shape == (2,)
        codes, spans = vqdna.encode(one, "nucleotide")
        assert codes.shape == (20, 1)
        assert spans.shape == (20, 2)
    assert vqdna.embed([TEXTS[0]], encoder()).shape == (1, 16)
    assert isinstance(vqdna.score_variants("ACGT", "ACTT", encoder())["cosine_distance"], float)


def test_no_sequences_give_no_rows():
    assert vqdna.embed([], encoder(), pool="mean+max").shape == (0, 32)
    assert vqdna.embed([], encoder(), pool="none") == []
    assert vqdna.predict([], classifier()).shape == (0, 2)
    assert vqdna.encode([], "nucleotide") == ([], [])
    assert vqdna.score_variants([], [], encoder()) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["ACGT", ""], "^sequence 2 is empty$"),
        ("", "^sequence 1 is empty$"),
        (["ACGT", "ACXT"], "^sequence 2: 'X' at offset 2 is no base"),
        (["ACGT", None], "^sequence 2: got NoneType, expected text"),
        (["ACGT", [0, 1]], "^sequence 2: got list"),
        (np.array([0, 5]), "got base ids 0 to 5, expected 0 to 4"),
        (np.zeros((2, 4)), "sequence 1: got ndarray, expected text"),
        (b"ACGT", "sequences: got bytes"),
    ],
)
def test_what_is_no_sequence_is_named(given, message):
    with pytest.raises(InputError, match=message):
        vqdna.embed(given, encoder())


def test_bad_names_and_models_are_answered():
    for call, message in (
        (lambda: vqdna.embed("ACGT", "smal"), "did you mean 'small'"),
        (
            lambda: encoder_of(NucleotideTokenizer()),
            "model: got NucleotideTokenizer, expected a genome encoder",
        ),
        (lambda: vqdna.embed("ACGT", encoder(), pool="meen"), "^pool: got 'meen'.*did you mean 'mean'"),
        (lambda: vqdna.embed("ACGT", encoder(), batch_size=0), "^batch_size: got 0"),
        (lambda: vqdna.embed("ACGT", encoder(), layer=9), "layer: got 9"),
        (lambda: vqdna.embed("ACGT", encoder(), pool="none", both_strands=True), "positions of two strands"),
        (lambda: vqdna.predict("ACGT", encoder()), "model: got GenomeEncoder, expected a fine-tuned model"),
        (lambda: vqdna.predict("ACGT", "small"), "expected a model that `vqdna finetune` wrote"),
        (lambda: vqdna.predict("ACGT", classifier(), precision="fp23"), "did you mean 'fp32'"),
        (lambda: vqdna.encode("ACGT", "smal"), "did you mean 'small'"),
        (lambda: tokenizer_of(6), "tokenizer: got int"),
        (lambda: vqdna.decode(np.zeros((3, 1), int), "smal"), "did you mean 'small'"),
        (lambda: vqdna.decode(np.zeros((3, 1), int), encoder()), "vocabulary: got GenomeEncoder"),
        (lambda: vqdna.decode(np.zeros((3, 9), int)), "at most 6 levels"),
        (lambda: vqdna.decode(np.full((3, 1), 512)), "level 0 holds codes outside of 0 to 511"),
        (lambda: vqdna.score_variants(["ACGT"], [], encoder()), "alt: got 0 sequences, expected 1"),
        (lambda: vqdna.load_tokenizer("kmr:6"), "did you mean 'kmer'"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_codes_and_bases_go_there_and_back():
    vocabulary = vqdna.load_vocabulary("small")
    texts = ["ACGTTGCAGATTACA", "GGATCC"]
    codes, _ = vqdna.encode(texts, vocabulary)
    assert vqdna.decode(codes, vocabulary) == texts
    assert vqdna.decode(codes[0]) == texts[0]
    assert vqdna.decode(np.stack([codes[1], codes[1]]), vocabulary) == [texts[1]] * 2
    assert len(vqdna.decode(codes[1][:, :2], vocabulary)) == 6
    assert vocabulary.quantizer.is_trained
    assert any(weight.requires_grad for weight in vocabulary.parameters())  # the caller's stays as it was
    of_encoder, _ = vqdna.encode("ACGT", vqdna.load("small"))  # which reads the first five levels
    assert np.array_equal(of_encoder, vqdna.encode("ACGT", "small")[0][:, :5])


def test_a_model_in_training_is_evaluated_and_stays_in_training():
    model = GenomeEncoder.from_tokenizer(NucleotideTokenizer(), {**BACKBONE, "embedding_dropout": 0.5}).train()
    assert np.array_equal(vqdna.embed("ACGTTGCA", model), vqdna.embed("ACGTTGCA", model))
    assert model.training


def test_a_layer_is_that_of_the_extractor():
    from vqdna.extractors import Extractor

    assert np.allclose(vqdna.embed(TEXTS, encoder(), layer=1), Extractor(encoder(), layer=1).embed(TEXTS), atol=1e-6)
    assert not np.allclose(vqdna.embed(TEXTS, encoder(), layer=1), vqdna.embed(TEXTS, encoder()), atol=1e-3)
