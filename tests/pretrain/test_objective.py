import math

import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.pretrain.evaluation import BaseFrequencies, bases_of_spans, evaluate_masked
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers import load_tokenizer, tokenizer_from_settings
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


VIEWS = ((-2, -1, 0, 1, 2), (-1, 0, 1), (-6, -3, 0, 3, 6))


def views_tokenizer():
    options = {"quantizer": "product", "views": VIEWS, "level_sizes": (16, 16, 16), "decoder": "pointwise"}
    return learned_tokenizer(**options, fixed_latents=True, bases_per_position=1)


def test_hiding_fields_closes_the_leak_without_an_n_in_any_code():
    """Every visible code is one of the clean sequence, and nothing that the encoder reads depends on a masked base."""
    model = masked_model(views_tokenizer(), hide_from_tokenizer=False, hide_fields=True)
    base_ids, mask = bases(), stretch(60, 20, 32)
    output, changed = model(base_ids, mask), model(changed_in(base_ids, 20, 32), mask)
    assert torch.equal(output.logits[0], changed.logits[0])
    assert output.hidden_positions[0].nonzero().flatten().tolist() == list(range(14, 38))
    assert output.masked_positions[0].nonzero().flatten().tolist() == list(range(20, 32))


def test_fewer_levels_look_less_far_and_give_the_same_first_codes():
    whole = views_tokenizer()
    few = whole.with_levels(2)
    base_ids = bases()
    assert (few.level_sizes, few.context_bases, whole.context_bases) == ((16, 16), 2, 6)
    assert torch.equal(few.encode(base_ids).codes, whole.encode(base_ids).codes[..., :2])
    rebuilt = tokenizer_from_settings(few.settings())
    rebuilt.load_state_dict(few.state_dict())
    assert torch.equal(rebuilt.encode(base_ids).codes, few.encode(base_ids).codes)


@pytest.mark.parametrize("num_levels", [0, 4])
def test_levels_that_are_not_there_are_refused(num_levels):
    with pytest.raises(InputError, match=f"got {num_levels}, and the vocabulary has 3 levels"):
        views_tokenizer().with_levels(num_levels)
    with pytest.raises(InputError, match="the nucleotide tokenizer has 1"):
        load_tokenizer("nucleotide").with_levels(2)


@pytest.mark.parametrize(("name", "places"), [("nucleotide", 1), ("kmer:3:3", 3)])
def test_bases_as_targets_are_the_bases_of_the_spans(name, places):
    model = masked_model(load_tokenizer(name), target="bases")
    base_ids, mask = bases(2, 30), stretch(30, 12, 18, rows=2)
    output = model(base_ids, mask)
    assert len(output.logits) == places
    assert output.targets.flatten().tolist() == base_ids[:, 12:18].flatten().tolist()
    evaluation, _ = evaluate_masked(model, [{"base_ids": base_ids, "masked_bases": mask}])
    assert evaluation["base_nats"] == pytest.approx(output.loss.item() / places, rel=1e-5)


def test_a_short_last_word_has_no_target_beyond_its_span():
    model = masked_model(load_tokenizer("kmer:3:3"), target="bases")
    output = model(bases(1, 7), stretch(7, 6, 7, rows=1))
    assert (output.targets[0, 1:] == -100).all()
    assert torch.isfinite(output.loss)


def test_joint_codes_are_predicted_by_the_chain_rule():
    """The second level's logits depend on the first level's true code, the first level's on none."""
    model = masked_model(learned_tokenizer(), target="joint")
    states = torch.randn(4, 32)
    targets = torch.tensor([[0, 1], [1, 1], [2, 1], [3, 1]])
    other = targets.clone()
    other[:, 0] = 7 - targets[:, 0]
    first, second = model.prediction(states, targets), model.prediction(states, other)
    assert torch.equal(first[0], second[0])
    assert not torch.allclose(first[1], second[1])
    other = targets.clone()
    other[:, 1] = 9
    assert torch.equal(model.prediction(states, other)[1], first[1])


def test_an_unknown_target_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'bases'"):
        masked_model(load_tokenizer("nucleotide"), target="base")


def test_masked_models_save_and_load_with_their_target(tmp_path):
    model = masked_model(learned_tokenizer(), target="joint")
    model.save_pretrained(tmp_path)
    loaded = GenomeEncoderForMaskedModeling.from_pretrained(tmp_path).eval()
    base_ids, mask = bases(), stretch(60, 10, 25)
    assert torch.equal(loaded(base_ids, mask).logits[1], model(base_ids, mask).logits[1])
