"""Shares of passes, by hand; ranks and codebooks are in tests/vocabulary/test_ranks.py."""

import torch

from vqdna.training.gradient_accumulation import share_losses, start_codebooks

CPU = torch.device("cpu")


class Mean(torch.nn.Module):
    """Mean of the values that are at least 0."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def loss_items(self, values):
        return {"mean": (values >= 0).sum()}

    def forward(self, values, loss_shares):
        counted = values >= 0
        return loss_shares["mean"] * (self.weight * values * counted).sum() / counted.sum().clamp_min(1)


def test_mean_of_shared_losses_is_the_mean_over_all_items():
    model = Mean()
    passes = [torch.tensor([1.0, -1.0, -1.0]), torch.tensor([2.0, 3.0, 7.0]), torch.tensor([-1.0])]
    batches = share_losses(model, [{"values": values} for values in passes], CPU)
    assert torch.stack([batch["loss_shares"]["mean"] for batch in batches]).tolist() == [0.75, 2.25, 0.0]
    (sum(model(**batch) for batch in batches) / 3).backward()
    assert model.weight.grad == (1 + 2 + 3 + 7) / 4


def test_a_single_pass_is_the_joint_batch():
    batches = [{"values": torch.ones(5)}]
    assert share_losses(Mean(), batches, CPU) is batches


def test_no_items_at_all_have_no_share():
    batches = share_losses(Mean(), [{"values": -torch.ones(5)}] * 2, CPU)
    assert [batch["loss_shares"]["mean"] for batch in batches] == [0.0, 0.0]


def test_a_pass_that_only_fills_its_place_has_no_share():
    batches = share_losses(Mean(), [{"values": torch.ones(5)}, {"values": torch.ones(3)}], CPU, counted=[False, True])
    assert [batch["loss_shares"]["mean"] for batch in batches] == [0.0, 2.0]


def test_a_model_that_counts_nothing_is_left_alone():
    batches = [{"values": torch.ones(2)}]
    assert share_losses(torch.nn.Linear(1, 1), batches, CPU) is batches
    start_codebooks(torch.nn.Linear(1, 1), batches * 2)
