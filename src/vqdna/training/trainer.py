"""transformers' Trainer with what all three stages add: named loss terms, atomic checkpoints, metrics.jsonl, progress.

Flow: dataset (item i is a pure function of (seed, i)) -> passes of one update (see `passes`) -> model(**batch).loss and
named terms -> optimizer step -> `model.update_codebooks()` where the model has codebooks -> metrics.jsonl, checkpoints.
A loss, gradient or weight that is no number ends the run before it can reach a checkpoint. It knows no stage.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils.data import Dataset, SequentialSampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from vqdna.errors import InputError
from vqdna.results import put_in_place
from vqdna.training.finite import FiniteGuard
from vqdna.training.passes import share_losses, start_codebooks
from vqdna.training.progress import MetricsCallback, RichProgressCallback
from vqdna.training.run_folder import RunFolder
from vqdna.training.settings import TrainingSettings, training_arguments

Evaluate = Callable[[PreTrainedModel], Mapping[str, float]]


def train(
    model: PreTrainedModel,
    dataset: Dataset[Any],
    settings: TrainingSettings,
    folder: RunFolder,
    *,
    seed: int,
    collate: Callable[[Any], dict[str, Any]],
    loss_terms: Sequence[str],
    evaluate: Evaluate | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    description: str = "training",
    evaluation_prefix: str = "evaluation_",
) -> StageTrainer:
    """Trains the model in place, resuming from the folder's last checkpoint.

    Args:
        model: its forward takes what `collate` gives and returns an output with `loss` and the named terms.
        dataset: taken in order, so item i is what step i // batch_size sees.
        settings: length, rate, batch.
        folder: the run's folder.
        seed: of every random draw.
        collate: list of items (or what `__getitems__` gave) to a batch.
        loss_terms: names of fields of the model's output, logged as means; a field with one value per level becomes
            `name_0`, `name_1`, ...
        evaluate: called every `evaluate_every` steps and at the end; its numbers are logged under `evaluation_prefix`.
        callbacks: further transformers callbacks.
        description: what the progress bar says.
        evaluation_prefix: what the names of the evaluation's numbers begin with in the log.

    Raises:
        InputError: a loss, gradient or weight became NaN or infinite; names the step. The last checkpoint stays.
    """
    arguments = training_arguments(settings, folder.path, seed)
    resumed = folder.last_checkpoint()
    start = int(resumed.name.split("-")[1]) if resumed else 0
    added = [MetricsCallback(folder.metrics_file, start), RichProgressCallback(description), *callbacks]
    trainer = StageTrainer(model, arguments, train_dataset=dataset, data_collator=collate, callbacks=added)
    trainer.configure(loss_terms, evaluate, settings, evaluation_prefix)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    _run(trainer, resumed)
    return trainer


def _run(trainer: StageTrainer, resumed: Path | None) -> None:
    """Trains from the start or from a checkpoint; a damaged one is named, for it can only be removed by hand."""
    try:
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        trainer.check_finite()
    except (pickle.UnpicklingError, SafetensorError, EOFError) as error:
        if resumed is None:
            raise
        raise InputError(
            f"{resumed}: damaged checkpoint ({type(error).__name__}); remove it to resume from the one before"
        ) from None


class StageTrainer(Trainer):
    """Trainer with named loss terms and checkpoints that appear whole or not at all."""

    loss_terms: Sequence[str] = ()

    def configure(
        self,
        loss_terms: Sequence[str],
        evaluate: Evaluate | None,
        settings: TrainingSettings,
        evaluation_prefix: str,
    ) -> None:
        """Takes what the constructor of transformers has no place for."""
        self.loss_terms, self.keep_checkpoints = loss_terms, settings.keep_checkpoints
        self._term_sums: dict[str, Tensor] = {}
        self._num_passes = 0
        self._guard = FiniteGuard(self.accelerator.device)
        self._staging: Path | None = None
        self.add_callback(_StepCallback(self, evaluate, settings.evaluate_every, evaluation_prefix))

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        """In order: the dataset's own item numbers carry the randomness."""
        return SequentialSampler(cast(Sized, self.train_dataset))

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> Any:
        """The passes of one update, dealt with as one batch: codebooks start from all of them, losses share them."""
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        prepared = [self._prepare_inputs(batch) for batch in batches]
        model = self.accelerator.unwrap_model(self.model)
        with self.compute_loss_context_manager():
            start_codebooks(model, prepared)
        return share_losses(model, prepared, self.accelerator.device), num_items

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The model's own loss; its named terms are noted for the log."""
        outputs = model(**inputs)
        self._guard.note("loss", outputs.loss, self.state.global_step + 1)
        for name in self.loss_terms:
            value = outputs[name].detach().float()
            self._term_sums[name] = self._term_sums.get(name, 0.0) + value
        self._num_passes += 1
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clips, and stops before the optimizer takes a gradient that is no number."""
        norm = super()._clip_grad_norm(model)
        self._guard.note("gradient", norm, self.state.global_step + 1)
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the named terms to a training log."""
        if "loss" in logs:
            self._guard.check()
            for name, total in self._term_sums.items():
                mean = total / max(1, self._num_passes)
                logs |= {f"{name}_{n}": float(v) for n, v in enumerate(mean)} if mean.ndim else {name: float(mean)}
            self._term_sums, self._num_passes = {}, 0
        super().log(logs, start_time)

    def check_finite(self) -> None:
        """InputError, on all ranks, if a loss or gradient was no number so far or a weight is none now."""
        self._guard.check()
        self._guard.check_weights(self.accelerator.unwrap_model(self.model), self.state.global_step)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging) if self._staging else super()._get_output_dir(trial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Checkpoint written into a staging folder by all ranks, then renamed by the first; never one with a NaN."""
        self.check_finite()
        final = Path(super()._get_output_dir(trial))
        self._staging = final / ".part"
        if self.is_world_process_zero():
            shutil.rmtree(self._staging, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        super()._save_checkpoint(model, trial)
        name = f"checkpoint-{self.state.global_step}"
        staged, self._staging = self._staging / name, None
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            put_in_place(staged, final / name)
            self._remove_old(final)
        self.accelerator.wait_for_everyone()

    def _remove_old(self, folder: Path) -> None:
        kept = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
        for old in kept[: -self.keep_checkpoints]:
            shutil.rmtree(old)


class _StepCallback(TrainerCallback):
    """After each optimizer step: codebooks move, and every so often the model is evaluated."""

    def __init__(self, trainer: StageTrainer, evaluate: Evaluate | None, every: int, prefix: str) -> None:
        self.trainer, self.evaluate, self.every, self.prefix = trainer, evaluate, every, prefix

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Moves the codebooks on all ranks."""
        update = getattr(kwargs["model"], "update_codebooks", None)
        if update is not None:
            update()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluates on the first rank and logs the numbers."""
        if self.evaluate is None or not (
            state.global_step == state.max_steps or (self.every and state.global_step % self.every == 0)
        ):
            return
        model = kwargs["model"]
        if state.is_world_process_zero:
            model.eval()
            with torch.no_grad():
                numbers = self.evaluate(model)
            model.train()
            training_log_is_due = control.should_log  # transformers takes any log for the training log that is due
            self.trainer.log({f"{self.prefix}{name}": float(value) for name, value in numbers.items()})
            control.should_log = training_log_is_due
        self.trainer.accelerator.wait_for_everyone()
