"""Levels that read chosen bases, and latents that both strands share."""

import itertools

import pytest
import torch

from vqdna.tokenizers.loading import load_tokenizer, tokenizer_from_settings
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig
from vqdna.vocabulary.convolution import reverse_complement
from vqdna.vocabulary.views import ViewEncoder, ViewLayer

VIEWS = {
    "quantizer": "product", "level_sizes": (64, 40, 64), "width": 16, "stem_width": 32, "decoder": "pointwise",
    "views": ((-1, 0, 1), (-3, -2, 2, 3), (-4, 0, 2)), "shared_strands": (True, True, False), "target_reach": 2,
}  # fmt: skip
CONVOLUTIONS = {
    "quantizer": "hrq", "level_sizes": (32, 64), "width": 16, "stem_width": 12, "num_blocks": 2,
    "shared_strands": (True, False),
}  # fmt: skip
both_encoders = pytest.mark.parametrize("options", [VIEWS, CONVOLUTIONS], ids=["views", "convolutions"])


def bases(rows=2, length=60, seed=0, n_fraction=0.0):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, 4, (rows, length), generator=generator, dtype=torch.uint8)
    return drawn.masked_fill(torch.rand(rows, length, generator=generator) < n_fraction, 4)


def trained(options):
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(**options))
    model(bases(8, 128, seed=1))
    model.update_codebooks()
    return model.eval()


def copying_encoder(view):
    """Encoder whose latents are the one-hot bases of its view, side by side."""
    encoder = ViewEncoder(views=[view], shared_strands=[False], hidden_width=4 * len(view), width=4 * len(view))
    large = 30.0  # gelu(30) is 30
    for layer, weight in ((encoder.read[0], large), (encoder.write[0], 1 / large)):
        layer.weight.data.copy_(weight * torch.eye(4 * len(view)))
        layer.bias.data.zero_()
    return encoder.eval()


def test_a_view_reads_its_bases_and_nothing_where_there_is_none():
    (latents,) = copying_encoder((-1, 2))(torch.tensor([[0, 1, 4, 3]], dtype=torch.uint8))
    a, c, t, none = [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0] * 4
    # before each position: end, A, C, N; two behind it: N, T, end, end
    expected = [[none, none], [a, t], [c, none], [none, none]]
    assert torch.allclose(latents[0], torch.tensor(expected, dtype=torch.float).flatten(1), atol=1e-6)


def test_in_training_a_row_is_a_circle():
    a, c, g, t = torch.eye(4).tolist()
    (latents,) = copying_encoder((-1, 2)).train()(torch.tensor([[0, 1, 2, 3]], dtype=torch.uint8))
    assert torch.allclose(latents[0], torch.tensor([[t, g], [a, t], [c, a], [g, c]]).flatten(1), atol=1e-6)
    (far,) = copying_encoder((-9, 9)).train()(torch.tensor([[0, 1, 2, 3]], dtype=torch.uint8))
    assert torch.allclose(far[0], torch.tensor([[t, c], [a, g], [c, t], [g, a]]).flatten(1), atol=1e-6)
    (own,) = copying_encoder((0,)).train()(torch.tensor([[0, 1, 2, 3]], dtype=torch.uint8))
    assert torch.allclose(own[0], torch.eye(4), atol=1e-6)


def test_latents_of_words_are_those_of_the_words_in_a_row():
    model, words = trained(VIEWS), torch.tensor([[0, 1, 2], [3, 3, 4], [4, 2, 1]], dtype=torch.uint8)
    for level, view in ((0, (-1, 0, 1)), (2, (-4, 0, 2))):
        rows = torch.full((3, 9), 4, dtype=torch.uint8)
        rows[:, [4 + offset for offset in view]] = words
        in_a_row = model.latent_encoder(rows)[level][:, 4]
        assert torch.allclose(model.latent_encoder.latents_of_words(level, words), in_a_row, atol=1e-5)


def test_what_is_masked_is_not_read():
    mask = torch.tensor([[True, True, False]])
    (latents,) = copying_encoder((0, 1))(torch.tensor([[0, 1, 3]], dtype=torch.uint8), mask)
    assert latents[0, 1].tolist() == pytest.approx([0, 1, 0, 0, 0, 0, 0, 0])
    assert not latents[0, 2].any()


def test_a_base_outside_a_level_s_view_never_changes_its_code_and_one_inside_changes_its_latent():
    model, sequence, middle = trained(VIEWS), bases(1, 31), 15
    assert model.config.context_bases == 4
    codes, latents = model.encode(sequence)[0, middle], model.latent_encoder(sequence)
    for offset, shift in itertools.product(range(-15, 16), (1, 2, 3)):
        changed = sequence.clone()
        changed[0, middle + offset] = (changed[0, middle + offset] + shift) % 4
        found, moved = model.encode(changed)[0, middle], model.latent_encoder(changed)
        for level, view in enumerate(VIEWS["views"]):
            if offset in view:
                assert not torch.allclose(moved[level][0, middle], latents[level][0, middle], atol=1e-3)
            else:
                assert found[level] == codes[level]


@both_encoders
@pytest.mark.parametrize("length", [1, 2, 60, 61])
def test_codes_of_shared_levels_are_mirrored_on_the_other_strand(options, length):
    model, sequence = trained(options), bases(4, length, n_fraction=0.1)
    codes = model.encode(sequence)
    other = model.encode(reverse_complement(sequence)).flip(1)
    for level, shared in enumerate(options["shared_strands"]):
        assert torch.equal(codes[..., level], other[..., level]) == shared


