from __future__ import annotations

from pathlib import Path

import pytest
import torch
from example_tasks import tiny_encoder, tiny_vocabulary
from torch.nn import functional
from transformers import AutoModel, AutoModelForTokenClassification

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.token_labels import GenomeEncoderForTokenClassification, speaking_tokens
from vqdna.tokenizers import Tokenizer, Tokens
from vqdna.tokenizers.bpe import BpeTokenizer
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

CLASSES = ("O", "exon", "intron")
STEM = {"width": 12, "kernel_size": 3, "merge": 4}


def bpe() -> BpeTokenizer:
    return BpeTokenizer.learn(["ACGTACGTTTTACGACGTTGCA" * 4, "GATTACAGATTACACCCC" * 4], vocabulary_size=20)


def strided_vocabulary() -> VqTokenizer:
    torch.manual_seed(0)
    shape = {"width": 8, "stem_width": 8, "num_blocks": 2, "level_sizes": (4, 8), "bases_per_position": 3}
    model = VQVAE(VQVAEConfig(**shape)).train()
    model(random_bases(8, 60))
    return VqTokenizer(model)


TOKENIZERS = {
    "nucleotide": NucleotideTokenizer,
    "overlapping 3-mers": lambda: KmerTokenizer(3),
    "overlapping 6-mers": lambda: KmerTokenizer(6),
    "6-mers of stride 2": lambda: KmerTokenizer(6, 2),
    "6-mers side by side": lambda: KmerTokenizer(6, 6),
    "bpe": bpe,
    "vq": tiny_vocabulary,
    "vq of stride 3": strided_vocabulary,
}


@pytest.fixture(params=TOKENIZERS, scope="module")
def tokenizer(request) -> Tokenizer:
    return TOKENIZERS[request.param]()


def with_stem(tokenizer: Tokenizer, stem: dict[str, int] | None) -> GenomeEncoder:
    encoder = tiny_encoder(tokenizer)
    return GenomeEncoder.from_tokenizer(tokenizer, encoder.config.backbone, "vectors", stem).eval()


def tiny_labeler(encoder: GenomeEncoder, **settings: object) -> GenomeEncoderForTokenClassification:
    torch.manual_seed(1)
    return GenomeEncoderForTokenClassification.from_encoder(encoder, class_names=CLASSES, **settings).eval()


