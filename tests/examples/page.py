"""A report's page as a reader's browser takes it in: sections, tables, resources and figures, through html.parser."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

LOADING_ATTRIBUTES = {"src", "srcset", "data", "poster", "background", "action", "formaction"}


@dataclass
class Row:
    cells: list[str] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.tables: list[list[Row]] = []
        self.captions: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.titles: list[str] = []
        self.labels: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.figures: list[dict[str, Any]] = []
        self._open: list[str] = []
        self._script_type = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in LOADING_ATTRIBUTES]
        if tag in ("a", "link"):
            (self.links if tag == "a" else self.loads).append(given.get("href") or "")
        if tag == "section":
            self.sections.append(given.get("id") or "")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append(Row())
        if tag in ("td", "th"):
            self.tables[-1][-1].cells.append("")
            value = given.get("data-value")
            self.tables[-1][-1].values.append(None if value is None else float(value))
        if tag == "caption":
            self.captions.append("")
        if tag in ("h1", "h2", "h3", "h4"):
            self.titles.append("")
        if tag == "script":
            self._script_type = given.get("type") or ""
        if "data-figure" in given:
            self.labels.append(given.get("aria-label") or "")
        if tag not in ("meta", "link", "br", "wbr"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            if self._script_type == "application/json":
                self.figures = json.loads(data)
            else:
                self.scripts.append(data)
        elif inside != "style":
            self.text += data
            if "caption" in self._open:
                self.captions[-1] += data
            elif "td" in self._open or "th" in self._open:
                self.tables[-1][-1].cells[-1] += data
            elif inside in ("h1", "h2", "h3", "h4"):
                self.titles[-1] += data

    def table(self, caption_part: str) -> dict[tuple[str, str], dict[str, tuple[str, float | None]]]:
        """Table whose caption holds the words: (first cell, second cell) of a row -> column -> (text, exact value)."""
        (rows,) = [rows for caption, rows in zip(self.captions, self.tables) if caption_part in caption]
        columns = rows[0].cells
        return {
            (row.cells[0], row.cells[1]): dict(zip(columns, zip([cell.strip() for cell in row.cells], row.values)))
            for row in rows[1:]
            if len(row.cells) > 1
        }
