from __future__ import annotations

import csv
import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.genome.bases import from_base_ids
from vqdna.inference.predict import predict_file, prediction_columns
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

BACKBONE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def saved_model(folder: Path, backbone: str = "modernbert", **settings: object) -> Path:
    torch.manual_seed(0)
    shape = {**BACKBONE, "model_type": backbone, "max_position_embeddings": 64}
    encoder = GenomeEncoder.from_tokenizer(NucleotideTokenizer(), shape)
    model = GenomeEncoderForSequenceClassification.from_encoder(encoder, **settings)
    torch.nn.init.normal_(model.head.output.weight)
    model.save_pretrained(folder / "model")
    return folder


def records(count: int = 17) -> dict[str, str]:
    random = np.random.default_rng(0)
    return {
        f"read{number}": from_base_ids(random.integers(0, 4, random.integers(5, 60)).astype(np.uint8))
        for number in range(count)
    }


def write_fasta(path: Path, sequences: dict[str, str]) -> Path:
    path.write_text("".join(f">{name} a comment\n{text}\n" for name, text in sequences.items()))
    return path


def read_table(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(data.decode()), delimiter=delimiter))


def numbers(rows: list[dict[str, str]], column: str) -> np.ndarray:
    return np.array([row[column] for row in rows], dtype=np.float32)


def test_table_keeps_order_and_has_a_probability_per_class(tmp_path: Path):
    model = saved_model(tmp_path / "run", class_names=("enhancer", "other"))
    count = predict_file(model, write_fasta(tmp_path / "in.fa", records()), tmp_path / "out.csv")
    rows = read_table(tmp_path / "out.csv")
    assert count == 17
    assert list(rows[0]) == ["name", "prediction", "probability_enhancer", "probability_other"]
    assert [row["name"] for row in rows] == list(records())
    first, second = numbers(rows, "probability_enhancer"), numbers(rows, "probability_other")
    assert np.allclose(first + second, 1, atol=1e-6)
    assert [row["prediction"] for row in rows] == ["enhancer" if p > 0.5 else "other" for p in first]
    assert {row["prediction"] for row in rows} == {"enhancer", "other"}


def test_probabilities_are_the_model_s_own(tmp_path: Path):
    folder = saved_model(tmp_path / "run")
    predict_file(folder, write_fasta(tmp_path / "in.fa", {"x": "ACGTTGCA"}), tmp_path / "out.csv")
    model = GenomeEncoderForSequenceClassification.from_pretrained(folder / "model").eval()
    bases = torch.tensor([[0, 1, 2, 3, 3, 2, 1, 0]], dtype=torch.uint8)
    with torch.no_grad():
        expected = model(bases).logits.softmax(1)[0, 1]
    assert numbers(read_table(tmp_path / "out.csv"), "probability_1")[0] == pytest.approx(float(expected), abs=1e-6)


