"""Turns the results of harnesses into ``Answers``, item by item. Checks that all methods were measured on the same items."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.answering import Answers
from steerlens.harness.running import INFO
from steerlens.provenance import provenance
from steerlens.scores import register_read
from steerlens.steering import UNSTEERED

LOCALES = Mapping[str, str] | None
"""The locale of each task, by the name of the task. For a task without a locale, the name of the task is used as the locale."""
ConceptOf = Callable[[str, Any], str]
"""A function that takes a task and an item of the harness, and returns a name for the question. Items with the same name count as
one concept."""


@dataclass(frozen=True)
class ItemScore:
    """One score of one item."""

    task: str
    item: str
    """The name of the item in its task."""
    concept: str
    """The id of the item's concept. Bootstrap intervals resample concepts. Items of different locales that ask the same question
    have the same concept."""
    asked: str
    """The question and its settings, or a digest of the question and its settings. The text is the same for every method."""
    score: str
    value: float
    """The value of the score, or NaN if the score could not be measured."""
    higher_is_better: bool = True


@dataclass(frozen=True)
class MethodResults:
    """The results of one method."""

    scores: Sequence[ItemScore]
    told: Mapping[str, Mapping[str, Any] | None]
    """The description of the model that ``info_in`` returned, by task."""


def answers_of(measured: Mapping[str, MethodResults], locales: LOCALES, scores: Sequence[str] | None, **meta: Any) -> Answers:
    """Returns the results of the given methods as answers.

    Args:
        measured: the results by the name of the method, including ``unsteered``.
        locales: the locale of each task, by the name of the task.
        scores: the names of the scores that are kept, or ``None`` for all scores.
        meta: other metadata that is stored with the answers.

    Raises:
        SettingsError: there are no unsteered results, an item occurs twice, methods were measured on different items, or results
            with the name ``unsteered`` come from a steered model.
        UnknownNameError: a score was not measured, or a locale is given for a task that does not exist.
    """
    import pandas as pd

    own = {name: results.scores for name, results in measured.items()}
    _check_same_items(own)
    tasks = tuple(dict.fromkeys(one.task for several in own.values() for one in several))
    for task in locales or {}:
        if task not in tasks:
            raise UnknownNameError("task of these results", task, tasks)
    there = tuple(dict.fromkeys(one.score for one in own[UNSTEERED]))
    check_wanted(scores, there)
    wanted = there if scores is None else tuple(scores)
    places = {task: (locales or {}).get(task, task) for task in tasks}
    if not wanted:
        raise SettingsError(
            f"the results of {', '.join(tasks)} contain no score that was measured for single items: expected at least one score "
            "with a value for each item."
        )
    rows = [_row(method, one, places[one.task]) for method, several in own.items() for one in several if one.score in wanted]
    read = {name: _described([one for several in own.values() for one in several if one.score == name]) for name in wanted}
    told = _told({name: results.told for name, results in measured.items()}, places)
    found = {**provenance(items=_digest(own[UNSTEERED]), **told), **meta, "scores": list(wanted), "read_scores": read}
    register_read(found)
    return Answers(pd.DataFrame(rows, columns=list(Answers.columns)), found)


def check_wanted(scores: Sequence[str] | None, there: Iterable[str]) -> None:
    """Raises an error for requested scores that were not measured.

    Args:
        scores: the names of the requested scores, or ``None`` for all scores.
        there: the names of the measured scores.

    Raises:
        UnknownNameError: a score was not measured.
    """
    known = tuple(dict.fromkeys(there))
    for name in scores or ():
        if name not in known:
            raise UnknownNameError("score of these results", name, known)


def info_in(values: Any) -> dict[str, Any] | None:
    """Returns the description of a steered model from the settings of a harness, or ``None`` for a model of other software.

    Args:
        values: the settings of the model in the harness.
    """
    own = values.get(INFO) if isinstance(values, Mapping) else None
    return dict(own) if isinstance(own, Mapping) and {"model", "method"} <= set(own) else None


def plain_concept(task: str, item: str) -> str:
    """Returns the id of a concept for one item, which is made from the names of the task and the item. ``#`` is replaced, because
    in steerlens ``#`` separates the id of a concept from the number of a wording.

    Args:
        task: the task of the item.
        item: the name of the item in the task.
    """
    return f"{task}/{item}".replace("#", "%23")


def _told(told: Mapping[str, Mapping[str, Mapping[str, Any] | None]], places: Mapping[str, str]) -> dict[str, Any]:
    """Returns metadata for the answers: the description of the model, and a description of each method in each locale."""
    known = {name: {task: own for task, own in each.items() if own is not None} for name, each in told.items()}
    steered = [own["method"] for own in known[UNSTEERED].values() if own.get("steered")]
    if steered:
        raise SettingsError(
            f"results called {UNSTEERED!r} given, but they were made with {steered[0]}: expected results of the unsteered "
            "model. Give the results of the steered model another name."
        )
    methods: dict[str, dict[str, str]] = {}
    for name, each in known.items():
        for task, own in each.items() if name != UNSTEERED else ():
            said, place = methods.setdefault(name, {}), places.get(task, task)
            others = said.get(place, "").split("; ") if place in said else []
            said[place] = "; ".join(dict.fromkeys([*others, str(own["method"])]))
    model = next((own["model"] for own in known[UNSTEERED].values()), None)
    return {"model": model, "methods": methods}


def _check_same_items(measured: Mapping[str, Sequence[ItemScore]]) -> None:
    if UNSTEERED not in measured or len(measured) < 2:
        raise SettingsError(
            f"results of {', '.join(measured) or 'nothing'} given: expected results of {UNSTEERED!r} and of at least one "
            "method, by name."
        )
    for method, several in measured.items():
        most = Counter((one.task, one.item, one.score) for one in several).most_common(1)
        if most and most[0][1] > 1:
            raise SettingsError(
                f"results of {method!r} contain {most[0][0]} twice: expected each task once for each method. Remove one of "
                "the two results."
            )
    own = {(one.task, one.item, one.score): one.asked for one in measured[UNSTEERED]}
    for method, several in measured.items():
        theirs = {(one.task, one.item, one.score): one.asked for one in several}
        missing = [key for key in own.keys() | theirs.keys() if key not in own or key not in theirs]
        if missing:
            raise SettingsError(
                f"results of {method!r} and of {UNSTEERED!r} are not for the same items: {len(missing)} scores are in only one "
                f"of the two results, for example {min(missing)}. Run both methods with the same tasks and the same limit."
            )
        changed = [key for key in own if own[key] != theirs[key]]
        if changed:
            raise SettingsError(
                f"for {len(changed)} of {len(own)} scores, {method!r} got another question or other settings than {UNSTEERED!r}, "
                f"for example for {changed[0]}. Run both methods with the same examples, seeds, generation settings and task "
                "versions."
            )


def _described(own: Sequence[ItemScore]) -> dict[str, Any]:
    """Returns the stored description of a score. Planes and figures need this description to show the score."""
    directions = {one.higher_is_better for one in own}
    if len(directions) > 1:
        raise SettingsError(
            f"for score {own[0].score!r}, a higher value is better in one task and a lower value is better in another: "
            "expected the same direction in all tasks. Give these tasks separately."
        )
    shares = all(math.isnan(one.value) or 0 <= one.value <= 1 for one in own)
    return {"unit": "share" if shares else "of the metric", "higher_is_better": directions.pop()}


def _row(method: str, one: ItemScore, locale: str) -> dict[str, Any]:
    label = {"method": method, "of": "", "control": "", "draw": 0}
    return {**label, "locale": locale, "kind": "", "concept": one.concept, "score": one.score, "value": one.value}


def _digest(own: Sequence[ItemScore]) -> str:
    return hashlib.sha256(repr(sorted({(one.task, one.item, one.asked) for one in own})).encode()).hexdigest()
