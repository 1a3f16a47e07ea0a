import pytest
import torch

from vqdna.vocabulary.quantizer import HierarchicalQuantizer, ProductQuantizer, ResidualQuantizer


def with_vectors(*levels, kind=HierarchicalQuantizer, **options):
    """Quantizer whose codebooks hold the given vectors."""
    quantizer = kind([len(vectors) for vectors in levels], len(levels[0][0]), **options)
    for book, vectors in zip(quantizer.codebooks, levels, strict=True):
        book.code_vectors.data.copy_(torch.tensor(vectors))
        book.is_initialized.fill_(True)
    return quantizer


COARSE = [[0.0, 0.0], [4.0, 0.0]]
FINE = [[0.0, 0.0], [2.0, 0.0], [6.0, 2.0]]


def test_hrq_by_hand():
    quantizer = with_vectors(COARSE, FINE).eval()
    z1, z2 = torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[4.9, 1.0]]])
    # M1 = 1 with e = (4, 0); H2 = 2 * (4.9, 1) - (4, 0) = (5.8, 2); M2 = 2 with e = (6, 2); token = ((4,0) + (6,2)) / 2
    output = quantizer([z1, z2])
    assert output.codes.tolist() == [[[1, 2]]]
    assert torch.allclose(output.code_vectors, torch.tensor([[[5.0, 1.0]]]))
    # ||H1 - e1||^2 / 2 dims = (1 + 1) / 2; ||H2 - e2||^2 / 2 dims / 2^2 = 0.04 / 2 / 4
    assert output.commitment.item() == pytest.approx(1.0 + 0.005, abs=1e-5)
    assert output.codebook.item() == 0


def test_the_second_commitment_term_is_the_distance_of_z2_to_the_token():
    quantizer = with_vectors(COARSE, FINE).eval()
    z1, z2 = torch.randn(2, 5, 2), torch.randn(2, 5, 2)
    output = quantizer([z1, z2])
    first = quantizer.codebooks[0].lookup(output.codes[..., 0])
    expected = (z1 - first).square().mean() + (z2 - output.code_vectors).square().mean()
    assert output.commitment.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_perfect_second_level_gives_back_its_latent():
    z1, z2 = torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[1.25, -2.0]]])
    residual_target = (2 * z2 - torch.tensor([4.0, 0.0])).flatten().tolist()
    quantizer = with_vectors(COARSE, [[50.0, 50.0], residual_target]).eval()
    assert torch.allclose(quantizer([z1, z2]).code_vectors, z2)


def test_one_level_is_plain_vq():
    quantizer = with_vectors(FINE).eval()
    output = quantizer([torch.tensor([[[5.0, 1.5], [0.2, 0.1]]])])
    assert output.codes.tolist() == [[[2], [0]]]
    assert torch.allclose(output.code_vectors, torch.tensor([[[6.0, 2.0], [0.0, 0.0]]]))


def test_encode_and_lookup_agree_with_forward():
    quantizer = with_vectors(COARSE, FINE).eval()
    latents = [torch.randn(3, 7, 2) * 3, torch.randn(3, 7, 2) * 3]
    output = quantizer(latents)
    assert torch.equal(quantizer.encode(latents), output.codes)
    assert torch.allclose(quantizer.lookup(output.codes), output.code_vectors, atol=1e-5)


def test_the_first_levels_alone_can_be_looked_up():
    quantizer = with_vectors(COARSE, FINE).eval()
    codes = torch.tensor([[[1, 2]]])
    assert torch.equal(quantizer.lookup(codes[..., :1]), torch.tensor([[[4.0, 0.0]]]))


@pytest.mark.parametrize(("stop", "expected"), [(True, (0.5, 1.0)), (False, (0.0, 1.0))])
def test_straight_through_gradient_of_each_tap(stop, expected):
    quantizer = with_vectors(COARSE, FINE, stop_residual_gradient=stop).eval()
    z1, z2 = torch.randn(1, 4, 2, requires_grad=True), torch.randn(1, 4, 2, requires_grad=True)
    quantizer([z1, z2]).code_vectors.sum().backward()
    assert torch.allclose(z1.grad, torch.full_like(z1, expected[0]))
    assert torch.allclose(z2.grad, torch.full_like(z2, expected[1]))


