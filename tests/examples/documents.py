"""What the project's texts say, in a form that tests can hold against the code: commands, links, tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "vqdna"

FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
INLINE_CODE = re.compile(r"`([^`\n]+)`")
SHELLS = ("", "sh", "bash", "console", "shell")
PROGRAMS = ("vqdna", "make")


@dataclass(frozen=True)
class Command:
    """One call of `vqdna` or `make` that a text shows, without the program's name."""

    where: str
    program: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where}: {self.program} {shlex.join(self.arguments)}"


def markdown_files() -> list[Path]:
    """README, the files beside it, and everything in docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def shell_blocks(path: Path) -> str:
    """Text of a Markdown file's shell blocks, or of a whole script."""
    text = path.read_text()
    if path.suffix != ".md":
        return text
    return "\n".join(block for language, block in FENCE.findall(text) if language in SHELLS)


def commands(path: Path) -> list[Command]:
    """Calls of `vqdna` and `make` in a script or in the shell blocks of a Markdown file."""
    return list(commands_in(shell_blocks(path), str(path.relative_to(ROOT))))


def commands_in(text: str, where: str) -> Iterator[Command]:
    """Calls in a shell text; arrays such as `splits=(...)` are put in where `"${splits[@]}"` stands."""
    arrays: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        array = re.fullmatch(r"\s*(\w+)=\((.*)\)\s*", line)
        if array:
            arrays[array[1]] = _words(array[2])
            continue
        for words in _simple_commands(line):
            program, arguments = _called(words)
            if program in PROGRAMS:
                filled = [part for word in arguments for part in _filled(word, arrays)]
                yield Command(where, program, tuple(filled))


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quotation that goes on over lines is no call of ours
        return []


def _simple_commands(line: str) -> Iterator[list[str]]:
    """Words between `|`, `&&` and `;`, redirections left out."""
    current: list[str] = []
    words = iter(_words(line.strip().removeprefix("$ ")))
    for word in words:
        if set(word) <= set("|&;"):
            yield current
            current = []
        elif set(word) <= set("<>"):
            next(words, None)
        else:
            current.append(word)
    yield current


def _called(words: list[str]) -> tuple[str, list[str]]:
    """Program and arguments, behind variables set for the call and `python -m` or `torchrun ... -m`."""
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if words[:1] and Path(words[0]).name in ("python", "python3", "torchrun") and "-m" in words:
        words = words[words.index("-m") + 1 :]
    return (Path(words[0]).name, words[1:]) if words else ("", [])


def _filled(word: str, arrays: dict[str, list[str]]) -> list[str]:
    name = re.fullmatch(r"\$\{(\w+)\[@\]\}", word)
    return arrays.get(name[1], []) if name else [word]


@dataclass(frozen=True)
class Row:
    """Row of a Markdown table: the text of each cell under the name of its column."""

    line: int
    cells: dict[str, str]

    def code(self, column: str) -> list[str]:
        """What stands in backticks in a cell."""
        return INLINE_CODE.findall(self.cells[column])


def table_rows(text: str, columns: tuple[str, ...]) -> list[Row]:
    """Rows of all tables with exactly these columns."""
    rows: list[Row] = []
    header: list[str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = cells
        elif tuple(header) == columns and not set("".join(cells)) <= set("-: "):
            rows.append(Row(number, dict(zip(columns, cells, strict=True))))
    return rows


def sentences(text: str) -> list[str]:
    """Sentences of a Markdown text: paragraphs, list items and headings apart.

    Tables, code blocks and addresses are left out; code in a line counts as one word.
    """
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"<!-- table .*?<!-- /table -->", "", FENCE.sub("", text), flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)\s]+\)", r"\1", INLINE_CODE.sub("CODE", text))
    blocks: list[str] = [""]
    for line in text.splitlines():
        if not line.strip() or line.startswith("|"):
            blocks.append("")
        elif re.match(r"\s*(?:[-*]|\d+\.|#+) ", line):
            blocks.append(re.sub(r"^\s*(?:[-*]|\d+\.|#+) ", "", line))
        else:
            blocks[-1] += " " + line.strip()
    ends = re.compile(r"(?<=[.!?])[*_)\"]*\s+(?=[*_(\"]*[A-Z0-9])")
    return [sentence.strip() for block in blocks for sentence in ends.split(block) if sentence.strip()]


def num_words(sentence: str) -> int:
    """Words of a sentence: what holds a letter or digit."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())
