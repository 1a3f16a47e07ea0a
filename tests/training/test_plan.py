"""Plans by hand where the numbers can be worked out on paper, and what a run starts from left as it is."""

import io
import json
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from vqdna.simulation.genomes import simulate_genomes, write_genomes
from vqdna.training import plan as plan_module
from vqdna.training.plan import Measured, Reading, announce, number, plan_training
from vqdna.training.settings import TrainingSettings
from vqdna.vocabulary.train import VocabularyConfig, plan_vocabulary, run_vocabulary, start_of_vocabulary

LENGTH, WIDTH = 6, 8
FLOAT = 4


class Rows(torch.utils.data.Dataset):
    """Items of `LENGTH` bases with a vector each."""

    def __len__(self):
        return 64

    def __getitem__(self, index):
        return torch.full((LENGTH, WIDTH), float(index))


def collate(items):
    return {"features": torch.stack(items)}


class Linear(nn.Module):
    """One matrix, and one that does not learn; dropout draws random numbers."""

    def __init__(self, width=16):
        super().__init__()
        self.frozen = nn.Linear(WIDTH, WIDTH, bias=False).requires_grad_(False)
        self.learned = nn.Linear(WIDTH, width, bias=False)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, features):
        self.seen += 1
        hidden = functional.dropout(self.learned(self.frozen(features)), 0.5, self.training)
        return SimpleNamespace(loss=hidden.sum())


class Attention(nn.Module):
    """Torch's fused attention of one head over the projected rows."""

    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, features):
        query = self.projection(features)[:, None]
        return SimpleNamespace(loss=functional.scaled_dot_product_attention(query, query, query).sum())


class Depthwise(nn.Module):
    """A convolution of every channel by itself."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv1d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, bias=False)

    def forward(self, features):
        return SimpleNamespace(loss=self.convolution(features.transpose(1, 2).requires_grad_()).sum())


class Sleeps:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.slept = 0.0

    def __call__(self, seconds):
        self.slept += seconds


def planned(model, within=None, **settings):
    training = TrainingSettings(
        **{"steps": 10, "batch_size": 8, "learning_rate": 1e-3, "precision": "fp32", **settings}
    )
    bases = training.steps * training.batch_size * LENGTH
    reading = Reading(bases, 96, 3.0, lambda batch: batch["features"].shape[0] * LENGTH)
    return plan_training(
        "test", model, Rows(), training, reading, collate=collate, parameters={"all": 192}, within=within
    )


def test_operations_of_linear_layers_by_hand():
    """Forward both matrices; backward the learned one's gradient alone, for nothing before it learns."""
    plan = planned(Linear())
    assert plan.forward_flops_per_base == 2 * WIDTH * WIDTH + 2 * WIDTH * 16
    assert plan.training_flops_per_base == plan.forward_flops_per_base + 2 * WIDTH * 16


def test_operations_of_attention_by_hand():
    projection, product = 2 * WIDTH * WIDTH, 2 * LENGTH * WIDTH
    plan = planned(Attention())
    assert plan.forward_flops_per_base == projection + 2 * product
    # Backward: the scores once more, then the gradients of query, key, value and weights; of the projection its own.
    assert plan.training_flops_per_base == plan.forward_flops_per_base + projection + 5 * product


def test_a_depthwise_convolution_is_no_dense_one():
    plan = planned(Depthwise())
    assert plan.forward_flops_per_base == 2 * WIDTH * 3
    assert plan.training_flops_per_base == 3 * plan.forward_flops_per_base


def test_memory_by_hand():
    plan = planned(Linear(), gradient_accumulation=2)
    learned, bases_per_pass = WIDTH * 16 * FLOAT, 4 * LENGTH
    kept = (WIDTH + 16) * FLOAT  # the learned matrix's input, and what dropout multiplies its output with
    assert plan.memory["weights"] == learned + WIDTH * WIDTH * FLOAT + FLOAT
    assert (plan.memory["gradients"], plan.memory["optimizer"]) == (learned, 2 * learned)
    assert plan.memory["activations"] == bases_per_pass * kept
    assert plan.total_memory == sum(plan.memory.values())


def test_a_models_own_weights_are_no_activations():
    """Backward through a matrix needs its weights, which are there already."""
    plan = planned(Linear().requires_grad_(True), batch_size=1)
    assert plan.memory["activations"] == LENGTH * (WIDTH + WIDTH + 16) * FLOAT


def test_weights_in_another_precision_are_kept_once_whatever_the_batch():
    model = Linear(4096).requires_grad_(True)
    kept = [planned(model, precision="bf16", batch_size=size).memory["activations"] for size in (1, 2, 3)]
    assert kept[1] - kept[0] == kept[2] - kept[1]
    assert 2 * kept[0] - kept[1] == WIDTH * 4096 * 2


