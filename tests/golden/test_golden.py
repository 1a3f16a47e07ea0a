"""Twenty seeded losses of each stage: a change that must not move numbers shows the same ones.

`python tests/golden/test_golden.py` writes the file anew, for a change that is meant to move them.
"""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from vqdna import encode, read_sequences
from vqdna.data_root import find_data_root
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.finetune.adapters import prepare_trainable
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.finetune.settings import FinetuneConfig
from vqdna.genome.corpus import Corpus
from vqdna.pretrain.masking import MaskingSettings
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.pretrain.train import MaskedCollator
from vqdna.simulation.genomes import simulate_genomes
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.training.window_batches import CorpusSettings, WindowDataset, collate_windows, window_sampler
from vqdna.vocabulary.configuration import VocabularySettings
from vqdna.vocabulary.train import build_vocabulary

FILE = Path(__file__).with_name("losses.json")
CODES = Path(__file__).with_name("lambda_codes.json")
"""SHA-256 of the codes of each level, as two bytes each, the lower first."""

STEPS, BATCH = 20, 8
BACKBONE = {
    "model_type": "modernbert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 48, "local_attention": 32,
}  # fmt: skip


def batches(collate):
    corpus = Corpus.from_sequences(simulate_genomes(0, num_species=2, bases_per_species=20_000).sequences())
    dataset = WindowDataset(window_sampler(corpus, CorpusSettings(window=96), 0, "train"), STEPS * BATCH)
    for step in range(STEPS):
        yield collate(dataset.__getitems__(range(step * BATCH, (step + 1) * BATCH)))


def losses(model, collate):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    seen = []
    for batch in batches(collate):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if hasattr(model, "update_codebooks"):
            model.update_codebooks()
        seen.append(loss.item())
    return seen


def vocabulary(quantizer, level_sizes):
    settings = VocabularySettings(quantizer=quantizer, level_sizes=level_sizes, width=24, stem_width=16)
    return build_vocabulary(settings, seed=0)


def labelled(batch):
    """The batch with a label that its bases tell: whether G and C outnumber A and T."""
    strong = ((batch["base_ids"] == 1) | (batch["base_ids"] == 2)).float().mean(dim=1)
    return {"base_ids": batch["base_ids"], "labels": (strong > 0.5).long()}


def classifier(encoder):
    """LoRA fine-tuning as stage 3 sets it up."""
    torch.manual_seed(1)
    config = FinetuneConfig.model_validate({"training": {"epochs": 1, "learning_rate": 1e-3}})
    model = GenomeEncoderForSequenceClassification.from_encoder(
        encoder, task="classification", class_names=("weak", "strong"), head_hidden_size=16
    )
    prepare_trainable(model, config)
    return model.train()


def all_losses():
    """Losses of the three stages."""
    hrq = vocabulary("hrq", (16, 32))
    found = {"vocabulary-hrq": losses(hrq, collate_windows)}
    found["vocabulary-vq"] = losses(vocabulary("vq", (16,)), collate_windows)
    torch.manual_seed(0)
    tokenizer = VqTokenizer(hrq)
    model = GenomeEncoderForMaskedModeling.from_encoder(GenomeEncoder.from_tokenizer(tokenizer, BACKBONE))
    found["pretrain"] = losses(model.train(), MaskedCollator(MaskingSettings(), tokenizer, 0))
    found["finetune"] = losses(classifier(model.encoder), lambda items: labelled(collate_windows(items)))
    return found


@pytest.mark.parametrize("stage", ["vocabulary-hrq", "vocabulary-vq", "pretrain", "finetune"])
def test_losses_are_the_recorded_ones(stage, found=[]):  # noqa: B006 - computed once for all
    if not found:
        found.append(all_losses())
    assert found[0][stage] == pytest.approx(json.loads(FILE.read_text())[stage], rel=2e-3)


@pytest.mark.data_root
def test_the_built_in_vocabulary_gives_lambda_phage_the_codes_it_always_gave():
    (phage,) = read_sequences(find_data_root() / "small" / "lambda_phage_NC_001416.fa.gz")
    codes, _ = encode(phage, "small")
    digests = [hashlib.sha256(level.astype("<u2").tobytes()).hexdigest() for level in codes.T]
    assert digests == json.loads(CODES.read_text())


if __name__ == "__main__":
    torch.set_num_threads(1)
    FILE.write_text(json.dumps(all_losses(), indent=1) + "\n")
