import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.genome.bases import reverse_complement
from vqdna.pretrain.contrast import (
    NO_GROUP,
    ContrastSettings,
    contrast_loss,
    contrast_views,
    is_contrasted,
)
from vqdna.pretrain.evaluation import evaluate_question
from vqdna.pretrain.masking import MaskingSettings
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.pretrain.shuffling import NOT_ASKED, ShufflingSettings
from vqdna.pretrain.train import MaskedCollator, PretrainConfig, plan_pretrain
from vqdna.simulation.genomes import simulate_genomes, write_genomes
from vqdna.tokenizers import load_tokenizer

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 24, "local_attention": 32,
}  # fmt: skip
STILL = ContrastSettings(fraction=0.5, group=2, stretch=32, crop=32, substituted=0.0)


def windows(rows=8, bases=70, letters=4):
    return np.random.default_rng(0).integers(0, letters, (rows, bases)).astype(np.uint8)


def collator(**options):
    return MaskedCollator(MaskingSettings(), load_tokenizer("nucleotide"), 0, **options)


def model_of(weight=1.0):
    torch.manual_seed(0)
    encoder = GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), BACKBONE, "table")
    return GenomeEncoderForMaskedModeling.from_encoder(encoder, contrast_weight=weight).eval()


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75, 1.0])
def test_whole_groups_are_taken_in_equal_measure_all_along(fraction):
    settings = ContrastSettings(fraction=fraction, group=4)
    taken = is_contrasted(settings, range(400)).reshape(-1, 4)
    assert (taken.all(axis=1) | ~taken.any(axis=1)).all()
    assert (taken[:, 0].reshape(-1, 4).mean(axis=1) == fraction).all()


def test_uncut_and_unchanged_the_first_view_is_the_span_and_the_second_its_other_strand():
    given = windows()
    views, groups = contrast_views(STILL, 0, range(8), given)
    spans = given[:, :64].reshape(-1, 32)
    assert np.array_equal(views[:, 0], spans)
    assert np.array_equal(views[:, 1], reverse_complement(spans))
    assert not np.array_equal(views[:, 2], spans)
    assert groups.tolist() == [number // 2 for number in range(8) for _ in range(2)]


def test_the_drawn_view_has_the_pairs_of_the_first_and_no_others():
    given = np.tile(np.array([0, 1], dtype=np.uint8), (40, 32))
    views, _ = contrast_views(STILL, 0, range(40), given)
    pairs = {tuple(pair) for row in views[:, 2] for pair in pairwise(row)}
    assert pairs == {(0, 1), (1, 0)}


def test_views_are_spans_of_the_window_with_so_many_bases_substituted_and_n_kept():
    settings = ContrastSettings(fraction=1, stretch=64, crop=48, substituted=0.2)
    given = windows(200, 64)
    given[:, 20:30] = 4
    views, _ = contrast_views(settings, 3, range(200), given)
    rates, starts = [], set()
    for window, view in zip(given, views[:, 0], strict=True):
        placed = min(range(17), key=lambda start: int((window[start : start + 48] != view).sum()))
        cut = window[placed : placed + 48]
        assert np.array_equal(cut == 4, view == 4)
        rates.append(np.mean(cut[cut < 4] != view[cut < 4]))
        starts.add(placed)
    assert starts == set(range(17))
    assert np.mean(rates) == pytest.approx(0.1, abs=0.02)
    assert min(rates) < 0.03
    assert 0.2 < max(rates) < 0.45


def test_a_windows_views_depend_on_seed_and_number_alone():
    settings, given = ContrastSettings(fraction=1, stretch=32, crop=24), windows()
    whole, _ = contrast_views(settings, 0, range(8), given)
    part, _ = contrast_views(settings, 0, [5, 6], given[5:7])
    assert np.array_equal(whole[10:14], part)
    assert not np.array_equal(whole, contrast_views(settings, 1, range(8), given)[0])


def test_a_view_longer_than_its_span_is_refused():
    with pytest.raises(ValueError, match=r"crop: got 64 bases, expected at most stretch \(32\)"):
        ContrastSettings(stretch=32, crop=64)


def test_windows_are_masked_or_viewed_and_never_both():
    items = list(enumerate(windows()))
    batch = collator(contrast=STILL)(items)
    assert torch.equal(batch["base_ids"], torch.from_numpy(windows()[[0, 1, 4, 5]]))
    assert batch["masked_bases"].any(dim=1).all()
    assert batch["contrast_groups"].tolist() == [1] * 4 + [3] * 4


@pytest.mark.parametrize(("chosen", "counted"), [([0, 1], (True, False)), ([2, 3], (False, True))])
def test_a_pass_of_one_kind_has_a_row_of_the_other_that_does_not_count(chosen, counted):
    items = [(number, windows()[number]) for number in chosen]
    batch = collator(shuffling=ShufflingSettings(fraction=0.5), contrast=STILL)(items)
    asked = batch["masked_bases"].any() or (batch["shuffled_bases"] != NOT_ASKED).any()
    assert bool(asked) is counted[0]
    assert bool((batch["contrast_groups"] != NO_GROUP).any()) is counted[1]
    counts = model_of().loss_items(**batch)
    assert (int(counts["masked"] + counts["shuffling"]) > 0, int(counts["contrast"]) > 0) == counted
    output = model_of().train()(**batch)
    output.loss.backward()
    assert torch.isfinite(output.loss)


def vectors(*angles):
    """Unit vectors of the plane, [span, view, 2]."""
    radians = torch.tensor(angles) * math.pi / 180
    return torch.stack([radians.cos(), radians.sin()], dim=-1)


def test_loss_and_accuracy_by_hand():
    given, groups = vectors([0, 60, 90], [180, 240, 270]), torch.tensor([0, 0])
    loss, found = contrast_loss(given, groups, 0.5)
    cosine = [math.cos(math.radians(angle)) / 0.5 for angle in (60, 120, 90, 90)]
    first = math.log(sum(map(math.exp, cosine))) - cosine[0]
    backward = [math.cos(math.radians(angle)) / 0.5 for angle in (60, 120, 30, 150)]
    second = math.log(sum(map(math.exp, backward))) - backward[0]
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)
    assert found.item() == 0.5  # the second view of each lies nearer to the drawn one


