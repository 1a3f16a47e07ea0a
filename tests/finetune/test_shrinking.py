import torch
from example_tasks import MODERNBERT

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.starting_weights import mix_with_random
from vqdna.tokenizers import load_tokenizer


def encoder(seed):
    torch.manual_seed(seed)
    stem = {"width": 8, "kernel_size": 3, "merge": 4}
    return GenomeEncoder.from_tokenizer(load_tokenizer("kmer:3"), MODERNBERT, "table", stem)


def test_weights_go_a_share_of_the_way_to_fresh_ones_and_tables_stay():
    model, fresh = encoder(1), dict(encoder(7).named_parameters())
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    mix_with_random(model, 0.25, seed=7)
    for name, weight in model.named_parameters():
        expected = before[name] if "tables" in name else 0.75 * before[name] + 0.25 * fresh[name]
        torch.testing.assert_close(weight, expected, atol=1e-6, rtol=1e-5)


def test_no_share_changes_nothing_and_no_share_touches_the_random_state():
    model = encoder(1)
    before = model.state_dict()["stem.merging.weight"].clone()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    mix_with_random(model, 0.0, seed=7)
    assert torch.equal(model.state_dict()["stem.merging.weight"], before)
    mix_with_random(model, 0.5, seed=7)
    assert torch.equal(torch.rand(3), expected)
