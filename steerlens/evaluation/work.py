"""Work: a task with the model that runs it and a function that takes its result. So the tasks of all locales can be run at
once."""

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
    """A task of one locale."""

    locale: str
    task: Task
    prepared: Prepared
    """The model that runs the task, with its hooks."""
    take: Callable[["pd.DataFrame"], None]
    """A function that is called with the result."""


def run_all(works: Sequence[Work], running: Running, bar: Any) -> None:
    """Runs all work, so that an executor's workers have the tasks of all locales and kinds from the start.

    Args:
        works: the work. Tasks on the same model are given together, and results are taken in the order of the work.
        running: how tasks are run. With the user's own hooks, tasks run in this process and are not stored.
        bar: the progress bar, which shows the locale of the result that comes next.
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
