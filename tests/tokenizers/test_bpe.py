from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch

from vqdna.errors import InputError
from vqdna.genome.bases import from_base_ids, to_base_ids
from vqdna.tokenizers.bpe import UNKNOWN_CODE, BpeTokenizer
from vqdna.tokenizers.padding import pad_rows


def random_text(seed: int, length: int) -> str:
    """DNA with a repeated word, so that there is something to merge."""
    random = np.random.default_rng(seed)
    pieces = ["TATAAAAG" if random.random() < 0.1 else "ACGT"[random.integers(4)] for _ in range(length)]
    return "".join(pieces)[:length]


@pytest.fixture(scope="module")
def tokenizer() -> BpeTokenizer:
    return BpeTokenizer.learn([random_text(seed, 500) for seed in range(20)], vocabulary_size=128)


def random_rows(num_rows: int) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    rows = [to_base_ids(random_text(100 + number, int(random.integers(0, 120)))).base_ids for number in range(num_rows)]
    for row in rows:
        row[random.random(len(row)) < 0.05] = 4
    return rows


def test_the_vocabulary_has_the_size_asked_for(tokenizer: BpeTokenizer):
    assert tokenizer.level_sizes == (128,)
    assert 1.5 < tokenizer.bases_per_position < 8


def test_merges_by_hand():
    learned = BpeTokenizer.learn(["ACACACAC", "ACAC"], vocabulary_size=6)
    tokens = learned.encode(torch.tensor([[0, 1, 0, 1, 2]], dtype=torch.uint8))
    assert tokens.spans.tolist() == [[[0, 2], [2, 4], [4, 5]]]
    assert tokens.codes[0, 0].item() == tokens.codes[0, 1].item() == 5
    assert learned.bases_per_position == 2.0


def test_words_join_back_to_the_sequence(tokenizer: BpeTokenizer):
    rows = random_rows(30)
    tokens = tokenizer.encode(*pad_rows(rows))
    for row, codes, spans, kept in zip(rows, tokens.codes[..., 0], tokens.spans, tokens.attention_mask):
        words = [tokenizer.tokenizer.id_to_token(code) for code in codes[kept].tolist()]
        assert "".join("N" if word == "[UNK]" else word for word in words) == from_base_ids(row)
        starts, ends = spans[kept].T.tolist()
        assert starts == [0, *ends[:-1]][: len(starts)]
        assert ends[-1:] == ([len(row)] if len(row) else [])
        assert not codes[~kept].any()
        assert not spans[~kept].any()


def test_spans_are_the_librarys_offsets(tokenizer: BpeTokenizer):
    for row in random_rows(10):
        tokens = tokenizer.encode(torch.from_numpy(row)[None])
        encoding = tokenizer.tokenizer.encode(from_base_ids(row))
        assert tokens.codes[0, :, 0].tolist() == encoding.ids
        assert [tuple(span) for span in tokens.spans[0].tolist()] == encoding.offsets


def test_every_n_is_one_unknown_word(tokenizer: BpeTokenizer):
    tokens = tokenizer.encode(torch.tensor([[0, 4, 4, 1]], dtype=torch.uint8))
    assert tokens.codes[0, 1:3, 0].tolist() == [UNKNOWN_CODE, UNKNOWN_CODE]
    assert tokens.spans[0].tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_padding_changes_no_code(tokenizer: BpeTokenizer):
    rows = random_rows(12)
    together = tokenizer.encode(*pad_rows(rows))
    for number, row in enumerate(rows):
        alone = tokenizer.encode(torch.from_numpy(row)[None])
        kept = together.attention_mask[number]
        assert torch.equal(together.codes[number][kept], alone.codes[0])
        assert torch.equal(together.spans[number][kept], alone.spans[0])
    assert together.codes.shape[1] == int(together.attention_mask.sum(dim=1).max())


def test_no_word_holds_an_n_or_crosses_one():
    learned = BpeTokenizer.learn(["ACN" * 50], vocabulary_size=16)
    assert set("".join(word for word in learned.tokenizer.get_vocab() if word != "[UNK]")) == set("ACGT")
    assert not any("CA" in word for word in learned.tokenizer.get_vocab())


def test_learning_twice_gives_the_same_words():
    texts = [random_text(seed, 300) for seed in range(10)]
    first, second = (BpeTokenizer.learn(iter(texts), vocabulary_size=200).settings() for _ in range(2))
    assert first == second


def test_settings_are_json_and_complete(tokenizer: BpeTokenizer):
    again = BpeTokenizer.from_settings(json.loads(json.dumps(tokenizer.settings())))
    batch = pad_rows(random_rows(8))
    assert torch.equal(again.encode(*batch).codes, tokenizer.encode(*batch).codes)
    assert again.bases_per_position == tokenizer.bases_per_position
    assert again.level_sizes == tokenizer.level_sizes


def test_a_saved_directory_gives_the_same_tokenizer(tokenizer: BpeTokenizer, tmp_path):
    tokenizer.save(tmp_path / "words")
    again = BpeTokenizer.from_directory(tmp_path / "words")
    assert again.settings() == tokenizer.settings()


def test_a_module_around_it_can_be_copied_and_switched_to_training(tokenizer: BpeTokenizer):
    model = copy.deepcopy(torch.nn.ModuleDict({"tokenizer": tokenizer}))
    model.train()
    model.eval()
    assert not model.state_dict()


@pytest.mark.parametrize(
    ("chunks", "size", "message"),
    [
        (["ACGT", "ACXT"], 64, r"got 'X' in chunk 1, base 2"),
        (["NNN"], 64, "no A, C, G or T"),
        ([], 64, "no A, C, G or T"),
        (["ACGT"], 4, "expected 5 or more"),
    ],
)
def test_text_that_teaches_nothing_is_refused(chunks: list[str], size: int, message: str):
    with pytest.raises(InputError, match=message):
        BpeTokenizer.learn(chunks, vocabulary_size=size)


def test_a_directory_of_another_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        BpeTokenizer.from_directory(tmp_path)
    (tmp_path / "settings.json").write_text('{"kind": "kmer"}')
    with pytest.raises(InputError, match="expected the kind 'bpe', got 'kmer'"):
        BpeTokenizer.from_directory(tmp_path)


def test_words_have_lengths_where_a_model_is_built_without_memory():
    """As transformers does before it loads a saved encoder."""
    learned = BpeTokenizer.learn(["ACGTTGCAGATTACA" * 30], 12)
    with torch.device("meta"):
        rebuilt = BpeTokenizer.from_settings(learned.settings())
    bases = torch.randint(0, 5, (2, 30), dtype=torch.uint8)
    assert torch.equal(rebuilt.encode(bases).spans, learned.encode(bases).spans)