def test_every_input_format_gives_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model, sequences = saved_model(tmp_path / "run"), records()
    fasta = write_fasta(tmp_path / "in.fa", sequences)
    rows = [f"{name}\t{text}" for name, text in sequences.items()]
    (tmp_path / "in.tsv.gz").write_bytes(gzip.compress("\n".join(["name\tsequence", *rows]).encode()))
    (tmp_path / "in.fq").write_text(
        "".join(f"@{name}\n{text}\n+\n{'I' * len(text)}\n" for name, text in sequences.items())
    )
    columns = {"id": list(sequences), "sequence": list(sequences.values())}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "in.parquet")
    predict_file(model, fasta, tmp_path / "fasta.csv")
    expected = (tmp_path / "fasta.csv").read_bytes()
    for name in ("in.tsv.gz", "in.fq", "in.parquet"):
        predict_file(model, tmp_path / name, tmp_path / "again.csv")
        assert (tmp_path / "again.csv").read_bytes() == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(fasta.read_bytes())))
    predict_file(model, "-", tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == expected


def test_every_output_format_holds_the_same_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model, fasta = saved_model(tmp_path / "run"), write_fasta(tmp_path / "in.fa", records())
    for name in ("out.csv", "out.tsv", "out.csv.gz", "out.parquet"):
        predict_file(model, fasta, tmp_path / name)
    rows = read_table(tmp_path / "out.csv")
    assert read_table(tmp_path / "out.tsv", "\t") == rows
    assert read_table(tmp_path / "out.csv.gz") == rows
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pydict()
    assert list(table) == list(rows[0])
    assert table["name"] == [row["name"] for row in rows]
    assert np.array_equal(np.array(table["probability_1"], np.float32), numbers(rows, "probability_1"))
    capsys.readouterr()
    predict_file(model, fasta, "-")
    assert capsys.readouterr().out == (tmp_path / "out.csv").read_text()


def test_batch_size_changes_no_prediction(tmp_path: Path):
    model, fasta = saved_model(tmp_path / "run"), write_fasta(tmp_path / "in.fa", records())
    predict_file(model, fasta, tmp_path / "one.csv", batch_size=1)
    predict_file(model, fasta, tmp_path / "all.csv", batch_size=64)
    one, together = read_table(tmp_path / "one.csv"), read_table(tmp_path / "all.csv")
    assert np.allclose(numbers(one, "probability_0"), numbers(together, "probability_0"), atol=1e-6)
    assert [row["prediction"] for row in one] == [row["prediction"] for row in together]


def test_regression_writes_values(tmp_path: Path):
    model = saved_model(tmp_path / "run", task="regression", label_mean=50.0, label_deviation=10.0)
    predict_file(model, write_fasta(tmp_path / "in.fa", records()), tmp_path / "out.csv")
    rows = read_table(tmp_path / "out.csv")
    assert list(rows[0]) == ["name", "value"]
    assert 10 < numbers(rows, "value").mean() < 90


def test_multilabel_lists_the_labels_from_half_on(tmp_path: Path):
    model = saved_model(tmp_path / "run", task="multilabel", class_names=("liver", "brain"))
    config = GenomeEncoderForSequenceClassification.from_pretrained(model / "model").config
    probabilities = np.array([[0.9, 0.5], [0.1, 0.7], [0.2, 0.49]], np.float32)
    columns = prediction_columns(["a", "b", "c"], probabilities, config)
    assert columns["prediction"] == ["liver;brain", "brain", ";"]
    assert list(columns) == ["name", "prediction", "probability_liver", "probability_brain"]


def test_a_sequence_too_long_for_the_backbone_is_named_and_nothing_is_written(tmp_path: Path):
    model = saved_model(tmp_path / "run", backbone="bert")
    fasta = write_fasta(tmp_path / "in.fa", {**records(3), "chr1": "A" * 65})
    (tmp_path / "out.csv").write_text("from before")
    message = r"in.fa: record 'chr1': its 65 bases make 65 tokens, and the bert backbone holds at most 64"
    with pytest.raises(InputError, match=message):
        predict_file(model, fasta, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "from before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fa", "out.csv", "run"]


def test_bad_output_is_refused_before_any_work(tmp_path: Path):
    with pytest.raises(InputError, match=r"out.cvs: got the suffix '.cvs'.*did you mean '.csv'"):
        predict_file(tmp_path / "absent", tmp_path / "absent.fa", tmp_path / "out.cvs")
    with pytest.raises(InputError, match="batch size: got 0"):
        predict_file(tmp_path / "absent", tmp_path / "absent.fa", tmp_path / "out.csv", batch_size=0)


def test_bfloat16_predicts_nearly_the_same(tmp_path: Path):
    model, fasta = saved_model(tmp_path / "run"), write_fasta(tmp_path / "in.fa", records())
    predict_file(model, fasta, tmp_path / "full.csv")
    predict_file(model, fasta, tmp_path / "half.csv", precision="bf16")
    full, half = (numbers(read_table(tmp_path / name), "probability_0") for name in ("full.csv", "half.csv"))
    assert np.abs(full - half).max() < 0.05
    assert not np.array_equal(full, half)
