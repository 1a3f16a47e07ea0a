"""Embeddings against those of `inference.embed`, and the loops of the benchmarks that ask for them, as published."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import matthews_corrcoef

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.extractors import Extractor, position_of_base, safe_window
from vqdna.genome.bases import from_base_ids, to_base_ids
from vqdna.inference.embed import EmbedOptions, embed_file
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "extractors.md"
WIDTH = 16
MODERNBERT = {
    "model_type": "modernbert", "hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 2,
    "intermediate_size": 16, "layer_types": ["sliding_attention"] * 3, "local_attention": 8,
}  # fmt: skip
BERT = {
    "model_type": "bert", "hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 32,
}  # fmt: skip
TEXTS = ["ACGTACGTTTGACCA", "acgtnnACGRU", "G", "N" * 9, "TTGACA" * 20]


def encoder(tokenizer: Tokenizer | None = None, backbone: dict = MODERNBERT, merge: int = 4) -> GenomeEncoder:
    torch.manual_seed(0)
    stem = {"width": 8, "kernel_size": 5, "merge": merge} if merge > 1 else None
    network = GenomeEncoder.from_tokenizer(tokenizer or NucleotideTokenizer(), backbone, stem=stem)
    for weight in network.parameters():  # so that neighbors matter
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return network.eval()


def table(network: GenomeEncoder, texts: list[str], folder: Path, **options) -> dict[str, list]:
    """What `vqdna embed` writes of the texts."""
    source, output = folder / "in.fa", folder / "out.parquet"
    source.write_text("".join(f">{number}\n{text}\n" for number, text in enumerate(texts)))
    embed_file(network, str(source), str(output), EmbedOptions(**options))
    return pyarrow.parquet.read_table(output).to_pydict()


def random_texts(count: int, length: int, seed: int = 0, gc: float = 0.5) -> list[str]:
    random = np.random.default_rng(seed)
    at = (1 - gc) / 2
    return ["".join(random.choice(list("ACGT"), length, p=[at, gc / 2, gc / 2, at])) for _ in range(count)]


@pytest.mark.parametrize(
    "options",
    [{"pooling": "mean"}, {"pooling": "mean+max"}, {"pooling": "mean", "both_strands": True}],
    ids=["mean", "mean+max", "both strands"],
)
def test_vectors_are_those_that_embed_writes(tmp_path, options):
    network = encoder()
    extractor = Extractor(network, **options)
    vectors = extractor.embed(TEXTS)
    asked = {"pool": options["pooling"], "both_strands": options.get("both_strands", False)}
    assert np.array_equal(vectors, np.array(table(network, TEXTS, tmp_path, **asked)["embedding"], np.float32))
    assert vectors.shape == (len(TEXTS), extractor.width)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    "tokenizer", [NucleotideTokenizer(), KmerTokenizer(3, 3), KmerTokenizer(3)], ids=["bases", "words", "overlapping"]
)
@pytest.mark.parametrize("merge", [1, 4])
def test_every_base_has_the_vector_of_a_position_that_it_is_among(tmp_path, tokenizer, merge):
    network = encoder(tokenizer, merge=merge)
    texts = ["ACGTACGTTTGACCA", "TTGACAT" * 3]
    written = table(network, texts, tmp_path, pool="none")
    for number, (text, vectors) in enumerate(zip(texts, Extractor(network).embed_bases(texts), strict=True)):
        assert vectors.shape == (len(text), WIDTH)
        rows = [row for row, name in enumerate(written["name"]) if name == str(number)]
        for base, vector in enumerate(vectors):
            (match,) = [row for row in rows if np.array_equal(np.float32(written["embedding"][row]), vector)]
            assert written["start"][match] <= base < written["end"][match]


def test_shared_bases_are_parted_in_the_middle():
    tiled = np.array([[0, 4], [4, 8], [8, 9]])
    assert position_of_base(tiled, 9).tolist() == [0] * 4 + [1] * 4 + [2]
    overlapping = np.array([[0, 5], [1, 6], [2, 7]])
    assert position_of_base(overlapping, 7).tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert position_of_base(np.array([[2, 4]]), 6).tolist() == [0] * 6


def test_vectors_do_not_depend_on_batch_or_neighbors():
    extractor = Extractor(encoder())
    together = extractor.embed(TEXTS)
    for row, text in enumerate(TEXTS):
        assert np.allclose(extractor.embed([text]), together[row], atol=1e-5)
    assert np.allclose(extractor.embed(TEXTS, batch_size=1), together, atol=1e-5)
    assert np.std(together, axis=0).min() > 1e-3


def test_case_u_and_ambiguity_codes_make_no_difference():
    one, other = Extractor(encoder()).embed(["ACGTNNA", "acguRyA"])
    assert np.allclose(one, other, atol=1e-6)


def test_no_sequences_give_no_rows():
    extractor = Extractor(encoder(), pooling="mean+max")
    assert extractor.embed([]).shape == (0, 2 * WIDTH)
    assert extractor.embed_bases([]) == []


def test_what_is_no_sequence_is_named():
    extractor = Extractor(encoder(KmerTokenizer(3, 3)))
    for texts, message in (
        ("ACGT", "got one text, expected a list"),
        (["ACGT", ""], "^sequence 2 is empty$"),
        (["ACGT", None], "sequence 2: got NoneType, expected text"),
        (["ACGT", "AC GT"], "^sequence 2: ' ' at offset 2 is no base"),
        (["AC-T"], "sequence 1: '-' at offset 2"),
    ):
        with pytest.raises(InputError, match=message):
            extractor.embed(texts)


def test_bad_options_are_refused_with_the_nearest_name():
    for options, message in (
        ({"pooling": "meen"}, "did you mean 'mean'"),
        ({"layer": 4}, r"layer: got 4, expected 0 to 3 \(or -1 to -4"),
        ({"layer": -5}, "layer: got -5"),
        ({"window": 0}, "window: got 0"),
        ({"precision": "fp23"}, "did you mean 'fp32'"),
    ):
        with pytest.raises(InputError, match=message):
            Extractor(encoder(), **options)
    with pytest.raises(InputError, match="did you mean 'small'"):
        Extractor("smal")


def test_a_sequence_longer_than_the_encoder_takes_is_the_mean_of_its_windows():
    network = encoder(backbone=BERT)
    extractor = Extractor(network, pooling="mean+max")
    assert extractor.window == safe_window(network) == 32 * 4
    (text,) = random_texts(1, 300)
    windows = [text[:100], text[100:200], text[200:]]
    apart = extractor.embed(windows)
    (vector,) = extractor.embed([text])
    assert np.allclose(vector[:WIDTH], apart[:, :WIDTH].mean(axis=0), atol=1e-6)
    assert np.allclose(vector[WIDTH:], apart[:, WIDTH:].max(axis=0))
    per_base = extractor.embed_bases([text])[0]
    assert np.allclose(per_base, np.concatenate(extractor.embed_bases(windows)), atol=1e-5)


def test_windows_of_unequal_length_weigh_as_much_as_they_have_bases():
    extractor = Extractor(encoder(), window=4)
    short, long = extractor.embed(["ACG", "TTGA"])
    assert np.allclose(extractor.embed(["ACGTTGA"])[0], (3 * short + 4 * long) / 7, atol=1e-6)


@pytest.mark.parametrize("backbone", [MODERNBERT, BERT], ids=["modernbert", "bert"])
def test_layers_are_those_of_transformers(backbone):
    network = encoder(backbone=backbone)
    base_ids = torch.from_numpy(to_base_ids(TEXTS[0]).base_ids)[None]
    with torch.no_grad():
        tokens = network.tokenizer.encode(base_ids)
        embeddings, mask = network._embeddings(tokens.codes, tokens.attention_mask, None)
        asked = {"inputs_embeds": embeddings, "attention_mask": mask.long(), "output_hidden_states": True}
        expected = network.backbone(**asked).hidden_states
    assert len(expected) == 4
    found = [Extractor(network, layer=layer)(TEXTS[0], upsample_embeddings=False) for layer in range(4)]
    for layer in range(3):
        assert np.allclose(found[layer][0], expected[layer][0].numpy(), atol=1e-5)
        assert not np.allclose(found[layer], found[layer + 1], atol=1e-2)
    whole = Extractor(network)(TEXTS[0], upsample_embeddings=False)
    assert np.array_equal(found[3], whole)
    assert np.array_equal(Extractor(network, layer=-1)(TEXTS[0], upsample_embeddings=False), whole)
    assert np.array_equal(Extractor(network, layer=-2)(TEXTS[0], upsample_embeddings=False), found[2])


def test_the_revision_follows_weights_and_settings():
    network = encoder()
    revision = Extractor(network).revision
    assert re.fullmatch("[0-9a-f]{12}", revision)
    assert Extractor(network).revision == revision
    others = {Extractor(network, **options).revision for options in ({"layer": 1}, {"pooling": "mean+max"})}
    with torch.no_grad():
        next(network.backbone.parameters()).add_(1.0)
    assert len({revision, Extractor(network).revision, *others}) == 4


def bend2_rows(embed, sequences: list[str], batch_size: int) -> np.ndarray:
    """What bend2 asks of `embed` (its page on PyPI, 1.0): one finite vector of a fixed width each, in input order."""
    batches = [embed(sequences[start : start + batch_size]) for start in range(0, len(sequences), batch_size)]
    for batch in batches:
        assert type(batch) is np.ndarray
        assert batch.ndim == 2
        assert np.isfinite(batch).all()
    rows = np.concatenate(batches)
    assert len(rows) == len(sequences)
    return rows


def test_the_loop_of_bend2_fits_a_linear_readout_to_the_shipped_model():
    """Frozen embeddings, a ridge regression on them, held-out sequences: here of a sequence's share of G and C."""
    texts = [text for number in range(12) for text in random_texts(20, 60, seed=number, gc=0.25 + 0.04 * number)]
    share = np.array([sum(letter in "GC" for letter in text) / len(text) for text in texts])
    rows = bend2_rows(Extractor("small").embed, texts, batch_size=7)
    held_out = np.arange(len(texts)) % 3 == 0
    readout = RidgeCV(alphas=np.logspace(-3, 3, 7)).fit(rows[~held_out], share[~held_out])
    assert np.corrcoef(readout.predict(rows[held_out]), share[held_out])[0, 1] > 0.9


