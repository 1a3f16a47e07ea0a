"""Plain EMA-VQ against vector-quantize-pytorch, from the same codebook and statistics, over several updates."""

import pytest
import torch

from vqdna.vocabulary.quantizer import HierarchicalQuantizer

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
    book, library = ours.codebooks[0], theirs._codebook
    vectors = torch.randn(SIZE, WIDTH)
    counts = torch.rand(SIZE) * 5 + 1
    library.embed.data.copy_(vectors[None])
    library.cluster_size.data.copy_(counts[None])
    library.embed_avg.data.copy_((vectors * counts[:, None])[None])
    book.code_vectors.copy_(vectors)
    book.ema_counts.copy_(counts)
    book.ema_sums.copy_(vectors * counts[:, None])
    book.is_initialized.fill_(True)
    return ours.train(), theirs.train()


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
