"""What a run shows and writes as it goes: a bar on the terminal, one JSON line per log in metrics.jsonl."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerState

from vqdna.quiet import is_quiet, is_watched
from vqdna.results import read_metrics, write_atomically

SHOWN = ("loss", "reconstruction", "masked_accuracy_level_0", "dev_mcc", "evaluation_reconstruction_accuracy")
NOT_WRITTEN = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "train_loss")


class MetricsCallback(TrainerCallback):
    """Appends each log to metrics.jsonl; lines behind the step that a run resumes from are cut off first."""

    def __init__(self, path: Path, start_step: int) -> None:
        self.path = path
        if path.exists():
            kept = [record for record in read_metrics(path) if record["step"] <= start_step]
            write_atomically(path, "".join(json.dumps(record) + "\n" for record in kept).encode())

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        values = {name: value for name, value in (logs or {}).items() if name not in NOT_WRITTEN}
        if not state.is_world_process_zero or set(values) <= {"epoch"}:
            return
        record = {"step": state.global_step, "epoch": state.epoch, **values}
        with self.path.open("a") as stream:
            stream.write(json.dumps(record) + "\n")


class RichProgressCallback(TrainerCallback):
    """Progress bar with the latest numbers; plain lines where standard error is no terminal."""

    def __init__(self, description: str) -> None:
        self.description, self.latest = description, ""
        self.progress: Progress | None = None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not is_watched():
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[latest]}"),
        )  # fmt: skip
        self.progress = Progress(*columns, console=Console(stderr=True))
        self.progress.start()
        self.task = self.progress.add_task(
            self.description, total=state.max_steps, completed=state.global_step, latest=""
        )

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if self.progress:
            self.progress.update(self.task, completed=state.global_step, latest=self.latest)

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if is_quiet():
            return
        shown = [f"{name} {logs[name]:.4f}" for name in SHOWN if name in (logs or {})]
        if not shown or not state.is_world_process_zero:
            return
        self.latest = "  ".join(shown)
        if not self.progress:
            line = f"{self.description} {state.global_step}/{state.max_steps}  {self.latest}"
            print(line, file=sys.stderr, flush=True)

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if self.progress:
            self.progress.stop()
