from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from page import Page

from vqdna.audit.report.logos import LogoDrawer, letter_heights
from vqdna.audit.report.page import consensus, write_audit_page
from vqdna.errors import InputError

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
EVEN = [0.25] * 4


def level(size: int = 4) -> dict[str, Any]:
    return {
        "size": size,
        "usage": 0.75,
        "dead_codes": 1,
        "perplexity": 2.8,
        "entropy_bits_per_base": 1.5,
        "rank_frequency": {"rank": [1, 2, 3], "share": [0.5, 0.3, 0.2]},
    }


def code(number: int) -> dict[str, Any]:
    return {
        "code": number,
        "count": 1200,
        "share": 0.25,
        "information_bits": 7.5,
        "kmers": [{"kmer": "GATTAC", "count": 40, "enrichment": 210.4}],
        "matrix": [[0.97, 0.01, 0.01, 0.01], *([EVEN] * 14)],
        "partner": {"code": 3, "share": 0.8} if number else None,
    }


def tokenizer(name: str, num_levels: int) -> dict[str, Any]:
    names = [f"level {index}" for index in range(num_levels)] + (["joint"] if num_levels > 1 else [])
    flips = {
        "altered_fraction": 0.995 if num_levels > 1 else 0.97,
        "flips_per_change": 5.5,
        "farthest": num_levels,
        "mean_distance": 0.5,
        "flips_by_distance": [1.0, 2.0, 0.1][: num_levels + 1],
        "flip_probability_by_distance": [1.0, 0.9, 0.1][: num_levels + 1],
    }
    cell = {"bits": 0.3, "null_bits": 0.05, "null_deviation": 0.01, "excess_bits": 0.25, "share": 0.2}
    strand = {"same_code": 0.01, "partner_consistency": None, "normalized_information": 0.9}
    return {
        "name": name,
        "spec": name,
        "kind": "vq",
        "level_sizes": [4] * num_levels,
        "context_bases": 3,
        "usage": {
            "num_positions": 1000,
            "bases_per_position": 1.0,
            "nominal_bits_per_base": 2.0 * num_levels,
            "levels": [level()] * num_levels,
            "joint": {"used_combinations": 9, "perplexity": 6.5, "entropy_bits_per_base": 2.7},
        },
        "nats_per_base": {"order": 2, "num_folds": 8, "levels": [0.7] * num_levels, "total": 0.7 * num_levels},
        "sensitivity": {
            "num_changes": 1024,
            "altered_fraction": flips["altered_fraction"],
            "altered_standard_error": 0.002,
            "columns": dict.fromkeys(names, flips),
        },
        "shift": [{"shift": 1, "aligned_fraction": 1.0, "columns": dict.fromkeys(names, 1.0)}],
        "reverse_complement": {"aligned_fraction": 0.5, "columns": dict.fromkeys(names, strand)},
        "information": [
            {
                "name": "GC",
                "meaning": "share of G and C",
                "entropy_bits": 1.0,
                "value_names": ["low", "high"],
                "value_shares": [0.5, 0.5],
                "columns": dict.fromkeys(names, cell),
            }
        ],
        "between_levels": [
            {
                "coarse_level": 0,
                "fine_level": 1,
                "bits": 1.9,
                "null_bits": 0.1,
                "coarse_entropy_bits": 2.0,
                "fine_entropy_bits": 2.5,
                "fine_given_coarse_bits": 0.6,
                "coarse_given_fine_bits": 0.1,
            }
        ][: num_levels - 1],
        "codes": [[code(0), code(1)]] * num_levels,
    }


def results(*tokenizers: dict[str, Any], command: str = "vqdna audit") -> dict[str, Any]:
    return {
        "stage": "audit",
        "command": command,
        "seed": 0,
        "input": {
            "files": ["genomes/yeast.fa.gz"],
            "num_sequences": 2,
            "num_bases": 230_000,
            "num_windows": 256,
            "num_possible_windows": 900,
            "whole_input": False,
            "window": 512,
            "margin": 24,
            "num_counted_bases": 118_784,
            "annotation": "genes.gff",
            "num_features": 10,
            "num_features_elsewhere": 3,
        },
        "bases": {
            "num_bases": 230_000,
            "uniform": 1.386,
            "gzip": 1.55,
            "xz": 1.47,
            "order_2": 1.35,
            "context_mixing": 1.28,
            "composition": EVEN,
        },
        "tokenizers": list(tokenizers),
        "seconds": 12.5,
    }


def written(folder: Path, record: dict[str, Any]) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(record))
    return write_audit_page(folder).read_text()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    record = results(tokenizer("hrq", 2), tokenizer("kmer:6", 1))
    return written(tmp_path_factory.mktemp("audit"), record)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text.replace(" loading=", " data-loading=").replace('<img src="data:', '<br data-src="data:'))