def random_bases(rows: int, length: int) -> torch.Tensor:
    return torch.randint(0, 4, (rows, length), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def ragged_bases() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of 29, 4 and 13 bases, padded to the first."""
    bases, lengths = random_bases(3, 29), torch.tensor([29, 4, 13])
    mask = torch.arange(29) < lengths[:, None]
    return bases.masked_fill(~mask, 4), mask


def holders(tokens: Tokens, row: int, base: int) -> list[int]:
    """Tokens of a row whose span holds the base."""
    held = []
    for token, (start, end) in enumerate(tokens.spans[row].tolist()):
        if tokens.attention_mask[row, token] and start <= base < end:
            held.append(token)
    return held


@pytest.mark.parametrize("stem", [None, STEM], ids=["no stem", "stem"])
def test_logits_of_a_base_are_those_of_the_middle_token_that_holds_it(tokenizer, stem):
    """One base at a time, against the head applied to the states that the encoder gives."""
    model = tiny_labeler(with_stem(tokenizer, stem))
    bases, mask = ragged_bases()
    logits = model(bases, mask).logits
    tokens = tokenizer.encode(bases, mask)
    output = model.encoder(bases, mask)
    states = model.encoder.token_states(output, tokens.codes.shape[1])
    assert logits.shape == (3, 29, 3)
    for row, base in mask.nonzero().tolist():
        held = holders(tokens, row, base)
        expected = model.head(states[row, held[(len(held) - 1) // 2]])
        assert torch.allclose(logits[row, base], expected, atol=1e-6)


def test_of_overlapping_words_the_one_around_a_base_speaks_for_it():
    tokens = KmerTokenizer(6).encode(random_bases(1, 12))
    assert speaking_tokens(tokens, 12).tolist() == [[0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6]]


def test_padding_changes_no_logit(tokenizer):
    model = tiny_labeler(with_stem(tokenizer, STEM))
    bases, mask = ragged_bases()
    together = model(bases, mask).logits
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        alone = model(bases[row : row + 1, :length]).logits[0]
        assert torch.allclose(together[row, :length], alone, atol=1e-5)


def test_input_ids_are_another_name_of_the_bases():
    model = tiny_labeler(tiny_encoder())
    bases, mask = ragged_bases()
    assert torch.equal(model(input_ids=bases.long(), attention_mask=mask.long()).logits, model(bases, mask).logits)
    with pytest.raises(ValueError, match=r"base_ids \(or input_ids\)"):
        model(attention_mask=mask)


def test_loss_weighs_classes_and_counts_labelled_bases_alone():
    model = tiny_labeler(tiny_encoder(), class_weights=[1.0, 2.0, 0.5])
    bases = random_bases(2, 20)
    labels = torch.full((2, 20), -100)
    labels[0, 3], labels[0, 19], labels[1, 0] = 1, 0, 2
    output = model(bases, labels=labels)
    logits = torch.stack([output.logits[0, 3], output.logits[0, 19], output.logits[1, 0]])
    chosen = -logits.log_softmax(1)[range(3), [1, 0, 2]]
    weights = torch.tensor([2.0, 1.0, 0.5])
    assert torch.allclose(output.loss, (weights * chosen).sum() / weights.sum())


def test_labels_of_padding_alone_are_no_loss_and_no_gradient():
    model = tiny_labeler(tiny_encoder())
    output = model(random_bases(2, 20), labels=torch.full((2, 20), -100))
    output.loss.backward()
    assert output.loss == 0
    assert all(not parameter.grad.any() for parameter in model.head.parameters())


def test_head_and_backbone_learn_and_the_vocabulary_does_not():
    model = tiny_labeler(with_stem(tiny_vocabulary(), STEM))
    model(random_bases(2, 20), labels=random_bases(2, 20).long().clamp(max=2)).loss.backward()
    assert all(parameter.grad.any() for parameter in model.head.parameters())
    assert model.encoder.stem.splitting.weight.grad.any()
    assert all(parameter.grad is None for parameter in model.encoder.tokenizer.parameters())


def test_a_few_steps_learn_which_bases_are_g():
    """Every base's label is its own identity, so a shift by one base would leave the loss where chance puts it."""
    model = tiny_labeler(tiny_encoder(NucleotideTokenizer())).train()
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=0.01)
    bases = random_bases(16, 40)
    for _ in range(30):
        loss = model(bases, labels=(bases == 2).long()).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    fresh = torch.randint(0, 4, (8, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    assert (model.eval()(fresh).logits.argmax(-1) == (fresh == 2)).float().mean() > 0.97


@pytest.mark.parametrize("hidden_size", [0, 16])
def test_one_directory_holds_the_whole_model(tmp_path: Path, hidden_size: int):
    model = tiny_labeler(with_stem(tiny_vocabulary(), STEM), head_hidden_size=hidden_size)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path)
    bases = random_bases(2, 50)
    assert isinstance(loaded, GenomeEncoderForTokenClassification)
    assert torch.equal(loaded(bases).logits, model(bases).logits)
    assert loaded.config.id2label == {0: "O", 1: "exon", 2: "intron"}


def test_auto_model_opens_the_encoder_alone(tmp_path: Path):
    model = tiny_labeler(tiny_encoder())
    model.save_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path)
    bases = random_bases(2, 30)
    assert torch.equal(encoder(bases).last_hidden_state, model.encoder(bases).last_hidden_state)


def test_without_weights_the_loss_is_the_mean_over_all_bases():
    model = tiny_labeler(tiny_encoder())
    bases, labels = random_bases(2, 20), random_bases(2, 20).long().clamp(max=2)
    output = model(bases, labels=labels)
    assert torch.allclose(output.loss, functional.cross_entropy(output.logits.flatten(0, 1), labels.flatten()))
