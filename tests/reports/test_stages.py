from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from example_runs import write_finetune, write_pretrain, write_run, write_vocabulary

from vqdna.reports.charts.figures import MAX_POINTS_PER_LINE, thinned
from vqdna.reports.content import percent
from vqdna.reports.runs import Run, find_runs
from vqdna.reports.stages.finetune import finetune_section
from vqdna.reports.stages.pretrain import pretrain_section
from vqdna.reports.stages.vocabulary import vocabulary_section

EVALUATION = {
    "reconstruction_accuracy": 0.998, "reconstruction": 0.01, "bits_per_base": 3.0,
    "levels": [{"size": 8, "usage": 0.75, "perplexity": 4.25, "dead_codes": 2}],
}  # fmt: skip
CODE_MAP = [
    {"level": 0, "code": 0, "x": 0.0, "y": 1.0, "count": 90, "top_kmer": "GGC"},
    {"level": 0, "code": 5, "x": 2.0, "y": 3.0, "count": 10, "top_kmer": "AAT"},
]


def figure(section: Any, title: str) -> Any:
    (found,) = [figure for block in section.blocks for figure in block.figures if figure.title == title]
    return found


def vocabulary(**extra: Any) -> Run:
    return Run("small", {"stage": "vocabulary", "system": "vq", "evaluation": EVALUATION, **extra})


def test_level_table_repeats_the_evaluation() -> None:
    section = vocabulary_section([vocabulary()])
    assert section is not None
    (row,) = section.blocks[0].tables[0].rows
    assert [cell.text for cell in row] == ["small", "0", "8", "75.0 %", "4.2", "2", "99.80 %"]
    assert [cell.value for cell in row[1:]] == [0, 8, 0.75, 4.25, 2, 0.998]


def test_the_reader_is_told_that_reconstruction_is_a_sanity_check() -> None:
    section = vocabulary_section([vocabulary()])
    assert section is not None
    assert any("stride 1" in text and "sanity check, not a quality measure" in text for text in section.sentences)


def test_code_usage_is_sorted_and_leaves_dead_codes_out() -> None:
    section = vocabulary_section([vocabulary(code_usage=[[10, 0, 60, 30]])])
    usage = figure(section, "Code usage, level 0")
    assert usage.spec["data"][0]["y"] == [60.0, 30.0, 10.0]
    assert "of 4 codes 3 are used" in usage.alt
    assert usage.caption.startswith("3 of 4 codes occur.")


def test_code_map_shows_use_as_area_and_gc_as_color() -> None:
    (trace,) = figure(vocabulary_section([vocabulary(code_map=CODE_MAP)]), "Map of the code vectors, level 0").spec[
        "data"
    ]
    assert trace["customdata"] == [[0, 90.0, "GGC"], [5, 10.0, "AAT"]]
    assert trace["marker"]["color"] == [100.0, 0.0]
    large, small = trace["marker"]["size"]
    assert large > small


def test_each_level_has_usage_and_map_side_by_side(tmp_path: Path) -> None:
    write_vocabulary(tmp_path / "hrq", "hrq", (16, 32))
    section = vocabulary_section(find_runs([tmp_path]))
    assert section is not None
    rows = [[figure.title for figure in row] for row in section.blocks[1].rows]
    assert rows[2:] == [
        [f"{name}, level {level}" for name in ("Code usage", "Map of the code vectors")] for level in (0, 1)
    ]


def test_steps_repeated_after_a_resume_count_once(tmp_path: Path) -> None:
    metrics = [
        {"step": 1, "commitment": 5.0},
        {"step": 2, "commitment": 9.0},
        {"step": 2, "commitment": 4.0},
        {"step": 3, "commitment": 3.0},
    ]
    write_run(tmp_path / "run", {"stage": "vocabulary"}, metrics)
    (run,) = find_runs([tmp_path])
    assert run.series("commitment") == ([1.0, 2.0, 3.0], [5.0, 4.0, 3.0])


def test_a_metrics_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"stage": "vocabulary"}, [{"step": 1, "commitment": 5.0}])
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 2, "comm')
    assert find_runs([folder])[0].series("commitment") == ([1.0], [5.0])


def test_the_leak_is_drawn_and_told_by_distance(tmp_path: Path) -> None:
    leak = [{"distance": 4, "accuracy": [0.3, None], "count": 5}, {"distance": 1, "accuracy": [0.9, 0.5], "count": 50}]
    write_run(tmp_path / "run", {"stage": "pretrain", "leak": leak, "masking": {"unit": "bases", "fraction": 0.25}})
    section = pretrain_section(find_runs([tmp_path]))
    assert section is not None
    first, second = figure(section, "Leak from neighbors").spec["data"]
    assert (first["x"], first["y"]) == ([1.0, 4.0], [90.0, 30.0])
    assert (second["x"], second["y"]) == ([1.0], [50.0])
    assert any("90.0 % at distance 1 and 30.0 % at 4 (level 0)" in text for text in section.blocks[0].sentences)
    assert section.blocks[0].sentences[0].startswith("25 % of the bases are hidden from the vocabulary as well")


def test_masked_accuracy_of_training_stands_in_where_nothing_was_evaluated(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"stage": "pretrain"}, [{"step": 1, "masked_accuracy_level_0": 0.1}])
    section = pretrain_section(find_runs([tmp_path]))
    assert figure(section, "Masked accuracy, training").spec["data"][0]["y"] == [10.0]


def test_pretraining_reports_accuracy_per_level_and_nats(tmp_path: Path) -> None:
    write_pretrain(tmp_path / "run", "hrq", 2)
    section = pretrain_section(find_runs([tmp_path]))
    assert section is not None
    facts = dict(section.blocks[0].facts)
    assert facts["masked accuracy, level 0"] == "42.0 %"
    assert facts["masked accuracy, level 1"] == "24.0 %"
    assert facts["base nats"] == "1.3010"


def test_seeds_of_a_system_share_color_and_legend(tmp_path: Path) -> None:
    for seed in range(2):
        write_finetune(tmp_path / f"hrq-{seed}", "d", "hrq", seed, 0.6)
    write_finetune(tmp_path / "vq-0", "d", "vq", 0, 0.5)
    traces = figure(finetune_section(find_runs([tmp_path])), "Dev MCC by epoch").spec["data"]
    assert [trace["line"]["color"] for trace in traces] == ["var(--series-0)", "var(--series-0)", "var(--series-1)"]
    assert [trace["showlegend"] for trace in traces] == [True, False, True]
    assert [trace["x"] for trace in traces] == [list(range(1, 9))] * 3


def test_the_epoch_kept_is_in_the_table(tmp_path: Path) -> None:
    write_finetune(tmp_path / "run", "d", "hrq", 3, 0.6, best_epoch=5, dev={"mcc": 0.615})
    section = finetune_section(find_runs([tmp_path]))
    assert section is not None
    (row,) = section.blocks[0].tables[0].rows
    assert [cell.text for cell in row[2:5]] == ["3", "5 of 8", "61.50"]


def test_long_curves_keep_their_ends() -> None:
    x, y = thinned(range(10_000), [2 * value for value in range(10_000)])
    assert len(x) == MAX_POINTS_PER_LINE
    assert (x[0], x[-1]) == (0, 9999)
    assert all(b == 2 * a for a, b in zip(x, y))


@pytest.mark.parametrize(("value", "text"), [(1.0, "100.0 %"), (0.99999, "> 99.9 %"), (0.5, "50.0 %"), (None, "–")])
def test_nearly_all_never_reads_as_all(value: float | None, text: str) -> None:
    assert percent(value) == text
