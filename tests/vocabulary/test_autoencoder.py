import copy
import inspect
import json

import pytest
import torch

from vqdna.config import configs_folder, load_config
from vqdna.errors import InputError
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.training.gradient_accumulation import share_losses
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig, quantize_bases, reconstruction_loss
from vqdna.vocabulary.codebook import UntrainedCodebookError
from vqdna.vocabulary.configuration import FORMAT_VERSION, QUANTIZERS, VocabularySettings
from vqdna.vocabulary.convolution import convolve
from vqdna.vocabulary.evaluation import code_map, evaluate_vocabulary
from vqdna.vocabulary.train import VocabularyConfig, build_vocabulary

SMALL = {"width": 16, "stem_width": 12, "level_sizes": (8, 16)}

OF_QUANTIZER = {
    "vq": {"level_sizes": (27,)},
    "hrq": {"level_sizes": (8, 16)},
    "product": {"level_sizes": (8, 16)},
    "rvq": {"level_sizes": (8, 16)},
    "fsq": {"level_sizes": (27,), "fsq_levels": (3, 3, 3)},
    "cosine": {"level_sizes": (27,), "code_dim": 4},
    "simvq": {"level_sizes": (27,), "codebook_learning": "gradient"},
}
VIEWS = {"quantizer": "product", "views": ((-1, 0, 1), (-3, 0, 2))}
EVERYTHING = {
    **VIEWS, "decoder": "pointwise", "target_reach": 2, "strand_weight": 0.5, "neighbor_weight": 0.3,
    "neighbor_bases": 8, "codebook_learning": "gradient",
}  # fmt: skip
every_quantizer = pytest.mark.parametrize(
    "options", [{"quantizer": n, **OF_QUANTIZER[n]} for n in QUANTIZERS], ids=QUANTIZERS
)


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
    assert output.strand == output.neighbor == output.codebook == 0


def test_every_asked_for_term_has_its_weight_in_the_loss():
    weights = {"reconstruction": 1.0, "commitment": 0.25, "codebook": 2.0, "strand": 0.5, "neighbor": 0.3}
    output = trained(**{**EVERYTHING, "commitment_weight": 0.25, "codebook_weight": 2.0})(bases())
    assert all(output[name] > 0 for name in weights)
    expected = sum(weight * output[name].item() for name, weight in weights.items())
    assert output.loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [{"codebook_learning": "gradient"}, EVERYTHING], ids=["hrq", "everything"])
def test_shares_make_the_losses_of_uneven_passes_those_of_the_joint_batch(options):
    model = trained(**options)
    whole = bases(5)
    whole[4, 10:] = 4
    batches = [{"base_ids": part, "hidden_bases": part == 1} for part in whole.split([4, 1])]
    expected = model(whole, hidden_bases=whole == 1)
    passes = share_losses(model, batches, torch.device("cpu"))
    found, total = dict.fromkeys(passes[0]["loss_shares"], 0.0), 0.0
    for batch in passes:
        output = model(**batch)
        total += output.loss.item() / len(passes)
        found = {name: value + output[name].item() / len(passes) for name, value in found.items()}
    assert total == pytest.approx(expected.loss.item(), rel=1e-5)
    assert found == pytest.approx({name: expected[name].item() for name in found}, rel=1e-5)


def test_gradient_trained_codebook_adds_its_loss_and_gets_a_gradient():
    model = VQVAE(VQVAEConfig(**SMALL, codebook_learning="gradient"))
    output = model(bases())
    output.loss.backward()
    assert output.codebook > 0
    assert all(book.code_vectors.grad.abs().sum() > 0 for book in model.quantizer.codebooks)


@pytest.mark.parametrize(
    "options",
    [*({"quantizer": name, **OF_QUANTIZER[name]} for name in QUANTIZERS), VIEWS, EVERYTHING],
    ids=[*QUANTIZERS, "views", "everything"],
)
def test_every_parameter_learns(options):
    model = VQVAE(VQVAEConfig(**{**SMALL, **options}))
    model(bases()).loss.backward()
    silent = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []


@pytest.mark.parametrize(
    "options",
    [
        *({"quantizer": name, **OF_QUANTIZER[name]} for name in QUANTIZERS),
        {"codebook_learning": "gradient"},
        {"feed": "quantized"},
        {"gradient": "rotation"},
        {"shared_strands": (True, False)},
        {"decoder": "pointwise", "target_reach": 3},
        {"neighbor_weight": 1.0, "strand_weight": 1.0, "masked_base_fraction": 0.1},
        EVERYTHING,
    ],
    ids=str,
)
def test_saved_directory_gives_the_same_codes(options, tmp_path):
    model = trained(**options)
    model.save_pretrained(tmp_path)
    loaded = VQVAE.from_pretrained(tmp_path).eval()
    codes = model.encode(bases())
    assert torch.equal(loaded.encode(bases()), codes)
    assert torch.equal(loaded.decode(codes), model.decode(codes))
    tokenizer = VqTokenizer.from_directory(tmp_path)
    exact = copy.deepcopy(model).double().encode(bases()) if tokenizer.is_compilable else codes
    assert torch.equal(tokenizer.encode(bases()).codes, exact)
    assert torch.equal(
        tokenizer.code_vectors(codes),
        quantize_bases(model.latent_encoder, model.quantizer, bases(), feed=model.config.feed).code_vectors,
    )


