"""What may be asked of a vocabulary beside reconstruction: by hand, against slow loops, and who learns from it."""

import itertools
import math

import numpy as np
import pytest
import torch

from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig, quantize_bases, reconstruction_loss
from vqdna.vocabulary.configuration import VocabularySettings
from vqdna.vocabulary.convolution import reverse_complement
from vqdna.vocabulary.objectives import (
    NEIGHBOR_WORD,
    NeighborHead,
    PointwiseDecoder,
    draw_hidden_bases,
    hidden,
    known_base_loss,
    strand_disagreement,
    word_shares,
)
from vqdna.vocabulary.train import collate_vocabulary, loss_terms

SMALL = {"width": 16, "stem_width": 12, "num_blocks": 2, "level_sizes": (16, 32)}
N = 4


def bases(rows=3, length=47, seed=0, n_fraction=0.15):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, 4, (rows, length), generator=generator, dtype=torch.uint8)
    return drawn.masked_fill(torch.rand(rows, length, generator=generator) < n_fraction, N)


def lengths_mask(*lengths):
    return torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]


def trained(**options):
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(**{**SMALL, **options}))
    model(bases(8, 96))
    model.update_codebooks()
    return model


# Pointwise decoder ---------------------------------------------------------------------------------------------------


def slow_targets(base_ids, mask, stride, reach):
    positions = -(-base_ids.shape[1] // stride)
    targets = torch.full((len(base_ids), positions, stride + 2 * reach), N, dtype=torch.uint8)
    for row, position in itertools.product(range(len(base_ids)), range(positions)):
        if not mask[row, position * stride : (position + 1) * stride].any():
            continue
        for slot in range(stride + 2 * reach):
            base = position * stride - reach + slot
            if 0 <= base < base_ids.shape[1] and mask[row, base]:
                targets[row, position, slot] = base_ids[row, base]
    return targets


@pytest.mark.parametrize(("stride", "reach"), [(1, 0), (1, 3), (3, 0), (3, 2), (4, 1)])
def test_targets_are_those_of_a_slow_loop(stride, reach):
    decoder = PointwiseDecoder(width=4, hidden_width=5, bases_per_position=stride, reach=reach)
    base_ids, mask = bases(), lengths_mask(47, 30, 1)
    assert torch.equal(decoder.targets(base_ids, mask), slow_targets(base_ids, mask, stride, reach))
    windows = decoder.windows(torch.randn(3, -(-47 // stride), 4))
    assert windows.shape[:3] == decoder.targets(base_ids, mask).shape


def test_known_base_loss_is_that_of_a_slow_loop():
    logits, targets = torch.randn(2, 5, 3, 4), torch.randint(0, 5, (2, 5, 3), dtype=torch.uint8)
    found = []
    for index in np.ndindex(2, 5, 3):
        if targets[index] < N:
            found.append(-logits[index].log_softmax(-1)[int(targets[index])].item())
    assert known_base_loss(logits, targets).item() == pytest.approx(sum(found) / len(found), rel=1e-5)
    assert known_base_loss(logits, torch.full_like(targets, N)).item() == 0


def test_own_bases_stand_in_the_middle_of_the_windows_in_order():
    decoder = PointwiseDecoder(width=4, hidden_width=5, bases_per_position=2, reach=1)
    vectors = torch.randn(1, 3, 4)
    windows, logits = decoder.windows(vectors), decoder(vectors)
    assert logits.shape == (1, 6, 4)
    for base in range(6):
        assert torch.equal(logits[0, base], windows[0, base // 2, 1 + base % 2])


def test_each_position_is_rebuilt_from_its_own_token_alone():
    decoder = PointwiseDecoder(width=4, hidden_width=5, bases_per_position=1, reach=0)
    vectors = torch.randn(1, 6, 4)
    changed = vectors.clone()
    changed[0, 2] += 1
    assert (decoder(vectors) != decoder(changed)).any(dim=-1).tolist() == [[False, False, True, False, False, False]]


@pytest.mark.parametrize("stride", [1, 3])
def test_the_model_counts_and_averages_every_base_of_every_window(stride):
    model = trained(decoder="pointwise", target_reach=2, bases_per_position=stride).eval()
    base_ids, mask = bases(), lengths_mask(47, 30, 8)
    output = model(base_ids, mask)
    targets = slow_targets(base_ids, mask, stride, 2)
    assert model.loss_items(base_ids, mask)["reconstruction"] == (targets < N).sum()
    windows = model.base_decoder.windows(
        quantize_bases(model.latent_encoder, model.quantizer, base_ids, mask).code_vectors
    )
    assert output.reconstruction.item() == pytest.approx(known_base_loss(windows, targets).item(), rel=1e-5)
    assert output.logits.shape == (3, 47, 4)
    assert torch.allclose(output.logits, model.decode(output.codes)[:, :47], atol=1e-5)


def test_padding_and_n_are_no_items_of_any_mean_over_bases():
    model = trained(neighbor_weight=1.0, neighbor_bases=8)
    base_ids, mask = bases(3, 40), lengths_mask(40, 20, 3)
    items = model.loss_items(base_ids, mask)
    assert items["reconstruction"] == ((base_ids < N) & mask).sum()
    assert items["neighbor"] == model.loss_items(torch.where(mask, base_ids, N).to(torch.uint8))["neighbor"]
    assert items["neighbor"] < model.loss_items(base_ids)["neighbor"]
    assert items["commitment"] == 3 * 40


def test_a_padded_row_has_the_loss_of_the_row_alone_however_far_its_windows_reach():
    model = trained(decoder="pointwise", target_reach=6).eval()
    row = bases(1, 40)
    padded = torch.nn.functional.pad(row, (0, 30), value=2)
    alone, together = model(row), model(padded, lengths_mask(40, 70)[:1])
    assert together.reconstruction.item() == pytest.approx(alone.reconstruction.item(), rel=1e-5)


# Neighboring block ---------------------------------------------------------------------------------------------------


def slow_word_shares(block):
    counts = np.zeros(4**NEIGHBOR_WORD)
    for start in range(len(block) - NEIGHBOR_WORD + 1):
        word = block[start : start + NEIGHBOR_WORD]
        if max(word) < N:
            counts[int("".join(map(str, word)), 4)] += 1
    return counts / max(counts.sum(), 1)


def test_word_shares_are_those_of_a_slow_loop():
    blocks = bases(2, 36).unflatten(1, (3, 12)).clone()
    blocks[1, 2] = N
    shares = word_shares(blocks)
    for row, block in itertools.product(range(2), range(3)):
        assert shares[row, block].numpy() == pytest.approx(slow_word_shares(blocks[row, block].tolist()), abs=1e-6)
    assert not shares[1, 2].any()


@pytest.mark.parametrize(("length", "stride"), [(39, 1), (40, 3), (23, 1), (3, 1)])
def test_neighbor_loss_is_that_of_a_slow_loop(length, stride):
    head = NeighborHead(width=5, block=12, bases_per_position=stride)
    base_ids, vectors = bases(3, length), torch.randn(3, -(-length // stride), 5)
    base_ids[0, 12:24] = N
    blocks, size = length // 12, 12 // stride
    found = []
    for row, block, other in itertools.product(range(3), range(blocks), range(blocks)):
        shares = slow_word_shares(base_ids[row, other * 12 : (other + 1) * 12].tolist())
        if abs(block - other) == 1 and shares.any():
            mean = vectors[row, block * size : (block + 1) * size].mean(dim=0)
            found.append(-(head.write(mean).log_softmax(-1).detach().numpy() * shares).sum())
    assert head.num_pairs(base_ids) == len(found)
    assert head(vectors, base_ids).item() == pytest.approx(sum(found) / max(1, len(found)), rel=1e-4)


def test_a_window_of_a_single_block_asks_for_nothing_but_leaves_no_parameter_without_a_gradient():
    head = NeighborHead(width=5, block=12, bases_per_position=1)
    vectors = torch.randn(2, 20, 5, requires_grad=True)
    loss = head(vectors, bases(2, 20))
    loss.backward()
    assert loss.item() == 0
    assert not vectors.grad.any()
    assert not head.write.weight.grad.any()  # there, and zero: ranks that wait for each other's gradients find one


def test_neighbor_loss_lowers_the_error_of_the_mean_token():
    """Windows of two kinds: what a block is made of tells what its neighbor is made of."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    strong = torch.arange(16) % 2 == 1
    pairs = torch.tensor([[0, 3], [1, 2]], dtype=torch.uint8)[strong.long()]
    windows = pairs.gather(1, torch.randint(0, 2, (16, 64), generator=generator))
    vectors = torch.nn.functional.one_hot(windows.long(), 4).float()
    head = NeighborHead(width=4, block=32, bases_per_position=1)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.3)
    losses = []
    for _ in range(60):
        loss = head(vectors, windows)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(256), rel=0.1)
    assert losses[-1] < math.log(16) + 0.2  # the words of a kind, of which there are 16, are equally frequent


def test_neighbor_loss_teaches_the_latent_encoder_through_the_mean_token():
    model = trained(neighbor_weight=1.0, neighbor_bases=16, commitment_weight=0.0)
    output = model(bases(4, 64))
    gradient = torch.autograd.grad(
        model.neighbor_head(
            quantize_bases(model.latent_encoder, model.quantizer, bases(4, 64)).code_vectors, bases(4, 64)
        ),
        model.latent_encoder.stem.weight,
    )[0]
    assert output.neighbor > 0
    assert gradient.abs().sum() > 0


# Strands -------------------------------------------------------------------------------------------------------------


def test_strand_disagreement_by_hand():
    own = torch.tensor([[[1.0, -1.0], [5.0, 3.0]]])
    same = torch.tensor([[[7.0, 1.0], [2.0, 1.0]]])  # position 0 of one strand is position 1 of the other
    opposite = torch.tensor([[[3.0, 5.0], [-1.0, 1.0]]])
    assert strand_disagreement([own], [same]).item() == pytest.approx(0, abs=1e-4)
    assert strand_disagreement([own], [opposite]).item() == pytest.approx(4, rel=1e-3)
    assert strand_disagreement([own, own], [same, opposite]).item() == pytest.approx(2, rel=1e-3)


def test_strand_disagreement_cannot_be_lowered_by_shrinking_and_needs_no_other_row():
    own, other = torch.randn(4, 9, 6), torch.randn(4, 9, 6)
    whole = strand_disagreement([own], [other]).item()
    assert strand_disagreement([0.1 * own], [0.1 * other]).item() == pytest.approx(whole, rel=1e-2)
    rows = [strand_disagreement([own[row : row + 1]], [other[row : row + 1]]).item() for row in range(4)]
    assert sum(rows) / 4 == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("encoder", [{}, {"quantizer": "product", "views": ((-1, 0, 1), (-2, 0, 2))}])
def test_shared_latents_have_no_strand_loss_and_others_have_one(encoder):
    shared, own = (trained(strand_weight=1.0, shared_strands=one, **encoder) for one in (True, False))
    assert shared(bases()).strand.item() < 1e-8
    assert own(bases()).strand.item() > 0.1


def test_strand_loss_teaches_the_latent_encoder_alone_and_brings_the_strands_together():
    model = trained(strand_weight=1.0)
    base_ids = bases(4, 40)

    def strand():
        return strand_disagreement(model.latent_encoder(base_ids), model.latent_encoder(reverse_complement(base_ids)))

    first, optimizer = strand().item(), torch.optim.Adam(model.latent_encoder.parameters(), lr=1e-3)
    for _ in range(15):
        loss = strand()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert model(base_ids).strand.item() < 0.7 * first
    assert all(parameter.grad is None for parameter in model.base_decoder.parameters())


# Hidden bases --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fraction", "span"), [(0.2, 1), (0.2, 3), (0.5, 7), (0.0, 2)])
def test_hidden_bases_have_the_rate_that_was_asked_for_in_whole_stretches(fraction, span):
    drawn = draw_hidden_bases(0, range(200), 500, fraction, span)
    assert drawn.shape == (200, 500)
    deviation = math.sqrt(fraction * (1 - fraction) * span / drawn.size)
    assert abs(drawn.mean() - fraction) <= 4 * deviation
    per_base = drawn.mean(axis=0)
    assert np.abs(per_base - fraction).max() <= 5 * math.sqrt(fraction * (1 - fraction) / 200)
    stretches = drawn[:, : 500 // span * span].reshape(200, -1, span)
    assert (stretches.all(axis=2) == stretches.any(axis=2)).all()


def test_a_row_s_hidden_bases_are_a_pure_function_of_seed_and_window_number():
    numbers = [7, 0, 10**9, 7]
    drawn = draw_hidden_bases(3, numbers, 64, 0.3, 2)
    assert np.array_equal(drawn[0], drawn[3])
    for row, number in zip(drawn, numbers, strict=True):
        assert np.array_equal(row, draw_hidden_bases(3, [number], 64, 0.3, 2)[0])
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn, draw_hidden_bases(4, numbers, 64, 0.3, 2))
    shorter = draw_hidden_bases(3, numbers, 33, 0.3, 2)
    assert np.array_equal(shorter, drawn[:, :33])


def test_hidden_bases_read_as_n():
    base_ids = torch.tensor([[0, 1, 2, 3]], dtype=torch.uint8)
    assert hidden(base_ids, torch.tensor([[False, True, False, True]])).tolist() == [[0, N, 2, N]]
    assert base_ids.tolist() == [[0, 1, 2, 3]]
    assert hidden(base_ids, None) is base_ids


@pytest.mark.parametrize("decoder", ["mirror", "pointwise"])
def test_hidden_bases_are_not_seen_but_still_to_be_rebuilt(decoder):
    model = trained(decoder=decoder).eval()
    base_ids = bases(n_fraction=0.0)
    hidden_bases = torch.from_numpy(draw_hidden_bases(0, range(3), 47, 0.3, 3))
    output = model(base_ids, hidden_bases=hidden_bases)
    assert torch.equal(output.codes, model.encode(hidden(base_ids, hidden_bases)))
    assert not torch.equal(output.codes, model.encode(base_ids))
    everywhere = torch.ones_like(hidden_bases)
    expected = reconstruction_loss(output.logits, base_ids, everywhere)
    assert output.reconstruction.item() == pytest.approx(expected.item(), rel=1e-5)
    assert model.loss_items(base_ids, hidden_bases=hidden_bases)["reconstruction"] == base_ids.numel()
    # a hidden base makes no difference to what is seen, and all to what is to be rebuilt
    other = torch.where(hidden_bases, 3 - base_ids, base_ids)
    changed = model(other, hidden_bases=hidden_bases)
    assert torch.equal(changed.codes, output.codes)
    assert changed.reconstruction.item() != pytest.approx(output.reconstruction.item(), rel=1e-6)


def test_a_vocabulary_learns_to_rebuild_hidden_bases_that_their_neighbors_tell():
    """On a repeat of ACGT every hidden base follows from those around it."""
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(**SMALL, masked_base_fraction=0.2)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    settings = VocabularySettings(quantizer="hrq", level_sizes=(16, 32), masked_base_fraction=0.2)
    repeat = (np.arange(64)[None] + np.arange(8)[:, None]).astype(np.uint8) % 4
    for step in range(60):
        batch = collate_vocabulary([(8 * step + row, window) for row, window in enumerate(repeat)], settings, seed=0)
        output = model(**batch)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        model.update_codebooks()
    right = output.logits.argmax(-1) == batch["base_ids"]
    assert right[batch["hidden_bases"]].float().mean() > 0.9


def test_a_batch_holds_hidden_bases_only_where_some_are_asked_for():
    items = [(number, np.zeros(50, np.uint8)) for number in (4, 9)]
    plain = VocabularySettings(quantizer="vq", level_sizes=(8,))
    assert set(collate_vocabulary(items, plain, seed=0)) == {"base_ids"}
    masked = plain.model_copy(update={"masked_base_fraction": 0.4, "masked_base_span": 2})
    batch = collate_vocabulary(items, masked, seed=5)
    assert np.array_equal(batch["hidden_bases"].numpy(), draw_hidden_bases(5, [4, 9], 50, 0.4, 2))
    assert np.array_equal(collate_vocabulary(items[1:], masked, seed=5)["hidden_bases"][0], batch["hidden_bases"][1])


def test_loss_terms_are_those_that_the_settings_ask_for():
    plain = VocabularySettings(quantizer="vq", level_sizes=(8,))
    assert loss_terms(plain) == ("reconstruction", "commitment")
    every = {"codebook_learning": "gradient", "strand_weight": 0.5, "neighbor_weight": 1.0}
    asked = ("reconstruction", "commitment", "codebook", "strand", "neighbor")
    assert loss_terms(plain.model_copy(update=every)) == asked
