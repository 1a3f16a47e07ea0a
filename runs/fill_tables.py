"""The tables of README.md and docs/, written anew from the results files.

    python runs/fill_tables.py            # rewrites what has changed
    python runs/fill_tables.py --check    # rewrites nothing; exit code 1 where a table is not that of its results

A table stands between `<!-- table FILE PART KIND -->` and `<!-- /table -->`. FILE is a results file in docs/results
without its ending, or one of speed/results by that path. KIND is one of `FILLED` in result_tables.py. PART is a
protocol or a set, or `all` where there is nothing to choose.
"""

import argparse
import re
import sys
from functools import cache
from pathlib import Path

from result_tables import FILLED, Record

from vqdna.results import read_json, write_atomically

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"(<!-- table (\S+) (\S+) (\S+) -->\n).*?(?=<!-- /table -->)", re.DOTALL)


@cache
def results(file: str) -> Record:
    """A results file by its name without ending."""
    folder = ROOT if "/" in file else ROOT / "docs" / "results"
    return read_json(folder / f"{file}.json")


def filled(text: str) -> str:
    """A document with its tables as the results files have them."""

    def table(block: re.Match[str]) -> str:
        start, file, part, kind = block.groups()
        return f"{start}\n{FILLED[kind](results(file), part).strip()}\n\n"

    return BLOCK.sub(table, text)


def main() -> None:
    """Fills all documents, or says which are not as they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="rewrite nothing")
    checks = parser.parse_args().check
    texts = {path: filled(path.read_text()) for path in DOCUMENTS}
    changed = {path: text for path, text in texts.items() if text != path.read_text()}
    for path, text in changed.items():
        print(f"{path}: {'not as the results files have it' if checks else 'written anew'}")
        if not checks:
            write_atomically(path, text.encode())
    sys.exit(1 if checks and changed else 0)


if __name__ == "__main__":
    main()
