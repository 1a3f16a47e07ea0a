import pytest
import torch

from vqdna.vocabulary.gradients import rotated_gradient, straight_through


def pair(width=5, rows=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, width, generator=generator, requires_grad=True) for _ in range(2)]


@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_the_vectors_are_the_chosen_ones_to_the_bit(gradient):
    latents, chosen = pair()
    passed = straight_through(latents, chosen, gradient)
    assert torch.equal(passed.vectors, chosen)
    assert passed.commitment.item() == pytest.approx((latents - chosen).square().mean().item(), rel=1e-5)
    assert passed.codebook.item() == passed.commitment.item()


def test_each_term_teaches_its_own_side():
    latents, chosen = pair()
    slope = 2 * (latents - chosen).detach() / latents.numel()
    for term, of_latents, of_chosen in (
        ("vectors", torch.ones_like(latents), None),
        ("commitment", slope, None),
        ("codebook", None, -slope),
    ):
        gradients = torch.autograd.grad(
            getattr(straight_through(latents, chosen), term).sum(), (latents, chosen), allow_unused=True
        )
        for found, expected in zip(gradients, (of_latents, of_chosen), strict=True):
            assert (found is None or not found.any()) if expected is None else torch.allclose(found, expected)


def test_gradients_of_all_terms_together_are_those_of_the_plain_formulas():
    latents, chosen = pair()
    weights = torch.randn(latents.shape)
    passed = straight_through(latents, chosen)
    (2 * (passed.vectors * weights).sum() + 3 * passed.commitment + 5 * passed.codebook).backward()
    found = latents.grad.clone(), chosen.grad.clone()
    latents.grad = chosen.grad = None
    vectors = latents + (chosen - latents).detach()
    commitment = torch.nn.functional.mse_loss(latents, chosen.detach())
    codebook = torch.nn.functional.mse_loss(chosen, latents.detach())
    (2 * (vectors * weights).sum() + 3 * commitment + 5 * codebook).backward()
    assert torch.allclose(found[0], latents.grad, atol=1e-6)
    assert torch.allclose(found[1], chosen.grad, atol=1e-6)


def rotation_matrix(latent, chosen):
    """The turn in the plane of both vectors by the angle between them, written out in an orthonormal basis."""
    first = latent / latent.norm()
    goal = chosen / chosen.norm()
    cosine = first @ goal
    second = goal - cosine * first
    second = second / second.norm()
    sine = (1 - cosine.square()).sqrt()
    plane = torch.stack([first, second], dim=1)
    turn = torch.stack([torch.stack([cosine, -sine]), torch.stack([sine, cosine])])
    return torch.eye(len(latent)) + plane @ (turn - torch.eye(2)) @ plane.T


def test_rotation_by_its_definition():
    latents, chosen = (vectors.detach() for vectors in pair(width=4))
    gradient = torch.randn(latents.shape)
    found = rotated_gradient(gradient, latents, chosen)
    for row in range(len(latents)):
        turn = rotation_matrix(latents[row], chosen[row]) * (chosen[row].norm() / latents[row].norm())
        assert torch.allclose(turn @ latents[row], chosen[row], atol=1e-5)  # it does bring the one onto the other
        assert torch.allclose(found[row], turn.T @ gradient[row], atol=1e-4)


def test_rotation_keeps_the_angle_between_gradient_and_vector():
    latents, chosen = (vectors.detach() for vectors in pair())
    gradient = torch.randn(latents.shape)
    found = rotated_gradient(gradient, latents, chosen)
    assert torch.allclose(
        torch.cosine_similarity(found, latents, dim=-1), torch.cosine_similarity(gradient, chosen, dim=-1), atol=1e-5
    )


@pytest.mark.parametrize(
    ("latent", "chosen"),
    [
        ([0.0, 0.0], [1.0, 0.0]),
        ([1.0, 0.0], [0.0, 0.0]),
        ([1.0, 0.0], [-1.0, 0.0]),
        ([1e-30, 0.0], [1.0, 0.0]),
        ([1e6, 0.0], [1e6, 1.0]),
        ([0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_rotation_stays_finite_where_it_has_no_direction(latent, chosen):
    found = rotated_gradient(torch.ones(1, 2), torch.tensor([latent]), torch.tensor([chosen]))
    assert torch.isfinite(found).all()
    assert found.abs().max() < 10


def test_a_latent_without_length_gets_the_gradient_as_it_is():
    assert torch.equal(rotated_gradient(torch.ones(1, 3), torch.zeros(1, 3), torch.ones(1, 3)), torch.ones(1, 3))