def test_commitment_pulls_latents_and_not_code_vectors():
    quantizer = with_vectors(FINE, learning="gradient")
    z = torch.randn(1, 4, 2, requires_grad=True)
    quantizer([z]).commitment.backward()
    assert z.grad.abs().sum() > 0
    assert quantizer.codebooks[0].code_vectors.grad is None


def test_codebook_loss_pulls_code_vectors_and_not_latents():
    quantizer = with_vectors(FINE, learning="gradient")
    z = torch.randn(1, 4, 2, requires_grad=True)
    quantizer([z]).codebook.backward()
    assert z.grad is None or z.grad.abs().sum() == 0
    assert quantizer.codebooks[0].code_vectors.grad.abs().sum() > 0


def test_evaluation_takes_note_of_nothing():
    quantizer = with_vectors(COARSE, FINE).eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer([torch.randn(1, 9, 2), torch.randn(1, 9, 2)])
    quantizer.update_codebooks()
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())


def test_training_moves_both_codebooks():
    quantizer = HierarchicalQuantizer([4, 8], 2)
    latents = [torch.randn(2, 50, 2), torch.randn(2, 50, 2)]
    quantizer(latents)
    quantizer.update_codebooks()
    before = [book.code_vectors.clone() for book in quantizer.codebooks]
    quantizer([latent + 1 for latent in latents])
    quantizer.update_codebooks()
    assert all(not torch.equal(old, book.code_vectors) for old, book in zip(before, quantizer.codebooks, strict=True))


def test_rvq_by_hand():
    quantizer = with_vectors(COARSE, FINE, kind=ResidualQuantizer).eval()
    # M1 = 1 with e = (4, 0), rest (1.9, 1); M2 = 1 with e = (2, 0); token = (6, 0), and -0.1, 1 are left
    output = quantizer([torch.tensor([[[5.9, 1.0]]])])
    assert output.codes.tolist() == [[[1, 1]]]
    assert torch.equal(output.code_vectors, torch.tensor([[[6.0, 0.0]]]))
    assert output.commitment.item() == pytest.approx((1.9**2 + 1) / 2 + (0.1**2 + 1) / 2, rel=1e-5)
    assert torch.equal(quantizer.lookup(output.codes[..., :1]), torch.tensor([[[4.0, 0.0]]]))


def test_rvq_reads_the_last_tap_alone():
    quantizer = with_vectors(COARSE, FINE, kind=ResidualQuantizer).eval()
    taps = [torch.randn(2, 5, 2), torch.randn(2, 5, 2)]
    assert torch.equal(quantizer(taps).codes, quantizer(taps[1:]).codes)


def test_rvq_passes_the_gradient_of_the_token_once():
    quantizer = with_vectors(COARSE, FINE, FINE, kind=ResidualQuantizer).eval()
    z = torch.randn(1, 4, 2, requires_grad=True)
    quantizer([z]).code_vectors.sum().backward()
    assert torch.equal(z.grad, torch.ones_like(z))


def test_rvq_levels_commit_the_latent_to_the_sum_so_far():
    quantizer = with_vectors(COARSE, FINE, kind=ResidualQuantizer, learning="gradient").eval()
    z = torch.randn(1, 4, 2, requires_grad=True)
    output = quantizer([z])
    sums = [quantizer.lookup(output.codes[..., : level + 1]).detach() for level in range(2)]
    expected = sum((z.detach() - vectors).square().mean() for vectors in sums)
    assert output.commitment.item() == pytest.approx(expected.item(), rel=1e-5)
    (output.commitment + output.codebook).backward()
    assert torch.allclose(z.grad, sum(2 * (z.detach() - vectors) / z.numel() for vectors in sums), atol=1e-6)
    # the first codebook is pulled towards the latent, not by what the second made of the rest
    first = torch.zeros(2, 2).index_add_(
        0, output.codes[..., 0].flatten(), (2 * (sums[0] - z.detach()) / z.numel()).flatten(0, 1)
    )
    assert torch.allclose(quantizer.codebooks[0].code_vectors.grad, first, atol=1e-6)


