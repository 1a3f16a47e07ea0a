from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqdna.reports.charts.rank_diagram import CLEARANCE, WIDTH, Axis, bar_lines, rank_diagram

AVERAGE = {"worst": 3.5, "best": 1.25, "second": 2.0, "third": 3.25}
GROUPS = [["best", "second"], ["second", "third"], ["third", "worst"]]


def drawn(average: dict[str, float] = AVERAGE, groups: list[list[str]] = GROUPS, difference: float = 1.3) -> ET.Element:
    return ET.fromstring(rank_diagram("t", average, difference, groups, caption="c").svg)


def lines(svg: ET.Element, kind: str) -> list[tuple[float, float, float]]:
    """(x1, x2, y) of the lines of a class."""
    found = [line for line in svg.iter("line") if line.get("class") == kind]
    return [(float(line.get("x1", 0)), float(line.get("x2", 0)), float(line.get("y1", 0))) for line in found]


def test_each_system_hangs_from_its_rank_with_the_best_at_the_left() -> None:
    axis = Axis(4)
    places = {
        str(group.findtext("title")).split(":")[0]: str(group.find("path").get("d"))  # type: ignore[union-attr]
        for group in drawn().iter("g")
    }
    assert set(places) == set(AVERAGE)
    for name, path in places.items():
        start, end = re.fullmatch(r"M([\d.]+) [\d.]+V[\d.]+H([\d.]+)", path).groups()  # type: ignore[union-attr]
        assert float(start) == pytest.approx(axis.at(AVERAGE[name]), abs=0.06)
        assert (float(end) < axis.at(1)) == (name in ("best", "second"))
    assert axis.at(1) < axis.at(4)


def test_the_critical_difference_is_drawn_to_scale() -> None:
    axis = Axis(4)
    low, high, _ = lines(drawn(), "axis")[-3]
    assert high - low == pytest.approx(1.3 * axis.unit, abs=0.11)


def test_bars_join_their_groups_and_do_not_cover_each_other() -> None:
    axis = Axis(4)
    bars = lines(drawn(), "group")
    for (low, high, _), group in zip(bars, GROUPS, strict=True):
        assert low == pytest.approx(axis.at(min(AVERAGE[name] for name in group)) - CLEARANCE, abs=0.06)
        assert high == pytest.approx(axis.at(max(AVERAGE[name] for name in group)) + CLEARANCE, abs=0.06)
    assert bars[0][2] != bars[1][2] != bars[2][2]


def test_it_says_in_words_what_it_shows() -> None:
    alt = rank_diagram("t", AVERAGE, 1.3, GROUPS, caption="c").alt
    assert "best 1.25; second 2.00; third 3.25; worst 3.50" in alt
    assert "Critical difference 1.30" in alt
    assert "Not told apart: best, second; second, third; third, worst." in alt


def test_long_and_hostile_names_are_cut_and_escaped() -> None:
    svg = drawn({"<b>&" * 20: 1.0, "b": 2.0, "c": 3.0}, [])
    shown = [text for text in ("".join(node.itertext()) for node in svg.iter("text")) if "<b>" in text]
    assert [len(text) < 32 for text in shown] == [True, True]
    assert "…" in shown[0] + shown[1]


def test_names_that_begin_alike_are_told_apart() -> None:
    members = ["", "cnn+", "cnn+kmer-lightgbm+"]
    svg = drawn({f"average:cnn-words:small+{name}vqdna-views": float(len(name)) for name in members}, [])
    texts = ["".join(node.itertext()) for node in svg.iter("text")]
    endings = [text for text in texts if text.endswith("vqdna-views")]
    assert len(set(endings)) == len(members)
    assert all(len(text) <= 32 for text in texts), "a name of two lines, the first with its rank"


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 40)), max_size=12))
def test_bars_on_one_line_keep_their_distance(spans: list[tuple[float, float]]) -> None:
    placed = [(start, start + length) for start, length in sorted(spans)]
    found = bar_lines(placed)
    for index, line in enumerate(found):
        for other in range(index):
            if found[other] == line:
                assert placed[index][0] - placed[other][1] >= CLEARANCE


@pytest.mark.parametrize("num_systems", [2, 3, 13, 28, 60])
def test_everything_lies_within_the_picture(num_systems: int) -> None:
    svg = drawn({f"system {n}": float(n + 1) for n in range(num_systems)}, [], difference=0.5)
    _, _, width, height = map(float, str(svg.get("viewBox")).split())
    assert width == WIDTH
    assert all(0 <= float(text.get("x", 0)) <= width for text in svg.iter("text"))
    assert all(0 < float(text.get("y", 0)) < height for text in svg.iter("text"))
    assert 2 <= sum(text.get("text-anchor") == "middle" for text in svg.iter("text")) <= 14
