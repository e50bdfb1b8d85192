"""A subclass of Transformers' ``Trainer`` that minimises the loss of an alignment method."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from steerlens.alignment.aligned import CHECKPOINTS, PREFIX
from steerlens.alignment.folders import WHOLE, whole
from steerlens.alignment.keeping import Keep
from steerlens.alignment.learner import Learner
from steerlens.alignment.objectives import Objective
from steerlens.alignment.order import Batch, Batches
from steerlens.errors import FileError, ModelError, SettingsError
from steerlens.progress import progress
from steerlens.training import TrainingSettings

KEPT = "kept"
"""The name of the loss term of ``Keep`` in the log."""
_VALUES = 10
"""The number of values at the beginning, and also at the end, of the log of a loss term that are compared to detect
divergence."""
_DIVERGED = 3.0
"""A loss term counts as diverging if the mean of its last values is more than this factor times the largest of its first
values."""


class AlignmentTrainer(Trainer):  # type: ignore[misc]
    """A trainer that takes batches in the given order, and minimises the loss of an alignment method."""

    def __init__(
        self,
        learner: Learner,
        objective: Objective,
        batches: Batches,
        settings: TrainingSettings,
        folder: Path,
        *,
        accumulate: int,
        keep: Keep | None = None,
    ) -> None:
        """Makes a trainer that saves into ``folder``.

        Args:
            learner: the model that is trained.
            objective: the alignment method.
            batches: the batches of the training, in order.
            settings: the settings of the training.
            folder: the folder of the adapter.
            accumulate: the number of batches in a training step.
            keep: the component of the residual stream that training should leave unchanged, or ``None``.
        """
        own = learner.device
        arguments = TrainingArguments(
            output_dir=str(folder / CHECKPOINTS),
            max_steps=settings.steps,
            per_device_train_batch_size=1,  # what the sequence yields is a batch already
            gradient_accumulation_steps=accumulate,
            learning_rate=settings.learning_rate,
            warmup_steps=round(settings.warmup * settings.steps),
            lr_scheduler_type="linear",
            weight_decay=0.0,
            seed=settings.seed,
            use_cpu=own.type == "cpu",
            bf16=own.type == "cuda" and learner.dtype is torch.bfloat16,
            save_strategy="steps",
            save_steps=settings.save_every,
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )
        _check_device(own, arguments.device)
        arguments._n_gpu = min(1, arguments.n_gpu)  # the losses see the whole batch: it is not shared out over GPUs
        super().__init__(learner.model, arguments, data_collator=_one, train_dataset=batches)
        for standard in list(self.callback_handler.callbacks):
            if type(standard).__name__ in ("PrinterCallback", "ProgressCallback"):
                self.remove_callback(type(standard))
        self._watch = _Watch(self, settings.steps, objective.name)
        self.add_callback(self._watch)
        self.learner, self.objective, self.keep = learner, objective, keep
        self.seen: dict[str, list[float]] = {}
        """The values of each loss term in the batches of this training step, by the name of the term."""

    def close(self) -> None:
        """Removes the progress bar, even if the training ended with an error."""
        self._watch.close()

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:  # noqa: ARG002
        """Returns the loss of a batch, which is the sum of its loss terms. The terms are also recorded for the log.

        Args:
            model: the model as Transformers wraps it. This argument is not used, because the learner contains the same model.
            inputs: ``{"batch": Batch}``.
            return_outputs: whether an empty dictionary is returned with the loss.
            num_items_in_batch: an argument of Transformers that is not used, because losses are means.

        Raises:
            ModelError: a loss term is not finite.
            SettingsError: a loss term does not depend on the adapter, so nothing is learned from this term.
        """
        batch: Batch = inputs["batch"]
        parts = self.objective.losses(self.learner, batch.examples, batch.stream)
        if self.keep is not None:
            parts[KEPT] = self.keep.loss(self.learner, batch.kept)
        if fixed := [name for name, part in parts.items() if not part.requires_grad]:
            raise SettingsError(
                f"the part {', '.join(map(repr, fixed))} of the loss does not depend on the adapter: expected an adapter in "
                "the layer whose residuals are read, or in a lower layer. In `layers=` of TrainingSettings, give blocks up to "
                "that layer, or read a later layer."
            )
        for name, part in parts.items():
            self.seen.setdefault(name, []).append(float(part.detach()))
        bad = {name: values[-1] for name, values in self.seen.items() if not math.isfinite(values[-1])}
        if bad:
            raise _diverging(self.state, f"{bad} at step {self.state.global_step + 1}", self.args.learning_rate)
        total = torch.stack(list(parts.values())).sum()
        return (total, {}) if return_outputs else total

    def floating_point_ops(self, inputs: Any) -> int:  # noqa: ARG002
        """Returns 0, because floating-point operations are not counted.

        Args:
            inputs: a batch.
        """
        return 0

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Returns a sampler that keeps the order of the batches, because this order is already random."""
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Writes a checkpoint, and marks it as complete.

        Raises:
            ModelError: the weights are not finite.
            FileError: the checkpoint cannot be written. Earlier checkpoints are kept.
        """
        if not all(bool(own.isfinite().all()) for own in self.model.parameters() if own.requires_grad):
            raise _diverging(self.state, f"weights are NaN or infinite at step {self.state.global_step}", self.args.learning_rate)
        try:
            super()._save_checkpoint(model, trial)
            (Path(self.args.output_dir) / f"{PREFIX}{self.state.global_step}" / WHOLE).touch()  # all of it is there
        except Exception as error:  # the system, PyTorch and safetensors each say in their own way that a disk is full
            folder = Path(self.args.output_dir).parent
            kept = ", ".join(map(str, whole(folder))) or "none yet"
            raise FileError(
                f"the checkpoint of step {self.state.global_step} cannot be written into {folder} ({error!s:.200}). "
                f"Checkpoints that are kept: {kept}. Free some space, and repeat the same call to continue from the last "
                "checkpoint."
            ) from error

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002
        """Writes the adapter as safetensors. No file is written in a format that can run code."""
        self.model.save_pretrained(output_dir or self.args.output_dir, save_embedding_layers=False)


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Shows the loss and the remaining time, records the loss, and checks whether it diverges."""

    def __init__(self, trainer: AlignmentTrainer, steps: int, name: str) -> None:
        self._trainer, self._steps, self._name = trainer, steps, name
        self._bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:  # noqa: ARG002
        """Shows the progress bar, which starts at the step from which the run continues."""
        self._bar = progress(self._steps, f"Training {self._name}", "step")
        self._bar.initial = self._bar.n = state.global_step  # the speed is that of the steps from here on

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:  # noqa: ARG002
        """Records and shows the loss terms, and checks whether a term diverges."""
        means = {name: sum(values) / len(values) for name, values in self._trainer.seen.items()}
        self._trainer.seen = {}
        state.log_history += [{"step": state.global_step, "part": name, "value": value} for name, value in means.items()]
        self._bar.set_postfix_str(", ".join(f"{name} {value:.2f}" for name, value in means.items()), refresh=False)
        self._bar.update(1)
        for name in means.keys() - {KEPT}:  # which begins at zero
            _check_diverging(name, state, args.learning_rate)

    def close(self) -> None:
        """Removes the progress bar."""
        if self._bar is not None:
            self._bar.close()


