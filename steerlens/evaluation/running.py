"""Runs tasks in this process or with an executor. If a folder for results is given, each result is stored as soon as it is
ready, and a task with a stored result is not run again."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from steerlens.errors import FileError, ModelError
from steerlens.evaluation.sent import SentModel
from steerlens.evaluation.tasks import Report, Task
from steerlens.models.lens import LensModel
from steerlens.progress import advance
from steerlens.scratch import remove_abandoned
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("steerlens")
_DIGEST = re.compile("[0-9a-f]{64}")
"""The pattern of the name of a task's result file."""


class Executor(Protocol):
    """Any object with a method ``map``, such as an executor of ``concurrent.futures``, a pool of processes, or
    ``sl.ray()``."""

    def map(self, function: Callable[[Any], Any], values: Iterable[Any]) -> Iterable[Any]:
        """Applies a function to every value, and returns the results in the order of the values."""


@runtime_checkable
class ClusterExecutor(Executor, Protocol):
    """An executor whose workers may be on other machines and report their progress, such as ``sl.ray()``."""

    @property
    def device(self) -> str:
        """The device of the workers' models: ``cpu`` or ``cuda``."""

    def run(
        self,
        function: Callable[[Any, Report], Any],
        values: Iterable[Any],
        *,
        report: Callable[[int, float], None],
        keep: Callable[[int, Any], Any],
    ) -> Iterator[Any]:
        """Applies a function to every value, and yields the results in the order of the values.

        Args:
            function: the function that is applied to each value. The function is called with a value and with a function
                that reports progress.
            values: the values to which the function is applied.
            report: a function that is called with a value's number and the number of its items that are done.
            keep: a function that is called with a value's number and its result as soon as the result is ready, in any order.
                The return value of ``keep`` is yielded.
        """


@dataclass(frozen=True)
class Running:
    """How tasks are run: the executor that runs them, and the folder that keeps their results."""

    executor: Executor | None = None
    """The executor that runs the tasks. ``None`` runs tasks one after another in this process. With an executor, each worker
    loads the model from the model's source."""
    folder: Path | None = None
    """The folder for results, with one Parquet file for each result. A task whose result is in the folder is not run again.
    ``None`` keeps no results."""

    @classmethod
    def of(cls, executor: Executor | None, resume: "str | Path | Running | None") -> "Running":
        """Returns a ``Running`` for the arguments ``executor`` and ``resume`` of a public function."""
        if isinstance(resume, Running):
            return resume
        return cls(executor, Path(resume) if resume is not None else None)

    @classmethod
    def in_folder(cls, folder: Path, *, resume: bool = True, executor: Executor | None = None) -> "Running":
        """Returns a ``Running`` that keeps results in the folder ``tasks`` of a folder of results.

        Args:
            folder: the folder of results.
            resume: whether existing results are used. If ``False``, existing results are removed.
            executor: the executor that runs the tasks; ``None`` uses this process.
        """
        kept = folder / "tasks"
        running = cls(executor, kept)
        if not resume:
            running.forget()
        if found := len(running._files()):
            log.info("%d finished tasks are in %s, and are not run again", found, kept)
        return running

    def forget(self) -> None:
        """Removes the stored results. Other files in the folder stay."""
        for path in self._files():
            path.unlink(missing_ok=True)  # another process may remove the file at the same time

    def _files(self) -> list[Path]:
        """Returns the files of stored results."""
        return [] if self.folder is None else [path for path in self.folder.glob("*.parquet") if _DIGEST.fullmatch(path.stem)]

    def results(self, tasks: Sequence[Task], model: LensModel, bar: Any) -> Iterator["pd.DataFrame"]:
        """Yields the result of every task, in the order of the tasks.

        Args:
            tasks: the tasks that are run.
            model: the model with which the tasks are run.
            bar: a progress bar over items.

        Raises:
            ModelError: an executor was given, and a worker died or cannot load the model.
        """
        here = self._unhooked(model)
        if here.folder is not None:
            remove_abandoned(here.folder)
        kept = [here._kept(task, model) for task in tasks]
        ready: set[Path | None] = {path for path in kept if path is not None and path.is_file()}
        fresh = iter(here._run(_not_ready(tasks, kept, ready), model, bar))
        for task, path in zip(tasks, kept, strict=True):
            if path is not None and path in ready:
                yield _read(task, model, path)
                advance(bar, task.size)
            else:
                yield next(fresh)
                ready.add(path)  # an equal task later in the list reads this result

    def _unhooked(self, model: LensModel) -> "Running":
        """Returns the ``Running`` that is used for a model. If the model has hooks, tasks run in this process and results are
        not stored, because the hooks cannot be described in a file.

        Raises:
            ModelError: the model has hooks and an executor was given. The workers would run the model without the hooks.
        """
        if not model.backend.hooks_on():
            return self
        if self.executor is not None:
            raise ModelError(
                f"{model.name} has hooks, but the workers of an executor would run the model without these hooks. Leave the "
                "`with` block of the plan, or remove the hooks first. Alternatively, give the plan as a method, or remove the "
                "argument executor."
            )
        return Running()

    def _kept(self, task: Task, model: LensModel) -> Path | None:
        """Returns the path of a task's stored result."""
        return None if self.folder is None else self.folder / f"{task.digest(model)}.parquet"

    def _run(self, todo: Sequence[tuple[Task, Path | None]], model: LensModel, bar: Any) -> Iterator["pd.DataFrame"]:
        if self.executor is None:
            for task, path in todo:
                yield _done(task, model, path, partial(advance, bar))
        elif isinstance(self.executor, ClusterExecutor):
            yield from _by_cluster(self.executor, todo, model, bar)
        elif todo:
            yield from self._by_executor(self.executor, todo, model, bar)

    def _by_executor(
        self, executor: Executor, todo: Sequence[tuple[Task, Path | None]], model: LensModel, bar: Any
    ) -> Iterator["pd.DataFrame"]:
        """Yields the results of tasks that workers on this machine run. The workers store the results.

        Raises:
            ModelError: a worker died, and the executor does not start a new worker.
        """
        sent = SentModel.of(model)
        try:
            results = executor.map(run_elsewhere, [(sent, task, path) for task, path in todo])
            for (task, _), found in zip(todo, results, strict=True):
                advance(bar, task.size)
                yield found
        except BrokenExecutor as error:
            kept = (
                "no results are kept, because the argument resume was not given"
                if self.folder is None
                else f"finished tasks are in {self.folder}"
            )
            raise ModelError(
                f"a worker of the executor died ({error}); {kept}. A frequent cause is too little memory for one model in "
                "each worker. Make a new executor and repeat the call. If a worker dies again, use fewer workers."
            ) from error


