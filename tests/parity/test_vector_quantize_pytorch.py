"""Our quantizers against vector-quantize-pytorch, from the same codebooks and statistics, over several updates."""

import pytest
import torch

from vqdna.vocabulary.baseline_quantizers import CosineQuantizer, FiniteScalarQuantizer, SimQuantizer
from vqdna.vocabulary.gradients import straight_through
from vqdna.vocabulary.quantizer import HierarchicalQuantizer, ResidualQuantizer

reference_package = pytest.importorskip("vector_quantize_pytorch")

SIZE, WIDTH, DECAY = 32, 12, 0.9


@pytest.fixture
def pair():
    """Our quantizer and the library's, holding the same code vectors and EMA statistics."""
    theirs = reference_package.VectorQuantize(
        dim=WIDTH, codebook_size=SIZE, decay=DECAY, commitment_weight=1.0, rotation_trick=False,
        threshold_ema_dead_code=0, kmeans_init=False, eps=1e-5,
    )  # fmt: skip
    ours = HierarchicalQuantizer([SIZE], WIDTH, decay=DECAY, dead_code_threshold=0.0)
    same_codes(ours.codebooks[0], theirs._codebook, torch.randn(SIZE, WIDTH))
    return ours.train(), theirs.train()


def same_codes(book, library, vectors):
    """Gives both codebooks the same vectors, counts and sums."""
    counts = torch.rand(len(vectors)) * 5 + 1
    library.embed.data.copy_(vectors[None])
    library.cluster_size.data.copy_(counts[None])
    library.embed_avg.data.copy_((vectors * counts[:, None])[None])
    library.initted.fill_(True)
    book.code_vectors.copy_(vectors)
    book.ema_counts.copy_(counts)
    book.ema_sums.copy_(vectors * counts[:, None])
    book.is_initialized.fill_(True)


def test_codes_losses_and_codebooks_agree_over_five_steps(pair):
    ours, theirs = pair
    for _ in range(5):
        latents = torch.randn(4, 25, WIDTH)
        output = ours([latents])
        their_vectors, their_codes, their_loss = theirs(latents)
        ours.update_codebooks()
        assert torch.equal(output.codes[..., 0], their_codes)
        assert torch.allclose(output.code_vectors, their_vectors, atol=1e-5)
        assert torch.allclose(output.commitment, their_loss.sum(), rtol=1e-5)
        assert torch.allclose(ours.codebooks[0].ema_counts, theirs._codebook.cluster_size[0], rtol=1e-5)
        assert torch.allclose(ours.codebooks[0].code_vectors, theirs._codebook.embed[0], atol=1e-5)


def test_straight_through_gradients_agree(pair):
    ours, theirs = pair
    latents = torch.randn(2, 9, WIDTH)
    weights = torch.randn(2, 9, WIDTH)
    gradients = []
    for quantize in (lambda z: ours([z]), lambda z: theirs(z)):
        z = latents.clone().requires_grad_()
        output = quantize(z)
        vectors, loss = (
            (output.code_vectors, output.commitment) if hasattr(output, "codes") else (output[0], output[2].sum())
        )
        ((vectors * weights).sum() + loss).backward()
        gradients.append(z.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-5)


def test_residual_quantizer_agrees_over_five_steps():
    """Codes, token, losses and codebooks; not the token's gradient, which the library passes once for every level."""
    theirs = reference_package.ResidualVQ(
        dim=WIDTH, codebook_size=(16, SIZE), num_quantizers=2, decay=DECAY, commitment_weight=1.0, rotation_trick=False,
        threshold_ema_dead_code=0, kmeans_init=False, eps=1e-5,
    )  # fmt: skip
    ours = ResidualQuantizer([16, SIZE], WIDTH, decay=DECAY, dead_code_threshold=0.0)
    for book, layer in zip(ours.codebooks, theirs.layers, strict=True):
        same_codes(book, layer._codebook, torch.randn(book.size, WIDTH))
    for _ in range(5):
        latents = torch.randn(4, 25, WIDTH)
        output = ours.train()([latents])
        vectors, codes, losses = theirs.train()(latents)
        ours.update_codebooks()
        assert torch.equal(output.codes, codes)
        assert torch.allclose(output.code_vectors, vectors, atol=1e-5)
        assert torch.allclose(output.commitment, losses.sum(), rtol=1e-5)
        for book, layer in zip(ours.codebooks, theirs.layers, strict=True):
            assert torch.allclose(book.code_vectors, layer._codebook.embed[0], atol=1e-5)


