from __future__ import annotations

import io
import sys

import pytest

import vqdna
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


@pytest.mark.parametrize("opened", [vqdna.load, vqdna.load_vocabulary])
@pytest.mark.parametrize("watched", [True, False])
def test_opening_a_model_shows_a_bar_to_those_who_watch_and_leaves_the_bars_of_others(monkeypatch, opened, watched):
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging

    stream = Terminal() if watched else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delenv(QUIET, raising=False)
    monkeypatch.setattr(logging, "_tqdm_active", True)  # commands switch it off for the whole process
    others = are_progress_bars_disabled()
    opened("small")
    assert ("Loading weights" in stream.getvalue()) == watched
    assert logging.is_progress_bar_enabled()
    assert are_progress_bars_disabled() == others


def test_who_has_switched_the_bars_off_sees_none(monkeypatch):
    from transformers.utils import logging

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv(QUIET, raising=False)
    monkeypatch.setattr(logging, "_tqdm_active", False)
    vqdna.load("small")
    assert terminal.getvalue() == ""
    assert not logging.is_progress_bar_enabled()