def _not_ready(tasks: Sequence[Task], kept: Sequence[Path | None], ready: set[Path | None]) -> list[tuple[Task, Path | None]]:
    """Returns the tasks to run, each with the path for its result. If several tasks are equal, only the first of these tasks
    is returned."""
    first: dict[Any, tuple[Task, Path | None]] = {}
    for at, (task, path) in enumerate(zip(tasks, kept, strict=True)):
        if path is None or path not in ready:
            first.setdefault(at if path is None else path, (task, path))
    return list(first.values())


def _by_cluster(
    executor: ClusterExecutor, todo: Sequence[tuple[Task, Path | None]], model: LensModel, bar: Any
) -> Iterator["pd.DataFrame"]:
    """Yields the results of tasks that run on other machines. The results are stored in this process, because other machines
    may not see this machine's files."""
    if not todo:
        return
    done = [0.0] * len(todo)

    def report(number: int, items: float) -> None:
        """Moves the progress bar. Items that are run again because a worker died are counted only once."""
        if items > done[number]:
            advance(bar, items - done[number])
            done[number] = items

    def keep(number: int, found: "pd.DataFrame") -> "pd.DataFrame":
        task, path = todo[number]
        report(number, task.size)
        return _stored(found.copy(), path)  # the result may lie in shared memory that cannot be written to

    sent = SentModel.of(model, executor.device)
    yield from executor.run(run_told, [(sent, task) for task, _ in todo], report=report, keep=keep)


def _read(task: Task, model: LensModel, path: Path) -> "pd.DataFrame":
    """Returns a stored result. If the file of the result is missing or damaged (for example after a power failure), the task
    is run again."""
    try:
        return ResultTable.load(path).frame
    except FileError as error:
        log.warning("the result of a finished task cannot be used, so the task is run again: %s", error)
        return _done(task, model, path, lambda _: None)


def _done(task: Task, model: LensModel, path: Path | None, report: Report) -> "pd.DataFrame":
    """Runs a task and stores its result."""
    return _stored(task.run(model, report), path)


def _stored(found: "pd.DataFrame", path: Path | None) -> "pd.DataFrame":
    """Stores a result, and returns the stored table exactly as a resumed run would read it."""
    if path is None:
        return found
    ResultTable(found).save(path)
    return ResultTable.load(path).frame


def run_elsewhere(work: tuple[SentModel, Task, Path | None]) -> "pd.DataFrame":
    """Runs a task in a worker on this machine, with a model that the worker loads once.

    Args:
        work: the model, the task, and the path for the task's result.
    """
    sent, task, path = work
    return _done(task, sent.load(), path, lambda _: None)


def run_told(work: tuple[SentModel, Task], report: Report) -> "pd.DataFrame":
    """Runs a task in a worker on any machine, with a model that the worker loads once. Nothing is stored.

    Args:
        work: the model and the task.
        report: a function that is called with the progress.
    """
    sent, task = work
    return task.run(sent.load(), report)
