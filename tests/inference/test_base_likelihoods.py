from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.genome.bases import to_base_ids
from vqdna.genome.vcf import Variant
from vqdna.inference.base_likelihoods import log_likelihood_ratios
from vqdna.inference.variant_windows import Pair
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers import Tokenizer, load_tokenizer
from vqdna.tokenizers.bpe import BpeTokenizer
from vqdna.tokenizers.published_words import PublishedWordTokenizer
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16,
}  # fmt: skip
WINDOW = "ACGTTGCAAGGTCCATTGACGTAC"


def masked_model(tokenizer: str | Tokenizer, target: str = "bases") -> GenomeEncoderForMaskedModeling:
    torch.manual_seed(0)
    words = load_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
    encoder = GenomeEncoder.from_tokenizer(words, BACKBONE)
    model = GenomeEncoderForMaskedModeling.from_encoder(encoder, target=target)
    for weight in model.parameters():  # so that neighbors matter
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def tiny_vocabulary() -> VqTokenizer:
    """HRQ tokenizer of a few codes, as it stands after one step."""
    torch.manual_seed(0)
    vocabulary = VQVAE(VQVAEConfig(width=16, stem_width=16, num_blocks=2, level_sizes=(8, 16))).train()
    vocabulary(torch.randint(0, 4, (8, 64), dtype=torch.uint8))
    return VqTokenizer(vocabulary)


def pair(start: int, ref: str, alt: str, window: str = WINDOW) -> Pair:
    assert window[start : start + len(ref)] == ref
    changed = window[:start] + alt + window[start + len(ref) :]
    variant = Variant(1, "chr1", start, ".", ref, alt)
    return Pair(0, variant, start, to_base_ids(window).base_ids, to_base_ids(changed).base_ids)


def log_probabilities(model: GenomeEncoderForMaskedModeling, window: str, hidden: list[int]) -> np.ndarray:
    """Of each masked token, each base of its span: [masked, place, 4]."""
    base_ids = torch.from_numpy(to_base_ids(window).base_ids)[None]
    masked = torch.zeros_like(base_ids, dtype=torch.bool)
    masked[0, hidden] = True
    with torch.no_grad():
        logits = model(base_ids, masked).logits
    return torch.stack(logits, dim=1).log_softmax(dim=-1).numpy()


def word_ratio(model: GenomeEncoderForMaskedModeling, one: Pair) -> float:
    """Sum over hidden tokens, one by one, of the log-probabilities of their codes with ALT less those with REF."""
    ref, alt = (torch.from_numpy(bases)[None] for bases in (one.ref, one.alt))
    masked = torch.zeros_like(ref, dtype=torch.bool)
    masked[0, one.offset : one.offset + len(one.variant.ref)] = True
    with torch.no_grad():
        output = model(ref, masked)
    total = 0.0
    for level, logits in enumerate(output.logits):
        log_probabilities = logits.log_softmax(dim=-1)
        for number, place in enumerate(output.masked_positions[0].nonzero()[:, 0].tolist()):
            with_ref, with_alt = (
                int(model.encoder.tokenizer.encode(bases).codes[0, place, level]) for bases in (ref, alt)
            )
            total += float(log_probabilities[number, with_alt] - log_probabilities[number, with_ref])
    return total


def test_it_is_the_masked_base_s_log_probability_less_that_of_the_reference() -> None:
    model = masked_model("nucleotide")
    expected = log_probabilities(model, WINDOW, [4])[0, 0]
    found = log_likelihood_ratios(model, [pair(4, "T", base) for base in "ACG"], batch_size=2)
    assert found == pytest.approx([expected[n] - expected[3] for n in range(3)], abs=1e-5)


def test_a_base_within_a_longer_token_is_told_by_its_place() -> None:
    model = masked_model("kmer:4:4")
    expected = log_probabilities(model, WINDOW, [6])[0, 2]
    [found] = log_likelihood_ratios(model, [pair(6, "C", "G")], batch_size=2)
    assert found == pytest.approx(expected[2] - expected[1], abs=1e-5)


def test_tokens_that_share_a_base_are_averaged() -> None:
    model = masked_model("kmer:3")
    tokens = log_probabilities(model, WINDOW, [6])  # the tokens that start at 4, 5 and 6
    expected = np.mean([tokens[number, 2 - number] for number in range(3)], axis=0)
    [found] = log_likelihood_ratios(model, [pair(6, "C", "G")], batch_size=2)
    assert found == pytest.approx(expected[2] - expected[1], abs=1e-5)


