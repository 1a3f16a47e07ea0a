from __future__ import annotations

import numpy as np
import pytest
import torch

from vqdna.baselines.code_features import extract_features
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.genome.bases import N, from_base_ids, reverse_complement
from vqdna.genome.corpus import Corpus
from vqdna.genome.sequences import Sequence
from vqdna.studies.species.features import (
    EncoderFeatures,
    SpectrumFeatures,
    TokenFeatures,
    code_shares,
    read_tokens,
)
from vqdna.studies.species.splits import SpeciesSplit
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.bpe import BpeTokenizer
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

RNG = np.random.default_rng(0)


def bases(size: int) -> np.ndarray:
    return RNG.integers(0, 4, size).astype(np.uint8)


@pytest.fixture(scope="module")
def split() -> SpeciesSplit:
    """Two species of three contigs of 3000 bases, of each of which the 1000 from 500 on are used."""
    corpus = Corpus.from_sequences(
        {name: tuple(Sequence(f"c{i}", bases(3000)) for i in range(3)) for name in ("a", "b")}
    )
    return SpeciesSplit(corpus, (400,), 0, max_bases=12_000)


@pytest.fixture(scope="module")
def hrq() -> VqTokenizer:
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(width=16, stem_width=16, num_blocks=2, level_sizes=(8, 16))).train()
    model(torch.randint(0, 4, (8, 96), dtype=torch.uint8))
    model.quantizer.update_codebooks()
    return VqTokenizer(model)


def slow_spectrum(window: np.ndarray, k: int) -> dict[str, float]:
    """Share of each k-mer or its reverse complement, whichever comes first in the alphabet."""
    text, other = from_base_ids(window), from_base_ids(reverse_complement(window))
    words: dict[str, int] = {}
    for start in range(len(text) - 5):  # those that begin a word of six
        word = text[start : start + k]
        if "N" in text[start : start + 6]:
            continue
        end = len(text) - start
        both = min(word, other[end - k : end])
        words[both] = words.get(both, 0) + 1
    return {word: count / sum(words.values()) for word, count in words.items()}


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_spectra_are_those_of_a_slow_count_on_both_strands(k):
    window = bases(300)
    window[50:60] = N
    spectrum = SpectrumFeatures().of_bases(window)[f"k={k}"][0]
    slow = slow_spectrum(window, k)
    assert len(spectrum) == {1: 2, 2: 10, 3: 32, 6: 2080}[k]
    assert spectrum.sum() == pytest.approx(1)
    assert sorted(spectrum[spectrum > 0]) == pytest.approx(sorted(slow.values()))


def test_a_window_without_a_word_has_an_empty_spectrum():
    for window in (np.full(50, N, np.uint8), bases(3)):
        assert all(not values.any() for values in SpectrumFeatures().of_bases(window).values())


@pytest.mark.parametrize("spec", ["nucleotide", "kmer:6", "kmer:3:3"])
def test_hand_made_counts_of_a_window_are_those_of_the_probe(split, spec):
    system = TokenFeatures(load_tokenizer(spec))
    system.read(split.corpus, split.used)
    windows = split.windows(400, "test", 6)
    assert windows.starts.min() >= 500
    got = system.of_windows(split.corpus, windows)["histogram"].toarray()
    rows = [windows.bases(split.corpus, row).copy() for row in range(6)]
    alone = extract_features(system.tokenizer, rows)["histogram"].toarray()
    if spec != "kmer:3:3":  # side by side, words depend on where reading began
        assert got == pytest.approx(alone, abs=1e-6)
    single = [system.of_bases(row)["histogram"].toarray()[0] for row in rows]
    assert np.array(single) == pytest.approx(alone, abs=1e-6)


def test_overlapping_tokens_of_a_long_contig_are_those_of_the_whole():
    """Pieces of 131,072 bases would lose the five 6-mers over each of their ends."""
    tokenizer, contig = load_tokenizer("kmer:6"), bases(131_072 + 300)
    row, whole = read_tokens(tokenizer, contig, 7), tokenizer.encode(torch.from_numpy(contig)[None])
    assert (row.codes == whole.codes[0].numpy()).all()
    assert (np.stack([row.starts, row.ends], axis=1) == whole.spans[0].numpy() + 7).all()


def test_learned_codes_of_a_window_are_those_read_alone_but_for_its_edges(split, hrq):
    system = TokenFeatures(hrq)
    system.read(split.corpus, split.used)
    windows = split.windows(400, "train", 5)
    for row in range(5):
        alone = read_tokens(hrq, windows.bases(split.corpus, row).copy()).codes
        contig = read_tokens(hrq, split.corpus.packed.base_ids[int(windows.contigs[row]) * 3000 :][:3000])
        within = contig.within(int(windows.starts[row]), int(windows.ends[row]))
        edge = hrq.context_bases
        assert (within[edge:-edge] == alone[edge:-edge]).all()
    features = system.of_windows(split.corpus, windows)
    assert {name: values.shape for name, values in features.items()} == {
        "histogram": (5, 24), "coarse": (5, 8), "fine": (5, 16),
    }  # fmt: skip
    assert features["coarse"].toarray().sum(axis=1) == pytest.approx([1] * 5)


