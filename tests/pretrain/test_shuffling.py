import numpy as np
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.pretrain.evaluation import evaluate_question
from vqdna.pretrain.masking import MaskingSettings
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.pretrain.shuffling import NOT_ASKED, REAL, SHUFFLED, ShufflingSettings, chain_of_pairs, shuffled_windows
from vqdna.pretrain.train import MaskedCollator
from vqdna.tokenizers import load_tokenizer

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 24,
}  # fmt: skip


def windows(rows=40, length=96, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (rows, length)).astype(np.uint8)


def test_half_of_the_asked_spans_are_drawn_and_the_rest_is_untouched():
    settings = ShufflingSettings(fraction=0.5, segment=24)
    given = windows(400)
    mixed, kinds = shuffled_windows(settings, 3, range(400), given)
    asked = (kinds != NOT_ASKED).any(axis=1)
    assert 0.4 < asked.mean() < 0.6
    assert (kinds[asked] != NOT_ASKED).all()
    assert 0.45 < (kinds[asked] == SHUFFLED).mean() < 0.55
    assert (mixed[kinds != SHUFFLED] == given[kinds != SHUFFLED]).all()
    assert (mixed[kinds == SHUFFLED] != given[kinds == SHUFFLED]).mean() > 0.6
    assert all(len(set(row)) == 1 for row in kinds.reshape(-1, 24))


def test_a_row_depends_on_its_number_alone():
    settings = ShufflingSettings(fraction=1.0, segment=24)
    given = windows(10)
    together, kinds = shuffled_windows(settings, 3, range(10), given)
    alone, kind = shuffled_windows(settings, 3, [7], given[7:8])
    assert (together[7] == alone[0]).all()
    assert (kinds[7] == kind[0]).all()
    other, _ = shuffled_windows(settings, 4, [7], given[7:8])
    assert (other != alone).any()


def test_a_chain_has_no_pair_that_its_span_lacks():
    random = np.random.default_rng(1)
    span = np.array([[0, 1, 0, 1, 2, 0, 1, 2, 0, 1, 0, 1]], dtype=np.uint8)
    allowed = {(0, 1), (1, 0), (1, 2), (2, 0)}
    for _ in range(20):
        (chain,) = chain_of_pairs(span, random.random(span.shape))
        assert set(zip(chain[:-1].tolist(), chain[1:].tolist())) <= allowed


def test_pairs_are_drawn_as_often_as_they_stand_there():
    random = np.random.default_rng(2)
    span = random.choice(4, (1, 20_000), p=[0.5, 0.2, 0.2, 0.1]).astype(np.uint8)
    chain = chain_of_pairs(span, random.random(span.shape))

    def frequencies(row):
        pairs = np.zeros((4, 4))
        np.add.at(pairs, (row[:-1], row[1:]), 1 / (len(row) - 1))
        return pairs

    np.testing.assert_allclose(frequencies(chain[0]), frequencies(span[0]), atol=0.015)


def test_a_letter_that_stands_last_alone_does_not_end_the_chain():
    span = np.array([[0, 0, 0, 0, 0, 0, 0, 3]], dtype=np.uint8)
    chain = chain_of_pairs(np.repeat(span, 50, axis=0), np.random.default_rng(0).random((50, 8)))
    assert set(np.unique(chain)) <= {0, 3}


def test_no_base_is_masked_where_shuffling_is_asked_about():
    collate = MaskedCollator(MaskingSettings(), load_tokenizer("nucleotide"), 0, ShufflingSettings(fraction=0.5))
    batch = collate(list(enumerate(windows(32))))
    asked = batch["shuffled_bases"] != NOT_ASKED
    assert not (batch["masked_bases"] & asked).any()
    assert batch["masked_bases"][~asked].any()


def test_loss_and_accuracy_are_over_the_asked_positions_by_hand():
    torch.manual_seed(0)
    stem = {"width": 8, "kernel_size": 3, "merge": 4}
    encoder = GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), BACKBONE, "table", stem)
    model = GenomeEncoderForMaskedModeling.from_encoder(encoder, shuffling_weight=2.0).eval()
    base_ids = torch.from_numpy(windows(2, 16))
    kinds = torch.full((2, 16), NOT_ASKED, dtype=torch.uint8)
    kinds[0], kinds[0, 8:] = REAL, SHUFFLED
    nothing = torch.zeros(2, 16, dtype=torch.bool)
    output = model(base_ids, nothing, shuffled_bases=kinds)
    logits = model.detection(encoder(base_ids).last_hidden_state)[0, :, 0]
    truly = torch.tensor([0.0, 0.0, 1.0, 1.0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, truly)
    torch.testing.assert_close(output.shuffling, expected)
    torch.testing.assert_close(output.loss, 2 * expected)
    assert output.shuffling_accuracy.item() == ((logits > 0) == (truly > 0)).float().mean().item()
    items = model.loss_items(base_ids, nothing, shuffled_bases=kinds)
    assert {name: int(count) for name, count in items.items()} == {"masked": 0, "shuffling": 4, "contrast": 0}
    numbers = evaluate_question(
        model, [{"base_ids": base_ids, "masked_bases": nothing, "shuffled_bases": kinds}], "shuffling"
    )
    assert numbers["shuffling_accuracy"] == output.shuffling_accuracy.item()


def test_without_the_question_there_is_no_head_for_it():
    encoder = GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), BACKBONE, "table")
    assert GenomeEncoderForMaskedModeling.from_encoder(encoder).detection is None