@both_encoders
def test_padding_changes_neither_codes_nor_their_mirroring(options):
    model, sequence, length = trained(options), bases(3, 41, n_fraction=0.1), 41
    mask = (torch.arange(70) < length).expand(3, -1)
    codes, padded = model.encode(sequence), torch.nn.functional.pad(sequence, (0, 29), value=2)
    assert torch.equal(model.encode(padded, mask)[:, :length], codes)
    other = torch.nn.functional.pad(reverse_complement(sequence), (0, 29), value=1)
    mirrored = model.encode(other, mask)[:, :length].flip(1)
    assert torch.equal(mirrored[..., 0], codes[..., 0])
    alone, together = model(sequence).reconstruction.item(), model(padded, mask).reconstruction.item()
    assert together == pytest.approx(alone, rel=1e-5)


def test_a_word_and_its_reverse_complement_are_one_code_of_a_shared_view():
    model = trained(VIEWS)
    words = torch.tensor(list(itertools.product(range(4), repeat=3)), dtype=torch.uint8)
    latents = model.latent_encoder(words)[0][:, 1]
    other = model.latent_encoder(reverse_complement(words))[0][:, 1]
    assert torch.allclose(latents, other, atol=1e-5)
    distances = torch.cdist(latents, latents)
    same = (words[:, None] == words[None]).all(-1) | (words[:, None] == reverse_complement(words)[None]).all(-1)
    assert distances[~same].min() > 100 * distances[same].max()


def test_words_lie_apart_from_the_start():
    """Trained or not, no two words of a view share a latent, so a codebook can keep them apart."""
    torch.manual_seed(3)
    model = VQVAE(VQVAEConfig(**VIEWS))
    assert all(isinstance(layer, ViewLayer) for layer in (*model.latent_encoder.read, *model.latent_encoder.write))
    words = torch.tensor(list(itertools.product(range(4), repeat=5)), dtype=torch.uint8)[:: 4**2]
    words = torch.cat([words.new_zeros(len(words), 2), words, words.new_zeros(len(words), 2)], dim=1)
    latents = model.latent_encoder(words)[2][:, 4]  # the view (-4, 0, 2)
    seen = words[:, [0, 4, 6]].unique(dim=0, return_inverse=True)[1]
    distances = torch.cdist(latents, latents)[seen[:, None] != seen[None]]
    assert distances.min() > 0.1 * distances.mean()


def test_a_saved_directory_and_its_tokenizer_give_the_same_codes(tmp_path):
    model, sequence = trained(VIEWS), bases(2, 33)
    model.save_pretrained(tmp_path)
    loaded = VQVAE.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded.encode(sequence), model.encode(sequence))
    codes = model.double().encode(sequence)  # as tables are made, which the tokenizer reads
    model.float()
    assert torch.equal(loaded.decode(codes), model.decode(codes))
    tokenizer = load_tokenizer(f"vq:{tmp_path}")
    tokens = tokenizer.encode(sequence)
    assert torch.equal(tokens.codes, codes)
    assert tokens.spans[0, :3].tolist() == [[0, 1], [1, 2], [2, 3]]
    assert (tokenizer.level_sizes, tokenizer.context_bases) == ((64, 40, 64), 4)
    assert torch.equal(tokenizer.code_vectors(codes), model.quantizer.lookup(codes))
    again = tokenizer_from_settings(tokenizer.settings())
    again.load_state_dict(tokenizer.state_dict())
    assert torch.equal(again.encode(sequence).codes, codes)


def test_more_levels_than_blocks_are_allowed_where_no_block_is_read(tmp_path):
    model = trained({**VIEWS, "level_sizes": (4, 4, 4, 4), "views": ((0,),) * 4, "shared_strands": False,
                     "num_blocks": 2, "stem_kernel_size": 4})  # fmt: skip
    model.save_pretrained(tmp_path)
    assert torch.equal(VQVAE.from_pretrained(tmp_path).encode(bases()), model.encode(bases()))


def test_views_learn_exact_words_and_every_single_base_change_alters_a_code():
    torch.manual_seed(0)
    options = {
        "quantizer": "product", "level_sizes": (96, 256), "views": ((-1, 0, 1), (-3, -1, 0, 2)), "width": 16,
        "stem_width": 48, "decoder": "pointwise", "target_reach": 3, "dead_code_threshold": 0.05,
        "codebook_warm_up_decay": True,
    }  # fmt: skip
    model = VQVAE(VQVAEConfig(**options)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(100):
        output = model(bases(8, 200, seed=step))
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        model.update_codebooks()
        losses.append(output.reconstruction.item())
    assert losses[-1] < 0.7 * losses[0]

    model.eval()
    sequence = bases(4, 300, seed=1000)
    codes = model.encode(sequence)[:, 1:-1, 0].flatten()
    words = (sequence.long().unfold(1, 3, 1) * torch.tensor([16, 4, 1])).sum(-1).flatten()
    code_of_word = {word: codes[words == word] for word in words.unique().tolist()}
    assert all((found == found[0]).all() for found in code_of_word.values())  # a word is one code
    own = {int(found[0]) for found in code_of_word.values()}
    assert len(own) >= 0.95 * len(code_of_word)  # and nearly no two words share one

    before = model.encode(sequence)
    for base, shift in itertools.product(range(0, 300, 7), (1, 2, 3)):
        changed = sequence.clone()
        changed[:, base] = (changed[:, base] + shift) % 4
        assert (model.encode(changed) != before).any(dim=(1, 2)).all()
