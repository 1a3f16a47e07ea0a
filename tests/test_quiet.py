from __future__ import annotations

import io
import sys

import pytest

from vqdna.quiet import QUIET, is_quiet, is_watched


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "watched"),
    [(Terminal(), "", True), (Terminal(), "1", False), (io.StringIO(), "", False), (io.StringIO(), "1", False)],
)
def test_bars_are_for_terminals_where_nobody_asked_for_quiet(monkeypatch, stream, quiet, watched):
    monkeypatch.setenv(QUIET, quiet)
    monkeypatch.setattr(sys, "stderr", stream)
    assert is_watched() == watched
    assert is_quiet() == bool(quiet)


def test_a_prediction_that_is_to_be_quiet_shows_no_bar(monkeypatch, capsys):
    from vqdna.finetune.evaluation import _shown

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv(QUIET, "1")
    assert list(_shown([1, 2], "predict")) == [1, 2]
    assert terminal.getvalue() == ""
    monkeypatch.delenv(QUIET)
    assert list(_shown([1, 2], "predict")) == [1, 2]
    assert "predict" in terminal.getvalue()
