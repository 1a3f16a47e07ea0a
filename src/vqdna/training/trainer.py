"""transformers' Trainer with what all three stages add: named loss terms, atomic checkpoints, metrics.jsonl, progress.

Flow: dataset (item i is a pure function of (seed, i)) -> micro-batches of one update (see `batch_splitting` and
`gradient_accumulation`) -> model(**batch).loss and named terms -> optimizer step -> `model.update_codebooks()` where
the model has codebooks -> metrics.jsonl, checkpoints. A loss, gradient or weight that is NaN ends the run before it can
reach a checkpoint. On several ranks each holds a copy of the model (DDP) or a part of it (see `sharding`). It knows no
stage.
"""

from __future__ import annotations

import copy
import pickle
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from vqdna.errors import InputError
from vqdna.results import put_in_place
from vqdna.training.gradient_accumulation import (
    Batch,
    BatchPartSampler,
    Collate,
    MicroBatch,
    mean_over_ranks,
    share_losses,
    split_loader,
    start_codebooks,
)
from vqdna.training.nan_guard import NanGuard
from vqdna.training.progress import MetricsCallback, RichProgressCallback
from vqdna.training.run_folder import RunFolder
from vqdna.training.settings import TrainingSettings, training_arguments
from vqdna.training.sharding import full_optimizer_state, full_weights, is_sharded, shard, split_optimizer_state, whole

Evaluate = Callable[[PreTrainedModel], Mapping[str, float]]


def train(
    # its forward takes what `collate` gives and returns an output with `loss` and the named terms
    model: PreTrainedModel,
    dataset: Dataset[Any],  # taken in order, so item i is what step i // batch_size sees
    settings: TrainingSettings,
    folder: RunFolder,
    *,
    seed: int,
    collate: Collate,  # list of items (or what `__getitems__` gave) to a batch
    # names of fields of the model's output, logged as means; a field with one value per level becomes `name_0`,
    # `name_1`,
    loss_terms: Sequence[str],
    # called every `evaluate_every` steps and at the end, on the first rank (on all of them where the model is split);
    # its numbers are logged under `evaluation_prefix`
    evaluate: Evaluate | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    description: str = "training",
    evaluation_prefix: str = "evaluation_",
) -> StageTrainer:
    """Trains the model in place, resuming from the folder's last checkpoint.

    Raises:
        InputError: a loss, gradient or weight became NaN or infinite; names the step. The last checkpoint stays.
            Or the batch or the model cannot be split over the ranks as asked.
    """
    if settings.sharding == "fsdp" and hasattr(model, "update_codebooks"):
        raise InputError("training.sharding: 'fsdp' cannot split codebooks that learn from what they see; use 'none'")
    arguments = training_arguments(settings, folder.path, seed)
    # Resuming to the same bits: item i is a function of the seed and i alone, transformers skips the batches that are
    # done and puts back optimizer, schedule and the generators of every rank, and codebooks are buffers of the model.
    resumed = folder.last_checkpoint()
    start = int(resumed.name.split("-")[1]) if resumed else 0
    added = [MetricsCallback(folder.metrics_file, start), RichProgressCallback(description), *callbacks]
    shards = settings.sharding == "fsdp" and arguments.world_size > 1
    # Torch has no way back from a model that it split, so a copy is split. Configurations are shared: training notes
    # things there.
    configs = [part.config for part in model.modules() if isinstance(part, PreTrainedModel)]
    trained = copy.deepcopy(model, {id(config): config for config in configs}) if shards else model
    trainer = StageTrainer(trained, arguments, train_dataset=dataset, data_collator=collate, callbacks=added)
    trainer.configure(loss_terms, evaluate, settings, evaluation_prefix, shards=shards)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    # Ranks must not drop the same units; the first draws as a run on one rank does. A resumed run gets its states back.
    if arguments.process_index:
        ranks_seed = np.random.SeedSequence([seed, arguments.process_index]).generate_state(1)[0]
        torch.manual_seed(int(ranks_seed))
    try:
        with warnings.catch_warnings():
            # torch renames an option of DDP that accelerate still passes by its old name
            warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        trainer.check_for_nan()
    except (pickle.UnpicklingError, SafetensorError, EOFError) as error:
        if resumed is None:
            raise
        fault = f"damaged checkpoint ({type(error).__name__})"  # it can only be removed by hand
        raise InputError(f"{resumed}: {fault}; remove it to resume from the one before") from None
    if shards:
        model.load_state_dict(full_weights(trained))
        model.to(arguments.device)  # type: ignore[arg-type]
    return trainer