def test_spans_of_other_groups_and_rows_that_do_not_count_change_nothing():
    torch.manual_seed(0)
    given = torch.nn.functional.normalize(torch.randn(6, 3, 8), dim=-1)
    apart = [contrast_loss(given[part], torch.zeros(3, dtype=torch.long), 0.1)[0] for part in (slice(3), slice(3, 6))]
    together, _ = contrast_loss(given, torch.tensor([0, 0, 0, 1, 1, 1]), 0.1)
    torch.testing.assert_close(together, sum(apart) / 2)
    alone, _ = contrast_loss(given, torch.tensor([0, 0, 0, NO_GROUP, NO_GROUP, NO_GROUP]), 0.1)
    torch.testing.assert_close(alone, apart[0])


def test_the_models_loss_adds_the_weighted_question_and_evaluation_gives_it():
    batch = collator(contrast=STILL)(list(enumerate(windows())))
    heavy, light = model_of(2.0), model_of(1.0)
    difference = heavy(**batch).loss - light(**batch).loss
    torch.testing.assert_close(difference, light(**batch).contrast)
    numbers = evaluate_question(light, [batch], "contrast")
    assert numbers["contrast"] == pytest.approx(light(**batch).contrast.item())
    assert set(numbers) == {"contrast", "contrast_accuracy"}


def test_training_finds_more_partners_than_chance():
    settings = ContrastSettings(fraction=1, group=8, stretch=64, crop=48, substituted=0.05)
    collate, model = collator(contrast=settings), model_of().train()
    batches = [collate(list(enumerate(windows(8, 64), 8 * number))) for number in range(4)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(60):
        loss = model(**batches[step % 4]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert evaluate_question(model, batches, "contrast")["contrast_accuracy"] > 3 / 16


def plan_of(tmp_path, contrast, **training):
    genomes = write_genomes(tmp_path, simulate_genomes(0, num_species=1, bases_per_species=4000))
    training = {"steps": 2, "batch_size": 8, "learning_rate": 1e-3, **training}
    config = PretrainConfig.model_validate(
        {"backbone": BACKBONE, "data": {"window": 64}, "contrast": contrast, "training": training}
    )
    genomes = [path for path in genomes if ".fa" in path.name]
    return plan_pretrain(config, tokenizer="nucleotide", genomes=genomes, seed=0)


def test_the_plan_counts_the_bases_of_viewed_windows(tmp_path):
    plan = plan_of(tmp_path, {"fraction": 0.5, "group": 2, "stretch": 32, "crop": 24})
    assert plan.bases == 2 * 8 * 64


@pytest.mark.parametrize(
    ("contrast", "training", "message"),
    [
        ({"fraction": 0.5, "group": 3}, {}, r"contrast\.group: 3 windows stay together"),
        ({"fraction": 0.5, "group": 8}, {"gradient_accumulation": 2}, r"in 2 part\(s\)"),
        ({"fraction": 0.5, "group": 2, "stretch": 128}, {}, r"contrast\.stretch: got 128 bases, expected at most"),
    ],
)
def test_groups_that_passes_would_tear_and_spans_that_do_not_fit_are_refused(tmp_path, contrast, training, message):
    with pytest.raises(InputError, match=message):
        plan_of(tmp_path, contrast, **training)
