"""Scores: a number for an item under a method, with its name, kind, unit, label and direction, and the registry of scores.

Everything that measures or draws uses these objects. A new score is one ``Score``, which is given to functions that take
scores, or registered under its name. The built-in scores are in ``steerlens.evaluation.scores``.
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
"""The argument of a score: an ``Outcome``; an ``Outcome`` and the unsteered English one of the same concept (or ``None``); a
``Writing``; a ``Reading`` of held-out text."""


@dataclass(frozen=True)
class Score:
    """A score: a number for an item under a method."""

    name: str
    """The name of the score in tables, for example ``transfer``."""
    of: Callable[..., float | bool | None]
    """The function that computes it from its ``evidence``. ``None`` and NaN mean that it cannot be measured for this item."""
    kind: str | None = None
    """The kind of item on which it is measured, ``factual`` or ``cultural``; both for ``None``."""
    evidence: Evidence = "choices"
    """The evidence that ``of`` gets as its argument."""
    unit: str = "share"
    """``share`` of items, shown in points; or another unit, for example ``nats per token``."""
    label: str = ""
    """Its name in figures; ``name`` for ``""``."""
    higher_is_better: bool = True
    """Whether higher values are better."""
    companion: str = ""
    """The name of a finer score on the same items, which breaks ties between methods; ``""`` for none."""
    graded: str = ""
    """The name of a graded score on the same items, for a score that is 0 or 1 per item. Plans are chosen by it. ``""`` for
    none; plans are then chosen by the companion."""

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
        """The factor on a change when it is shown: shares are shown in points."""
        return 100.0 if self.unit == "share" else 1.0

    @property
    def change_unit(self) -> str:
        """The unit of a change when it is shown."""
        return "points" if self.unit == "share" else self.unit

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of items on which it is measured."""
        return KINDS if self.kind is None else (self.kind,)

    def value(self, *evidence: Any) -> float:
        """Returns the score as a number. It is NaN if the score cannot be measured, or if the model's scores are not finite.

        Args:
            evidence: the arguments of ``of``, as described in the field ``evidence``.

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
"""All scores by name: the built-in ones, and those that were registered."""
BUILT_IN: dict[str, Score] = {}
"""The built-in scores by name. No other score can have such a name."""
_BUILT_IN_MODULE = "steerlens.evaluation.scores"
"""The module of the built-in scores. It imports this module, as modules with the user's own scores do. So it is only named
here, and imported when it is needed."""
GivenScore = str | Score
"""The name of a score, or the user's own Score."""


def register(score: Score) -> Score:
    """Registers your own score under its name, so that loaded tables that contain it can be drawn.

    Args:
        score: the score. It replaces your earlier score with the same name, for example if a notebook cell runs twice.

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
    """Registers the scores of a table that other software measured, so that the table can be compared and drawn.

    Args:
        meta: the table's metadata. Its ``read_scores`` contains the ``unit`` of each score by name, and whether
            ``higher_is_better``.

    Raises:
        SettingsError: one of your scores has such a name.
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
        "this score was read from the results of a harness, so only the harness can measure it. Measure it there, or use "
        "another score."
    )


def score_of(given: GivenScore) -> Score:
    """Returns a score by its name. A given Score is registered and returned.

    Args:
        given: a name or a score.

    Raises:
        UnknownNameError: there is no score with this name.
        SettingsError: a built-in score has the name of the given one.
    """
    if isinstance(given, Score):
        return register(given)
    _load_built_in()
    if given not in SCORES:
        raise UnknownNameError("score", given, SCORES, "Or give your own Score.")
    return SCORES[given]


def shown_score(name: str) -> Score:
    """Returns a score by its name for figures. An unregistered score is shown as a share under its name.

    Args:
        name: the name of the score in a table.
    """
    _load_built_in()
    return SCORES.get(name) or Score(name, lambda *_: None)


def _load_built_in() -> None:
    """Registers the built-in scores, for example if a table is drawn and nothing was measured before."""
    if _BUILT_IN_MODULE not in sys.modules:
        import_module(_BUILT_IN_MODULE)