def test_what_learns_is_split_over_the_ranks_where_it_is_sharded(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    copied, split = (planned(Linear(), sharding=kind).memory for kind in ("none", "fsdp"))
    learned = WIDTH * 16 * FLOAT
    assert copied["weights"] - split["weights"] == learned - learned // 4
    assert (split["gradients"], split["optimizer"]) == (learned // 4, learned // 2)
    assert split["activations"] == copied["activations"]


def test_time_by_hand(monkeypatch):
    measured = Measured(forward_flops=1, training_flops=3, seconds=0.5, activations=1, fixed_activations=0)
    monkeypatch.setattr(plan_module, "measure_passes", lambda *args, **kwargs: measured)
    assert planned(Linear()).seconds == 480 * 0.5
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert planned(Linear()).seconds == 480 * 0.5 / 4
    assert planned(Linear()).bases_per_second == 8


def test_what_is_read_by_hand(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    plan = planned(Linear(), gradient_accumulation=2)
    assert (plan.ranks, plan.passes_per_step, plan.sequences_per_pass) == (2, 2, 2)
    assert (plan.bases, plan.tokens, plan.epochs) == (480, 160, 5)
    assert plan.trainable_parameters == WIDTH * 16
    record = json.loads(plan.model_dump_json())
    assert record["bases_per_second"] == pytest.approx(480 / plan.seconds)
    assert record["flops"] == plan.training_flops_per_base * 480


def test_model_and_random_state_stay_as_they_are():
    model = Linear().eval()
    model.learned.weight.grad = torch.ones_like(model.learned.weight)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    planned(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(model.learned.weight.grad, torch.ones_like(model.learned.weight))
    assert not any(module.training for module in model.modules())
    assert model.frozen.weight.grad is None


def test_the_table_says_what_there_is():
    plan = planned(Linear()).model_copy(update={"device_memory": 10})
    stream = io.StringIO()
    plan.show(stream)
    text = " ".join(stream.getvalue().split())
    assert "plan: test" in text
    assert "192, 128 of them learn: all 192" in text
    assert "10 of 8 sequences" in text
    assert "480 bases, 160 tokens, 5 times the data" in text
    assert "too little (raise training.gradient_accumulation)" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (999, "999"), (1000, "1.00 k"), (85_940_000, "85.9 M"), (999_600, "1.00 M"), (2.62e11, "262 G")],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


@pytest.fixture
def watched(monkeypatch):
    """As in a terminal."""
    monkeypatch.setattr(plan_module, "is_watched", lambda: True)


def test_a_run_that_nobody_watches_makes_no_plan(monkeypatch):
    announce(lambda within: pytest.fail("made a plan"))
    monkeypatch.delenv("VQDNA_QUIET")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    announce(lambda within: pytest.fail("made a plan"))


@pytest.mark.usefixtures("watched")
def test_only_the_first_rank_makes_a_plan(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    announce(lambda within: pytest.fail("made a plan"))


@pytest.mark.usefixtures("watched")
def test_ranks_that_are_joined_all_make_it_and_the_first_shows_it(monkeypatch, capsys):
    monkeypatch.setattr(plan_module.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(plan_module.dist, "broadcast", lambda decision, src: decision.fill_(1))
    made, plan = [], planned(Linear())
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        announce(lambda within: made.append(plan) or plan)
        assert len(made) == (2 if rank == "0" else 1)
        assert bool(capsys.readouterr().err) == (rank == "0")


@pytest.mark.usefixtures("watched")
def test_a_plan_that_nobody_asked_for_takes_about_a_second_at_most(monkeypatch, capsys):
    class Slow(Linear):
        def forward(self, features):
            time.sleep(0.25)
            return super().forward(features)

    monkeypatch.setattr(time, "sleep", sleeps := Sleeps())
    monkeypatch.setattr(plan_module.time, "perf_counter", lambda: sleeps.slept)
    announce(lambda within: planned(Slow(), within=within))
    assert sleeps.slept <= 1
    assert capsys.readouterr().err == "plan: takes long to measure here; `--plan` makes it\n"
    assert planned(Slow()).seconds > 0


CONFIG = VocabularyConfig.model_validate(
    {
        "model": {
            "quantizer": "hrq", "level_sizes": [8, 16], "width": 16, "stem_width": 12, "num_blocks": 2,
            "codebook_learning": "gradient",
        },
        "data": {"window": 64, "evaluation_windows": 4},
        "training": {"steps": 3, "batch_size": 4, "learning_rate": 1e-3, "precision": "fp32"},
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def genomes(tmp_path_factory):
    return write_genomes(tmp_path_factory.mktemp("genomes"), simulate_genomes(0, num_species=2, bases_per_species=6000))


def test_a_vocabulary_is_planned_without_being_started(genomes):
    start = start_of_vocabulary(CONFIG, genomes, seed=0)
    plan = start.plan()
    assert not any(book.is_initialized for book in start.model.quantizer.codebooks)
    assert plan.parameters["quantizer"] == (8 + 16) * 16
    assert plan.total_parameters == plan.trainable_parameters == sum(p.numel() for p in start.model.parameters())
    assert (plan.bases, plan.epochs) == (3 * 4 * 64, 3 * 4 * 64 / 12_000)


def test_planning_writes_nothing_and_counts_code_vectors_that_no_optimizer_moves(genomes):
    moved = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"codebook_learning": "ema"})})
    plan = plan_vocabulary(moved, genomes=genomes, seed=0)
    assert plan.total_parameters - plan.trainable_parameters == (8 + 16) * 16


def test_a_run_that_shows_its_plan_ends_with_the_bits_of_one_that_does_not(genomes, tmp_path, monkeypatch, capsys):
    run_vocabulary(CONFIG, genomes=genomes, out=tmp_path / "quiet", seed=0)
    assert "plan:" not in capsys.readouterr().err
    monkeypatch.setattr(plan_module, "is_watched", lambda: True)
    monkeypatch.setattr(plan_module, "ANNOUNCED_WITHIN", None)
    run_vocabulary(CONFIG, genomes=genomes, out=tmp_path / "shown", seed=0)
    assert "plan: vocabulary (hrq)" in capsys.readouterr().err
    quiet, shown = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("quiet", "shown"))
    assert all(torch.equal(shown[name], tensor) for name, tensor in quiet.items())
