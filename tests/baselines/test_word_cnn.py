from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from example_network import CPU, TINY, random_bases
from example_tokenizer import TwoLevelTokenizer, planted

from vqdna.baselines.cnn import CnnConfig, padded, run_cnn, task_loss
from vqdna.baselines.word_cnn import WordCnn, WordNetwork, WordSettings
from vqdna.tasks.loading import LabelledSequences
from vqdna.tasks.metrics import classification_metrics
from vqdna.tokenizers import load_tokenizer

LOUD = WordSettings(width=8, deviation=1.0)
"""Words that weigh as much as bases from the start, so that a wrong one shows."""


def bases_of(*texts: str) -> list[np.ndarray]:
    return [np.array(["ACGTN".index(base) for base in text], dtype=np.uint8) for text in texts]


def network(tokenizer: str = "kmer:3", config: CnnConfig = TINY, words: WordSettings = LOUD) -> WordCnn:
    """Network with random weights and normalization statistics that are not those of initialization."""
    torch.manual_seed(0)
    model = WordCnn(2, config, load_tokenizer(tokenizer), words)
    model(torch.randint(0, 4, (16, 60), dtype=torch.uint8), torch.ones(16, 60, dtype=torch.bool))
    return model.eval()


@pytest.mark.parametrize("tokenizer", ["nucleotide", "kmer:3", "kmer:6:6"])
@pytest.mark.parametrize("length", [20, 21])
def test_both_strands_get_the_same_logits_where_strands_are_shared(tokenizer, length):
    bases = random_bases(length)[0]
    complement = np.array([3, 2, 1, 0, 4], np.uint8)[bases[::-1]]
    pair = padded([bases, complement], CPU)
    shared = network(tokenizer)(*pair)
    torch.testing.assert_close(shared[0], shared[1])
    read = network(tokenizer, replace(TINY, shares_strands=False))(*pair)
    assert not torch.allclose(read[0], read[1])


@pytest.mark.parametrize("shares_strands", [True, False])
def test_words_read_ahead_are_those_worked_out_from_the_bases(shares_strands):
    config = replace(TINY, shares_strands=shares_strands)
    model, rows = network(config=config), random_bases(20, 33, 60)
    split = LabelledSequences(rows, np.array([0, 1, 0]))
    read = WordNetwork(load_tokenizer("kmer:3")).reader(split, config, CPU)
    assert len(read(np.array([0]))) == (4 if shares_strands else 3)
    torch.testing.assert_close(model(*read(np.array([2, 0]))), model(*padded([rows[2], rows[0]], CPU)))


def test_padding_and_batch_mates_change_no_logit():
    model, sequences = network(), random_bases(20, 33, 60)
    together = model(*padded(sequences, CPU))
    for row, sequence in enumerate(sequences):
        torch.testing.assert_close(together[row], model(*padded([sequence], CPU))[0])


def test_the_tokenizer_stays_as_it_is_and_everything_else_learns():
    model = network("kmer:2").train()
    assert not model.tokenizer.training
    bases = padded(bases_of(*["ACGTTGCAAGGCTTCA" * 3] * 4), CPU)
    task_loss("classification", model(*bases), torch.tensor([0, 1, 1, 0])).backward()
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in learned)
    assert {id(parameter) for parameter in model.tokenizer.parameters()}.isdisjoint(map(id, learned))


def test_words_are_dropped_in_training_alone_and_start_near_nothing():
    bases = padded(random_bases(40), CPU)
    model = network()
    assert torch.equal(model(*bases), model(*bases))
    for block in (model.stem, *model.blocks):
        block.norm.eval()
    model.training = True
    assert not torch.equal(model(*bases), model(*bases))
    quiet, silent = network(words=WordSettings()), network(words=WordSettings(deviation=0.0))
    with torch.no_grad():
        for table in silent.tables:
            table.weight.zero_()
        silent.stem.load_state_dict(quiet.stem.state_dict())
        silent.blocks.load_state_dict(quiet.blocks.state_dict())
        silent.head.load_state_dict(quiet.head.state_dict())
    torch.testing.assert_close(quiet(*bases), silent(*bases), atol=0.1, rtol=0)
    assert not torch.equal(quiet(*bases), silent(*bases))


def test_many_sequences_are_read_fewer_times():
    network = WordNetwork(load_tokenizer("kmer:2"))
    assert [network.epochs(15, count) for count in (2000, 10_000, 10_001, 30_000)] == [15, 15, 8, 8]
    assert network.epochs(4, 30_000) == 4


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_planted_motif_is_learned_and_the_record_is_complete(precision):
    train, dev, test = planted(300, 0), planted(100, 1), planted(100, 2)
    config = replace(TINY, precision=precision)
    words = WordNetwork(TwoLevelTokenizer())
    record = run_cnn(train, dev, test, seed=0, epochs=10, config=config, device="cpu", network=words)
    assert record["test"]["mcc"] > 0.7
    assert record["parameters"]["total"] == record["parameters"]["trainable"]
    predictions = record.pop("predictions")
    json.dumps(record, allow_nan=False)
    assert predictions["dev"].dtype == np.float64
    assert classification_metrics(test.labels, predictions["test"]) == record["test"]


def test_what_only_words_tell_is_learned_from_them():
    """A word that stands for more bases than the network sees at once: classes differ in nothing shorter."""

    class Parity(TwoLevelTokenizer):
        """Level 0 says whether the number of A of the whole sequence is odd."""

        def encode(self, base_ids, attention_mask=None):
            tokens = load_tokenizer("nucleotide").encode(base_ids, attention_mask)
            odd = ((base_ids == 0) & attention_mask).sum(dim=1, keepdim=True) % 2
            return replace(tokens, codes=torch.stack([odd.expand_as(base_ids), base_ids.long()], dim=2))

    random = np.random.default_rng(0)
    rows = [random.integers(0, 4, 40, dtype=np.uint8) for _ in range(400)]
    labels = np.array([int((row == 0).sum() % 2) for row in rows])
    parts = [LabelledSequences(rows[start:end], labels[start:end]) for start, end in ((0, 250), (250, 320), (320, 400))]
    config = replace(TINY, shares_strands=False)
    scores = [
        run_cnn(*parts, seed=0, epochs=8, config=config, device="cpu", network=words)["test"]["mcc"]
        for words in (None, WordNetwork(Parity()))
    ]
    assert scores[0] < 0.4
    assert scores[1] > 0.95
