import pytest
import torch

from vqdna.config import load_config
from vqdna.errors import InputError
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig, reconstruction_loss
from vqdna.vocabulary.codebook import UntrainedCodebookError
from vqdna.vocabulary.convolution import convolve
from vqdna.vocabulary.train import VocabularyConfig, build_vocabulary

SMALL = {"width": 16, "stem_width": 12, "level_sizes": (8, 16)}


def bases(rows=2, length=60, seed=0):
    return torch.randint(0, 4, (rows, length), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def trained(**options):
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(**{**SMALL, **options}))
    model(bases(8, 96))
    model.update_codebooks()
    return model.eval()


@pytest.mark.parametrize(("name", "millions"), [("paper_vq", 16), ("paper_hrq", 17)])
def test_paper_presets_have_the_papers_parameters(name, millions):
    model = build_vocabulary(load_config(VocabularyConfig, name, "vocabulary").model, seed=0)
    code_vectors = sum(book.code_vectors.numel() for book in model.quantizer.codebooks)
    total = sum(parameter.numel() for parameter in model.parameters()) + code_vectors
    assert abs(total / 1e6 - millions) < 0.5
    assert model.config.context_bases == 20  # a receptive field of 41 bases


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("length", [60, 61, 64])
def test_shapes_and_spans_of_each_stride(stride, length):
    model = trained(bases_per_position=stride)
    codes = model.encode(bases(2, length))
    assert codes.shape == (2, -(-length // stride), 2)
    assert model.decode(codes).shape == (2, codes.shape[1] * stride, 4)
    assert model(bases(2, length)).logits.shape == (2, length, 4)
    assert codes[..., 0].max() < 8
    assert codes[..., 1].max() < 16


@pytest.mark.parametrize("stride", [1, 3])
def test_a_code_depends_on_its_receptive_field_and_on_nothing_else(stride):
    model = trained(bases_per_position=stride, num_blocks=2, level_sizes=(8,), quantizer="vq")
    context, middle = model.config.context_bases, 30
    sequence = bases(1, 63)
    position = middle // stride
    span = range(position * stride, (position + 1) * stride)

    def latent(ids):
        return model.latent_encoder(ids)[-1][0, position]

    reference = latent(sequence)
    for base in range(63):
        changed = sequence.clone()
        changed[0, base] = (changed[0, base] + 1) % 4
        if base < span[0] - context or base > span[-1] + context:
            assert torch.equal(latent(changed), reference)
        elif (
            span[0] - context < base < span[-1] + context
        ):  # the outermost bases are shared out unevenly at stride 2 and 4
            assert not torch.equal(latent(changed), reference)


@pytest.mark.parametrize("stride", [1, 3])
def test_padding_changes_no_code_and_no_loss(stride):
    model = trained(bases_per_position=stride)
    sequence = bases(1, 30)
    padded = torch.nn.functional.pad(sequence, (0, 33), value=2)
    mask = torch.arange(63)[None] < 30
    assert torch.equal(model.encode(padded, mask)[:, : 30 // stride], model.encode(sequence))
    assert model(padded, mask).reconstruction.item() == pytest.approx(model(sequence).reconstruction.item(), rel=1e-4)


def test_unknown_bases_are_left_out_of_the_loss():
    logits = torch.zeros(1, 3, 4)
    logits[0, 0, 1] = 100.0  # right
    logits[0, 1, 1] = 100.0  # an N: whatever is predicted costs nothing
    loss = reconstruction_loss(logits, torch.tensor([[1, 4, 2]], dtype=torch.uint8), torch.ones(1, 3, dtype=torch.bool))
    assert loss.item() == pytest.approx(torch.tensor(4.0).log().item() / 2, abs=1e-5)


def test_all_unknown_window_has_a_loss_of_zero_not_nan():
    model = trained()
    assert model(torch.full((1, 40), 4, dtype=torch.uint8)).reconstruction.item() == 0


def test_loss_is_the_weighted_sum_of_its_terms():
    model = trained(commitment_weight=0.25)
    output = model(bases())
    assert output.loss.item() == pytest.approx(output.reconstruction.item() + 0.25 * output.commitment.item(), rel=1e-5)


def test_gradient_trained_codebook_adds_its_loss_and_gets_a_gradient():
    model = VQVAE(VQVAEConfig(**SMALL, codebook_learning="gradient"))
    output = model(bases())
    output.loss.backward()
    assert output.codebook > 0
    assert all(book.code_vectors.grad.abs().sum() > 0 for book in model.quantizer.codebooks)


def test_every_parameter_learns():
    model = VQVAE(VQVAEConfig(**SMALL))
    model(bases()).loss.backward()
    silent = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []


def test_saved_directory_gives_the_same_codes(tmp_path):
    model = trained()
    model.save_pretrained(tmp_path)
    loaded = VQVAE.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded.encode(bases()), model.encode(bases()))
    assert torch.equal(loaded.decode(model.encode(bases())), model.decode(model.encode(bases())))


def test_an_untrained_vocabulary_refuses_to_encode():
    with pytest.raises(UntrainedCodebookError):
        VQVAE(VQVAEConfig(**SMALL)).encode(bases())


def test_fast_convolution_is_the_plain_one():
    plain = torch.nn.Conv1d(6, 6, 7, padding=3, groups=6)
    features = torch.randn(2, 20, 6)
    assert torch.allclose(convolve(features, plain), plain(features.transpose(1, 2)).transpose(1, 2), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"quantizer": "vq", "level_sizes": (8, 16)}, "level_sizes"),
        ({"quantizer": "hrq", "level_sizes": (8,)}, "level_sizes"),
        ({"quantizer": "rvqq"}, "quantizer"),
        ({"taps": (6, 3)}, "taps"),
        ({"taps": (2, 5)}, "taps"),
        ({"taps": (6,)}, "taps"),
        ({"bases_per_position": 6}, "stem_kernel_size"),
        ({"kernel_size": 4}, "kernel_size"),
        ({"codebook_decay": 1.0}, "codebook_decay"),
        ({"format_version": 99}, "format_version"),
    ],
)
def test_contradicting_sizes_are_refused_by_name(options, key):
    with pytest.raises(InputError, match=key):
        VQVAEConfig(**{**SMALL, **options})
