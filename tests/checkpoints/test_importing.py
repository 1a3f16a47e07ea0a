"""What a user meets around an import: saved models, refusals, the Hub, lengths, fine-tuning."""

from __future__ import annotations

import csv
import json
import shutil
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from published_folders import WRITERS, write_dnabert, write_dnabert_2, write_hyenadna, write_nucleotide_transformer
from safetensors.torch import load_file, save_file

from vqdna.checkpoints import (
    PUBLISHED,
    import_published,
    load_published,
    load_published_causal_model,
    load_published_masked_model,
    published,
    published_names,
)
from vqdna.checkpoints.importing import LAYOUTS
from vqdna.cli import main
from vqdna.config import load_config
from vqdna.encoder.causal_model import load_causal_model
from vqdna.encoder.genome_encoder import load_encoder
from vqdna.errors import InputError
from vqdna.finetune.adapters import prepare_trainable
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.finetune.settings import FinetuneConfig
from vqdna.genome.bases import to_base_ids
from vqdna.inference.embed import EmbedOptions, embed_file
from vqdna.pretrain.objective import load_masked_model
from vqdna.results import read_json

every_layout = pytest.mark.parametrize("layout", WRITERS)


def bases(rows: int = 3, length: int = 40) -> torch.Tensor:
    return torch.randint(0, 5, (rows, length), dtype=torch.uint8)