def test_neighboring_bases_are_hidden_together_and_added_up() -> None:
    model = masked_model("nucleotide")
    first, second = log_probabilities(model, WINDOW, [8, 9])[:, 0]
    [found] = log_likelihood_ratios(model, [pair(8, "AG", "CT")], batch_size=2)
    assert found == pytest.approx(first[1] - first[0] + second[3] - second[2], abs=1e-5)


@pytest.mark.parametrize("tokenizer", ["nucleotide", "kmer:3", "kmer:4:4"])
def test_neither_padding_nor_the_alternate_s_window_changes_it(tokenizer: str) -> None:
    model = masked_model(tokenizer)
    long, short = pair(4, "T", "G"), pair(4, "T", "G", WINDOW[:12])
    alone = [log_likelihood_ratios(model, [one], batch_size=1)[0] for one in (long, short)]
    assert log_likelihood_ratios(model, [long, short], batch_size=2) == pytest.approx(alone, abs=1e-5)


def test_other_lengths_and_unknown_bases_have_none() -> None:
    model = masked_model("nucleotide")
    unknown = WINDOW[:4] + "N" + WINDOW[5:]
    pairs = [pair(4, "T", "TA"), pair(4, "TG", "T"), pair(4, "T", "N"), pair(4, "N", "T", unknown), pair(4, "T", "A")]
    found = log_likelihood_ratios(model, pairs, batch_size=8)
    assert [math.isnan(ratio) for ratio in found] == [True, True, True, True, False]


@pytest.mark.parametrize(("tokenizer", "shared"), [("nucleotide", 1), ("kmer:4:4", 1), ("kmer:3", 3)])
@pytest.mark.parametrize("one", [pair(6, "C", "G"), pair(7, "AA", "CT")], ids=["one base", "two bases"])
def test_a_model_that_predicts_words_compares_those_of_both_alleles(tokenizer: str, shared: int, one: Pair) -> None:
    model = masked_model(tokenizer, "levels")
    [found] = log_likelihood_ratios(model, [one], batch_size=2)
    assert found == pytest.approx(word_ratio(model, one) / shared, abs=1e-4)
    assert abs(found) > 1e-3


def test_the_levels_of_a_vocabulary_are_added_up() -> None:
    model = masked_model(tiny_vocabulary(), "levels")
    one = pair(6, "C", "G")
    [found] = log_likelihood_ratios(model, [one], batch_size=2)
    assert len(model.prediction.levels) == 2
    assert found == pytest.approx(word_ratio(model, one), abs=1e-4)


def test_words_beside_padding_and_other_rows_are_the_same() -> None:
    model = masked_model("kmer:4:4", "levels")
    pairs = [pair(4, "T", "G"), pair(4, "T", "G", WINDOW[:11]), pair(9, "G", "C")]
    alone = [log_likelihood_ratios(model, [one], batch_size=1)[0] for one in pairs]
    assert log_likelihood_ratios(model, pairs, batch_size=3) == pytest.approx(alone, abs=1e-5)


def test_words_that_an_allele_cuts_otherwise_have_no_ratio() -> None:
    """Words of the Nucleotide Transformer start anew behind an N, and byte pairs where others end."""
    words = masked_model(PublishedWordTokenizer("nucleotide_transformer", 3), "levels")
    unknown = WINDOW[:4] + "N" + WINDOW[5:]
    pairs = [pair(4, "T", "N"), pair(4, "N", "T", unknown), pair(5, "G", "A", unknown), pair(4, "T", "A")]
    found = log_likelihood_ratios(words, pairs, batch_size=8)
    assert [math.isnan(ratio) for ratio in found] == [True, True, False, False]
    merged = BpeTokenizer.learn(["ACGTACGTACGT" * 40], vocabulary_size=16)
    model = masked_model(merged, "levels")
    kept, torn = pair(1, "C", "C", "ACGTACGTACGT"), pair(1, "C", "A", "ACGTACGTACGT")
    found = log_likelihood_ratios(model, [kept, torn], batch_size=2)
    assert found[0] == 0
    assert math.isnan(found[1])


def test_overlapping_words_beside_an_n_have_no_ratio() -> None:
    model = masked_model(PublishedWordTokenizer("dnabert", 3), "levels")
    unknown = WINDOW[:4] + "N" + WINDOW[5:]
    found = log_likelihood_ratios(model, [pair(5, "G", "A", unknown), pair(9, "G", "N"), pair(12, "C", "A")], 8)
    assert [math.isnan(ratio) for ratio in found] == [True, True, False]
