"""Scores: a number for an item under a method, with its name, kind, unit, label and direction, and the registry of them.

Everything that measures or draws goes over these values: a new score is one ``Score``, given where scores are asked for, or
registered under its name. The built-in ones are in ``steerlens.evaluation.scores``.
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
    """The name of the score in tables, as ``transfer``."""
    of: Callable[..., float | bool | None]
    """The function that computes it from its ``evidence``. ``None`` and NaN mean that it cannot be measured for this item."""
    kind: str | None = None
    """The kind of item that it is measured on, ``factual`` or ``cultural``; both for ``None``."""
    evidence: Evidence = "choices"
    """The evidence that ``of`` is given."""
    unit: str = "share"
    """``share`` of items, shown in points; or another unit, as ``nats per token``."""
    label: str = ""
    """Its name in figures; ``name`` for ``""``."""
    higher_is_better: bool = True
    """Whether higher values are better."""
    companion: str = ""
    """The name of a finer score of the same items, which breaks ties between methods; ``""`` for none."""
    graded: str = ""
    """The name of a score of the same items that has degrees where this one has hits. Plans are chosen by it. ``""`` for none;
    plans are then chosen by the companion."""

    def __post_init__(self) -> None:
        if self.evidence not in get_args(Evidence):
            raise UnknownNameError("evidence of a score", self.evidence, get_args(Evidence))
        if self.kind is not None and self.kind not in KINDS:
            raise UnknownNameError(f"kind of items of score {self.name!r}", self.kind, KINDS, "None means both kinds.")
        if not self.name or not callable(self.of):
            raise SettingsError(f"score {self.name!r} of {self.of!r} given: expected a name that is not empty, and a function.")

    @property
    def title(self) -> str:
        """What figures and tables to read call it."""
        return self.label or self.name.replace("_", "-")

    @property
    def factor(self) -> float:
        """What a change is multiplied by where it is shown: shares are shown in points."""
        return 100.0 if self.unit == "share" else 1.0

    @property
    def change_unit(self) -> str:
        """The unit of a change where it is shown."""
        return "points" if self.unit == "share" else self.unit

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of items that it is measured on."""
        return KINDS if self.kind is None else (self.kind,)

    def value(self, *evidence: Any) -> float:
        """Returns the score as a number; NaN where it cannot be measured, or where the model's scores are not finite.

        Args:
            evidence: what ``of`` takes, as the field ``evidence`` says.

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
"""Every score by its name: the built-in ones, and those that were registered."""
BUILT_IN: dict[str, Score] = {}
"""The built-in scores by name. No other score can have such a name."""
_BUILT_IN_MODULE = "steerlens.evaluation.scores"
"""It imports this one, as a module with scores of the user's own does; so it is named here only, and imported when asked for."""
GivenScore = str | Score
"""The name of a score, or a Score of the user's own."""


def register(score: Score) -> Score:
    """Registers your own score under its name, so that tables that contain it can be drawn after they were loaded.

    Args:
        score: the score. It replaces an earlier score of yours with its name, as where a cell of a notebook runs twice.

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
        meta: the table's; its ``read_scores`` says of each score by name its ``unit`` and whether ``higher_is_better``.

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
    """What is kept of a score that other software measured."""

    unit: str = "share"
    higher_is_better: bool = True


def _read_only(*_: Any) -> float:
    raise SettingsError(
        "this score was read from the results of a harness, so only the harness can measure it. Measure it there, or use "
        "another score."
    )


def score_of(given: GivenScore) -> Score:
    """Returns a score by its name, or the one that was given, which is registered.

    Args:
        given: a name or a score.

    Raises:
        UnknownNameError: no score of this name.
        SettingsError: a built-in score has the given one's name.
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
    """Has the built-in scores registered, as where a table is drawn and nothing was measured before."""
    if _BUILT_IN_MODULE not in sys.modules:
        import_module(_BUILT_IN_MODULE)
