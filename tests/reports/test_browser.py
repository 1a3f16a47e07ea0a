"""The benchmark's page as a reader sees it, in headless Chromium, at the width of a desk and of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, browser
from example_benchmark import large_summary, write_summary

from vqdna.whole_report import write_report

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

DESK, PHONE = 1280, 400
NUM_PICTURES = 28 + 11 + 6

OVERLAPS = """(() => {
  const meet = (p, q) => p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1;
  return [...document.querySelectorAll(".plot")].filter((plot) => plot.closest("figure").querySelector(".names"))
    .map((plot) => {
      const boxes = [...plot.querySelectorAll(".annotation-text")].map((name) => name.getBoundingClientRect());
      const frame = plot.getBoundingClientRect();
      return {
        names: boxes.length,
        points: plot.querySelectorAll(".scatterlayer .point").length,
        overlaps: boxes.flatMap((p, i) => boxes.slice(0, i).filter((q) => meet(p, q))).length,
        cut: boxes.filter((p) => p.left < frame.left || p.right > frame.right || p.bottom > frame.bottom).length,
      };
    });
})()"""

CUT_NAMES = """[...document.querySelectorAll(".ranks text")].filter((text) => {
  const [name, picture] = [text, text.closest("svg")].map((node) => node.getBoundingClientRect());
  return name.left < picture.left || name.right > picture.right || name.bottom > picture.bottom;
}).map((text) => text.textContent)"""

WIDE_TABLES = """[...document.querySelectorAll("section[id^=benchmark] .scroll")]
  .filter((box) => box.scrollWidth > box.clientWidth + 1).length"""

SMALLEST_TEXT = """Math.min(...[...document.querySelectorAll("main :is(p, td, th, small, li, figcaption), .ranks text")]
  .filter((node) => node.getClientRects().length)
  .map((node) => parseFloat(getComputedStyle(node).fontSize)
    * (node.ownerSVGElement?.getBoundingClientRect().width / node.ownerSVGElement?.viewBox.baseVal.width || 1)))"""

EMPTY_CHARTS = """[...document.querySelectorAll(".plot")]
  .filter((plot) => !plot.querySelectorAll(".barlayer .point, .scatterlayer .point").length).length"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write_report([write_summary(folder / "gue", large_summary())], folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module", params=[DESK, PHONE])
def shown(request: pytest.FixtureRequest, chromium: Browser, page: Path) -> tuple[Browser, int]:
    chromium.open(page, request.param)
    return chromium, request.param


def test_the_page_is_as_wide_as_the_screen_and_never_scrolls_sideways(shown: tuple[Browser, int]) -> None:
    chromium, width = shown
    assert chromium.run("[innerWidth, document.documentElement.scrollWidth]") == [width, width]


def test_wide_tables_fit_a_desk_and_scroll_within_themselves_on_a_phone(shown: tuple[Browser, int]) -> None:
    chromium, width = shown
    assert (chromium.run(WIDE_TABLES) > 0) == (width == PHONE)


def test_every_chart_has_been_drawn(shown: tuple[Browser, int]) -> None:
    chromium, _ = shown
    assert chromium.run("document.querySelectorAll('.plot').length") == NUM_PICTURES
    assert chromium.errors == []
    assert chromium.run(EMPTY_CHARTS) == 0


def test_every_point_has_its_name_and_no_two_names_overlap(shown: tuple[Browser, int]) -> None:
    chromium, _ = shown
    charts = chromium.run(OVERLAPS)
    assert len(charts) == 6
    for chart in charts:
        assert chart["names"] == chart["points"] > 10
        assert chart["overlaps"] == chart["cut"] == 0


def test_numbers_stand_for_names_on_a_phone_alone(shown: tuple[Browser, int]) -> None:
    chromium, width = shown
    names = "[...document.querySelectorAll('.names')].filter((list) => list.getClientRects().length).length"
    assert chromium.run(names) == (6 if width == PHONE else 0)


def test_no_name_of_the_diagram_is_cut(shown: tuple[Browser, int]) -> None:
    chromium, _ = shown
    assert chromium.run("document.querySelectorAll('.ranks text').length") > 40
    assert chromium.run(CUT_NAMES) == []


def test_no_text_is_too_small_to_read(shown: tuple[Browser, int]) -> None:
    chromium, _ = shown
    assert chromium.run(SMALLEST_TEXT) > 10


@pytest.mark.parametrize("section", ["full", "reduced", "covid-like", "poster"])
def test_a_picture_of_each_section_is_neither_blank_nor_cut(
    shown: tuple[Browser, int], section: str, tmp_path: Path
) -> None:
    from matplotlib.image import imread

    chromium, width = shown
    pixels = imread(chromium.picture(tmp_path / "section.png", f"#benchmark-{section}"))[..., :3]
    inked = (abs(pixels - pixels[0, 0]) > 0.25).any(axis=-1)
    margin = 14
    assert pixels.shape[1] <= width
    assert 0.01 < inked.mean() < 0.6
    # Something stands in every screenful from the top to the bottom, and nothing runs into the margins of the phone.
    assert all(inked[top : top + 900].any() for top in range(0, len(inked) - 100, 900))
    assert not (width == PHONE and inked[:, :margin].all(axis=0).any())


def test_nothing_is_asked_of_the_network(chromium: Browser, page: Path) -> None:
    chromium.open(page, PHONE)
    assert chromium.run("performance.getEntriesByType('resource').length") == 0
