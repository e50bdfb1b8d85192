"""Turns results of lm-evaluation-harness (``lm_eval`` 0.4.13) into answers. The answers of each method are paired item by item
with the answers of the unsteered model."""

import json
import logging
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from steerlens.errors import SettingsError
from steerlens.evaluation.answering import Answers
from steerlens.harness.answers import LOCALES, ConceptOf, ItemScore, MethodResults, answers_of, info_in, plain_concept

_log = logging.getLogger(__name__)
PREFIX = "lm_eval "
"""The prefix of the names of the harness' scores. The prefix is needed because ``exact_match`` is also a score of steerlens."""
Column = tuple[str, str, str]
"""A task, a metric and a filter of the harness."""


def lm_eval_answers(
    results: Mapping[str, Any],
    *,
    locales: LOCALES = None,
    scores: Sequence[str] | None = None,
    concept: ConceptOf | None = None,
) -> Answers:
    """Returns the results of lm-evaluation-harness as answers. ``sl.evaluation.placed(answers)`` makes a plane from the answers.

    The name of a score contains the name of the harness' metric, for example ``lm_eval acc``. With a filter, the name is for
    example ``lm_eval exact_match, strict-match``. Some metrics, such as F1 and perplexity, are not means over items and cannot be
    paired item by item. These metrics are left out, and the log names them.

    Args:
        results: the results by the name of the method, including ``unsteered``. Give the result of ``lm_eval.simple_evaluate(…,
            log_samples=True)``, or a list of results, for example if each locale has a separate run.
        locales: the locale of each task, by the name of the task, for example ``{"belebele_kor_Hang": "ko-KR"}``. A task without
            a locale uses its name as the locale.
        scores: the names of the scores that are kept, or ``None`` for all scores.
        concept: a function of the task and the harness' ``doc`` that returns a name for the question. Items with the same name
            count as one concept, for example the same question in several locales. With ``None``, each item counts separately.

    Raises:
        SettingsError: results have no samples or contain an item twice, or the results of ``unsteered`` or of every other method
            are missing. The error is also raised if methods were measured on different items or with different generation
            settings.
        UnknownNameError: a score was not measured, or a locale is given for a task that does not exist.
    """
    read = {name: list(own) if isinstance(own, list | tuple) else [own] for name, own in results.items()}
    for name, several in read.items():
        if any(not isinstance(own, Mapping) or not own.get("samples") for own in several):
            raise SettingsError(
                f"results {name!r} contain no samples: expected the result of lm_eval.simple_evaluate(..., log_samples=True)."
            )
        for own in several:
            _check(name, own)
    every = [own for several in read.values() for own in several]
    left_out = {column for own in every for column in _columns(own) if not _is_mean(own, column)}
    for task, metric in sorted({(task, metric) for task, metric, _ in left_out}):
        _log.warning("%s of %s is left out, because this metric is not a mean over items", metric, task)
    tasks = {task: version for own in every for task, version in own.get("versions", {}).items()}
    version = next((own["lm_eval_version"] for own in every if "lm_eval_version" in own), None)
    measured = {
        name: MethodResults(
            [one for own in several for one in _measured(own, left_out, concept)],
            {task: info_in(own.get("config")) for own in several for task in own["samples"]},
        )
        for name, several in read.items()
    }
    return answers_of(measured, locales, scores, harness="lm_eval", harness_version=version, tasks=tasks)


def _check(name: str, results: Any) -> None:
    """Raises an error for results in which a required part is missing or does not have the expected form."""
    try:
        for column in _columns(results):
            _is_mean(results, column)
            for sample in _samples_of(results, column):
                _asked(sample, results, column[0]), sample["doc_id"]
                results.get("higher_is_better", {}).get(column[0], {}).get(column[1])
        info_in(results.get("config")), dict(results.get("versions", {}))
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"results {name!r} are not what lm_eval.simple_evaluate(..., log_samples=True) returns ({type(error).__name__}: "
            f"{error!s:.200}). Give the result of this function, or the same content read from a file."
        ) from error


def _columns(results: Any) -> Iterator[Column]:
    """Yields each metric in the results, with its task and filter."""
    for task, samples in results["samples"].items():
        yield from dict.fromkeys((task, metric, own["filter"]) for own in samples for metric in own["metrics"])


def _samples_of(results: Any, column: Column) -> list[Any]:
    return [sample for sample in results["samples"][column[0]] if sample["filter"] == column[2]]


def _measured(results: Any, left_out: Container[Column], concept: ConceptOf | None) -> Iterator[ItemScore]:
    for column in _columns(results):
        if column in left_out:
            continue
        task, metric, filtered = column
        score = f"{PREFIX}{metric}" if filtered == "none" else f"{PREFIX}{metric}, {filtered}"
        higher = results.get("higher_is_better", {}).get(task, {}).get(metric)
        for sample in _samples_of(results, column):
            item = str(sample["doc_id"])
            named = plain_concept(task, item) if concept is None else concept(task, sample["doc"])
            yield ItemScore(
                task, item, named, _asked(sample, results, task), score, _number(sample.get(metric)), higher is not False
            )


def _asked(sample: Any, results: Any, task: str) -> str:
    settings = json.dumps(_settings(results, task), sort_keys=True, default=str)
    return "/".join([*(str(sample.get(part)) for part in ("doc_hash", "prompt_hash", "target_hash")), settings])


def _settings(results: Any, task: str) -> dict[str, Any]:
    """Returns the settings of a task that change answers and are not part of the prompts."""
    config = results.get("configs", {}).get(task, {})
    own = {name: config.get(name) for name in ("generation_kwargs", "repeats")}
    return {**own, "version": results.get("versions", {}).get(task)}


def _number(value: Any) -> float:
    try:
        return math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        return math.nan


def _is_mean(results: Any, column: Column) -> bool:
    """Returns whether the result of a metric is the mean of the values of the items, as for an accuracy."""
    task, metric, filtered = column
    result = results["results"][task].get(f"{metric},{filtered}")
    values = [_number(sample.get(metric)) for sample in _samples_of(results, column)]
    if not isinstance(result, int | float) or not values:
        return False
    return math.isclose(math.fsum(values) / len(values), float(result), rel_tol=1e-6, abs_tol=1e-9)
