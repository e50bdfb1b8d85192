"""Turns logs of Inspect (``inspect_ai``) into answers. The answers of each method are paired item by item with the answers of the
unsteered model."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from steerlens.errors import FileError, SettingsError
from steerlens.evaluation.answering import Answers
from steerlens.harness.answers import (
    LOCALES,
    ConceptOf,
    ItemScore,
    MethodResults,
    answers_of,
    check_wanted,
    info_in,
    plain_concept,
)
from steerlens.harness.running import needed

GENERATION = ("max_tokens", "temperature", "top_p", "top_k", "stop_seqs", "seed", "num_choices", "system_message")
"""The names of the generation settings that must be equal for all methods."""
PREFIX = "inspect "
"""The prefix of the names of Inspect's scores. Without the prefix, a name such as ``exact`` could be the name of another
score."""
_WORDS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0} | dict.fromkeys(("yes", "true"), 1.0) | dict.fromkeys(("no", "false"), 0.0)
"""The values of Inspect's letters for right, wrong, partly right and unanswered, and of the words that Inspect's
``value_to_float`` accepts."""


def inspect_answers(
    logs: Mapping[str, Any],
    *,
    locales: LOCALES = None,
    scores: Sequence[str] | None = None,
    concept: ConceptOf | None = None,
) -> Answers:
    """Returns logs of Inspect as answers. ``sl.evaluation.placed(answers)`` makes a plane from the answers.

    The name of a score contains the name of Inspect's scorer, for example ``inspect match``. If a scorer gives several values,
    the name is ``inspect scorer, value``. Right, partly right and wrong answers count 1, 0.5 and 0. The epochs of a sample are
    averaged. Higher values are assumed to be better.

    Args:
        logs: the logs by the name of the method, including ``unsteered``. Give the result of ``inspect_ai.eval``, a log, the path
            of a log, or a list of logs and paths.
        locales: the locale of each task, by the name of the task. A task without a locale uses its name as the locale.
        scores: the names of the scores that are kept, or ``None`` for all scores.
        concept: a function of the task and Inspect's sample that returns a name for the question. Samples with the same name
            count as one concept, for example the same question in several locales. With ``None``, each sample counts separately.

    Raises:
        ModelError: a file was given, but inspect-ai is not installed.
        FileError: a file is not a log of Inspect.
        SettingsError: a task in a log did not finish, values are not numbers, a task occurs twice for one method, or logs have
            different items or settings.
        UnknownNameError: a score was not measured, or a locale is given for a task that does not exist.
    """
    read = {name: list(_logs_of(name, own)) for name, own in logs.items()}
    every = [log for own in read.values() for log in own]
    check_wanted(scores, (score for log in every for sample in log.samples for score, _ in _parts(sample)))
    tasks = {str(log.eval.task): log.eval.task_version for log in every}
    versions = next((dict(log.eval.packages) for log in every), {})
    measured = {
        name: MethodResults(
            [one for log in own for one in _measured(name, log, scores, concept)],
            {str(log.eval.task): info_in(log.eval.model_args) for log in own},
        )
        for name, own in read.items()
    }
    return answers_of(measured, locales, scores, harness="inspect_ai", harness_version=versions.get("inspect_ai"), tasks=tasks)


def _logs_of(name: str, given: Any) -> Iterator[Any]:
    """Yields the logs of a method after reading and checking them."""
    for one in given if isinstance(given, list | tuple) else [given]:
        log = _read(Path(one)) if isinstance(one, str | Path) else one
        if getattr(log, "status", None) != "success" or not getattr(log, "samples", None):
            raise SettingsError(
                f"log {name!r} has the status {getattr(log, 'status', type(log).__name__)!r}, or has no samples: expected the "
                "log of a finished task. Run the task with log_samples, and give its log."
            )
        _check(name, log)
        yield log


def _check(name: str, log: Any) -> None:
    """Raises an error for a log in which a required part is missing or does not have the expected form."""
    try:
        str(log.eval.task), log.eval.task_version, dict(log.eval.packages), log.eval.model_args
        settings = _settings(log)
        for sample in log.samples:
            sample.id, sample.error, _asked(sample, settings), dict(_parts(sample))
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"log {name!r} is not a log of Inspect ({type(error).__name__}: {error!s:.200}): expected a log that "
            "inspect_ai.eval returned, or a file that inspect_ai.eval wrote."
        ) from error


def _read(path: Path) -> Any:
    theirs = needed("inspect_ai.log", "inspect-ai")
    if not path.is_file():
        raise FileError(f"cannot read {path}: the file does not exist. Give a log that inspect_ai.eval wrote.")
    try:
        return theirs.read_eval_log(path)
    except Exception as error:
        raise FileError(f"{path} is not a log of Inspect ({error!s:.300}). Give a file that inspect_ai.eval wrote.") from error


def _measured(name: str, log: Any, scores: Sequence[str] | None, concept: ConceptOf | None) -> Iterator[ItemScore]:
    task, settings = str(log.eval.task), _settings(log)
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for sample in log.samples:
        if sample.error is not None:
            raise SettingsError(f"sample {sample.id!r} of {task} under {name!r} ended with an error. Run the task again.")
        named = plain_concept(task, str(sample.id)) if concept is None else concept(task, sample)
        for score, value in _parts(sample):
            if scores is None or score in scores:
                key = (str(sample.id), named, _asked(sample, settings), score)
                found.setdefault(key, []).append(_number(value, f"{score} of {task}, sample {sample.id!r}"))
    for (item, named, asked, score), values in found.items():
        yield ItemScore(task, item, named, asked, score, math.fsum(values) / len(values))


def _parts(sample: Any) -> Iterator[tuple[str, Any]]:
    """Yields the name and the value of each score of a sample. The value is not yet converted to a number."""
    for scorer, score in (sample.scores or {}).items():
        parts = score.value if isinstance(score.value, Mapping) else {"": score.value}
        for part, value in parts.items():
            yield f"{PREFIX}{scorer}, {part}" if part else f"{PREFIX}{scorer}", value


def _number(value: Any, whose: str) -> float:
    known = _WORDS.get(value, _WORDS.get(value.lower(), value)) if isinstance(value, str) else value
    try:
        found = float(known)  # also accepts True, False and numbers as texts
    except (TypeError, ValueError):
        found = None
    if found is None or (isinstance(value, str) and not math.isfinite(found)):
        raise SettingsError(
            f"{whose} is {value!r:.80}: expected a number, or one of C, I, P and N. Choose other scores with scores=, or use "
            "another scorer."
        )
    return found


def _settings(log: Any) -> list[Any]:
    """Returns the solvers and the generation settings of a log, because these settings change the answers and are not in the
    samples."""
    steps = [[step.solver, step.params] for step in log.plan.steps]
    return [steps, {name: getattr(log.plan.config, name) for name in GENERATION}]


def _asked(sample: Any, settings: Sequence[Any]) -> str:
    """Returns a digest of the question, the settings, and the right answer."""
    text = sample.input if isinstance(sample.input, str) else [[message.role, message.text] for message in sample.input]
    told = json.dumps([text, sample.choices, sample.target, settings], ensure_ascii=False, default=str)
    return hashlib.sha256(told.encode()).hexdigest()
