"""Scores and their registry. A score is a number for an item under a method, and has a name, kind, unit, label and direction.

All functions that measure or draw use ``Score`` objects. To add a score, make a ``Score`` and give it to functions that take
scores, or register it under its name. The built-in scores are in ``steerlens.evaluation.scores``.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, get_args

from steerlens.errors import SettingsError, UnknownNameError
from steerlens.storage import parsed

KINDS = ("factual", "cultural")
"""The kinds of items."""
Evidence = Literal["choices", "english", "writing", "reading"]
"""The kinds of evidence, which are the arguments of a score's function. ``choices``: an ``Outcome``. ``english``: an ``Outcome``
and the unsteered English ``Outcome`` of the same concept (or ``None``). ``writing``: a ``Writing``. ``reading``: a ``Reading`` of
held-out text."""


@dataclass(frozen=True)
class Score:
    """A score, which assigns a number to each item under a method."""

    name: str
    """The name of the score in tables, for example ``transfer``."""
    of: Callable[..., float | bool | None]
    """The function that computes the score from its ``evidence``. A result of ``None`` or NaN means that the score cannot be
    measured for this item."""
    kind: str | None = None
    """The kind of item on which the score is measured: ``factual``, ``cultural``, or ``None`` for both kinds."""
    evidence: Evidence = "choices"
    """The kind of evidence that the function ``of`` gets as its arguments."""
    unit: str = "share"
    """The unit of the score. ``share`` is a share of items, which is shown in percentage points. Another unit is for example
    ``nats per token``."""
    label: str = ""
    """The name of the score in figures. If the label is ``""``, figures show ``name``."""
    higher_is_better: bool = True
    """Whether higher values of the score are better."""
    companion: str = ""
    """The name of a continuous score on the same items, such as a margin. The companion decides between methods with equal
    scores. ``""`` means that there is no companion."""
    graded: str = ""
    """The name of a graded score on the same items, whose values are numbers between 0 and 1. The graded score is used to choose
    plans, because this score is only 0 or 1 for each item. If the name is ``""``, plans are chosen by the companion."""

    def __post_init__(self) -> None:
        if self.evidence not in get_args(Evidence):
            raise UnknownNameError("evidence of a score", self.evidence, get_args(Evidence))
        if self.kind is not None and self.kind not in KINDS:
            raise UnknownNameError(f"kind of items of score {self.name!r}", self.kind, KINDS, "None means both kinds.")
        if not self.name:
            raise SettingsError("a score with the name '' given: expected a name that is not empty.")
        if not callable(self.of):
            raise SettingsError(f"{self.of!r} given as the function of score {self.name!r}: expected a function of an outcome.")

    @property
    def title(self) -> str:
        """The name of the score in figures and readable tables."""
        return self.label or self.name.replace("_", "-")

    @property
    def factor(self) -> float:
        """The factor by which a change is multiplied before it is shown. Shares are shown in percentage points."""
        return 100.0 if self.unit == "share" else 1.0

    @property
    def change_unit(self) -> str:
        """The unit in which a change is shown."""
        return "points" if self.unit == "share" else self.unit

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of items on which the score is measured."""
        return KINDS if self.kind is None else (self.kind,)

    def value(self, *evidence: Any) -> float:
        """Returns the score as a number. The number is NaN if the score cannot be measured, or if the evidence contains numbers
        that are not finite.

        Args:
            evidence: the arguments of the function ``of``. ``Evidence`` describes them.

        Raises:
            SettingsError: the function returns something that is not a number.
        """
        if not getattr(evidence[0], "valid", True):
            return math.nan
        found = self.of(*evidence)
        if found is None:
            return math.nan
        try:
            return float(found)
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"the function of score {self.name!r} returned {found!r:.60}: expected a number, True, False or None."
            ) from error


SCORES: dict[str, Score] = {}
"""All scores by name: the built-in scores and the registered scores."""
BUILT_IN: dict[str, Score] = {}
"""The built-in scores by name. No other score can have the name of a built-in score."""
_BUILT_IN_MODULE = "steerlens.evaluation.scores"
"""The name of the module with the built-in scores. The module with the built-in scores also imports this module. To avoid a
circular import, the module with the built-in scores is imported only when a built-in score is first needed."""
GivenScore = str | Score
"""The name of a score, or the user's own Score."""


def register(score: Score) -> Score:
    """Registers your own score under its name. Loaded tables that contain the score can then be drawn.

    Args:
        score: the score. The new score replaces your earlier score with the same name, for example if a notebook cell runs twice.

    Raises:
        SettingsError: a built-in score has this name.
    """
    _load_built_in()
    if BUILT_IN.get(score.name, score) != score:
        raise SettingsError(
            f"score {score.name!r} given: expected another name, because steerlens has a built-in score with this name. Give "
            "your score another name."
        )
    SCORES[score.name] = score
    return score


def register_read(meta: Mapping[str, Any]) -> None:
    """Registers the scores of a table that other software measured. The table can then be compared and drawn.

    Args:
        meta: the table's metadata. The entry ``read_scores`` contains the ``unit`` and ``higher_is_better`` of each score by
            name.

    Raises:
        SettingsError: one of your scores has the name of a score in the table.
        FileError: the metadata has a different form.
    """
    every = parsed(meta.get("read_scores", {}), dict[str, _ReadScore], "read_scores of the table")
    for name, told in every.items():
        _load_built_in()
        if name in SCORES and SCORES[name].of is not _read_only:
            raise SettingsError(
                f"score {name!r} of a harness has the same name as one of your scores. Register your score under another name."
            )
        register(Score(name, _read_only, unit=told.unit, higher_is_better=told.higher_is_better))


@dataclass(frozen=True)
class _ReadScore:
    """The stored description of a score that other software measured."""

    unit: str = "share"
    higher_is_better: bool = True


def _read_only(*_: Any) -> float:
    raise SettingsError(
        "this score was read from the results of a harness, so only the harness can measure it. Measure the score in the "
        "harness, or use another score."
    )


def score_of(given: GivenScore) -> Score:
    """Returns a score by its name. A given Score is registered and returned.

    Args:
        given: a name or a score.

    Raises:
        UnknownNameError: there is no score with this name.
        SettingsError: a built-in score has the name of the given score.
    """
    if isinstance(given, Score):
        return register(given)
    _load_built_in()
    if given not in SCORES:
        raise UnknownNameError("score", given, SCORES, "You can also give your own Score.")
    return SCORES[given]


def shown_score(name: str) -> Score:
    """Returns a score by its name for figures. For an unregistered name, returns a score with this name and the unit ``share``.

    Args:
        name: the name of the score in a table.
    """
    _load_built_in()
    return SCORES.get(name) or Score(name, lambda *_: None)


def _load_built_in() -> None:
    """Registers the built-in scores. The registration is needed, for example, if a table is drawn before anything was
    measured."""
    if _BUILT_IN_MODULE not in sys.modules:
        import_module(_BUILT_IN_MODULE)
