import math

import pytest
import torch

from vqdna.pretrain.encoder import GenomeEncoder
from vqdna.pretrain.evaluation import BaseFrequencies, bases_of_spans, evaluate_masked
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 48, "local_attention": 32,
}  # fmt: skip


def bases(rows=3, length=60):
    return torch.randint(0, 4, (rows, length), dtype=torch.uint8)


def learned_tokenizer(**options):
    vocabulary = VQVAE(VQVAEConfig(**{"width": 16, "stem_width": 12, "level_sizes": (8, 16), **options}))
    vocabulary(bases(8, 80))
    return VqTokenizer(vocabulary)


def masked_model(tokenizer, **options):
    return GenomeEncoderForMaskedModeling.from_encoder(
        GenomeEncoder.from_tokenizer(tokenizer, BACKBONE), **options
    ).eval()


def stretch(length, start, end, rows=3):
    mask = torch.zeros(rows, length, dtype=torch.bool)
    mask[:, start:end] = True
    return mask


def changed_in(base_ids, start, end):
    changed = base_ids.clone()
    changed[:, start:end] = (changed[:, start:end] + 1) % 4
    return changed


def test_hiding_bases_closes_the_leak_and_hiding_positions_alone_does_not():
    """What the encoder is given must not change when only masked bases change."""
    tokenizer = learned_tokenizer()
    base_ids, mask = bases(), stretch(60, 20, 32)
    other = changed_in(base_ids, 20, 32)
    closed = masked_model(tokenizer)
    leaky = masked_model(tokenizer, hide_from_tokenizer=False)
    assert torch.equal(closed(base_ids, mask).logits[0], closed(other, mask).logits[0])
    assert not torch.equal(leaky(base_ids, mask).logits[0], leaky(other, mask).logits[0])


@pytest.mark.parametrize("name", ["nucleotide", "kmer:3", "kmer:6:6"])
def test_hand_made_tokenizers_do_not_leak(name):
    model = masked_model(load_tokenizer(name))
    base_ids, mask = bases(), stretch(60, 18, 30)
    assert torch.equal(model(base_ids, mask).logits[0], model(changed_in(base_ids, 18, 30), mask).logits[0])


def test_loss_sums_the_levels_and_targets_are_the_clean_codes():
    model = masked_model(learned_tokenizer())
    base_ids, mask = bases(), stretch(60, 10, 25)
    output = model(base_ids, mask)
    assert output.loss.item() == pytest.approx(output.loss_level.sum().item(), rel=1e-5)
    codes = model.encoder.tokenizer.encode(base_ids).codes
    assert torch.equal(output.targets, codes[output.masked_positions])
    by_hand = [
        torch.nn.functional.cross_entropy(logits, output.targets[:, n]) for n, logits in enumerate(output.logits)
    ]
    assert output.loss.item() == pytest.approx(sum(by_hand).item(), rel=1e-5)


def test_untrained_heads_know_nothing():
    output = masked_model(learned_tokenizer())(bases(16, 60), stretch(60, 10, 40, rows=16))
    assert output.loss_level[0].item() == pytest.approx(math.log(8), abs=0.15)
    assert output.loss_level[1].item() == pytest.approx(math.log(16), abs=0.15)


def test_unknown_bases_are_not_predicted():
    model = masked_model(load_tokenizer("nucleotide"))
    base_ids = bases()
    base_ids[:, 12:14] = 4
    output = model(base_ids, stretch(60, 10, 20))
    assert output.masked_positions[:, 12:14].sum() == 0
    assert len(output.targets) == 3 * 8


def test_nothing_masked_gives_a_loss_of_zero():
    output = masked_model(load_tokenizer("nucleotide"))(bases(), torch.zeros(3, 60, dtype=torch.bool))
    assert output.loss.item() == 0


def test_the_vocabulary_is_frozen_and_everything_else_learns():
    model = masked_model(learned_tokenizer()).train()
    model(bases(), stretch(60, 10, 30)).loss.backward()
    learning = {
        name for name, parameter in model.named_parameters() if parameter.grad is not None and parameter.grad.any()
    }
    frozen = {name for name, _ in model.named_parameters() if ".tokenizer." in name}
    assert frozen
    assert not learning & frozen
    rest = {name for name, _ in model.named_parameters()} - frozen
    # ModernBERT's own word embedding is bypassed by `inputs_embeds`.
    assert {name for name in rest - learning if "tok_embeddings" not in name} == set()


def test_training_mode_leaves_the_codebooks_alone():
    model = masked_model(learned_tokenizer()).train()
    before = {name: value.clone() for name, value in model.encoder.tokenizer.state_dict().items()}
    model(bases(), stretch(60, 10, 30))
    after = model.encoder.tokenizer.state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())


def test_saved_directory_is_complete(tmp_path):
    model = masked_model(learned_tokenizer())
    model.save_pretrained(tmp_path)
    loaded = GenomeEncoderForMaskedModeling.from_pretrained(tmp_path).eval()
    base_ids, mask = bases(), stretch(60, 10, 30)
    assert loaded(base_ids, mask).loss.item() == model(base_ids, mask).loss.item()


def test_base_frequencies_by_hand():
    table = BaseFrequencies(2)
    codes = torch.tensor([0, 0, 1])
    one_place = torch.zeros(3, 8, dtype=torch.bool)
    one_place[:, 0] = True
    seen = torch.zeros(3, 8, dtype=torch.long)
    seen[:, 0] = torch.tensor([2, 2, 3])
    table.add(codes, seen, one_place)
    # code 0 stands for G in (1 + 2) of (4 + 2); code 1 for G in 1 of 5
    nats = table.base_nats(torch.tensor([[0.0, 0.0]]), seen[:1], one_place[:1])
    assert nats.item() == pytest.approx(-math.log(0.5 * 3 / 6 + 0.5 * 1 / 5))


def test_bases_of_spans_by_hand():
    base_ids = torch.tensor([[0, 1, 4, 3]], dtype=torch.uint8)
    found, known = bases_of_spans(base_ids, torch.tensor([[[1, 4], [3, 4]]]))
    assert known[0].sum(dim=1).tolist() == [2, 1]
    assert found[0, 0][known[0, 0]].tolist() == [1, 3]


@pytest.mark.parametrize("name", ["nucleotide", "kmer:3", "kmer:6:6"])
def test_an_ignorant_model_needs_ln_4_nats_per_base_whatever_the_tokenizer(name):
    model = masked_model(load_tokenizer(name))
    batches = [{"base_ids": bases(24, 60), "masked_bases": stretch(60, 12, 36, rows=24)} for _ in range(3)]
    evaluation, leak = evaluate_masked(model, batches)
    assert evaluation["base_nats"] == pytest.approx(math.log(4), abs=0.05)
    assert sum(entry["count"] for entry in leak) == evaluation["masked_positions"]
