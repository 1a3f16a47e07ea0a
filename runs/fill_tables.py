"""The benchmark's tables in README.md and in its guide, written anew from the results files.

    python runs/fill_tables.py            # rewrites what has changed
    python runs/fill_tables.py --check    # rewrites nothing; exit code 1 where a table is not that of its results

A table stands between `<!-- table FILE PROTOCOL KIND -->` and `<!-- /table -->`. FILE is a results file in docs/results
without its ending, KIND one of KINDS below.
"""

import argparse
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from vqdna.benchmark.ranking import Ranking, ranking_markdown
from vqdna.benchmark.summary_tables import means_table, metric_table, percent, published_table, systems_in_order
from vqdna.results import read_json, write_atomically

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "guides" / "benchmark.md")
BLOCK = re.compile(r"(<!-- table (\S+) (\S+) (\S+) -->\n).*?(?=<!-- /table -->)", re.DOTALL)

Record = dict[str, Any]


def variants_table(summary: Record, protocol: str) -> str:
    """Scores of the variant windows, and of an encoder's two parts."""
    rows = rows_of(summary, protocol)
    rows.sort(key=lambda row: -row["f1_macro"]["mean"])
    head = [
        "| system | macro-F1 | MCC | encoder alone, MCC | counts alone, MCC | collapsed |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(variants_row, rows)])


def variants_row(row: Record) -> str:
    """One line of it."""
    parts = [percent(row["parts"][part]["mcc"]) if part in row["parts"] else "" for part in ("encoder", "counts")]
    cells = [row["system"], percent(row["f1_macro"]), percent(row["mcc"]), *parts, str(len(row["collapsed"]) or "")]
    return "| " + " | ".join(cells) + " |"


def rows_of(summary: Record, protocol: str) -> list[Record]:
    """Rows of a protocol."""
    return [row for row in summary["rows"] if row["protocol"] == protocol]


def means(summary: Record, protocol: str) -> str:
    """Means over the datasets."""
    rows = rows_of(summary, protocol)
    return means_table(rows, systems_in_order(rows, summary["rankings"].get(protocol)))


def mcc(summary: Record, protocol: str) -> str:
    """Every dataset."""
    rows = rows_of(summary, protocol)
    return metric_table(rows, systems_in_order(rows, summary["rankings"].get(protocol)), "mcc", "MCC")


def ranks(summary: Record, protocol: str) -> str:
    """Average ranks and what they say."""
    return ranking_markdown(Ranking.from_record(summary["rankings"][protocol]))


def published(summary: Record, protocol: str) -> str:
    """What was published for the same datasets."""
    return published_table(rows_of(summary, protocol), summary["published"][protocol])


KINDS = {"means": means, "mcc": mcc, "ranks": ranks, "published": published, "variants": variants_table}


@cache
def results(file: str) -> Record:
    """A results file by its name without ending."""
    return read_json(ROOT / "docs" / "results" / f"{file}.json")


def filled(text: str) -> str:
    """A document with its tables as the results files have them."""

    def table(block: re.Match[str]) -> str:
        start, file, protocol, kind = block.groups()
        written = KINDS[kind](results(file), protocol)
        return f"{start}\n{written.strip()}\n\n"

    return BLOCK.sub(table, text)


def main() -> None:
    """Fills both documents, or says which are not as they should be."""
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
