"""The backbone against a transformers BERT fed by hand: same weights, same embeddings, same hidden states."""

import torch
from transformers import BertConfig, BertModel

from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig
from vqdna.tokenizers import load_tokenizer

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def test_genome_encoder_is_the_transformers_bert_on_projected_codes():
    encoder = GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), {"model_type": "bert", **SHAPE}).eval()
    reference = BertModel(BertConfig(vocab_size=1, **SHAPE), add_pooling_layer=False).eval()
    reference.load_state_dict(encoder.backbone.state_dict())
    base_ids = torch.randint(0, 4, (3, 40), dtype=torch.uint8)
    mask = torch.arange(40)[None] < torch.tensor([[40], [25], [7]])
    words = encoder.embedding.tables[0](base_ids.long())
    expected = reference(inputs_embeds=words, attention_mask=mask.long()).last_hidden_state
    got = encoder(base_ids, mask)
    assert torch.equal(got.attention_mask, mask)
    assert torch.allclose(got.last_hidden_state[mask], expected[mask], atol=1e-5)


def test_paper_backbone_has_86_million_parameters():
    from vqdna.config import load_config
    from vqdna.pretrain.train import PretrainConfig

    backbone = load_config(PretrainConfig, "paper", "pretrain").backbone
    encoder = GenomeEncoder(GenomeEncoderConfig({"kind": "nucleotide"}, backbone))
    assert abs(sum(parameter.numel() for parameter in encoder.backbone.parameters()) / 1e6 - 86) < 0.5