def test_words_of_a_window_lie_wholly_in_it(split):
    words = BpeTokenizer.learn([from_base_ids(bases(400)) for _ in range(60)], 60)
    row = read_tokens(words, bases(2000))
    first = int(row.starts[3]) + 1  # inside the fourth word
    codes = row.within(first, int(row.ends[20]))
    assert (codes == row.codes[4:21]).all()


def test_shares_add_up_level_by_level_and_an_empty_window_has_none():
    codes = np.array([[0, 2], [1, 2], [1, 0]], np.int16)
    assert code_shares(codes, (2, 4)) == pytest.approx([1 / 3, 2 / 3, 1 / 3, 0, 2 / 3, 0])
    assert not code_shares(codes[:0], (2, 4)).any()


def test_an_encoder_s_windows_are_pooled_one_like_many(split):
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    system = EncoderFeatures(GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), shape))
    windows = split.windows(400, "test", 5)
    got = system.of_windows(split.corpus, windows)
    assert {name: values.shape for name, values in got.items()} == {"mean": (5, 16), "mean+max": (5, 32)}
    alone = system.of_bases(windows.bases(split.corpus, 4).copy())
    assert alone["mean+max"][0] == pytest.approx(got["mean+max"][4], abs=1e-5)


LONG = 9500


@pytest.fixture(scope="module")
def long_split() -> SpeciesSplit:
    """A species of three contigs, for windows of which each holds at least eight pieces."""
    corpus = Corpus.from_sequences({"a": tuple(Sequence(f"c{i}", bases(12_000)) for i in range(3))})
    return SpeciesSplit(corpus, (LONG,), 0, max_bases=100_000)


def encoder_of_positions(number: int) -> GenomeEncoder:
    torch.manual_seed(0)
    shape = {
        "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": number,
    }  # fmt: skip
    return GenomeEncoder.from_tokenizer(load_tokenizer("kmer:3:3"), shape)


def test_a_window_longer_than_the_positions_is_pooled_from_the_pieces_within_it(long_split):
    """Against the encoder itself on each piece of the contig's grid that the window holds whole."""
    encoder = encoder_of_positions(700).eval()
    system, windows = EncoderFeatures(encoder), long_split.windows(LONG, "test", 3)
    got = system.of_windows(long_split.corpus, windows)
    assert system.positions_limit() is None
    for row in range(3):
        contig = long_split.corpus.packed.base_ids[int(long_split.corpus.packed.contig_edges[windows.contigs[row]]) :]
        starts = [s for s in range(0, 12_000, 1000) if windows.starts[row] <= s and s + 1000 <= windows.ends[row]]
        states = []
        for start in starts:
            with torch.inference_mode():
                states.append(encoder(torch.from_numpy(contig[start : start + 1000].copy())[None]).last_hidden_state[0])
        every = torch.cat(states).numpy()
        assert len(starts) >= 8
        assert got["mean"][row] == pytest.approx(every.mean(axis=0), abs=1e-5)
        assert got["mean+max"][row] == pytest.approx(np.concatenate([every.mean(axis=0), every.max(axis=0)]), abs=1e-5)


def test_windows_that_overlap_are_read_once(long_split, monkeypatch):
    system = EncoderFeatures(encoder_of_positions(700))
    read = []
    pooled = EncoderFeatures._pooled_batch
    monkeypatch.setattr(
        EncoderFeatures, "_pooled_batch", lambda self, rows: read.append(len(rows)) or pooled(self, rows)
    )
    for count in (3, 8, 8):
        system.of_windows(long_split.corpus, long_split.windows(LONG, "test", count))
    assert sum(read) <= 12


def test_what_one_long_window_costs_is_reading_its_pieces():
    system, window = EncoderFeatures(encoder_of_positions(700)), bases(9000)
    alone = [system.of_bases(window[start : start + 1000])["mean"][0] for start in range(0, 9000, 1000)]
    assert system.of_bases(window)["mean"][0] == pytest.approx(np.mean(alone, axis=0), abs=1e-5)


def test_an_encoder_of_learned_positions_has_a_limit():
    shape = {
        "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 128,
    }  # fmt: skip
    system = EncoderFeatures(GenomeEncoder.from_tokenizer(load_tokenizer("kmer:3:3"), shape))
    assert system.positions_limit() == 384
    assert SpectrumFeatures().positions_limit() is None
