"""Scores: a number for an item under a method, with its kind, unit, label and direction; the built-in ones and the user's own.

Everything that measures or draws goes over these values: a new score is one ``Score``, given where scores are asked for, or
registered under its name.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from steerlens.data import Kind
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.consistency import consistency
from steerlens.evaluation.languages import in_language
from steerlens.evaluation.outcomes import Outcome, Writing

Evidence = Literal["choices", "english", "writing", "reading"]
"""What a score is a function of: an ``Outcome``; an ``Outcome`` and the unsteered English one of the same concept (or ``None``); a
``Writing``; a ``Reading`` of held-out text."""
_GRAM = 4
"""The tokens of the sequences whose repetition is counted."""


@dataclass(frozen=True)
class Score:
    """A number for an item under a method."""

    name: str
    """What the score is called in tables, as ``transfer``."""
    of: Callable[..., float | bool | None]
    """The function that gives it: of what ``evidence`` says. ``None`` and NaN: it cannot be told for this item."""
    kind: Kind | None = None
    """The kind of item that it is measured on; both for ``None``."""
    evidence: Evidence = "choices"
    """What ``of`` is given."""
    unit: str = "share"
    """``share`` of items, shown in points; or another unit, as ``nats per token``."""
    label: str = ""
    """What figures call it; the name for ``""``."""
    higher_is_better: bool = True
    """Whether more of it is better."""
    companion: str = ""
    """The name of a finer score of the same items, which breaks ties between methods; ``""`` for none."""

    def __post_init__(self) -> None:
        if self.evidence not in get_args(Evidence):
            raise UnknownNameError("evidence of a score", self.evidence, get_args(Evidence))
        if not self.name or not callable(self.of):
            raise SettingsError(f"score {self.name!r} of {self.of!r} given: expected a name and a function.")

    @property
    def title(self) -> str:
        """What figures and tables to read call it."""
        return self.label or self.name.replace("_", "-")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of items that it is measured on."""
        return get_args(Kind) if self.kind is None else (self.kind,)

    def value(self, *evidence: Any) -> float:
        """Returns the score as a number; NaN where it cannot be told, or where the model's scores are not finite.

        Raises:
            SettingsError: the function gives something that is no number.
        """
        if isinstance(evidence[0], Outcome) and not evidence[0].valid:
            return math.nan
        found = self.of(*evidence)
        if found is None:
            return math.nan
        try:
            return float(found)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"score {self.name!r} gave {found!r:.60}: expected a number, True or False, or None.") from error