def run(*arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert (end.value.code or 0) == code


def changed(folder: Path, change) -> Path:
    """The folder after `change` was made to its tensors."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    return folder


@every_layout
def test_an_imported_model_is_one_that_commands_load(layout, tmp_path):
    folder = WRITERS[layout](tmp_path / "published")
    record = import_published(folder, tmp_path / "out")
    imported, direct = load_encoder(tmp_path / "out"), load_published(folder)
    base_ids = bases()
    assert torch.equal(imported(base_ids).last_hidden_state, direct(base_ids).last_hidden_state)
    assert (record.layout, read_json(tmp_path / "out" / "import.json")) == (layout, record.model_dump())
    assert "license: other" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("layout", [layout for layout in WRITERS if layout != "hyenadna"])
def test_a_model_with_its_head_is_saved_and_scores_variants(layout, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    WRITERS[layout](tmp_path / "published")
    run("import", "published", "--out", "model", "--masked-model")
    capsys.readouterr()
    base_ids, hidden = bases(2).clamp_max(3), torch.zeros(2, 40, dtype=torch.bool)
    hidden[:, 12] = True
    with torch.no_grad():
        direct = load_published_masked_model(tmp_path / "published")(base_ids, hidden).logits[0]
        assert torch.equal(load_masked_model(tmp_path / "model")(base_ids, hidden).logits[0], direct)
    (tmp_path / "a.fa").write_text(">a\nACGTTGCATTGACCATGACGTAGGTACATTGA\n")
    (tmp_path / "a.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\na\t12\t.\tA\tC\n")
    run("variants", "a.vcf", "--genome", "a.fa", "--model", "model", "--window", "30", "-o", "effects.csv")
    header, row = (line.split(",") for line in (tmp_path / "effects.csv").read_text().splitlines())
    ratio = dict(zip(header, row, strict=True))["log_likelihood_ratio"]
    assert ratio == "" if layout == "dnabert_2" else abs(float(ratio)) > 1e-3  # its byte pairs end elsewhere with ALT


def test_a_model_that_predicts_what_follows_is_saved_and_scores_variants(tmp_path, monkeypatch, capsys):
    """Of any lengths: the log-likelihood of the window with ALT, less that of the one with REF."""
    monkeypatch.chdir(tmp_path)
    write_hyenadna(tmp_path / "published")
    run("import", "published", "--out", "model", "--causal-model")
    capsys.readouterr()
    direct = load_published_causal_model(tmp_path / "published")
    base_ids = bases(2)
    assert torch.equal(load_causal_model(tmp_path / "model")(base_ids).logits, direct(base_ids).logits)
    genome = "ACGTTGCATTGACCATGACGTAGGTACATTGA"
    (tmp_path / "a.fa").write_text(f">a\n{genome}\n")
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT", "a\t12\t.\tA\tC,ACC,N"]
    (tmp_path / "a.vcf").write_text("\n".join(lines) + "\n")
    scored = ("variants", "a.vcf", "--genome", "a.fa", "--model", "model", "--window", "64")
    run(*scored, "-o", "effects.csv")
    run(*scored, "--both-strands", "-o", "both.csv")

    def ratios(name: str) -> list[str]:
        with (tmp_path / name).open() as file:
            return [row["log_likelihood_ratio"] for row in csv.DictReader(file)]

    def likelihood(text: str) -> float:
        row = torch.from_numpy(to_base_ids(text).base_ids)[None]
        with torch.no_grad():
            known = direct(row).logits[0].log_softmax(dim=1)
        words = direct.encoder.tokenizer.words
        return sum(float(known[at - 1, words.index(text[at])]) for at in range(1, len(text)))

    for number, alt in enumerate(("C", "ACC")):
        changed_genome = genome[:11] + alt + genome[12:]
        forward = likelihood(changed_genome) - likelihood(genome)
        backward = likelihood(turned_around(changed_genome)) - likelihood(turned_around(genome))
        assert float(ratios("effects.csv")[number]) == pytest.approx(forward, abs=1e-4)
        assert float(ratios("both.csv")[number]) == pytest.approx((forward + backward) / 2, abs=1e-4)
        assert abs(forward - backward) > 1e-2, "else nothing would tell the strands apart"
    assert ratios("effects.csv")[2] == "", "an N has no probability"


def turned_around(text: str) -> str:
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


@pytest.mark.parametrize(
    ("layout", "option", "message"),
    [
        ("hyenadna", "--masked-model", "expected a model with a head for hidden words, got hyenadna"),
        ("dnabert_2", "--causal-model", "expected a model that predicts what follows, got dnabert_2"),
    ],
)
def test_a_head_of_the_other_kind_is_refused(layout, option, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    WRITERS[layout](tmp_path / "published")
    run("import", "published", "--out", "model", option, code=2)
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["published"]


def test_a_causal_head_without_vectors_of_its_own_compares_with_the_words(tmp_path):
    folder, base_ids = write_hyenadna(tmp_path), bases(2)
    changed(folder, lambda weights: weights.pop("lm_head.weight"))
    model = load_published_causal_model(folder)
    words = load_file(folder / "model.safetensors")["hyena.backbone.embeddings.word_embeddings.weight"][:12]
    assert torch.allclose(model(base_ids).logits, load_published(folder)(base_ids).last_hidden_state @ words.T)


def test_a_head_without_vectors_of_its_own_compares_with_the_words(tmp_path):
    base_ids, hidden = bases(2).clamp_max(3), torch.ones(2, 40, dtype=torch.bool)
    folder = write_dnabert(tmp_path)
    expected = load_published_masked_model(folder)(base_ids, hidden).logits[0]
    changed(folder, lambda weights: weights.pop("cls.predictions.decoder.weight"))
    assert torch.equal(load_published_masked_model(folder)(base_ids, hidden).logits[0], expected)
    changed(folder, lambda weights: weights.pop("cls.predictions.transform.dense.bias"))
    with pytest.raises(InputError, match=r"no whole head; they lack what becomes 'transform.0.bias'"):
        load_published_masked_model(folder)
    load_published(folder)


@every_layout
def test_lora_fine_tunes_an_imported_model(layout, tmp_path):
    encoder = load_published(WRITERS[layout](tmp_path))
    config = load_config(FinetuneConfig, "paper", "finetune", ["method=lora"])
    model = GenomeEncoderForSequenceClassification.from_encoder(encoder, class_names=["a", "b"])
    prepare_trainable(model, config)
    base_ids, labels = bases(16), torch.arange(16) % 2
    before = model.eval()(base_ids, labels=labels).loss
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.02)
    model.train()
    for _ in range(25):
        optimizer.zero_grad()
        model(base_ids, labels=labels).loss.backward()
        optimizer.step()
    adapters = [name for name, parameter in model.named_parameters() if "lora_B" in name and parameter.any()]
    assert len(adapters) >= 8
    assert model.eval()(base_ids, labels=labels).loss < 0.85 * before


@pytest.mark.slow
def test_the_command_line_imports_fine_tunes_and_embeds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_nucleotide_transformer(tmp_path / "published")
    run("import", "published", "--out", "model")
    assert "nucleotide_transformer, " in capsys.readouterr().out
    random = np.random.default_rng(0)
    rows = ["".join(random.choice(list("ACGT"), 60)) for _ in range(40)]
    lines = [f"{row},{int(row.count('G') > 14)}" for row in rows]
    (tmp_path / "table.csv").write_text("sequence,label\n" + "\n".join(lines) + "\n")
    arguments = ["--train", "table.csv", "--dev", "table.csv", "--test", "table.csv", "--set", "training.epochs=1"]
    run("finetune", "--encoder", "model", *arguments, "--out", "run")
    assert 0 <= read_json(tmp_path / "run" / "results.json")["test"]["accuracy"] <= 1
    (tmp_path / "a.fa").write_text(f">a\n{rows[0]}\n")
    run("embed", "a.fa", "--encoder", "model", "-o", "a.npy")
    assert np.load("a.npy").shape == (1, 24)


def test_positions_are_embedded_with_their_spans(tmp_path):
    encoder = load_published(write_nucleotide_transformer(tmp_path / "published"))
    (tmp_path / "a.fa").write_text(">a\nACGTTNCA\n")
    embed_file(encoder, str(tmp_path / "a.fa"), str(tmp_path / "a.tsv"), EmbedOptions(pool="none"))
    rows = [line.split("\t")[:3] for line in (tmp_path / "a.tsv").read_text().splitlines()[1:]]
    spans = [(0, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8)]
    assert rows == [["a", str(start), str(end)] for start, end in spans]


@pytest.mark.parametrize(
    ("layout", "positions", "longest"),
    [("dnabert", 58, 60), ("nucleotide_transformer", 59, 177), ("hyenadna", 65, 65)],
)
def test_a_row_longer_than_the_published_positions_is_refused(layout, positions, longest, tmp_path):
    """Special tokens take positions too: [CLS] and [SEP], <cls>, [SEP]."""
    encoder = load_published(WRITERS[layout](tmp_path))
    fitting = torch.zeros(1, longest, dtype=torch.uint8)
    assert encoder(fitting).last_hidden_state.shape[1] == encoder.max_positions == positions
    with pytest.raises(InputError, match=rf"a row makes \d+ positions, and the \w+ backbone holds {positions}"):
        encoder(torch.zeros(1, longest + 3, dtype=torch.uint8))
    (tmp_path / "a.fa").write_text(f">a\n{'A' * (longest + 3)}\n")
    with pytest.raises(InputError, match=f"a.fa: .*backbone holds at most {positions}; cut the sequence"):
        embed_file(encoder, str(tmp_path / "a.fa"), str(tmp_path / "a.npy"), EmbedOptions())


@pytest.mark.parametrize("layout", ["nucleotide_transformer_v2", "dnabert_2"])
def test_models_without_a_table_of_positions_take_any_length(layout, tmp_path):
    encoder = load_published(WRITERS[layout](tmp_path))
    assert encoder.max_positions is None
    assert torch.isfinite(encoder(bases(1, 3000)).last_hidden_state).all()


def test_frequencies_published_under_each_name_have_to_agree(tmp_path):
    def shared(weights):
        for name in [name for name in weights if name.endswith("implicit_filter.1.freq")]:
            weights[name.replace(".1.freq", ".3.freq")] = weights[name].clone()
            weights[name.replace(".1.freq", ".5.freq")] = weights[name].clone()

    folder, base_ids = write_hyenadna(tmp_path), bases()
    expected = load_published(folder)(base_ids).last_hidden_state
    assert torch.equal(load_published(changed(folder, shared))(base_ids).last_hidden_state, expected)

    def torn(weights):
        weights["hyena.backbone.layers.1.mixer.filter_fn.implicit_filter.5.freq"] += 1

    with pytest.raises(InputError, match=r"layers.1.*differs from a tensor that has to be the same"):
        load_published(changed(folder, torn))


def test_old_names_of_norms_and_models_without_a_head_are_read(tmp_path):
    def renamed(weights):
        for name in list(weights):
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            tensor = weights.pop(name)
            if not name.startswith("cls."):
                weights[old.removeprefix("bert.")] = tensor

    folder, base_ids = write_dnabert(tmp_path), bases()
    expected = load_published(folder)(base_ids).last_hidden_state
    assert torch.equal(load_published(changed(folder, renamed))(base_ids).last_hidden_state, expected)


def test_shards_and_plain_bin_files_are_read_and_pickled_objects_are_not(tmp_path):
    folder, base_ids = write_dnabert(tmp_path / "published"), bases()
    expected = load_published(folder)(base_ids).last_hidden_state
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    places = {name: f"model-0000{1 + (name in names[::2])}-of-00002.safetensors" for name in names}
    for shard in set(places.values()):
        save_file({name: weights[name] for name in names if places[name] == shard}, folder / shard)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert torch.equal(load_published(folder)(base_ids).last_hidden_state, expected)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"model-00002-of-00002.safetensors', which is not in the folder"):
        load_published(folder)
    index.unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    assert torch.equal(load_published(folder)(base_ids).last_hidden_state, expected)
    torch.save({**weights, "hook": Path}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model.bin: the weights cannot be read"):
        load_published(folder)


REFUSED = [
    (
        lambda w: w.pop("bert.encoder.layer.1.output.dense.bias"),
        "lack what becomes 'encoder.layer.1.output.dense.bias'",
    ),
    (lambda w: w.pop("bert.embeddings.word_embeddings.weight"), "lack 'bert.embeddings.word_embeddings.weight'"),
    (lambda w: w.update({"rnn.weight": torch.zeros(2)}), "hold 'rnn.weight', which no model of this layout has"),
    (lambda w: w.update({"bert.encoder.extra": torch.zeros(2)}), "'encoder.extra', for which config.json has no place"),
    (
        lambda w: w.update({"bert.embeddings.position_embeddings.weight": torch.zeros(50, 24)}),
        r"position_embeddings.weight' has the shape \(50, 24\), and config.json says \(60, 24\)",
    ),
    (
        lambda w: w.update({"bert.embeddings.word_embeddings.weight": torch.zeros(68, 24)}),
        r"word_embeddings.weight' has the shape \(68, 24\), and config.json says \(69, 24\)",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_weights_that_do_not_fit_are_refused_by_name(change, message, tmp_path):
    folder = changed(write_dnabert(tmp_path), change)
    with pytest.raises(InputError, match=message):
        load_published(folder)


CONFIGURATIONS = [
    ({"model_type": "gpt2"}, "expected one of bert, esm, hyenadna as 'model_type', got \"gpt2\""),
    ({"hidden_act": "relu"}, 'expected "gelu" as \'hidden_act\', got "relu"'),
    ({"hidden_size": None}, "expected a number as 'hidden_size', got null"),
    ({"vocab_size": 68}, "vocab.txt: dnabert words: got 68 words of k = 3, expected 69"),
]


@pytest.mark.parametrize(("change", "message"), CONFIGURATIONS)
def test_configurations_that_no_published_model_has_are_refused(change, message, tmp_path):
    folder = write_dnabert(tmp_path)
    config = read_json(folder / "config.json")
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(InputError, match=message):
        load_published(folder)


def test_another_order_of_words_is_refused_by_line(tmp_path):
    folder = write_dnabert(tmp_path)
    words = (folder / "vocab.txt").read_text().split()
    words[6], words[7] = words[7], words[6]
    (folder / "vocab.txt").write_text("\n".join(words))
    with pytest.raises(InputError, match=r"vocab.txt:7: got 'AAC', expected 'AAT'"):
        load_published(folder)


@pytest.mark.parametrize("file", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_missing_file_is_named(file, tmp_path):
    (write_dnabert(tmp_path) / file).unlink()
    with pytest.raises(InputError, match=file):
        load_published(tmp_path)


def test_a_damaged_vocabulary_is_refused(tmp_path):
    folder = write_dnabert_2(tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer.json: no tokenizer"):
        load_published(folder)


def test_unknown_letters_that_the_published_words_join_keep_their_span(tmp_path):
    folder = write_dnabert_2(tmp_path)
    words = json.loads((folder / "tokenizer.json").read_text())
    words["model"]["fuse_unk"] = True
    words["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(words))
    tokens = load_published(folder).tokenizer.encode(torch.tensor([[0, 4, 4, 4, 2, 0, 1, 3, 3]], dtype=torch.uint8))
    spans = tokens.spans[0].tolist()
    assert spans[1] == [1, 4]
    assert spans[-1][1] == 9


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    folder = write_dnabert(tmp_path / "published")
    with pytest.raises(InputError, match="there is something already"):
        import_published(folder, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]


class Hub:
    """In place of the Hub: one repository, of which only what is asked for is fetched."""

    def __init__(self, source: Path, cache: Path) -> None:
        self.source, self.cache, self.asked = source, cache, []

    def __call__(self, name: str, revision: str | None, allow_patterns: list[str]) -> str:
        self.asked.append((name, revision))
        folder = self.cache / (revision or "newest")
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.source.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, folder)
        return str(folder)


def test_a_hub_id_is_fetched_without_its_code_and_pickled_weights_only_where_there_are_no_others(tmp_path, monkeypatch):
    source = write_dnabert(tmp_path / "repository")
    (source / "dnabert_layer.py").write_text("raise SystemExit\n")
    weights = load_file(source / "model.safetensors")
    torch.save(weights, source / "pytorch_model.bin")
    hub = Hub(source, tmp_path / "cache")
    monkeypatch.setattr(published, "snapshot_download", hub)
    record = import_published("zhihan1996/DNA_bert_3", tmp_path / "out", revision="c0ffee")
    fetched = {path.name for path in (tmp_path / "cache" / "c0ffee").iterdir()}
    assert fetched == {"config.json", "vocab.txt", "model.safetensors"}
    assert (record.imported_from, record.revision) == ("zhihan1996/DNA_bert_3", "c0ffee")
    assert "https://huggingface.co/zhihan1996/DNA_bert_3" in (tmp_path / "out" / "README.md").read_text()

    (source / "model.safetensors").unlink()
    hub.cache = tmp_path / "other"
    base_ids = bases()
    states = load_published("zhihan1996/DNA_bert_3")(base_ids).last_hidden_state
    assert torch.equal(states, load_encoder(tmp_path / "out")(base_ids).last_hidden_state)
    with pytest.raises(InputError, match="has the layout dnabert, expected hyenadna of LongSafari"):
        load_published("LongSafari/hyenadna-tiny-1k-seqlen-hf")


def test_what_the_hub_says_is_told_in_one_line(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no connection\nand no copy in the cache")

    monkeypatch.setattr(published, "snapshot_download", offline)
    with pytest.raises(InputError, match=r"DNA_bert_3: cannot be fetched from the Hub \(no connection and no copy"):
        load_published("zhihan1996/DNA_bert_3")


def test_unknown_names_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match="did you mean 'zhihan1996/DNABERT-2-117M'"):
        load_published("zhihan1996/DNABERT2-117M")
    with pytest.raises(InputError, match="a folder has no revision"):
        load_published(tmp_path, revision="main")


def test_the_known_models_have_known_layouts_and_cover_the_rivals_of_the_paper():
    assert set(PUBLISHED.values()) == set(LAYOUTS) == set(WRITERS)
    wanted = {"zhihan1996/DNA_bert_3", "zhihan1996/DNA_bert_6", "zhihan1996/DNABERT-2-117M"}
    wanted |= {f"InstaDeepAI/nucleotide-transformer-{size}-1000g" for size in ("500m", "2.5b")}
    assert wanted <= set(published_names())
