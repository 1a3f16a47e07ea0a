"""Speed benchmarks are run by hand; nothing else would notice that the package has moved on without them."""

from __future__ import annotations

import runpy

import pytest
from documents import ROOT

FOLDER = ROOT / "speed"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_imports_is_there(script, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    assert runpy.run_path(str(FOLDER / script), run_name="imported")["__doc__"]
