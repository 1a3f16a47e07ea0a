from __future__ import annotations

from pathlib import Path

import pytest
from example_species import write_species_study
from page import Page

from vqdna.errors import InputError
from vqdna.reports.runs import find_runs
from vqdna.studies.species.report.section import (
    composition_share,
    findings,
    left_out,
    row_of,
    species_rows,
    write_species_page,
)
from vqdna.whole_report import write_report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_species_study(tmp_path_factory.mktemp("species") / "out")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(write_species_page(folder).read_text())


def rows_of(folder: Path, species_set: str) -> list:
    (run,) = find_runs([folder / species_set])
    return species_rows(run)


def figure(page: Page, title: str) -> dict:
    (spec,) = [spec for label, spec in zip(page.labels, page.figures, strict=True) if label.startswith(title)]
    return spec


def labelled(page: Page, caption: str) -> dict:
    return {first: row for (first, _), row in page.table(caption).items()}


def test_the_page_has_a_block_for_each_set_and_loads_nothing(page: Page) -> None:
    assert page.sections == ["overview", "species", "runs"]
    titles = ["Beside the poster", "clade", "genus", "What a window costs"]
    assert [title for title in page.titles if title in titles] == titles
    assert page.loads == []


def test_the_poster_s_numbers_stand_beside_ours(page: Page) -> None:
    table = page.table("The poster's table")
    assert table["VQDNA (HRQ)", "poster"]["32k"] == ("99.46", 99.46)
    assert table["VQDNA (HRQ)", "poster"]["450k"] == ("–", None)
    assert table["vqdna-hrq", "clade"]["20k"] == ("90.0 ± 2.8", pytest.approx(90))
    assert table["vqdna-hrq", "genus"]["20k"] == ("–", None)


def test_findings_are_made_of_the_rows_numbers(folder: Path, page: Page) -> None:
    rows = rows_of(folder, "clade")
    best, composition, share = composition_share(rows, 20_000)
    assert (best.system, composition.system) == ("vqdna-hrq", "nucleotide")
    assert share == pytest.approx((0.5 - 0.2) / (0.9 - 0.2))
    sentences = findings(rows)
    assert sentences[1] == (
        "At 20k the highest is vqdna-hrq with 90.0 ± 2.8; single-base counts have 50.0 ± 2.8, the share of G and C "
        "alone 60.0 ± 2.8 and guessing 20.0. So composition has 43 % of what lies above guessing."
    )
    assert "vqdna-hrq against the spectrum: +2.0 at 1k, +10.0 at 20k; 1 of these differences is beyond" in sentences[2]
    assert "stretches that hold 7 such windows side by side, over 5 species" in sentences[3]
    assert all(sentence in page.text for sentence in sentences)


def test_no_share_is_told_where_nothing_beats_guessing_or_composition_is_missing(folder: Path) -> None:
    rows = rows_of(folder, "clade")
    assert composition_share([row for row in rows if row.system != "nucleotide"], 1000) is None
    assert composition_share(rows, 32_000) is None
    assert len(findings([row for row in rows if row.system == "vqdna-hrq"])) == 1


def test_curves_are_the_table_and_guessing_a_line(page: Page) -> None:
    spec = figure(page, "Accuracy against length: clade")
    curves = {trace["name"]: (trace["x"], trace["y"]) for trace in spec["data"]}
    assert curves["vqdna-hrq"] == ([1000, 20_000], [52, 90])
    assert spec["layout"]["xaxis"]["ticktext"] == ["1k", "20k"]
    (guessing,) = spec["layout"]["annotations"]
    assert guessing["text"] == "guessing 20.0"
    assert labelled(page, "clade: test accuracy, percent")["nucleotide"]["1k"][0] == "40.0 ± 2.8"


def test_cost_is_drawn_and_told_against_length(page: Page) -> None:
    seconds = {trace["name"]: trace["y"] for trace in figure(page, "Time of one window")["data"]}
    assert seconds["vqdna-hrq"] == [0.01, 0.2]
    memory = {trace["name"]: trace["y"] for trace in figure(page, "Memory of one window")["data"]}
    assert memory["vqdna-hrq"] == [1, 20]
    assert "vqdna-hrq: 0.2 s at 20k, a base 1.00 times what it takes at 1k." in page.text
    row = page.table("One window")["vqdna-hrq", "20k"]
    assert (row["MB foreseen"][1], row["MB measured"][1]) == (40, 20)


def test_words_by_their_length_show_what_composition_is(page: Page) -> None:
    assert labelled(page, "clade: test accuracy of k-mer spectra")["20k"]["k = 1"] == ("60.0", pytest.approx(60))


def test_what_did_not_run_says_why(folder: Path, page: Page) -> None:
    (run,) = find_runs([folder / "genus"])
    assert [(one.system, one.length) for one in left_out(run)] == [("hyena", None), (None, 20_000)]
    assert "1 of 5 species have <20,000> bases" in page.text
    assert row_of(species_rows(run), "hyena", 1000) is None


def test_a_report_on_other_runs_has_the_section_too(folder: Path, tmp_path: Path) -> None:
    write_report([folder], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert "species" in page.sections
    assert "12 runs, see the species study" in page.text


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results of a species study yet"):
        write_species_page(tmp_path)