def test_the_loop_of_bend_gets_a_row_for_every_base_of_every_line():
    """`embed_from_bed` calls the embedder with one sequence and skips those whose rows are not as many as its bases."""
    genome = random_texts(1, 900)[0]
    extractor = Extractor("small")
    lines = [(0, 128), (300, 513), (899, 900), (5, 900)]
    for start, end in lines:
        sequence = genome[start:end].upper()
        embedding = extractor(sequence, upsample_embeddings=True)
        assert embedding.shape == (1, len(sequence), 128)
    positions = extractor(genome[:128], upsample_embeddings=False, disable_tqdm=True)
    assert positions.shape == (1, 32, 128)
    assert np.array_equal(np.repeat(positions, 4, axis=1), extractor(genome[:128]))


def geneb_scores(extractor, train: tuple, test: tuple, shots=(None, 10, 1), seeds=(13, 17, 42, 123, 997)) -> dict:
    """GENEB's protocol: logistic regression (at most 1,000 steps) on all records, and on a few of each class."""
    train_rows, test_rows = (extractor.extract_embeddings(texts, 10) for texts, _ in (train, test))
    labels = np.array(train[1])
    scores: dict = {}
    for shot in shots:
        for seed in seeds:
            random = np.random.RandomState(seed)  # the protocol's own draws
            members = [np.where(labels == one)[0] for one in np.unique(labels)]
            few = [random.choice(of_class, size=min(shot or 0, len(of_class)), replace=False) for of_class in members]
            rows = np.concatenate(few) if shot else np.arange(len(labels))
            probe = LogisticRegression(max_iter=1000, random_state=seed).fit(train_rows[rows], labels[rows])
            scores.setdefault(shot, []).append(matthews_corrcoef(test[1], probe.predict(test_rows)))
    return {shot: float(np.mean(values)) for shot, values in scores.items()}


