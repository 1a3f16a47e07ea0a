"""The shares of unequal passes make stage 2's loss that of the joint batch; whole runs are in test_distributed.py."""

import pytest
import torch
from pretraining_on_ranks import config

from vqdna.pretrain.train import untrained_model
from vqdna.tokenizers import load_tokenizer
from vqdna.training.gradient_accumulation import share_losses


@pytest.mark.parametrize("target", ["levels", "bases"])
@pytest.mark.parametrize("tokenizer", ["nucleotide", "kmer:3"])
def test_passes_with_unequally_many_masked_tokens_have_the_loss_of_the_joint_batch(tokenizer, target):
    settings = config().model_copy(update={"target": target})
    model = untrained_model(settings, load_tokenizer(tokenizer)).eval()
    bases = torch.randint(0, 4, (6, 60), dtype=torch.uint8)
    bases[3:, :40] = 4
    masked = torch.rand(6, 60) < torch.linspace(0.1, 0.6, 6)[:, None]
    masked[0] = False
    joint = model(base_ids=bases, masked_bases=masked)

    cuts = [1, 3, 2]
    batches = [{"base_ids": b, "masked_bases": m} for b, m in zip(bases.split(cuts), masked.split(cuts), strict=True)]
    assert [int(model.loss_items(**batch)["masked"]) for batch in batches] == [
        int(part.sum()) for part in joint.masked_positions.split(cuts)
    ]
    outputs = [model(**batch) for batch in share_losses(model, batches, torch.device("cpu"))]
    for name in ("loss", "loss_level", "masked_accuracy_level"):
        mean = torch.stack([output[name] for output in outputs]).mean(dim=0)
        assert torch.allclose(mean, joint[name], atol=1e-6), name
    assert not torch.allclose(torch.stack([model(**batch).loss for batch in batches]).mean(), joint.loss, atol=1e-3)