def test_rvq_rest_shrinks_level_by_level_in_training():
    quantizer = ResidualQuantizer([16, 16, 16], 4).train()
    z = torch.randn(4, 200, 4, generator=torch.Generator().manual_seed(0))
    codes = quantizer([z]).codes
    quantizer.update_codebooks()
    left = [(z - quantizer.lookup(codes[..., :levels])).square().mean().item() for levels in (1, 2, 3)]
    assert left == sorted(left, reverse=True)
    assert left[2] < 0.5 * left[0]


def test_rotation_turns_the_gradient_of_each_level():
    straight, turned = (
        with_vectors(COARSE, FINE, gradient=gradient).eval() for gradient in ("straight_through", "rotation")
    )
    taps = [torch.randn(1, 6, 2) + 3 for _ in range(2)]
    assert torch.equal(straight(taps).code_vectors, turned(taps).code_vectors)
    gradients = []
    for quantizer in (straight, turned):
        leaves = [tap.clone().requires_grad_() for tap in taps]
        quantizer(leaves).code_vectors[..., 0].sum().backward()
        gradients.append([leaf.grad for leaf in leaves])
    assert not torch.allclose(gradients[0][0], gradients[1][0])
    assert not torch.allclose(gradients[0][1], gradients[1][1])


def test_one_level_gives_its_code_vectors_without_a_change():
    quantizer = with_vectors(FINE).eval()
    output = quantizer([torch.randn(2, 7, 2)])
    assert torch.equal(output.code_vectors, quantizer.codebooks[0].lookup(output.codes[..., 0]))


def test_product_by_hand():
    quantizer = with_vectors(COARSE, FINE, kind=ProductQuantizer).eval()
    # M1 = 1 with e = (4, 0); M2 = 2 with e = (6, 2), nearest to Z2 itself; token = ((4, 0) + (6, 2)) / 2
    output = quantizer([torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[5.0, 2.0]]])])
    assert output.codes.tolist() == [[[1, 2]]]
    assert output.code_vectors.tolist() == [[[5.0, 1.0]]]
    # the levels' mean squared distances, (1 + 1) / 2 and (1 + 0) / 2, count half each
    assert output.commitment.item() == pytest.approx((1.0 + 0.5) / 2)
    assert quantizer.lookup(output.codes[..., :1]).tolist() == [[[4.0, 0.0]]]


def test_product_levels_know_nothing_of_each_other():
    quantizer = with_vectors(COARSE, FINE, kind=ProductQuantizer).eval()
    first, second, others = (torch.randn(2, 9, 2) * 4 for _ in range(3))
    codes = quantizer.encode([first, second])
    assert torch.equal(quantizer.encode([others, second])[..., 1], codes[..., 1])
    assert torch.equal(quantizer.encode([first, others])[..., 0], codes[..., 0])
    single = with_vectors(FINE).eval()
    assert torch.equal(single.encode([second])[..., 0], codes[..., 1])


def test_product_passes_each_latent_its_share_of_the_gradient_and_no_other_level_s():
    quantizer = with_vectors(COARSE, FINE, FINE, kind=ProductQuantizer, learning="gradient").eval()
    latents = [torch.randn(1, 4, 2, requires_grad=True) for _ in range(3)]
    output = quantizer(latents)
    output.code_vectors.sum().backward(retain_graph=True)
    assert all(torch.allclose(latent.grad, torch.full_like(latent, 1 / 3)) for latent in latents)
    assert all(book.code_vectors.grad is None for book in quantizer.codebooks)
    output.codebook.backward()
    for level, (latent, book) in enumerate(zip(latents, quantizer.codebooks, strict=True)):
        pull = 2 * (book.lookup(output.codes[..., level]) - latent).detach() / latent.numel() / 3
        expected = torch.zeros_like(book.code_vectors).index_add_(
            0, output.codes[..., level].flatten(), pull.flatten(0, 1)
        )
        assert torch.allclose(book.code_vectors.grad, expected, atol=1e-6)
