"""Work: a task with the model that does it and what is made of its result, so that the tasks of all locales are given at once."""

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
    """The model that does it, with its hooks."""
    take: Callable[["pd.DataFrame"], None]
    """Is given the result."""


def run_all(works: Sequence[Work], running: Running, bar: Any) -> None:
    """Has all work done, so that an executor's workers have the tasks of every locale and kind before them.

    Args:
        works: the work; what runs on the same model is given together, and results are taken in the order of the work.
        running: how tasks are run. Under hooks of the user's own they are run here, and kept nowhere.
        bar: the progress bar, which shows the locale whose result is awaited.
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
