"""Executes several training runs, one after another or in separate workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from steerlens.alignment.aligned import Aligned
from steerlens.alignment.cards import Card
from steerlens.alignment.keeping import Keep
from steerlens.alignment.objectives import Objective
from steerlens.alignment.training import train
from steerlens.data import Items
from steerlens.data.parallel import ParallelCorpus
from steerlens.errors import FileError, SettingsError
from steerlens.evaluation.running import ClusterExecutor, Executor
from steerlens.evaluation.sent import SentModel
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.training import TrainingSettings


@dataclass(frozen=True, eq=False)
class Training:
    """The arguments of ``train`` without the model. A ``Training`` can be sent to a worker."""

    corpus: ParallelCorpus
    """The parallel texts."""
    objective: Objective
    """The method, with the loss that is minimised."""
    out: str | Path
    """The folder for the adapter, its checkpoints, its card and its log. Each training needs its own folder."""
    locales: tuple[str, ...] | None = None
    """The locales that are aligned with English. ``None`` takes all locales of the corpus except English."""
    settings: TrainingSettings | None = None
    """The settings of the training. ``None`` uses the defaults."""
    keep: Keep | None = None
    """The component of the residual stream that training should leave unchanged. ``None`` protects no component."""
    held_out: Items | None = None
    """Items whose answers the texts of the corpus must not reveal. ``None`` skips this check."""

    @property
    def folder(self) -> Path:
        """The absolute path of the folder, so that workers with another working directory also find the folder."""
        return Path(self.out).expanduser().resolve()


def train_all(model: LensModel, trainings: Sequence[Training], *, executor: Executor | None = None) -> list[Aligned]:
    """Trains several adapters of one model. With an executor, each worker trains one adapter at a time.

    A finished training is not repeated. An interrupted training continues from its last checkpoint, on any worker.

    Args:
        model: the base model, which is not changed.
        trainings: the trainings to run.
        executor: the executor that runs the trainings. ``sweep`` takes the same executors. ``None`` trains in this process. If
            workers run on other machines, all machines must share the folder under the same path.

    Returns:
        The trained adapters, in the order of ``trainings``.

    Raises:
        SettingsError: two trainings use the same folder, or ``train`` raises this error.
        DataError, ModelError, FingerprintError: ``train`` raises one of these errors.
        FileError: a checkpoint cannot be written, or a worker on another machine wrote into a folder that is not shared.
    """
    folders = [training.folder for training in trainings]
    if twice := sorted({str(folder) for folder in folders if folders.count(folder) > 1}):
        raise SettingsError(
            f"several trainings were given the same folder {', '.join(twice)}: expected a separate folder for each training."
        )
    done = []
    with progress(len(trainings), "Trainings", "adapter", show=len(trainings) > 1) as bar:
        for found in _done(model, trainings, executor):
            done.append(found)
            bar.update()
    return done


def _done(model: LensModel, trainings: Sequence[Training], executor: Executor | None) -> Iterator[Aligned]:
    if executor is None:
        for training in trainings:
            yield _trained(model, training)
        return
    sent = SentModel.of(model, executor.device if isinstance(executor, ClusterExecutor) else None)
    cards = executor.map(_trained_elsewhere, [(sent, training) for training in trainings])
    for training, card in zip(trainings, cards, strict=True):
        yield _seen_from_here(training.folder, card)


def _trained(model: LensModel, training: Training) -> Aligned:
    own = {"settings": training.settings, "keep": training.keep, "held_out": training.held_out}
    return train(model, training.corpus, training.objective, training.locales, out=training.folder, **own)  # type: ignore[arg-type]


def _trained_elsewhere(work: tuple[SentModel, Training]) -> Card:
    """Trains an adapter in a worker and returns its card. The worker writes the adapter to the folder of the training."""
    sent, training = work
    return _trained(sent.load(), training).card


def _seen_from_here(folder: Path, card: Card) -> Aligned:
    """Returns the adapter that a worker trained.

    Raises:
        FileError: the adapter is not in this machine's folder.
    """
    try:
        found, reason = Aligned.load(folder), "another adapter is there"
    except FileError as error:
        found, reason = None, str(error)
    if found is None or found.card != card:
        raise FileError(
            f"a worker trained an adapter in {folder}, but this machine does not have this adapter in that folder ({reason}): "
            "expected a folder that all machines share. Give a shared folder as out=…"
        )
    return found
