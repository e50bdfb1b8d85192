"""Units of work: a task, the model that runs the task, and a function that receives the result. With these units, the tasks of
all locales can be run together."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steerlens.evaluation.methods import Prepared
from steerlens.evaluation.running import Running
from steerlens.evaluation.tasks import Task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Work:
    """A task of one locale, with the model that runs the task and a function that receives the result."""

    locale: str
    task: Task
    prepared: Prepared
    """The model that runs the task, with the method's hooks."""
    take: Callable[["pd.DataFrame"], None]
    """A function that is called with the result of the task."""


def run_all(works: Sequence[Work], running: Running, bar: Any) -> None:
    """Runs all units of work. An executor gets the tasks of all locales and kinds at once.

    Args:
        works: the units of work. Tasks on the same model are run together, and results are received in the order of the
            units.
        running: the executor that runs tasks, and the folder for results. If a method has hooks, its tasks run in this
            process and their results are not stored.
        bar: the progress bar, which shows the locale of the next result.
    """
    groups: dict[tuple[Any, ...], list[Work]] = {}
    for work in works:
        groups.setdefault((id(work.prepared.model), tuple(map(id, work.prepared.hooks))), []).append(work)
    for group in groups.values():
        first = group[0].prepared
        with first.model.backend.hooked(first.hooks) if first.hooks else nullcontext():
            how = Running() if first.hooks else running
            results = how.results([work.task for work in group], first.model, bar)
            for work in group:
                bar.set_postfix_str(work.locale)
                work.take(next(results))
