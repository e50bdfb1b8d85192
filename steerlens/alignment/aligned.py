"""An aligned model, which is an adapter in a folder. The folder also contains a description of how the adapter was made, and the
log of its training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from steerlens.alignment.cards import CARD, Card
from steerlens.errors import FileError
from steerlens.evaluation.methods import Checkpoint, Method, Prepared
from steerlens.models.lens import LensModel
from steerlens.storage import field_of
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure

LOG = "log.parquet"
CHECKPOINTS = "checkpoints"
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
"""The files of a PEFT adapter."""
PREFIX = "checkpoint-"
"""The prefix of a checkpoint's folder name in Transformers."""


@dataclass(frozen=True, eq=False)
class TrainingLog(ResultTable):
    """The log of a training run. The columns are the training step, the name of a loss term, and the value of this term in
    nats."""

    columns: ClassVar[tuple[str, ...]] = ("step", "part", "value")

    def plot(self, *, smooth: int = 10) -> "Figure":
        """Plots each loss term over the training steps, together with its running mean.

        Args:
            smooth: the number of values in the running mean.
        """
        from steerlens.plotting import training_figure

        return training_figure(self.frame, smooth)


@dataclass(frozen=True, eq=False)
class Aligned(Method):
    """A LoRA adapter of a base model, in a folder. The adapter is a method that can be compared with other methods on the
    transfer-localization plane, alone or together with a steering plan.

    The folder is an ordinary PEFT adapter: ``sl.load(model, adapter=folder)`` and ``steerlens plane --adapter`` accept it.
    """

    folder: Path
    """The folder of the adapter."""
    card: Card
    """The description of how the adapter was trained."""
    step: int | None = None
    """The training step of a checkpoint. ``None`` means the adapter at the end of the training."""
    _adapter: Checkpoint = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_adapter", Checkpoint(self.folder))

    def __repr__(self) -> str:
        steps, codes = self.card.training["steps"], ", ".join(self.card.locales)
        which = f"{steps} steps" if self.step is None else f"step {self.step} of {steps}"
        return f"Aligned({self.card.method}, {codes}, {which}, {str(self.folder)!r})"

    @property
    def brings_model(self) -> bool:
        """Whether the method loads a model itself. The value is always true, because the base model with the adapter is loaded
        when the method is evaluated."""
        return True

    @classmethod
    def load(cls, folder: str | Path) -> "Aligned":
        """Reads an adapter that an earlier training run saved.

        Args:
            folder: the folder of the adapter.

        Raises:
            FileError: the folder has no adapter card, or the training did not finish.
        """
        path = Path(folder).expanduser().resolve()
        card = Card.load(path)
        field_of(card.training, ["steps"], int, str(path / CARD))
        if not card.done:
            raise FileError(
                f"the training of {path} did not finish (see {CARD}). Repeat the same call to continue from the last checkpoint."
            )
        if lacking := [name for name in (*ADAPTER, LOG) if not (path / name).is_file()]:
            raise FileError(
                f"{path} lacks {', '.join(lacking)}, although {CARD} says that the training finished. Copy the whole folder, or "
                "train again."
            )
        return cls(path, card)

    @property
    def log(self) -> TrainingLog:
        """The log of the training. The log of a checkpoint ends at the step of the checkpoint."""
        if self.step is None:
            return TrainingLog.load(self.folder / LOG)
        whole = TrainingLog.load(self.folder.parent.parent / LOG)
        return TrainingLog(whole.frame[whole.frame["step"] <= self.step].reset_index(drop=True), whole.meta)

    def prepared(self, model: LensModel, locale: str) -> Prepared:
        """Returns the base model with the adapter.

        Args:
            model: the base model on which methods are compared.
            locale: the locale whose items are answered, for example ``es-ES``.

        Raises:
            FingerprintError: the adapter was trained on another model.
        """
        self.card.fingerprint.check(model.fingerprint, f"the adapter in {self.folder}")
        return self._adapter.prepared(model, locale)

    def model(self, base: LensModel) -> LensModel:
        """Returns the aligned model. Use the model to capture residuals, to train probes and to compute new vectors.

        Args:
            base: the model on which the adapter was trained.

        Raises:
            FingerprintError: the adapter was trained on another model.
        """
        return self.prepared(base, "").model

    def points(self) -> Mapping[int, "Aligned"]:
        """Returns the adapter at each checkpoint, with the checkpoint's step as the key. ``sl.evaluation.frontier`` can place
        these checkpoints on the transfer-localization plane as the points of a path."""
        return {step: Aligned(path, self.card, step) for step, path in checkpoints_of(self.folder).items()}

    def at(self, folder: Path) -> "Aligned | None":
        """Returns the checkpoint in a folder, or ``None`` if the folder contains no checkpoint of this run.

        Args:
            folder: the folder of a checkpoint.
        """
        return next((own for own in self.points().values() if own.folder == folder.resolve()), None)

    def plot(self) -> "Figure":
        """Plots each loss term over the training steps."""
        return self.log.plot()


def checkpoints_of(folder: Path) -> dict[int, Path]:
    """Returns the folder of each checkpoint of a run, with the checkpoint's step as the key. The steps are in ascending order.

    Args:
        folder: the folder of the adapter.
    """
    found = {path.name.removeprefix(PREFIX): path for path in (folder / CHECKPOINTS).glob(f"{PREFIX}*")}
    return {int(step): found[step] for step in sorted((name for name in found if name.isdecimal()), key=int)}
