"""Changelog, glossary and contributing page against the code."""

from __future__ import annotations

import re
from pathlib import Path

import typer
from documents import PACKAGE, ROOT, markdown_files, table_rows

from vqdna import __version__
from vqdna.cli import app

COMMANDS = set(typer.main.get_command(app).commands)


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_changelog_has_the_version_and_every_command():
    changelog = text_of("CHANGELOG.md")
    assert re.search(rf"^## \[{re.escape(__version__)}\]", changelog, re.MULTILINE)
    assert set(re.findall(r"`vqdna (\w+)`", changelog)) == COMMANDS


def test_keys_in_the_glossary_are_keys_that_runs_write():
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    rows = table_rows(text_of("docs/glossary.md"), ("key", "means"))
    keys = {part for row in rows for key in row.code("key") for part in key.split(".")}
    assert len(keys) > 10
    written = {key for key in keys if re.search(rf'"{key}"|^    {key}: ', sources, re.MULTILINE)}
    assert keys - written == set()


def test_each_word_of_the_glossary_stands_there_once():
    rows = table_rows(text_of("docs/glossary.md"), ("word", "means here", "formerly"))
    words = [word for row in rows for word in row.cells["word"].split(", ")]
    assert len(words) > 60
    assert len(words) == len(set(words))


def test_every_package_is_named_where_changes_go_and_every_place_named_exists():
    rows = table_rows(text_of("CONTRIBUTING.md"), ("change", "place", "its tests"))
    places = [place for row in rows for column in ("place", "its tests") for place in row.code(column)]
    assert [place for place in places if not (ROOT / place).exists()] == []
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {Path(place).parts[2] for place in places if place.startswith("src/vqdna/")} >= packages


def test_decisions_are_numbered_without_gaps_and_named_by_their_headings():
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in files]
    assert numbers == list(range(1, len(files) + 1))
    for number, path in zip(numbers, files, strict=True):
        assert re.match(rf"# {number}\. \w", path.read_text())


def test_files_named_in_the_sources_exist():
    named = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"\b(?:docs|speed|runs|tests|configs)/[\w/-]+\.(?:md|py|yaml)", path.read_text())
    }
    assert "docs/paper.md" in named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_nothing_names_a_place_on_one_machine():
    texts = [*markdown_files(), *PACKAGE.rglob("*.py"), *ROOT.glob("configs/**/*.yaml")]
    private = re.compile(r"(?<![\w.])/(?:work|root|home|tmp)/")
    assert [str(path) for path in texts if private.search(path.read_text())] == []
