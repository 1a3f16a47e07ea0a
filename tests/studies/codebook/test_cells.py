from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml

from vqdna.errors import InputError
from vqdna.studies.codebook.cells import (
    BPE,
    HAND_MADE,
    chosen_cells,
    find_preset,
    paper_width,
    row_config,
    row_names,
    rows_folder,
)
from vqdna.studies.codebook.study import Study
from vqdna.vocabulary.configuration import VQVAEConfig

LEARNED = [name for name in row_names(rows_folder()) if name not in (*HAND_MADE, *BPE)]
PRESETS = ("paper", "scaled")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("row", LEARNED)
def test_every_row_is_valid_at_every_preset(row, preset):
    config = row_config(row, find_preset(preset))
    VQVAEConfig(**config.model.model_dump())  # refuses what contradicts itself
    assert config.model.width * find_preset(preset).width_divisor == paper_width(row, find_preset(preset))


@pytest.mark.parametrize("path", sorted(rows_folder().glob("[!_]*.yaml")), ids=lambda path: path.stem)
def test_every_row_is_a_small_difference_that_says_what_it_is(path):
    text = path.read_text()
    assert text.startswith("# ")
    comments = list(itertools.takewhile(lambda line: line.startswith("#"), text.splitlines()))
    assert len(comments) <= 2
    row = yaml.safe_load(text)
    assert set(row) == {"base", "model"}
    assert (rows_folder() / row["base"]).is_file()
    assert len([key for key, value in row["model"].items() if not isinstance(value, list)]) <= 7


@pytest.mark.parametrize("quantizer", ["vq", "hrq"])
def test_the_table_has_the_posters_sizes_and_widths(quantizer):
    scaled, paper = find_preset("scaled"), find_preset("paper")
    levels = {k: (k,) if quantizer == "vq" else (2 * k, 4 * k) for k in (128, 256, 512, 1024)}
    for k, sizes in levels.items():
        config = row_config(f"{quantizer}_k{k}", paper).model
        assert (config.quantizer, config.level_sizes, config.width) == (quantizer, sizes, 384)
    widths = {"k512": 48, "d256": 32, "d768": 96, "d1024": 128}
    for row, width in widths.items():
        config = row_config(f"{quantizer}_{row}", scaled).model
        assert (config.width, config.stem_width, config.level_sizes) == (width, 32, levels[512])


def test_a_preset_lies_between_the_base_and_the_row(tmp_path):
    (tmp_path / "_base.yaml").write_text(
        "model: {quantizer: vq, level_sizes: [8], width: 64, stem_width: 32, codebook_decay: 0.99}\n"
        "training: {steps: 9, batch_size: 4, learning_rate: 0.1}\n"
    )
    (tmp_path / "_half.yaml").write_text("width_divisor: 2\nmodel: {codebook_decay: 0.5}\ntraining: {steps: 3}\n")
    (tmp_path / "low.yaml").write_text("model: {codebook_decay: 0.9}\n")
    (tmp_path / "high.yaml").write_text("base: low.yaml\nmodel: {level_sizes: [16]}\n")
    config = row_config("high", find_preset("half", tmp_path))
    assert (config.model.codebook_decay, config.model.level_sizes, config.training.steps) == (0.9, (16,), 3)
    assert (config.model.width, config.model.stem_width) == (32, 16)
    assert row_names(tmp_path)[-2:] == ["high", "low"]


def test_hand_made_rows_have_one_seed_and_others_all():
    found = chosen_cells(["kmer_6", "vq_k512"], 2, rows_folder())
    assert found == [("kmer_6", 0), ("vq_k512", 0), ("vq_k512", 1)]


def test_unknown_rows_and_presets_get_the_nearest_name():
    with pytest.raises(InputError, match="no cell 'hrq_k521' in the codebook study; did you mean 'hrq_k512'"):
        chosen_cells(["hrq_k521"], 1, rows_folder())
    with pytest.raises(InputError, match="no preset 'scale', expected one of paper, scaled; did you mean 'scaled'"):
        find_preset("scale")


def test_limits_of_a_dataset_can_differ_and_max_train_replaces_one():
    preset = find_preset("scaled")
    plain, fewer = (Study((), Path(), preset, {}, max_train) for max_train in (None, 77))
    assert plain.limits("tf/0") == preset.limits != plain.limits("covid-windows")
    assert (fewer.limits("tf/0").train, fewer.limits("tf/0").test) == (77, preset.limits.test)
    assert find_preset("paper").limits.train is None
