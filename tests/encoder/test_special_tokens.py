from __future__ import annotations

import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig
from vqdna.encoder.stem import surrounded
from vqdna.errors import InputError
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers import load_tokenizer

SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
BERT = {"model_type": "bert", "max_position_embeddings": 40, **SHAPE}
AROUND = {"first": [7], "last": [8, 5]}


def encoder(backbone=BERT, special_tokens=AROUND) -> GenomeEncoder:
    torch.manual_seed(0)
    return GenomeEncoder.from_tokenizer(load_tokenizer("kmer:2:2"), backbone, special_tokens=special_tokens).eval()


def bases(*lengths: int):
    base_ids = torch.randint(0, 4, (len(lengths), max(lengths)), dtype=torch.uint8)
    return base_ids, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def test_special_tokens_stand_before_and_right_behind_each_row():
    rows = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [0.0], [0.0]]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    got, kept = surrounded(rows, mask, torch.tensor([[-1.0]]), torch.tensor([[-2.0], [-3.0]]))
    assert got[0, :, 0].tolist() == [-1, 1, 2, 3, -2, -3]
    assert got[1, :4, 0].tolist() == [-1, 4, -2, -3]
    assert kept.tolist() == [[True] * 6, [True] * 4 + [False] * 2]


def test_states_are_those_of_the_codes_with_the_special_ones_written_out():
    with_tokens, plain = encoder(), encoder(special_tokens=None)
    plain.load_state_dict(with_tokens.state_dict())
    base_ids, mask = bases(20, 8)
    output = with_tokens(base_ids, mask)
    assert output.last_hidden_state.shape[1] == 10
    for row, length in enumerate((10, 4)):
        codes = with_tokens.tokenizer.encode(base_ids, mask).codes[row, :length, 0]
        written = torch.cat([torch.tensor([7]), codes, torch.tensor([8, 5])])[None, :, None]
        expected = plain(codes=written).last_hidden_state[0, 1:-2]
        assert torch.allclose(output.last_hidden_state[row, :length], expected, atol=1e-5)


def test_they_take_positions_of_the_backbone():
    assert (encoder().max_positions, encoder(special_tokens=None).max_positions) == (37, 40)
    assert encoder()(*bases(74)).last_hidden_state.shape[1] == 37
    with pytest.raises(InputError, match="a row makes 38 positions, and the bert backbone holds 37"):
        encoder()(*bases(75))


def test_rows_with_them_are_never_computed_in_chunks():
    local = {"layer_types": ["sliding_attention"] * 2, "local_attention": 4, **SHAPE}
    assert encoder(local, None).reach == 4
    assert encoder(local).reach is None


def test_their_embeddings_learn():
    model = encoder().train()
    model(*bases(12)).last_hidden_state.sum().backward()
    learned = model.embedding.tables[0].weight.grad.abs().sum(dim=1) > 0
    assert learned[[7, 8, 5]].all()


def test_saved_models_keep_them_and_models_with_heads_too(tmp_path):
    model = encoder()
    model.save_pretrained(tmp_path)
    base_ids, mask = bases(20, 8)
    loaded = GenomeEncoder.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(base_ids, mask).last_hidden_state, model(base_ids, mask).last_hidden_state)
    masked = GenomeEncoderForMaskedModeling.from_encoder(model)
    assert masked.config.special_tokens == {"first": [7], "last": [8, 5]}
    assert torch.isfinite(masked(base_ids, torch.arange(20).expand(2, -1) < 6).loss)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"special_tokens": {"first": [99]}}, "got code 99, expected 0 to 20"),
        ({"special_tokens": {"frist": [1]}}, "did you mean 'first'"),
        ({"special_tokens": {"last": [1]}, "stem": {"width": 8}}, "no stem"),
    ],
)
def test_what_cannot_stand_around_a_row_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        GenomeEncoder(GenomeEncoderConfig({"kind": "kmer", "k": 2, "stride": 2}, BERT, **settings))