@every_quantizer
def test_an_untrained_vocabulary_refuses_to_encode(options, tmp_path):
    model = VQVAE(VQVAEConfig(**{**SMALL, **options}))
    with pytest.raises(UntrainedCodebookError):
        model.encode(bases())
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="never trained"):
        VqTokenizer.from_directory(tmp_path)


@every_quantizer
def test_a_vocabulary_in_bfloat16_still_encodes(options):
    model = trained(**options)
    codes = model.encode(bases(4))
    agreement = (model.to(torch.bfloat16).encode(bases(4)) == codes).float().mean()
    assert agreement > 0.5


@every_quantizer
def test_codes_of_every_quantizer_are_counted_and_mapped(options):
    model = trained(**options)
    evaluation, statistics = evaluate_vocabulary(model, bases(4))
    assert [level.size for level in evaluation.levels] == list(model.config.level_sizes)
    assert len(code_map(model, statistics)) == sum(int((level.counts > 0).sum()) for level in statistics)


def changed_directory(folder, change):
    """A saved vocabulary whose config.json went through `change`."""
    trained().save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text())
    change(settings)
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def test_a_directory_of_another_version_is_refused_with_file_and_key(tmp_path):
    folder = changed_directory(tmp_path, lambda settings: settings.update(format_version=FORMAT_VERSION + 1))
    with pytest.raises(InputError, match=r"config\.json: format_version: got 2, this version reads 1"):
        VqTokenizer.from_directory(folder)


def test_a_directory_from_before_the_rivals_still_gives_its_codes(tmp_path):
    def to_old(settings):
        later = ("gradient", "feed", "code_dim", "fsq_levels", "views", "shared_strands", "decoder", "target_reach")
        for key in (*later, "masked_base_fraction", "masked_base_span", "strand_weight", "neighbor_weight"):
            del settings[key]
        del settings["neighbor_bases"], settings["codebook_warm_up_decay"]

    loaded = VQVAE.from_pretrained(changed_directory(tmp_path, to_old)).eval()
    assert torch.equal(loaded.encode(bases()), trained().encode(bases()))
    assert (loaded.config.gradient, loaded.config.feed) == ("straight_through", "continuous")


def test_settings_and_the_models_own_configuration_have_the_same_keys_and_defaults():
    settings = VocabularySettings(quantizer="hrq", level_sizes=(1024, 2048)).model_dump()
    assert VQVAEConfig(**settings).to_dict() == VQVAEConfig().to_dict()
    for key in settings:
        assert hasattr(VQVAEConfig(), key), key
    own = set(inspect.signature(VQVAEConfig.__init__).parameters) - {"self", "kwargs"}
    assert own - set(settings) == {"codebook_seed", "format_version"}


