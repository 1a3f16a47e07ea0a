import pytest
import torch

from vqdna.vocabulary.quantizer import HierarchicalQuantizer


def with_vectors(*levels, **options):
    """Quantizer whose codebooks hold the given vectors."""
    quantizer = HierarchicalQuantizer([len(vectors) for vectors in levels], len(levels[0][0]), **options)
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
