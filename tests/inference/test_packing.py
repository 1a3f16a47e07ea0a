import json

import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder, load_encoder
from vqdna.errors import InputError
from vqdna.inference import packing
from vqdna.inference.packing import pack
from vqdna.results import write_json
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 24,
}  # fmt: skip
RESULTS = {
    "seconds": 90.0, "steps": 7, "bases_seen": 1234, "command": "vqdna pretrain --config tiny", "target": "bases",
    "genomes": {"species": ["yeast", "mouse"], "num_bases": 5678},
    "masking": {"fraction": 0.15, "unit": "fields", "span": 6},
    "evaluation": {"base_nats": 1.375, "masked_accuracy": [0.31], "contrast_accuracy": 0.456},
}  # fmt: skip


@pytest.fixture
def runs(tmp_path):
    torch.manual_seed(0)
    vocabulary = VQVAE(VQVAEConfig(width=12, stem_width=8, level_sizes=(4, 8), num_blocks=2))
    vocabulary(torch.randint(0, 4, (8, 64), dtype=torch.uint8))
    vocabulary.save_pretrained(tmp_path / "vocabulary" / "model")
    encoder = GenomeEncoder.from_tokenizer(VqTokenizer(vocabulary), BACKBONE, "table")
    encoder.save_pretrained(tmp_path / "encoder" / "model")
    for name in ("vocabulary", "encoder"):
        write_json(tmp_path / name / "results.json", RESULTS)
    return tmp_path


def test_codes_stay_exact_and_hidden_states_nearly(runs):
    sizes = pack(runs / "vocabulary", runs / "encoder", runs / "packed")
    base_ids = torch.randint(0, 4, (3, 50), dtype=torch.uint8)
    before, after = load_encoder(runs / "encoder"), load_encoder(runs / "packed" / "encoder")
    assert torch.equal(after.tokenizer.encode(base_ids).codes, before.tokenizer.encode(base_ids).codes)
    assert torch.equal(
        load_tokenizer(f"vq:{runs / 'packed' / 'vocabulary'}").encode(base_ids).codes,
        before.tokenizer.encode(base_ids).codes,
    )
    states, packed = before(base_ids).last_hidden_state, after(base_ids).last_hidden_state
    assert packed.dtype == torch.float32
    assert not torch.equal(states, packed)
    torch.testing.assert_close(packed, states, atol=5e-3, rtol=5e-3)
    assert sizes["encoder"] < 2 * sum(p.numel() for p in before.parameters()) + 60_000


def test_the_card_tells_what_was_seen_and_scored(runs):
    rows = [
        {"bases_seen": 0, "seeds": [0, 1], "mean": 0.2, "sd": 0.01, "datasets": {"a": 0.2}, "sequences": {"a": 500}},
        {"bases_seen": 1234, "seeds": [0], "mean": 0.3, "sd": None, "datasets": {"a": 0.3}, "sequences": {"a": 500}},
    ]
    (runs / "worth").mkdir()
    (runs / "worth" / "summary.json").write_text(json.dumps({"rows": rows}))
    pack(runs / "vocabulary", runs / "encoder", runs / "packed", study=runs / "worth", limits=["Not for spelling."])
    card = (runs / "packed" / "README.md").read_text()
    for part in (
        "5,678 bases of 2 files",
        "1,234 bases seen in 7 steps",
        "vqdna pretrain --config tiny",
        "1.3750 nats",
        "46 % of them found the other crop",
    ):
        assert part in card
    assert "| 0 | 2 | 20.0 ± 1.0 |\n| 1,234 | 1 | 30.0 |" in card
    assert "- Not for spelling." in card


def test_another_encoder_can_be_packed_over_a_packed_vocabulary(runs):
    pack(runs / "vocabulary", runs / "encoder", runs / "packed")
    pack(runs / "packed" / "vocabulary", runs / "encoder", runs / "again")
    assert (runs / "again" / "README.md").read_text() == (runs / "packed" / "README.md").read_text().replace(
        "packed", "again"
    )


def test_a_model_too_large_to_ship_leaves_nothing_behind(runs, monkeypatch):
    monkeypatch.setattr(packing, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="expected at most 1,000"):
        pack(runs / "vocabulary", runs / "encoder", runs / "packed")
    assert not [path for path in runs.iterdir() if "packed" in path.name]


def test_a_run_that_has_not_ended_is_refused(runs):
    (runs / "encoder" / "results.json").unlink()
    with pytest.raises(InputError, match=r"results.json: no such file"):
        pack(runs / "vocabulary", runs / "encoder", runs / "packed")
