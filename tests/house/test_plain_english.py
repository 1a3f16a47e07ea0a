"""User documents are in plain English: short sentences, the field's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import ROOT, num_words, sentences

MAX_WORDS = 25
MAX_README_LINES = 150
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
    *sorted((ROOT / "docs" / "results").glob("*.md")),
    *sorted((ROOT / "docs" / "reference").glob("*.md")),
    ROOT / "src" / "vqdna" / "weights" / "small" / "README.md",
]
OLD_WORDS = {
    r"stretch(?:es)?": "window or span",
    r"rivals?": "baseline",
    r"fresh weights": "random initialization, from scratch",
    r"(?:learned|byte-pair) words?": "codes, tokens",
    r"cells?": "run or trial",
    r"claims?": "file lock, or statement",
    r"(?:is|are|was|were) drawn|drawn ones": "dinucleotide-shuffled, or sampled",
    r"crops?": "augmented view",
    r"flips?|flipped": "code change",
    r"planted": "in-silico",
    r"portraits?": "code motif",
    r"votes? of (?:the )?seeds|seeds vote": "seed ensemble",
    r"unseen records": "deduplicated test set",
    r"collapsed": "no better than chance",
    r"head start": "linear probing then fine-tuning",
    r"shared strands|strands shared": "reverse-complement equivariant or invariant",
    r"stem": "token merging",
    r"(?:that|which) ships|shipped": "built-in",
    r"codes tell|tells? of codes": "linear probe",
    r"books?": "codebook",
}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_is_long(path: Path):
    long = [sentence for sentence in sentences(path.read_text()) if num_words(sentence) > MAX_WORDS]
    assert long == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_old_word_stands_in_a_user_document(path: Path):
    found = [
        f"{match[0]!r}: say {instead}"
        for sentence in sentences(path.read_text())
        for word, instead in OLD_WORDS.items()
        for match in re.finditer(rf"\b(?:{word})\b", sentence, re.IGNORECASE)
    ]
    assert found == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MAX_README_LINES


def test_what_counts_as_a_sentence():
    text = """---
title: x
---
# A heading

One sentence with `some code in it` and [a link](https://example.org/a.b). Another one
over two lines!

| a table. | With sentences. |

- an item
- **Bold.** The rest: 3.5 MB.
```sh
vqdna. Not prose.
```
"""
    assert sentences(text) == [
        "A heading",
        "One sentence with CODE and a link.",
        "Another one over two lines!",
        "an item",
        "**Bold.",
        "The rest: 3.5 MB.",
    ]
    assert num_words("One - two, CODE (3.5)") == 4
