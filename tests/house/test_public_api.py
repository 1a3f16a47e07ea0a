"""The public API against its page, its examples and its speed."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import subprocess
import sys
from importlib import import_module

import pytest
from documents import PACKAGE, ROOT

import vqdna

PAGE = ROOT / "docs" / "reference" / "api.md"
HEADING = re.compile(r"^## `vqdna\.([\w.]+)(\(.*\))?`$", re.MULTILINE)
LIMIT_SECONDS = 0.1
MOST_FILES = 50
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public(name: str) -> object:
    found: object = vqdna
    for part in name.split("."):
        found = getattr(found, part)
    return found


def run(code: str, *arguments: object) -> list[str]:
    """Lines that the code prints, run by an interpreter that has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def failures(text: str, name: str) -> list[str]:
    """Examples of the text that do not give what stands below them."""
    shown: list[str] = []
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=shown.append)
    return shown


def test_every_public_name_has_its_section_and_its_signature():
    sections = dict(HEADING.findall(PAGE.read_text()))
    assert set(vqdna.__all__) <= {name.split(".")[0] for name in sections}
    for name, written in sections.items():
        found = public(name)
        if inspect.ismodule(found):  # a package that is called as its function of the same name
            found = vars(import_module(f"{found.__name__}.public"))[name]
        names = [argument.partition("=")[0].strip(" *") for argument in written.strip("()").split(",")]
        assert [one for one in names if one] == list(inspect.signature(found).parameters), name


def test_every_section_has_an_example():
    parts = HEADING.split(PAGE.read_text())
    assert [name for name, text in zip(parts[1::3], parts[3::3], strict=True) if ">>>" not in text] == []


def test_the_examples_of_the_page_are_true(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert failures(PAGE.read_text().replace("```", ""), PAGE.name) == []


@pytest.mark.parametrize("name", vqdna.__all__)
def test_the_examples_of_docstrings_are_true(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = inspect.getdoc(public(name)) or ""
    assert ">>>" in text or inspect.ismodule(public(name)), "no example"
    assert failures(text, name) == []


def test_public_names_are_known_to_type_checkers_too():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.asname for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(vqdna.__all__) == imported


def test_importing_takes_no_torch_and_a_tenth_of_a_second():
    code = """
import sys, time
started = time.process_time()
import vqdna
print(time.process_time() - started)
print({"torch", "transformers", "numpy"} & set(sys.modules))
"""
    seconds, heavy = zip(*(run(code) for _ in range(3)), strict=True)
    assert min(map(float, seconds)) < LIMIT_SECONDS
    assert set(heavy) == {"set()"}


def test_embedding_two_sequences_touches_few_of_our_files(tmp_path):
    (tmp_path / "two.fa").write_text(">a\nACGTTGCANNACGT\n>b\nGATTACAGATTACA\n")
    code = """
import sys
from vqdna.cli import main
main(["embed", sys.argv[1], "-o", sys.argv[2]])
"""
    counted = """
import atexit, sys
def tell():
    print("\\n".join(sorted(name for name in sys.modules if name.split(".")[0] == "vqdna")))
atexit.register(tell)
"""
    lines = run(counted + code, tmp_path / "two.fa", tmp_path / "two.tsv")
    files = [line for line in lines if line.startswith("vqdna")]
    assert len(files) <= MOST_FILES, files
    assert not {name.split(".")[1] for name in files if "." in name} & {"finetune", "pretrain", "training"}