def test_the_loop_of_geneb_scores_the_shipped_model_above_chance():
    splits = []
    for seed in (0, 1):
        texts = [text for gc in (0.4, 0.6) for text in random_texts(60, 80, seed=seed + int(100 * gc), gc=gc)]
        splits.append((texts, [0] * 60 + [1] * 60))
    scores = geneb_scores(Extractor("small"), *splits)
    assert scores[None] > 0.7
    assert scores[10] > 0.5


class PublishedModel:
    """As `bend2.Model` is called on its page."""

    def __init__(self, name, *, embed, revision):
        self.name, self.embed, self.revision = name, embed, revision


class PublishedEmbedder:
    """As BEND's `BaseEmbedder` calls its subclasses."""

    def __init__(self, *args, **kwargs):
        self.load_model(*args, **kwargs)

    def __call__(self, sequence, *args, **kwargs):
        return self.embed([sequence], *args, disable_tqdm=True, **kwargs)[0]


def test_the_code_of_the_guide_does_what_the_guide_says(monkeypatch):
    for name, held in (
        ("bend2", {"Model": PublishedModel}),
        ("bend.utils.embedders", {"BaseEmbedder": PublishedEmbedder}),
    ):
        for part in [name.rsplit(".", depth)[0] for depth in range(name.count(".") + 1)]:
            module = ModuleType(part)
            vars(module).update(held if part == name else {})
            monkeypatch.setitem(sys.modules, part, module)
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(blocks[0], names)
    assert names["vectors"].shape == (2, 128)
    assert names["per_base"].shape == (12, 128)
    for block in blocks[1:]:
        exec(block, names)
    assert bend2_rows(names["model"].embed, TEXTS, 2).shape == (5, 256)
    assert names["model"].revision == names["extractor"].revision
    assert names["VQDNAEmbedder"]()("ACGTA", upsample_embeddings=True).shape == (1, 5, 128)
    rows = names["VQDNAExtractor"]("small", "cpu").extract_embeddings(TEXTS)
    assert np.array_equal(rows, Extractor("small").embed(TEXTS, 8))


def test_a_saved_model_gives_what_it_gave_before(tmp_path):
    network = encoder()
    network.save_pretrained(tmp_path / "model")
    texts = [from_base_ids(np.arange(8, dtype=np.uint8) % 4)]
    assert np.allclose(Extractor(tmp_path / "model").embed(texts), Extractor(network).embed(texts), atol=1e-6)
