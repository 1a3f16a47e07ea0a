"""A model that predicts each word from those before it: what a prediction may depend on, and what is counted."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from vqdna.encoder.causal_model import CausalModelingConfig, GenomeEncoderForCausalModeling
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.genome.bases import to_base_ids
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer
from vqdna.tokenizers.padding import pad_rows

HYENA = {"model_type": "vqdna_hyena", "hidden_size": 16, "num_hidden_layers": 2, "max_position_embeddings": 64}
MODERN_BERT = {"model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = "ACGTTGCATTGACCATGNACGTAGGTACA"


@pytest.fixture
def model() -> GenomeEncoderForCausalModeling:
    torch.manual_seed(0)
    encoder = GenomeEncoder.from_tokenizer(NucleotideTokenizer(), HYENA, "table")
    made = GenomeEncoderForCausalModeling.from_encoder(encoder).eval()
    torch.nn.init.normal_(made.prediction.weight)
    return made


def row(text: str) -> torch.Tensor:
    return torch.from_numpy(to_base_ids(text).base_ids)[None]


@torch.no_grad()
def test_a_prediction_depends_on_what_stands_before_alone(model):
    whole, changed = model(row(TEXT)), model(row(TEXT[:10] + "C" + TEXT[11:]))
    assert torch.allclose(whole.logits[:, :10], changed.logits[:, :10], atol=1e-6)
    assert not torch.allclose(whole.logits[:, 10], changed.logits[:, 10], atol=1e-3)


@torch.no_grad()
def test_log_likelihoods_are_those_of_the_words_that_stand_there(model):
    output = model(row(TEXT))
    known = output.logits[0].log_softmax(dim=1)
    wanted = [0.0] + [
        0.0 if TEXT[at] == "N" else float(known[at - 1, "ACGT".index(TEXT[at])]) for at in range(1, len(TEXT))
    ]
    assert torch.allclose(output.log_likelihoods[0], torch.tensor(wanted), atol=1e-5)
    assert float(output.loss) == pytest.approx(-sum(wanted) / (len(TEXT) - 2), rel=1e-5)


@torch.no_grad()
def test_a_row_is_the_same_in_any_batch(model):
    texts = (TEXT, TEXT[:9], "A", "")
    together = model(*pad_rows([to_base_ids(text).base_ids for text in texts])).log_likelihoods.sum(dim=1)
    for text, found in zip(texts, together, strict=True):
        alone = model(row(text)).log_likelihoods.sum() if text else torch.zeros(())
        assert float(found) == pytest.approx(float(alone), abs=1e-4)


def test_the_loss_trains_it(model):
    before = float(model(row(TEXT)).loss.detach())
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        model(row(TEXT)).loss.backward()
        optimizer.step()
    assert float(model(row(TEXT)).loss.detach()) < 0.7 * before


@pytest.mark.parametrize(
    "encoder",
    [
        lambda: GenomeEncoder.from_tokenizer(KmerTokenizer(2), MODERN_BERT, "table"),
        lambda: GenomeEncoder.from_tokenizer(KmerTokenizer(2), {**HYENA, "bidirectional": True}, "table"),
        lambda: GenomeEncoder.from_tokenizer(
            KmerTokenizer(2), HYENA, "table", {"merge": 2, "width": 8, "kernel_size": 3}
        ),
    ],
    ids=["attention", "both ways", "a stem"],
)
def test_an_encoder_that_sees_what_it_is_to_predict_is_refused(encoder):
    with pytest.raises(InputError, match="looks back alone"):
        GenomeEncoderForCausalModeling.from_encoder(encoder())


@torch.no_grad()
def test_it_is_a_causal_model_to_transformers(model, tmp_path):
    assert MODEL_FOR_CAUSAL_LM_MAPPING[CausalModelingConfig] is GenomeEncoderForCausalModeling
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.equal(again(input_ids=row(TEXT).long()).logits, model(row(TEXT)).logits)
    card = (tmp_path / "README.md").read_text()
    assert "pipeline_tag: text-generation" in card
    assert "it predicts each word from those before" in card
