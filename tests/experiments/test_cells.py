from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from vqdna.errors import InputError
from vqdna.experiments import cells
from vqdna.experiments.cells import Cell, LeftOutError, run_cells
from vqdna.experiments.locks import BusyError, locked
from vqdna.experiments.records import StoredRecord, known_record


class Squared(StoredRecord):
    square: int
    settings: dict[str, int]


@dataclass
class Square(Cell[Squared]):
    """A cell that squares its number, for tests of what is around it."""

    number: int
    out: Path
    settings: dict[str, int] = field(default_factory=lambda: {"scale": 1})
    shares_lock: bool = False
    fails: Exception | None = None
    needs: Square | None = None
    runs: int = 0

    @property
    def name(self) -> str:
        return f"number {self.number}"

    @property
    def file(self) -> Path:
        return self.out / str(self.number) / "results.json"

    @property
    def lock(self) -> Path:
        return self.out / "shared" if self.shares_lock else self.file.parent

    @property
    def is_ready(self) -> bool:
        return self.needs is None or self.needs.known() is not None

    def known(self) -> Squared | None:
        return known_record(self.file, Squared, self.settings, "the squares")

    def run(self) -> Squared:
        self.runs += 1
        if self.fails is not None:
            raise self.fails
        record = Squared(square=self.number**2, settings=self.settings)
        record.write(self.file)
        return record

    def told(self, record: Squared) -> str:
        return f"square {record.square}"


def squares(out: Path, count: int = 3, **options) -> list[Square]:
    return [Square(number, out, **options) for number in range(1, count + 1)]


def test_every_cell_runs_once_in_order_and_a_second_call_runs_none(tmp_path):
    told: list[str] = []
    first = squares(tmp_path)
    assert run_cells(first, told.append) == []
    assert told == ["number 1: square 1", "number 2: square 4", "number 3: square 9"]
    again = squares(tmp_path)
    run_cells(again, told.append)
    assert [cell.runs for cell in again] == [0, 0, 0]
    assert len(told) == 3


def test_work_that_was_cut_off_goes_on_at_the_cell_that_broke(tmp_path):
    broken = squares(tmp_path)
    broken[1].fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_cells(broken, lambda text: None)
    whole = squares(tmp_path)
    run_cells(whole, lambda text: None)
    assert [cell.runs for cell in whole] == [0, 1, 1]


def test_records_of_other_settings_are_refused_before_anything_runs(tmp_path):
    last = squares(tmp_path)[-1:]
    run_cells(last, lambda text: None)
    other = squares(tmp_path, settings={"scale": 2})
    with pytest.raises(InputError, match=r"results.json: made with other settings \('scale' differs\)"):
        run_cells(other, lambda text: None)
    assert [cell.runs for cell in other] == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not JSON.*delete it"),
        ("{}", "not a result of the squares"),
        ('{"settings": {"scale": 1}}', "square: Field required"),
    ],
)
def test_damaged_records_are_refused_in_one_line(tmp_path, text, expected):
    (cell,) = squares(tmp_path, 1)
    cell.file.parent.mkdir()
    cell.file.write_text(text)
    with pytest.raises(InputError, match=expected):
        run_cells([cell], lambda text: None)


def test_a_record_keeps_keys_that_this_version_does_not_know(tmp_path):
    record = Squared.model_validate({"later": [1, None], "square": 4, "settings": {}})
    record.write(tmp_path / "results.json")
    assert known_record(tmp_path / "results.json", Squared, {}, "the squares") == record


def test_what_another_process_is_at_is_left_to_it_or_waited_for(tmp_path, monkeypatch):
    told: list[str] = []
    with locked(tmp_path / "2"):
        run_cells(squares(tmp_path), told.append)
    assert told == ["number 1: square 1", "number 2: another process is at it", "number 3: square 9"]
    with ExitStack() as other:
        other.enter_context(locked(tmp_path / "2"))
        monkeypatch.setattr(cells, "time", SimpleNamespace(sleep=lambda seconds: other.close()))
        run_cells(squares(tmp_path), told.append, waits=True)
    assert told[3:] == ["number 2: square 4"]


def test_cells_under_one_lock_run_together_and_the_summary_is_written_once_for_them(tmp_path):
    written: list[int] = []
    chosen = squares(tmp_path, shares_lock=True)
    run_cells(chosen, lambda text: None, after=lambda: written.append(sum(cell.runs for cell in chosen)))
    assert written == [3]
    alone = squares(tmp_path / "alone")
    run_cells(alone, lambda text: None, after=lambda: written.append(sum(cell.runs for cell in alone)))
    assert written == [3, 1, 2, 3]


def test_failures_stop_unless_the_others_are_to_go_on(tmp_path):
    told: list[str] = []
    chosen = squares(tmp_path)
    chosen[0].fails = InputError("it diverged")
    chosen[1].fails = LeftOutError("it needs 9 TB")
    with pytest.raises(InputError, match="diverged"):
        run_cells(chosen, told.append)
    assert run_cells(chosen, told.append, keeps_going=True) == ["number 1"]
    assert told == ["number 1: failed, it diverged", "number 2: left out, it needs 9 TB", "number 3: square 9"]


def test_a_cell_waits_for_what_it_needs_and_for_what_another_process_makes(tmp_path, monkeypatch):
    needed, needing = Square(2, tmp_path), Square(1, tmp_path)
    needing.needs = needed
    run_cells([needing, needed], lambda text: None, waits=True)
    assert (needing.runs, needed.runs) == (1, 1)
    busy = Square(5, tmp_path, fails=BusyError("made elsewhere"))
    monkeypatch.setattr(cells, "time", SimpleNamespace(sleep=lambda seconds: setattr(busy, "fails", None)))
    run_cells([busy], lambda text: None, waits=True)
    assert busy.runs == 2