def test_sections_stand_in_reading_order(page: Page) -> None:
    names = ["overview", "usage", "cost", "sensitivity", "stability", "information", "codes"]
    assert page.sections == [*names, "command"]
    assert [link for link in page.links if link.startswith("#")][1:] == [f"#{name}" for name in names]


def test_tokenizers_stand_side_by_side(page: Page) -> None:
    assert "Audit of hrq beside kmer:6" in page.titles
    (overview,) = [rows for caption, rows in zip(page.captions, page.tables) if caption.startswith("The main numbers")]
    assert overview[0].cells == ["", "hrq", "kmer:6"]
    cells = {row.cells[0]: row.values[1:] for row in overview[1:]}
    assert cells["single-base changes that alter a code"] == [0.995, 0.97]
    assert cells["nats per base of the codes, order 2"] == [1.4, 0.7]


def test_the_goal_is_held_against_each(page: Page) -> None:
    assert "hrq: 99.50 % (± 0.20) of the changes alter a code: reaches the goal." in page.text
    assert "kmer:6: 97.00 % (± 0.20) of the changes alter a code: misses the goal." in page.text


def test_what_was_read_is_said(page: Page) -> None:
    assert "on yeast.fa.gz. A random choice of the input was read" in page.text
    assert "3 more lie on sequences that are not among the genomes" in page.text


def test_levels_are_told_apart_and_what_they_share_is_said(page: Page) -> None:
    assert "Level 1 shares 1.90 of its 2.50 bits with level 0 (chance alone gives 0.10) and adds 0.60" in page.text
    assert [line["name"] for line in page.figures[0]["data"]] == ["hrq, level 0", "hrq, level 1", "kmer:6"]


def test_a_code_s_row_has_logo_use_partner_and_kmers(text: str) -> None:
    assert text.count('<img src="data:image/png;base64,') == 6
    assert text.count('alt="Logo, most frequent bases A') == 6
    assert "GATTAC <small>210×</small>" in text
    assert "3 (80 %)" in text


def test_the_page_loads_nothing_from_anywhere(text: str, page: Page) -> None:
    assert page.loads == []
    assert all(link.startswith("#") for link in page.links)
    assert "default-src 'none'" in text
    assert set(re.findall(r'<img src="([a-z:]+)', text)) == {"data:image"}


def test_every_figure_is_valid_plotly_and_says_in_words_what_it_shows(page: Page) -> None:
    from plotly.graph_objects import Figure

    assert len(page.figures) == len(page.labels) == 6
    for spec in page.figures:
        Figure(json.loads(re.sub(r"var\(--[a-z0-9-]+\)", "#123456", json.dumps(spec))))
    assert all(len(label) > 40 and re.search(r"\d", label) for label in page.labels)


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    record = results(tokenizer("kmer:6", 1))
    assert written(tmp_path / "one", record) == written(tmp_path / "two", record)


def test_text_from_files_is_shown_and_never_run(tmp_path: Path) -> None:
    text = written(tmp_path, results(tokenizer(HOSTILE, 1), command=HOSTILE))
    assert "<script>alert" not in text
    assert "<img src=x" not in text


def test_heights_of_letters_by_hand() -> None:
    """A certain base has 2 bits against an even ground, none against itself; an even place has no letters."""
    assert letter_heights([[1.0, 0.0, 0.0, 0.0], EVEN], EVEN) == [[2.0, 0.0, 0.0, 0.0], [0.0] * 4]
    assert letter_heights([[0.5, 0.5, 0.0, 0.0]], EVEN) == [[0.5, 0.5, 0.0, 0.0]]


def test_logos_differ_where_matrices_do_and_follow_one_another_unchanged() -> None:
    drawer = LogoDrawer()
    sure, even = [[1.0, 0.0, 0.0, 0.0]] * 15, [EVEN] * 15
    first, second, third = (drawer.draw(matrix, EVEN) for matrix in (sure, even, sure))
    assert first == third != second
    assert consensus([[0.7, 0.1, 0.1, 0.1], [0.2, 0.4, 0.2, 0.2]]) == "Ac"


def test_what_is_no_audit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"stage": "probe"}')
    with pytest.raises(InputError, match="the results of 'probe', wanted an audit's"):
        write_audit_page(tmp_path)


def test_a_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqdna.reports.page.find_spec", lambda name: None if name == "logomaker" else object())
    with pytest.raises(InputError, match=r"needs logomaker: pip install 'vqdna\[report\]'"):
        written(tmp_path, results(tokenizer("kmer:6", 1)))
    assert not (tmp_path / "audit.html").exists()
