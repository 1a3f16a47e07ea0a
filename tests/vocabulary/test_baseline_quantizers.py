"""What every quantizer keeps to, and what is each rival's own."""

import sys

import pytest
import torch
from torch import nn

from vqdna.errors import InputError
from vqdna.vocabulary.autoencoder import build_quantizer
from vqdna.vocabulary.baseline_quantizers import CosineQuantizer, FiniteScalarQuantizer, SimQuantizer, UnitCodebook
from vqdna.vocabulary.codebook import UntrainedCodebookError
from vqdna.vocabulary.configuration import QUANTIZERS, VQVAEConfig

OPTIONS = {
    "vq": {"level_sizes": (27,)},
    "hrq": {"level_sizes": (8, 16)},
    "product": {"level_sizes": (8, 16)},
    "rvq": {"level_sizes": (8, 16)},
    "fsq": {"level_sizes": (27,), "fsq_levels": (3, 3, 3)},
    "cosine": {"level_sizes": (27,), "code_dim": 4},
    "simvq": {"level_sizes": (27,), "codebook_learning": "gradient"},
}
WIDTH = 12
every_quantizer = pytest.mark.parametrize("name", QUANTIZERS)


def untrained(name, **options):
    torch.manual_seed(0)
    config = VQVAEConfig(quantizer=name, width=WIDTH, **{**OPTIONS[name], "codebook_decay": 0.8, **options})
    return build_quantizer(config)