def test_cosine_quantizer_agrees_over_five_steps():
    theirs = reference_package.VectorQuantize(
        dim=WIDTH, codebook_size=SIZE, codebook_dim=4, use_cosine_sim=True, decay=DECAY, commitment_weight=1.0,
        rotation_trick=False, threshold_ema_dead_code=0, kmeans_init=False, eps=1e-5,
    )  # fmt: skip
    ours = CosineQuantizer(SIZE, WIDTH, code_dim=4, decay=DECAY, dead_code_threshold=0.0)
    same_codes(ours.codebooks[0], theirs._codebook, torch.nn.functional.normalize(torch.randn(SIZE, 4), dim=-1))
    ours.narrow.load_state_dict(theirs.project_in.state_dict())
    ours.widen.load_state_dict(theirs.project_out.state_dict())
    for _ in range(5):
        latents = torch.randn(4, 25, WIDTH)
        output = ours.train()([latents])
        vectors, codes, loss = theirs.train()(latents)
        ours.update_codebooks()
        assert torch.equal(output.codes[..., 0], codes)
        assert torch.allclose(output.code_vectors, vectors, atol=1e-5)
        assert torch.allclose(output.commitment, loss.sum(), rtol=1e-5)
        assert torch.allclose(ours.codebooks[0].code_vectors, theirs._codebook.embed[0], atol=1e-5)


def test_finite_scalars_agree():
    theirs = reference_package.FSQ(levels=[8, 5, 3], dim=WIDTH)
    ours = FiniteScalarQuantizer([8, 5, 3], WIDTH)
    ours.narrow.load_state_dict(theirs.project_in.state_dict())
    ours.widen.load_state_dict(theirs.project_out.state_dict())
    ours.is_initialized.fill_(True)
    gradients = []
    latents = 3 * torch.randn(4, 25, WIDTH)
    for quantize in (ours, theirs):
        z = latents.clone().requires_grad_()
        output = quantize([z]) if quantize is ours else quantize(z)
        vectors, codes = (output.code_vectors, output.codes[..., 0]) if quantize is ours else output
        vectors.square().sum().backward()
        gradients.append((codes, vectors, z.grad))
    (our_codes, our_vectors, our_grad), (codes, vectors, grad) = gradients
    assert torch.equal(our_codes, codes.long())
    assert torch.allclose(our_vectors, vectors, atol=1e-6)
    assert torch.allclose(our_grad, grad, atol=1e-6)
    assert len(our_codes.unique()) > 40


@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_simvq_agrees(gradient):
    theirs = reference_package.SimVQ(dim=WIDTH, codebook_size=SIZE, rotation_trick=gradient == "rotation")
    ours = SimQuantizer(SIZE, WIDTH, gradient=gradient)
    ours.library.load_state_dict(theirs.state_dict())
    ours.is_initialized.fill_(True)
    latents, found = torch.randn(4, 25, WIDTH), []
    for quantizer in (ours, theirs):
        z = latents.clone().requires_grad_()
        if quantizer is ours:
            output = quantizer([z])
            vectors, codes = output.code_vectors, output.codes[..., 0]
            loss = output.codebook + 0.25 * output.commitment
        else:
            vectors, codes, loss = quantizer(z)
        (vectors.sum() + loss).backward()
        matrix = quantizer.library if quantizer is ours else quantizer
        found.append((codes, vectors, loss, z.grad, matrix.code_transform.weight.grad))
    assert torch.equal(found[0][0], found[1][0])
    for mine, other in zip(found[0][1:], found[1][1:], strict=True):
        assert torch.allclose(mine, other, atol=1e-5)


def test_the_rotated_gradient_agrees():
    from vector_quantize_pytorch.vector_quantize_pytorch import rotate_to

    latents, chosen, weights = torch.randn(3, 50, WIDTH)
    gradients = []
    for rotate in (lambda z: straight_through(z, chosen, "rotation").vectors, lambda z: rotate_to(z, chosen)):
        z = latents.clone().requires_grad_()
        vectors = rotate(z)
        assert torch.allclose(vectors, chosen, atol=1e-5)
        (vectors * weights).sum().backward()
        gradients.append(z.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-4)