def _check_diverging(part: str, state: Any, rate: float) -> None:
    values = [row["value"] for row in state.log_history if row.get("part") == part]
    if len(values) < 2 * _VALUES:
        return
    first, last = max(values[:_VALUES]), sum(values[-_VALUES:]) / _VALUES
    if last > _DIVERGED * max(first, 0.1):
        raise _diverging(state, f"part {part!r} went from {first:.2f} to {last:.2f} by step {state.global_step}", rate)


def _diverging(state: Any, what: str, rate: float) -> ModelError:
    seen = [f"{row['part']} {row['value']:.2f}" for row in state.log_history[-5:] if "part" in row]
    return ModelError(
        f"the loss diverges ({what}). Last values before: {', '.join(seen) or 'none'}. The checkpoints so far are kept. Train "
        f"again into another folder, with a learning rate below {rate:g} (TrainingSettings(learning_rate=…))."
    )


def _check_device(own: torch.device, others: torch.device) -> None:
    """Raises an error if the model is on a GPU on which Transformers would not train.

    Raises:
        SettingsError: the model is not on the first GPU.
    """
    if own.type == "cuda" and own != others:
        raise SettingsError(
            f"the model is on {own}, but Transformers would train it on {others}. Set CUDA_VISIBLE_DEVICES={own.index} before "
            "Python starts (this GPU is then cuda:0), and load the model on cuda:0."
        )


def _one(batches: Sequence[Batch]) -> dict[str, Batch]:
    return {"batch": batches[0]}