def latents(rows=6, seed=0):
    """Two taps, around a few centers."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(40, WIDTH, generator=torch.Generator().manual_seed(9))
    return [
        centers[torch.randint(0, 40, (rows, 20), generator=generator)]
        + 0.1 * torch.randn(rows, 20, WIDTH, generator=generator)
        for _ in range(2)
    ]


def trained(name, **options):
    quantizer = untrained(name, **options).train()
    quantizer(latents())
    quantizer.update_codebooks()
    return quantizer.eval()


@every_quantizer
def test_an_untrained_quantizer_refuses_to_encode(name):
    quantizer = untrained(name)
    assert not quantizer.is_trained
    for ask in (quantizer.encode, quantizer.eval().encode, quantizer.eval()):
        with pytest.raises(UntrainedCodebookError):
            ask(latents())
    assert trained(name).is_trained


@every_quantizer
def test_codes_and_vectors_of_forward_are_those_of_encode_and_lookup(name):
    quantizer = trained(name)
    output = quantizer(latents(seed=1))
    assert output.codes.shape == (6, 20, len(quantizer.level_sizes))
    assert torch.equal(quantizer.encode(latents(seed=1)), output.codes)
    assert torch.equal(quantizer.lookup(output.codes), output.code_vectors)
    assert all(int(output.codes[..., level].max()) < size for level, size in enumerate(quantizer.level_sizes))


@every_quantizer
def test_the_code_table_holds_what_lookup_gives(name):
    quantizer = trained(name)
    for level, size in enumerate(quantizer.level_sizes):
        assert quantizer.code_table(level).shape == (size, WIDTH)
    table = quantizer.code_table(0)
    assert not table.requires_grad
    codes = torch.arange(len(table))[None, :, None]
    assert torch.allclose(quantizer.lookup(codes)[0], table, atol=1e-6)


@every_quantizer
def test_evaluation_takes_note_of_nothing(name):
    quantizer = trained(name)
    before = {key: value.clone() for key, value in quantizer.state_dict().items()}
    quantizer(latents(seed=2))
    quantizer.encode(latents(seed=2))
    quantizer.update_codebooks()
    assert all(torch.equal(before[key], value) for key, value in quantizer.state_dict().items())


@every_quantizer
def test_the_same_seed_gives_the_same_codes(name):
    assert torch.equal(trained(name).encode(latents(seed=3)), trained(name).encode(latents(seed=3)))


@every_quantizer
def test_a_state_dict_holds_all_that_codes_depend_on(name):
    quantizer, other = trained(name), untrained(name).eval()
    other.load_state_dict(quantizer.state_dict())
    assert torch.equal(other.encode(latents(seed=4)), quantizer.encode(latents(seed=4)))
    assert torch.equal(other.code_table(0), quantizer.code_table(0))


@every_quantizer
def test_autocast_changes_no_code(name):
    quantizer = trained(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = quantizer(latents(seed=5))
        assert torch.equal(quantizer.encode(latents(seed=5)), inside.codes)
    assert torch.equal(inside.codes, quantizer(latents(seed=5)).codes)
    assert inside.code_vectors.dtype == torch.float32


@every_quantizer
@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_the_taps_learn_from_the_token(name, gradient):
    if (name, gradient) == ("fsq", "rotation"):
        gradient = "straight_through"  # the only one it has
    quantizer = trained(name, gradient=gradient).train()
    taps = [latent.requires_grad_() for latent in latents()][: 2 if name in ("hrq", "product") else 1]
    quantizer(taps).code_vectors.square().sum().backward()
    assert all(torch.isfinite(tap.grad).all() and tap.grad.any() for tap in taps)


@pytest.mark.parametrize(
    ("name", "learning", "expected"),
    [
        ("vq", "ema", set()),
        ("vq", "gradient", {"codebooks.0.code_vectors"}),
        ("hrq", "gradient", {"codebooks.0.code_vectors", "codebooks.1.code_vectors"}),
        ("rvq", "ema", set()),
        ("rvq", "gradient", {"codebooks.0.code_vectors", "codebooks.1.code_vectors"}),
        ("cosine", "ema", set()),
        ("cosine", "gradient", {"codebooks.0.code_vectors"}),
        ("simvq", "gradient", {"library.code_transform.weight"}),
        ("fsq", "ema", set()),
    ],
)
def test_who_learns_from_the_codebook_loss(name, learning, expected):
    quantizer = trained(name, codebook_learning=learning).train()
    taps = [latent.requires_grad_() for latent in latents()]
    loss = quantizer(taps).codebook
    if loss.requires_grad:
        loss.backward()
    learned = {key for key, value in quantizer.named_parameters() if value.grad is not None and value.grad.any()}
    assert learned == expected
    assert all(tap.grad is None for tap in taps)
    assert (loss.item() > 0) == bool(expected)


@pytest.mark.parametrize(
    ("name", "maps"), [("fsq", {"narrow", "widen"}), ("cosine", {"narrow", "widen"}), ("simvq", {"library"})]
)
def test_linear_maps_of_a_rival_learn(name, maps):
    quantizer = trained(name).train()
    output = quantizer(latents())
    (output.code_vectors.square().sum() + output.codebook).backward()
    learned = {key for key, value in quantizer.named_parameters() if value.grad is not None and value.grad.any()}
    assert {key.split(".")[0] for key in learned} == maps


LEARNED = [(name, "ema", "straight_through") for name in QUANTIZERS if name != "simvq"] + [
    *((name, "gradient", "straight_through") for name in QUANTIZERS if name != "fsq"),
    *((name, "ema", "rotation") for name in ("vq", "hrq", "rvq", "cosine")),
    ("simvq", "gradient", "rotation"),
]


@pytest.mark.parametrize(("name", "learning", "gradient"), LEARNED)
def test_every_quantizer_learns_a_small_problem_and_uses_its_codes(name, learning, gradient):
    """40 clustered latents that a linear decoder must rebuild: the error falls and at least half the codes are used."""
    quantizer = untrained(name, codebook_learning=learning, gradient=gradient).train()
    encoders, decoder = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2)), nn.Linear(WIDTH, WIDTH)
    optimizer = torch.optim.AdamW([*quantizer.parameters(), *encoders.parameters(), *decoder.parameters()], lr=1e-2)
    errors = []
    for step in range(80):
        taps = latents(seed=step % 10)
        output = quantizer([encode(taps[1]) for encode in encoders])
        error = (decoder(output.code_vectors) - taps[1]).square().mean()
        (error + 0.25 * output.commitment + output.codebook).backward()
        optimizer.step()
        optimizer.zero_grad()
        quantizer.update_codebooks()
        errors.append(error.item())
    assert sum(errors[-10:]) < 0.75 * sum(errors[:10])
    codes = quantizer.eval().encode([encode(latents(30)[1]) for encode in encoders])
    for level, size in enumerate(quantizer.level_sizes):
        assert len(codes[..., level].unique()) >= size // 2


def test_a_gradient_trained_codebook_starts_from_the_latents_and_revives_dead_codes():
    quantizer = untrained("vq", codebook_learning="gradient", dead_code_threshold=1.0).train()
    quantizer(latents())
    quantizer.update_codebooks()
    book = quantizer.codebooks[0]
    with torch.no_grad():
        book.code_vectors[5] = 1e3
    seen = latents(seed=1)
    for _ in range(40):
        quantizer(seen)
        quantizer.update_codebooks()
    assert book.code_vectors[5].abs().max() < 10
    assert isinstance(book.code_vectors, nn.Parameter)


def test_unit_codes_keep_their_length_through_start_steps_and_revival():
    book = UnitCodebook(8, 4, decay=0.5, dead_code_threshold=1.0)
    for step in range(5):
        rows = nn.functional.normalize(torch.randn(50, 4, generator=torch.Generator().manual_seed(step)), dim=-1)
        book.initialize(rows)
        book.observe(rows, book.encode(rows))
        book.update()
        assert torch.allclose(book.code_vectors.norm(dim=-1), torch.ones(8), atol=1e-6)


def test_the_length_of_a_latent_is_nothing_to_cosine_codes():
    quantizer = trained("cosine")
    nn.init.zeros_(quantizer.narrow.bias)
    taps = latents(seed=1)
    assert torch.equal(quantizer.encode(taps), quantizer.encode([10 * tap for tap in taps]))


def test_fsq_starts_with_scalars_of_mean_0_and_deviation_1():
    quantizer = trained("fsq")
    scalars = quantizer.narrow(latents()[-1]).flatten(0, 1)
    assert torch.allclose(scalars.mean(dim=0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(scalars.std(dim=0, unbiased=False), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("name", ["fsq", "simvq", "cosine"])
def test_a_batch_cut_into_passes_starts_the_same_quantizer(name):
    whole, cut = untrained(name).train(), untrained(name).train()
    taps = latents()
    whole(taps)
    start = cut.codebooks[0] if name == "cosine" else cut
    start.gather()
    for part in range(3):
        cut([tap[2 * part : 2 * part + 2] for tap in taps])
    assert not cut.is_trained
    start.start()
    assert cut.is_trained
    assert torch.allclose(cut.code_table(0), whole.code_table(0), atol=1e-5)
    assert (cut.encode(taps) == whole.encode(taps)).float().mean() > 0.99


def test_simvq_starts_with_code_vectors_as_long_as_the_latents_and_its_random_vectors_stay():
    quantizer = trained("simvq")
    assert quantizer.code_table(0).square().mean() == pytest.approx(latents()[-1].square().mean().item(), rel=1e-4)
    assert not quantizer.library.frozen_codebook.requires_grad
    assert [key for key, _ in quantizer.named_parameters()] == ["library.code_transform.weight"]


@pytest.mark.parametrize("build", [lambda: FiniteScalarQuantizer((3, 3), WIDTH), lambda: SimQuantizer(8, WIDTH)])
def test_without_the_library_the_extra_is_named(build, monkeypatch):
    monkeypatch.setitem(sys.modules, "vector_quantize_pytorch", None)
    with pytest.raises(InputError, match=r'pip install "vqdna\[rivals\]"'):
        build()


def test_cosine_needs_no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "vector_quantize_pytorch", None)
    assert CosineQuantizer(8, WIDTH, code_dim=4).level_sizes == (8,)
