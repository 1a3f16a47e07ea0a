from __future__ import annotations

import os
from pathlib import Path

import pytest

from vqdna.errors import InputError, nearest_name_hint
from vqdna.results import atomic_output, put_in_place, read_json, read_metrics, write_atomically, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_record_reads_back_with_its_keys_in_order(tmp_path):
    record = {"stage": "probe", "test": {"mcc": 0.5}, "a": None}
    write_json(tmp_path / "new" / "results.json", record)
    assert read_json(tmp_path / "new" / "results.json") == record
    assert list(read_json(tmp_path / "new" / "results.json")) == list(record)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_atomically(path, b"old")

    def disk_full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["results.json"]


def test_a_written_file_can_be_read_by_others(tmp_path):
    write_atomically(tmp_path / "results.json", b"{}")
    assert (tmp_path / "results.json").stat().st_mode & 0o777 == 0o644


def test_atomic_output_appears_only_if_its_block_ends_well(tmp_path):
    path = tmp_path / "codes.csv"

    def interrupted() -> None:
        with atomic_output(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []
    with atomic_output(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["codes.csv"]


def test_a_folder_is_put_in_the_place_of_an_older_one(tmp_path):
    for name in ("staging", "model"):
        (tmp_path / name).mkdir()
    (tmp_path / "staging" / "new").touch()
    (tmp_path / "model" / "old").touch()
    put_in_place(tmp_path / "staging", tmp_path / "model")
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["new"]


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no such file"), ("{", "not JSON"), ("[1]", "expected a JSON object, got list")]
)
def test_a_record_that_cannot_be_read_is_named(tmp_path, text, message):
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=rf"results\.json: {message}"):
        read_json(path)


def test_a_metrics_line_cut_short_by_a_kill_is_left_out_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2}\n{"step": 3, "lo')
    assert read_metrics(path) == [{"step": 1, "loss": 2.0}, {"step": 2}]
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl:2: not JSON"):
        read_metrics(path)


def test_the_nearest_name_is_suggested_where_one_is_near():
    assert nearest_name_hint("stepss", ["steps", "seed"]) == "; did you mean 'steps'?"
    assert nearest_name_hint("xyz", ["steps", "seed"]) == ""
