from __future__ import annotations

import pytest
from example_tasks import config

from vqdna.config import load_config
from vqdna.errors import InputError
from vqdna.finetune.settings import FinetuneConfig
from vqdna.training.settings import training_arguments


@pytest.mark.parametrize("name", ["cpu", "paper", "linear", "full", "demo"])
def test_every_configuration_builds(name):
    loaded = load_config(FinetuneConfig, name, "finetune")
    assert loaded.method == {"linear": "linear", "full": "full"}.get(name, "lora")


def test_paper_configuration_has_the_borrowed_recipe():
    """LoRA 8 / 16 / 0.05, rate 1e-4, batch 32, decay 0.01, 50 steps of warm-up: DNABERT-2's recipe for NT."""
    paper = load_config(FinetuneConfig, "paper", "finetune")
    assert (paper.lora.rank, paper.lora.alpha, paper.lora.dropout) == (8, 16, 0.05)
    assert (paper.training.learning_rate, paper.training.batch_size) == (1e-4, 32)
    assert (paper.training.weight_decay, paper.training.warmup_steps) == (0.01, 50)
    assert paper.head.pooling == "mean"


def test_linear_configuration_is_one_layer():
    assert load_config(FinetuneConfig, "linear", "finetune").head.hidden_size == 0


def test_epochs_in_steps_by_hand(tmp_path):
    epochs = config(training={"epochs": 30, "batch_size": 32, "learning_rate": 0.1, "warmup_steps": 50}).training
    steps = epochs.in_steps(1000)
    assert (steps.steps, steps.evaluate_every, steps.save_every) == (960, 32, 32)
    assert training_arguments(steps, tmp_path, 0).warmup_steps == 50


def test_warm_up_is_at_most_a_tenth_of_the_run(tmp_path):
    epochs = config(training={"epochs": 4, "batch_size": 32, "learning_rate": 0.1, "warmup_steps": 50}).training
    assert training_arguments(epochs.in_steps(320), tmp_path, 0).warmup_steps == 4


@pytest.mark.parametrize(
    ("longest", "passes"),
    [(1, 1), (500, 1), (512, 1), (513, 2), (1_100, 4), (16_384, 32), (112_500, 32)],
)
def test_batches_of_long_rows_are_accumulated_over_passes_that_fit(tmp_path, longest, passes):
    """By hand: 32 rows in passes of a divisor of 32, of at most 16,384 positions, or of one row."""
    settings = config().training.in_steps(1000, longest)
    arguments = training_arguments(settings, tmp_path, 0)
    assert (arguments.gradient_accumulation_steps, arguments.per_device_train_batch_size) == (passes, 32 // passes)
    assert settings.steps == config().training.in_steps(1000).steps


def test_ranks_and_passes_that_are_configured_count(monkeypatch):
    training = config(training={"gradient_accumulation": 2, "max_positions_per_pass": 400}).training
    assert training.in_steps(100, 100).gradient_accumulation == 8  # 16 rows in passes of 4
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert training.in_steps(100, 100).gradient_accumulation == 2  # a rank's 8 rows in two passes as it is


def test_a_typo_is_refused_with_the_nearest_key():
    with pytest.raises(InputError, match=r"unknown key 'lora.ranks'; did you mean 'rank'"):
        config(lora={"ranks": 4})
