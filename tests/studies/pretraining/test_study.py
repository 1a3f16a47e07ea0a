import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import set_seed

from vqdna.encoder.genome_encoder import GenomeEncoder, load_encoder
from vqdna.errors import InputError
from vqdna.results import write_json
from vqdna.studies.pretraining.study import bases_seen, run_pretraining_study
from vqdna.studies.pretraining.summary import markdown_summary, summarize
from vqdna.tokenizers import load_tokenizer

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 24,
}  # fmt: skip
FAST = ("training.epochs=1", "training.precision=fp32", "head.hidden_size=8")


@pytest.fixture
def encoder(tmp_path):
    """A finished pre-training with one snapshot."""
    set_seed(5)
    run = tmp_path / "encoder"
    model = GenomeEncoder.from_tokenizer(load_tokenizer("kmer:3"), BACKBONE)
    model.save_pretrained(run / "model")
    model.save_pretrained(run / "snapshot-30")
    write_json(run / "results.json", {"bases_seen": 9000})
    (run / "run.yaml").write_text("training: {batch_size: 4}\ndata: {window: 50}\n")
    return run


@pytest.fixture
def dataset(tmp_path):
    """Sequences of one class are rich in A, those of the other in C."""
    random = np.random.default_rng(0)
    folder = tmp_path / "rich"
    folder.mkdir()
    for split, count in (("train", 40), ("dev", 20), ("test", 20)):
        with (folder / f"{split}.csv").open("w") as stream:
            rows = csv.writer(stream)
            rows.writerow(("sequence", "label"))
            for number in range(count):
                weights = [0.7, 0.1, 0.1, 0.1] if number % 2 else [0.1, 0.7, 0.1, 0.1]
                rows.writerow(("".join(random.choice(list("ACGT"), 24, p=weights)), number % 2))
    return folder


def study(encoders, out, dataset, **options):
    return run_pretraining_study(
        [str(name) for name in encoders], out, datasets=[str(dataset)], seeds=1, overrides=FAST, **options
    )


def test_encoders_are_compared_from_fewest_bases_to_most_and_cells_are_kept(encoder, dataset, tmp_path):
    out = tmp_path / "study"
    names = [encoder, f"random:{encoder}", encoder / "snapshot-30"]
    rows = study(names, out, dataset, max_train=20)
    assert [row.bases_seen for row in rows] == [0, 6000, 9000]
    assert all(set(row.sequences.values()) == {20} for row in rows)
    written = {path: path.stat().st_mtime_ns for path in out.rglob("results.json")}
    assert len(written) == 3
    assert study(names, out, dataset, max_train=20) == rows
    assert {path: path.stat().st_mtime_ns for path in out.rglob("results.json")} == written
    assert not list(out.rglob("*.safetensors"))
    assert f"| {encoder} | 0.0 M | 1 |" in (out / "summary.md").read_text()


def test_a_control_without_an_encoder_stands_first_and_has_one_seed(encoder, dataset, tmp_path):
    out = tmp_path / "study"
    names = [f"random:{encoder}", "probe:kmer:2"]
    rows = run_pretraining_study(names, out, datasets=[str(dataset)], seeds=2, overrides=FAST)
    assert [(row.encoder, row.bases_seen, row.seeds) for row in rows] == [
        ("probe:kmer:2", None, [0]),
        (f"random:{encoder}", 0, [0, 1]),
    ]
    assert rows[0].mean > 0.8
    assert "| probe:kmer:2 | - | 1 |" in (out / "summary.md").read_text()
    with pytest.raises(InputError, match="tokenizer 'kmers'"):
        run_pretraining_study(["probe:kmers"], out, datasets=[str(dataset)])


def test_a_part_of_dev_is_scored_where_asked_for_and_its_cells_are_their_own(encoder, dataset, tmp_path):
    out = tmp_path / "study"
    study([encoder], out, dataset, max_dev=8)
    (cell,) = out.rglob("results.json")
    assert json.loads(cell.read_text())["sequences"] == {"train": 40, "dev": 8, "test": 0}
    with pytest.raises(InputError, match=r"made with other settings \('max_dev' differs\)"):
        study([encoder], out, dataset)


def test_the_test_split_is_never_read(encoder, dataset, tmp_path):
    (dataset / "test.csv").write_text("no table at all")
    assert study([encoder], tmp_path / "study", dataset)[0].mean is not None


def test_random_means_other_weights_for_every_seed_and_the_same_tokenizer(encoder, dataset, tmp_path, monkeypatch):
    """What the fine-tuning starts from is no copy of the trained weights, and seeds differ."""
    seen = []

    def spy(config, splits, *, encoder, seed, **rest):
        weights = load_encoder(encoder)
        seen.append(weights.embedding.tables[0].weight.detach().clone())
        record = {"seconds": 1.0, "best_epoch": 1, "parameters": {}, "sequences": {"train": 1}, "dev": {"mcc": 0.5}}
        return SimpleNamespace(**record)

    monkeypatch.setattr("vqdna.studies.pretraining.study.run_finetune", spy)
    run_pretraining_study([f"random:{encoder}"], tmp_path / "s", datasets=[str(dataset)], seeds=2)
    trained = load_encoder(encoder).embedding.tables[0].weight
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], trained)


def test_a_study_of_other_settings_is_refused(encoder, dataset, tmp_path):
    study([encoder], tmp_path / "study", dataset)
    with pytest.raises(InputError, match=r"made with other settings \('max_train' differs\)"):
        study([encoder], tmp_path / "study", dataset, max_train=20)


def test_a_folder_without_a_past_is_refused(encoder, tmp_path):
    with pytest.raises(InputError, match="neither a finished pre-training nor one of its snapshots"):
        bases_seen(str(encoder / "model"))


def test_means_count_only_seeds_with_every_dataset(tmp_path):
    scores = {("a", 0): 0.2, ("b", 0): 0.4, ("a", 1): 0.6}
    for (dataset, seed), mcc in scores.items():
        record = {"encoder": "e", "dataset": dataset, "seed": seed, "bases_seen": 5, "seconds": 1.0}
        record |= {"dev": {"mcc": mcc}, "sequences": {"train": 3}, "parameters": {"total": 1}}
        write_json(tmp_path / "e" / f"{dataset}-seed-{seed}" / "results.json", record)
    (row,) = summarize(tmp_path)
    assert (row.seeds, row.mean, row.sd) == ([0], pytest.approx(0.3), None)
    assert row.datasets == {"a": pytest.approx(0.4), "b": pytest.approx(0.4)}
    assert "| e | 0.0 M | 1 | 30.0 |" in markdown_summary([row])
    json.dumps(row.model_dump(mode="json"))
