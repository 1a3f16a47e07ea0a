"""Codes by look-up are those of the latent encoder and the quantizer in double precision, for every row."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqdna.errors import InputError
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary import compiled as compiled_module
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig
from vqdna.vocabulary.compiled import TILE, CompiledVocabulary, KnownTable
from vqdna.vocabulary.exact_codes import ExactCodes, Extraction, de_bruijn, look_up, position_sets

SHAPE = {"quantizer": "product", "level_sizes": [40, 8], "width": 8, "stem_width": 16, "decoder": "pointwise"}
VIEWS = {"views": [[-2, -1, 0, 1, 2], [-3, 0, 3]], "shared_strands": [True, False]}
CONVOLUTIONS = {"level_sizes": [12, 20], "width": 8, "stem_width": 8, "num_blocks": 2, "kernel_size": 3}


def trained(**options):
    """A small vocabulary that has seen one batch."""
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(**options)).train()
    model(torch.randint(0, 4, (8, 120), dtype=torch.uint8))
    model.update_codebooks()
    return model.eval()


def views(**options):
    return trained(**{**SHAPE, **VIEWS, **options})


VOCABULARIES = {
    "short views": lambda: views(),
    "a long view": lambda: views(views=[[-2, -1, 0, 1, 2], list(range(-4, 5))]),
    "scattered": lambda: views(views=[[-7, -5, -3, 0, 2, 4], [-1, 9]], shared_strands=False),
    "hrq": lambda: trained(**CONVOLUTIONS),
    "hrq, fed with codes": lambda: trained(**CONVOLUTIONS, feed="quantized"),
    "vq, even stem": lambda: trained(**{**CONVOLUTIONS, "quantizer": "vq", "level_sizes": [16], "stem_kernel_size": 4}),
    "both strands": lambda: trained(**CONVOLUTIONS, shared_strands=[True, False]),
    "rvq": lambda: trained(**CONVOLUTIONS, quantizer="rvq"),
}


@pytest.fixture(scope="module", params=VOCABULARIES)
def vocabulary(request):
    return VOCABULARIES[request.param]()


def tables_of(model, *known):
    return CompiledVocabulary(model.config, model.latent_encoder, model.quantizer, known)


def worked_out(model, row):
    """The slow twin: the model itself in double precision, one row at a time."""
    return copy.deepcopy(model).double().encode(torch.from_numpy(row)[None])[0].numpy()


def row_with_unknown(rng, length):
    """Bases with single Ns and runs of them, some at the ends."""
    row = rng.integers(0, 4, length).astype(np.uint8)
    for _ in range(rng.integers(0, 4)):
        start = rng.integers(-3, length + 1)
        row[max(0, start) : start + rng.integers(1, 12)] = 4
    return row


def test_every_length_with_and_without_tables(vocabulary):
    rng = np.random.default_rng(1)
    rows = [row_with_unknown(rng, length) for length in range(1, 65) for _ in range(2)]
    twin = [worked_out(vocabulary, row) for row in rows]
    compiled = tables_of(vocabulary)
    for state in ("worked out", "looked up"):
        for found, expected in zip(compiled.codes_of_rows(rows), twin, strict=True):
            np.testing.assert_array_equal(found, expected, err_msg=state)
        compiled.compile()


def test_no_word_is_left_without_a_code(vocabulary):
    compiled = held(vocabulary)
    for level, size in enumerate(compiled.sizes):
        assert compiled._tables[level].max() < size


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 300))
def test_random_rows(vocabulary, seed, length):
    row = row_with_unknown(np.random.default_rng(seed), length)
    compiled = held(vocabulary)
    np.testing.assert_array_equal(compiled.codes(row), worked_out(vocabulary, row))


def held(vocabulary):
    """Compiled once for all examples."""
    if not hasattr(vocabulary, "compiled_once"):
        vocabulary.compiled_once = tables_of(vocabulary)
        vocabulary.compiled_once.compile()
    return vocabulary.compiled_once


def test_borders_of_tiles_do_not_show():
    model = views(views=[[-2, -1, 0, 1, 2], list(range(-4, 5))])
    rng = np.random.default_rng(2)
    row = rng.integers(0, 4, 2 * TILE + 100).astype(np.uint8)
    row[[TILE - 2, TILE + 3, 2 * TILE]] = 4
    found = held(model).codes(row)
    for border in (0, TILE, 2 * TILE, len(row)):
        first, end = max(0, border - 40), min(len(row), border + 40)
        around = worked_out(model, row[max(0, first - 4) : end + 4])
        np.testing.assert_array_equal(found[first:end], around[first - max(0, first - 4) :][: end - first])


@pytest.mark.parametrize("device", ["cpu", "meta-free gather"])
def test_a_batch_has_the_codes_of_its_rows_padded_on_either_side(vocabulary, device, monkeypatch):
    rng = np.random.default_rng(3)
    rows = [row_with_unknown(rng, length) for length in (40, 25, 1, 33)]
    batch, mask = np.full((4, 40), 0, np.uint8), np.zeros((4, 40), bool)
    for number, row in enumerate(rows):
        first = 40 - len(row) if number % 2 else 0
        batch[number, first : first + len(row)], mask[number, first : first + len(row)] = row, True
    compiled = held(vocabulary)
    if device != "cpu":  # the way of a GPU, taken on the processor
        monkeypatch.setattr(compiled_module, "ON_PROCESSOR", "none")
    codes = compiled.codes_of_batch(torch.from_numpy(batch), torch.from_numpy(mask)).numpy()
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(codes[number][mask[number]], worked_out(vocabulary, row))
    assert not codes[~mask].any()


def test_tables_are_made_only_when_they_pay(monkeypatch, tmp_path):
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path))
    model = views(views=[[-2, -1, 0, 1, 2], list(range(-4, 5))])
    monkeypatch.setattr(compiled_module, "COMPILE_AFTER", 100)
    compiled = tables_of(model)
    row = np.random.default_rng(4).integers(0, 4, 60).astype(np.uint8)
    first = compiled.codes(row)
    assert 1 not in compiled._tables
    np.testing.assert_array_equal(compiled.codes(row), first)
    assert 1 in compiled._tables


def test_a_second_process_maps_the_table_and_a_damaged_one_is_made_again(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path))
    model = views(views=[[-2, -1, 0, 1, 2], list(range(-4, 5))])
    digests = tables_of(model).compile()
    (path,) = (tmp_path / "tables").glob("*.npy")
    made = path.stat().st_mtime_ns
    second = tables_of(model)
    assert second.compile() == digests
    assert path.stat().st_mtime_ns == made
    assert isinstance(second._tables[1], np.memmap)
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    assert tables_of(model).compile() == digests
    assert f"{path}: this table is damaged; it is made again" in capsys.readouterr().err
    assert tables_of(model).compile() == digests


def test_without_a_place_for_the_table_codes_are_the_same_and_one_line_says_so(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path / "file"))
    model = views(views=[[-2, -1, 0, 1, 2], list(range(-4, 5))])
    compiled = tables_of(model)
    compiled.compile()
    row = row_with_unknown(np.random.default_rng(5), 200)
    np.testing.assert_array_equal(compiled.codes(row), worked_out(model, row))
    assert "not kept" in capsys.readouterr().err


def test_what_is_known_of_tables_is_used_and_checked(tmp_path):
    model = views(views=[[-2, -1, 0, 1, 2], list(range(-4, 5))])
    compiled = tables_of(model)
    compiled.write_known(tmp_path)
    again = tables_of(model, tmp_path)
    assert again._made(1)[1].tolist() == compiled._tables[1].tolist()  # among few candidates for each block
    digest = compiled.digests[1]
    known = KnownTable.read(tmp_path / f"{digest}.npz")
    known._replace(sha256="0" * 64).write(tmp_path / f"{digest}.npz")
    with pytest.raises(InputError, match="level 1: this machine makes another table"):
        tables_of(model, tmp_path).compile()


def test_words_that_an_earlier_version_coded_otherwise_keep_their_codes(monkeypatch, tmp_path):
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path / "cache"))
    model = views(views=[[-2, -1, 0, 1, 2], list(range(-4, 5))])
    row = np.random.default_rng(6).integers(0, 4, 9).astype(np.uint8)
    plain = tables_of(model)
    before = int(plain.codes(row)[4, 1])
    number = int("".join(map(str, row)), 4)
    exceptions = np.array([[number, before ^ 1]], dtype=np.uint32)
    plain.exact.exceptions[1] = tuple(exceptions.T)
    plain.write_known(tmp_path)
    again = tables_of(model, tmp_path)
    assert again.codes(row)[4, 1] == before ^ 1
    again.compile()
    assert again.codes(row)[4, 1] == before ^ 1


def test_copies_of_a_code_vector_give_the_lowest_code():
    model = views()
    with torch.no_grad():
        model.quantizer.codebooks[0].code_vectors[20:] = model.quantizer.codebooks[0].code_vectors[:20]
    row = np.random.default_rng(7).integers(0, 5, 4000).astype(np.uint8)
    assert tables_of(model).codes(row)[:, 0].max() < 20


@pytest.mark.parametrize(("options", "message"), [
    ({"kernel_size": 7}, "level 0 reads 8 bases|level 1 reads 17 bases, expected at most 13"),
    ({"bases_per_position": 4}, "a position has 4 bases, expected 1"),
])  # fmt: skip
def test_what_cannot_be_compiled_says_why(options, message):
    config = VQVAEConfig(**{**CONVOLUTIONS, **options})
    with pytest.raises(InputError, match=f"not to be compiled: {message}"):
        position_sets(config)


def test_the_position_sets_of_convolutions_are_all_that_can_change_a_code(vocabulary):
    sets = position_sets(vocabulary.config)
    exact = ExactCodes(vocabulary.config, vocabulary.latent_encoder, vocabulary.quantizer)
    row = np.random.default_rng(8).integers(0, 4, 64).astype(np.uint8)
    before = exact.of_rows(row[None])[0]
    for place in range(20, 44):
        other = row.copy()
        other[place] = (row[place] + 1) % 4
        changed = np.argwhere(exact.of_rows(other[None])[0] != before)
        assert all(place - position in sets[level] for position, level in changed)


@pytest.mark.parametrize(
    "offsets", [(0,), (-1, 0, 1), (-3, -2, 2, 3), (-5, -3, 3, 5), (-9, -7, 0, 4), (-8, -6, -4, -2, 0, 3)]
)
def test_numbers_come_out_of_the_register_as_digit_by_digit(offsets):
    bases = np.random.default_rng(9).integers(0, 4, 4000).astype(np.uint8)
    table = np.arange(4 ** len(offsets), dtype=np.uint16)
    codes = np.empty(3000, dtype=np.uint16)
    look_up(bases, 50, Extraction.of(offsets), table, codes)
    expected = sum(bases[50 + o : 3050 + o].astype(int) * 4 ** (len(offsets) - 1 - i) for i, o in enumerate(offsets))
    assert codes.tolist() == expected.tolist()


@pytest.mark.parametrize("num_bases", [1, 2, 5])
def test_a_de_bruijn_row_holds_every_word_once(num_bases):
    row = de_bruijn(num_bases)
    around = np.concatenate([row, row])
    words = {tuple(around[start : start + num_bases]) for start in range(len(row))}
    assert len(words) == len(row) == 4**num_bases


def test_the_tokenizer_gives_the_codes_of_the_vocabulary():
    model = views()
    base_ids = torch.randint(0, 4, (3, 50), dtype=torch.uint8)
    assert torch.equal(VqTokenizer(model).encode(base_ids).codes, copy.deepcopy(model).double().encode(base_ids))


def test_a_loaded_tokenizer_does_not_keep_the_tables_of_other_weights():
    first, second = VqTokenizer(views()), views(codebook_seed=3)
    base_ids = torch.randint(0, 4, (3, 50), dtype=torch.uint8)
    first.encode(base_ids)
    with torch.no_grad():
        for parameter in second.latent_encoder.parameters():
            parameter.add_(torch.randn_like(parameter))
    first.load_state_dict(VqTokenizer(second).state_dict())
    assert torch.equal(first.encode(base_ids).codes, second.double().encode(base_ids))


def test_fixed_latents_stay_as_they_were_started_while_codes_and_decoder_learn():
    model = views(fixed_latents=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.randint(0, 4, (8, 120), dtype=torch.uint8)).loss.backward()
    optimizer.step()
    model.update_codebooks()
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"base_decoder", "quantizer"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_changes_no_code(dtype):
    tokenizer, base_ids = VqTokenizer(views()), torch.randint(0, 5, (3, 50), dtype=torch.uint8)
    before = tokenizer.encode(base_ids).codes
    halved = torch.nn.Sequential(copy.deepcopy(tokenizer)).to(dtype)[0]
    assert torch.equal(halved.encode(base_ids).codes, before)
    assert {tensor.dtype for tensor in halved.parameters()} == {torch.float32}


def test_copies_leave_the_tables_behind():
    tokenizer = VqTokenizer(views())
    tokenizer.encode(torch.zeros(1, 5, dtype=torch.uint8))
    assert copy.deepcopy(tokenizer)._compiled is None
    assert tokenizer._compiled is not None