class StageTrainer(Trainer):
    """Trainer with named loss terms and checkpoints that appear whole or not at all."""

    loss_terms: Sequence[str] = ()

    def configure(
        self,
        loss_terms: Sequence[str],
        evaluate: Evaluate | None,
        settings: TrainingSettings,
        evaluation_prefix: str,
        *,
        shards: bool,
    ) -> None:
        self.loss_terms, self.keep_checkpoints = loss_terms, settings.keep_checkpoints
        self._batch_size, self._prefetch, self._shards = settings.batch_size, settings.prefetch, shards
        self._schedule = settings.schedule
        self._term_sums: dict[str, Tensor] = {}
        self._num_passes = 0
        self._guard = NanGuard(self.accelerator.device)
        self._staging: Path | None = None
        self.add_callback(_StepCallback(self, evaluate, settings.evaluate_every, evaluation_prefix))

    def get_train_dataloader(self) -> DataLoader[Any]:
        """This rank's part of each update, in the dataset's order: its own item numbers carry the randomness."""
        args, dataset = self.args, cast(Any, self.train_dataset)
        passes, pins = args.gradient_accumulation_steps, args.dataloader_pin_memory
        sampler = BatchPartSampler(
            len(dataset), self._batch_size, passes=passes, ranks=args.world_size, rank=args.process_index
        )
        return split_loader(dataset, self.data_collator, sampler, pin_memory=pins, prefetch=self._prefetch)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Optimizer of the weights that this rank holds; splits the model first where it is to be split."""
        if self._shards:
            shard(self._own_model(), self.accelerator.device)
            prepare = self.accelerator.prepare_model
            self.accelerator.prepare_model = lambda model, **_: prepare(
                model, device_placement=False, evaluation_mode=True
            )  # no copy per rank (DDP) around a model that is split
        return super().create_optimizer(model)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule of the settings.

        "one-cycle" rises over 30 % of the steps to the peak and falls by a cosine to nearly zero. AdamW's first
        momentum moves against it (0.95 -> 0.85 -> 0.95): the higher the rate, the less of older gradients is kept.
        Reference: Smith and Topin 2017, arXiv 1708.07120.
        """
        if self._schedule != "one-cycle" or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        scheduled = cast(torch.optim.Optimizer, optimizer or self.optimizer)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            scheduled, self.args.learning_rate, total_steps=num_training_steps
        )
        self.lr_scheduler, self._created_lr_scheduler = schedule, True  # type: ignore[assignment]
        return schedule

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> Any:
        """The micro-batches of one update, treated as one: codebooks start from all of them, losses share them."""
        micro_batches: list[MicroBatch] = list(islice(epoch_iterator, num_batches))
        prepared = [self._prepare_inputs(one.batch) for one in micro_batches]
        model = self._own_model()
        with self.compute_loss_context_manager():
            start_codebooks(model, prepared)
        counted = [one.counts for one in micro_batches]
        return share_losses(model, prepared, self.accelerator.device, counted), None

    def _own_model(self) -> PreTrainedModel:
        model: PreTrainedModel = self.accelerator.unwrap_model(self.model)
        return model

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        outputs = model(**inputs)
        self._guard.note("loss", outputs.loss, self.state.global_step + 1)
        for name in self.loss_terms:
            value = outputs[name].detach().float()
            self._term_sums[name] = self._term_sums.get(name, 0.0) + value
        self._num_passes += 1
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clips, and stops before the optimizer takes a gradient that is no number."""
        norm = whole(super()._clip_grad_norm(model))
        self._guard.note("gradient", norm, self.state.global_step + 1)
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self._guard.check()
            for name, total in self._term_sums.items():
                mean = mean_over_ranks(total / max(1, self._num_passes))
                logs |= {f"{name}_{n}": float(v) for n, v in enumerate(mean)} if mean.ndim else {name: float(mean)}
            self._term_sums, self._num_passes = {}, 0
        super().log(logs, start_time)

    def check_for_nan(self) -> None:
        """InputError, on all ranks, if a loss or gradient was no number so far or a weight is none now."""
        self._guard.check()
        self._guard.check_weights(self._own_model(), self.state.global_step)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, full_weights(self._own_model()) if self._shards else state_dict)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Whole, as a run that splits nothing writes them."""
        if not self._shards:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        state = full_optimizer_state(self.optimizer)
        if self.args.should_save:
            torch.save(state, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)  # type: ignore[union-attr]

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if self._shards:
            split_optimizer_state(self.optimizer)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging) if self._staging else super()._get_output_dir(trial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Checkpoint written into a staging folder by all ranks, then renamed by the first; never one with a NaN."""
        # Written into a folder of another name and renamed when whole, so a kill at any time leaves the last checkpoint
        # for a resume. Ranks wait for each other, for each writes the state of its own generators.
        self.check_for_nan()
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
            kept = sorted(final.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
            for old in kept[: -self.keep_checkpoints]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()


class _StepCallback(TrainerCallback):
    """After each optimizer step: codebooks move, and every so often the model is evaluated."""

    def __init__(self, trainer: StageTrainer, evaluate: Evaluate | None, every: int, prefix: str) -> None:
        self.trainer, self.evaluate, self.every, self.prefix = trainer, evaluate, every, prefix

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if hasattr(kwargs["model"], "update_codebooks"):
            kwargs["model"].update_codebooks()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluates on the first rank, a split model on all of them together, and logs the numbers."""
        if self.evaluate is None or not (
            state.global_step == state.max_steps or (self.every and state.global_step % self.every == 0)
        ):
            return
        model = kwargs["model"]
        if state.is_world_process_zero or is_sharded(model):
            model.eval()
            with torch.no_grad():
                numbers = self.evaluate(model)
            model.train()
        if state.is_world_process_zero:
            training_log_is_due = control.should_log  # transformers takes any log for the training log that is due
            self.trainer.log({f"{self.prefix}{name}": float(value) for name, value in numbers.items()})
            control.should_log = training_log_is_due
        self.trainer.accelerator.wait_for_everyone()