def repetition(writing: Writing) -> float | None:
    """Returns the share of a text's four-token sequences that came before in it (seq-rep-4 of Welleck et al., arXiv 1908.04319).

    Returns:
        ``None`` for a text of fewer than four tokens.
    """
    ids = writing.tokens
    grams = [ids[at : at + _GRAM] for at in range(len(ids) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else None


def exact_match(writing: Writing) -> bool:
    """Says whether a text begins with the item's answer, letter case and what stands around it aside."""
    item = writing.item
    return writing.text.strip().casefold().startswith(item.choices[item.answer].strip().casefold())


TRANSFER = Score("transfer", lambda o: o.correct, "factual", companion="transfer_margin")
"""T: a factual item is answered right."""
LOCALIZATION = Score("localization", lambda o: o.correct, "cultural", companion="localization_margin")
"""L: the local answer of an implicit cultural item wins."""
ENGLISH_CENTRIC = Score("english_centric", lambda o: o.english_centric, "cultural", higher_is_better=False)
"""The English locale's answer of an implicit cultural item wins, and is not the locale's own."""
TRANSFER_MARGIN = Score("transfer_margin", lambda o: o.margin, "factual", unit="nats per token", label="factual margin")
"""The score of the right answer over the best other choice."""
LOCALIZATION_MARGIN = Score("localization_margin", lambda o: o.margin, "cultural", unit="nats per token", label="cultural margin")
"""The score of the locale's own answer over the best other choice."""
MARGIN = Score("margin", lambda o: o.margin, unit="nats per token")
"""The score of the answer over the best other choice, of both kinds of items."""
ANSWER = Score("answer_log_probability", lambda o: o.scores[o.item.answer], unit="nats per token")
"""The log probability of the right (or the local) answer's text, as the scoring normalises it."""
CONSISTENCY = Score("consistency", consistency, "factual", "english", unit="RankC", label="consistency")
"""RankC with the same model's unsteered English answer (Qi, Fernández and Bisazza, arXiv 2310.10378)."""
PERPLEXITY = Score("log_perplexity", lambda r: r.nats, None, "reading", "nats per token", "log perplexity", higher_is_better=False)
"""The logarithm of the perplexity of held-out text; +0.1 is a perplexity 1.105 times as high."""
LANGUAGE = Score("right_language", lambda w: in_language(w.text, w.item.locale), None, "writing", label="right language")
"""What is written is in the locale's language."""
REPETITION = Score("repetition", repetition, None, "writing", label="repetition", higher_is_better=False)
"""The share of a text's four-token sequences that came before in it."""
EXACT_MATCH = Score("exact_match", exact_match, None, "writing", label="exact match")
"""What is written begins with the answer."""

_BUILT_IN = (
    *(TRANSFER, LOCALIZATION, ENGLISH_CENTRIC, TRANSFER_MARGIN, LOCALIZATION_MARGIN, MARGIN, ANSWER, CONSISTENCY),
    *(PERPLEXITY, LANGUAGE, REPETITION, EXACT_MATCH),
)
SCORES: dict[str, Score] = {score.name: score for score in _BUILT_IN}
"""Every score by its name: the built-in ones, and those that were registered."""

AXES = (TRANSFER.name, LOCALIZATION.name)
"""The scores of the plane's two axes."""
SWEPT = (TRANSFER.name, LOCALIZATION.name, ENGLISH_CENTRIC.name)
"""What a sweep measures, if not told otherwise; with the margins, which are companions of two of these."""
ANSWERED = (*SWEPT, CONSISTENCY.name)
"""What methods are measured by, if not told otherwise."""
SIDE_EFFECTS = (PERPLEXITY.name, LANGUAGE.name, REPETITION.name)
"""What steering may cost besides."""
GivenScore = str | Score
"""A score by name, or one of the user's own."""


def register(score: Score) -> Score:
    """Makes a score of one's own known by its name, so that tables that hold it can be drawn after they were loaded.

    Raises:
        SettingsError: another score has this name.
    """
    known = SCORES.get(score.name)
    if known is not None and known != score:
        raise SettingsError(f"a score called {score.name!r} is there already: give yours another name.")
    SCORES[score.name] = score
    return score


def score_of(given: GivenScore) -> Score:
    """Returns a score by its name, or the one that was given, which is registered.

    Raises:
        UnknownNameError: no score of this name.
        SettingsError: another score has the given one's name.
    """
    if isinstance(given, Score):
        return register(given)
    if given not in SCORES:
        raise UnknownNameError("score", given, SCORES, "Or give a Score of your own.")
    return SCORES[given]


def scores_of(given: Iterable[GivenScore]) -> tuple[Score, ...]:
    """Returns scores with their companions, each once.

    Raises:
        UnknownNameError: no score of a name.
        SettingsError: no scores.
    """
    found = {}
    for score in map(score_of, given):
        found[score.name] = score
        if score.companion:
            found[score.companion] = score_of(score.companion)
    if not found:
        raise SettingsError("no scores given: expected at least one.")
    return tuple(found.values())


def without_companions(names: Sequence[str]) -> list[str]:
    """Returns the names but those that are companions of another one of them."""
    companions = {SCORES[name].companion for name in names if name in SCORES}
    return [name for name in names if name not in companions]