def test_a_mistyped_quantizer_is_answered_with_the_nearest_name():
    with pytest.raises(InputError, match=r"model\.quantizer: expected one of .*; did you mean 'rvq'\?"):
        load_config(VocabularyConfig, "cpu", "vocabulary", ["model.quantizer=rvqq"])
    with pytest.raises(InputError, match=r"quantizer: got 'cosin'.*; did you mean 'cosine'"):
        VQVAEConfig(quantizer="cosin")


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
        ({"quantizer": "rvq", "level_sizes": (8,)}, "level_sizes: rvq has two levels"),
        ({"quantizer": "rvq", "taps": (3, 6)}, "taps: rvq reads the last block"),
        ({"quantizer": "simvq", "level_sizes": (8, 16)}, "level_sizes: simvq has one level"),
        ({"quantizer": "simvq", "level_sizes": (8,)}, "codebook_learning: simvq"),
        ({"quantizer": "fsq", "level_sizes": (8,)}, "fsq_levels: fsq needs"),
        ({"quantizer": "fsq", "level_sizes": (8,), "fsq_levels": (3, 3)}, r"fsq_levels: \[3, 3\] makes 9 codes"),
        ({"quantizer": "fsq", "level_sizes": (8,), "fsq_levels": (2, 4)}, "fsq_levels: expected at least 3"),
        ({"quantizer": "fsq", "level_sizes": (9,), "fsq_levels": (3, 3), "gradient": "rotation"}, "gradient: fsq"),
        (
            {"quantizer": "fsq", "level_sizes": (9,), "fsq_levels": (3, 3), "codebook_learning": "gradient"},
            "codebook_learning: fsq",
        ),
        ({"fsq_levels": (8, 2)}, "fsq_levels: only fsq"),
        ({"code_dim": 4}, "code_dim: only the cosine"),
        ({"quantizer": "cosine", "level_sizes": (8,), "code_dim": 17}, "code_dim: expected 2 to width 16"),
        ({"quantizer": "vq", "level_sizes": (8,), "feed": "quantized"}, "feed: quantized is for hrq"),
        ({"feed": "quantised"}, "feed: got 'quantised'.*did you mean 'quantized'"),
        ({"gradient": "rotate"}, "gradient: got 'rotate'.*did you mean 'rotation'"),
        ({"quantizer": "product", "level_sizes": (8,)}, "level_sizes: product has two levels"),
        ({"quantizer": "product", "feed": "quantized"}, "feed: quantized is for hrq, the quantizer is product"),
        ({"views": ((0,),)}, "views: expected 2, one per level, got 1"),
        ({"views": ()}, "views: expected 2, one per level, got 0"),
        ({"views": ((0,), ())}, "views: expected ascending offsets"),
        ({"views": ((0,), (1, 0))}, "views: expected ascending offsets"),
        ({"views": ((0,), (1, 1))}, "views: expected ascending offsets"),
        ({"views": ((0,), (1,)), "bases_per_position": 3}, "views: bases_per_position is 1"),
        ({"views": ((0,), (1,)), "feed": "quantized"}, "feed: views feed no block"),
        ({"shared_strands": (True,)}, r"shared_strands: expected 2, one per level, got \[True\]"),
        ({"shared_strands": True, "bases_per_position": 3}, "shared_strands, strand_weight: need bases_per_position 1"),
        ({"strand_weight": 1.0, "bases_per_position": 3}, "shared_strands, strand_weight: need bases_per_position 1"),
        ({"strand_weight": 1.0, "stem_kernel_size": 4}, "shared_strands, strand_weight: need an odd stem_kernel_size"),
        ({"shared_strands": True, "feed": "quantized"}, "feed: quantized does not go with shared_strands"),
        ({"strand_weight": 1.0, "feed": "quantized"}, "feed: quantized does not go with strand_weight"),
        (
            {"views": ((-1, 0, 1), (0, 1)), "shared_strands": True},
            r"shared_strands: a shared view mirrors itself around 0, got \[\[0, 1\]\]",
        ),
        ({"decoder": "point"}, "decoder: got 'point'.*did you mean 'pointwise'"),
        ({"target_reach": 3}, "target_reach: 3 is for the pointwise decoder, the decoder is mirror"),
        ({"target_reach": -1, "decoder": "pointwise"}, "target_reach: expected 0 or more bases, got -1"),
        ({"masked_base_fraction": 1.0}, "masked_base_fraction: expected from 0 to below 1, got 1.0"),
        ({"masked_base_span": 0}, "masked_base_span: expected 1 base or more, got 0"),
        (
            {"neighbor_weight": 1.0, "neighbor_bases": 64, "bases_per_position": 3},
            "neighbor_bases: expected a multiple of bases_per_position 3, 4 or more, got 64",
        ),
        ({"neighbor_weight": 1.0, "neighbor_bases": 3}, "neighbor_bases: expected a multiple .* 4 or more, got 3"),
        ({"codebook_learning": "emma"}, "codebook_learning: got 'emma'.*did you mean 'ema'"),
    ],
)
def test_contradicting_sizes_are_refused_by_name(options, key):
    with pytest.raises(InputError, match=key) as refused:
        VQVAEConfig(**{**SMALL, **options})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("decoder=points", "model.decoder"),
        ("target_reach=-1", "model.target_reach"),
        ("masked_base_fraction=1", "model.masked_base_fraction"),
        ("masked_base_span=0", "model.masked_base_span"),
        ("strand_weight=-1", "model.strand_weight"),
        ("neighbor_weight=-0.1", "model.neighbor_weight"),
        ("neighbor_bases=2", "model.neighbor_bases"),
        ("views=[[0.5]]", "model.views"),
        ("codebook_warm_up_decay=often", "model.codebook_warm_up_decay"),
        ("target_reech=1", "target_reech.*did you mean 'target_reach'"),
    ],
)
def test_values_out_of_range_are_refused_where_the_configuration_is_read(override, key):
    with pytest.raises(InputError, match=key):
        load_config(VocabularyConfig, "cpu", "vocabulary", [f"model.{override}"])


@pytest.mark.parametrize("name", [path.stem for path in (configs_folder() / "vocabulary").glob("[!_]*.yaml")])
def test_every_configuration_builds_its_vocabulary(name):
    settings = load_config(VocabularyConfig, name, "vocabulary").model
    assert VQVAEConfig(**settings.model_dump()).level_sizes == list(settings.level_sizes)
