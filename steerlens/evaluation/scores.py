"""The built-in scores, such as transfer and localization, and helper functions for scores."""

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from steerlens.data import locale
from steerlens.errors import SettingsError
from steerlens.evaluation.consistency import consistency
from steerlens.evaluation.languages import in_language
from steerlens.evaluation.outcomes import Writing
from steerlens.scores import BUILT_IN, SCORES, GivenScore, Score, score_of

_GRAM = 4
"""The number of tokens in the sequences whose repetition is counted."""


def repetition(writing: Writing) -> float | None:
    """Returns the share of a text's four-token sequences that occurred earlier in the text (seq-rep-4 of Welleck et al.,
    arXiv 1908.04319).

    Args:
        writing: the text with its tokens.

    Returns:
        The share, or ``None`` if the text has fewer than four tokens.
    """
    return repeated(writing.tokens) if len(writing.tokens) >= _GRAM else None


def repeated(ids: Sequence[int]) -> float:
    """Returns the share of a text's four-token sequences that occurred earlier in the text. The share is 0 for fewer than
    four tokens.

    Args:
        ids: a text's tokens.
    """
    grams = [tuple(ids[at : at + _GRAM]) for at in range(len(ids) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def exact_match(writing: Writing) -> bool:
    """Returns whether a text begins with the item's answer. Letter case and spaces around the text are ignored.

    The answer must end where a word or a number ends. For example, the answer ``8`` does not match ``800 of them`` or
    ``8,5``. In languages without spaces between words, only the end of a number is checked.

    Args:
        writing: the text and the item that it answers.
    """
    text, answer = writing.text.strip().casefold(), writing.answer.strip().casefold()
    return text.startswith(answer) and not _goes_on(answer, text[len(answer) :], spaced=bool(locale(writing.item.locale).space))


def preference(margin: float) -> float:
    """Returns the probability of the answer if only the answer and the best other choice are compared. The probability is the
    softmax over the scores of the two choices.

    The preference is a number between 0 and 1 that shows how clearly the answer wins. Unlike the mean margin, the mean
    preference is not dominated by a few items on which steering has a very large effect.

    Args:
        margin: the score of the answer minus the score of the best other choice, in nats per token.
    """
    return (1 + math.tanh(margin / 2)) / 2


def _goes_on(answer: str, rest: str, *, spaced: bool) -> bool:
    """Returns whether the last number of an answer continues in the following text. In languages with spaces between words,
    the function also checks whether the last word continues."""
    if answer[-1:].isdigit():
        rest = rest[1:] if rest[:1] in (".", ",") and rest[1:2].isdigit() else rest
        return rest[:1].isdigit() or (spaced and rest[:1].isalpha())
    return spaced and unicodedata.category(rest[:1] or " ")[0] in "LMN"


TRANSFER = Score("transfer", lambda o: o.correct, "factual", companion="transfer_margin", graded="transfer_preference")
"""Transfer T: whether the right answer of a factual item wins."""
LOCALIZATION = Score(
    "localization", lambda o: o.correct, "cultural", companion="localization_margin", graded="localization_preference"
)
"""Localization L: whether the local answer of an implicit cultural item wins."""
ENGLISH_CENTRIC = Score(
    "english_centric", lambda o: o.english_centric, "cultural", label="English-centric rate", higher_is_better=False
)
"""The English-centric rate: whether the English locale's answer of an implicit cultural item wins and is not also the local
answer."""
OWN_ANSWER = Score("own_answer", lambda o: o.item.locale in o.item.owners[o.predicted], "cultural", label="own answer")
"""Whether the answer of the question's own locale wins, even if the question names another country."""
TRANSFER_MARGIN = Score("transfer_margin", lambda o: o.margin, "factual", unit="nats per token", label="factual margin")
"""The margin of a factual item: the score of the right answer minus the score of the best other choice."""
LOCALIZATION_MARGIN = Score("localization_margin", lambda o: o.margin, "cultural", unit="nats per token", label="cultural margin")
"""The margin of a cultural item: the score of the local answer minus the score of the best other choice."""
TRANSFER_PREFERENCE = Score(
    "transfer_preference", lambda o: preference(o.margin), "factual", unit="probability", label="factual preference"
)
"""The probability of the right answer if only the right answer and the best other choice are compared."""
LOCALIZATION_PREFERENCE = Score(
    "localization_preference", lambda o: preference(o.margin), "cultural", unit="probability", label="cultural preference"
)
"""The probability of the local answer if only the local answer and the best other choice are compared."""
MARGIN = Score("margin", lambda o: o.margin, unit="nats per token")
"""The margin of factual and cultural items: the score of the answer minus the score of the best other choice."""
ANSWER = Score("answer_log_probability", lambda o: o.scores[o.item.answer], unit="nats per token")
"""The log probability of the text of the right or local answer, with the scoring's normalisation."""
CONSISTENCY = Score("consistency", consistency, "factual", "english", unit="RankC", label="consistency")
"""The RankC of an item: how similar the ranking of the item's choices is to the unsteered model's ranking for the English item
(Qi, Fernández and Bisazza, arXiv 2310.10378)."""
PERPLEXITY = Score(
    "log_perplexity", lambda r: r.nats, None, "reading", "nats per token", "log perplexity", higher_is_better=False
)
"""The logarithm of the perplexity of held-out text. A change of +0.1 means that the perplexity is 1.105 times as high."""
LANGUAGE = Score("right_language", lambda w: in_language(w.text, w.item.locale), None, "writing", label="right language")
"""Whether the generated text is in the locale's language."""
REPETITION = Score("repetition", repetition, None, "writing", label="repetition", higher_is_better=False)
"""The share of a text's four-token sequences that occurred earlier in the text."""
EXACT_MATCH = Score("exact_match", exact_match, None, "writing", label="exact match")
"""Whether the generated text begins with the right or local answer."""

_BUILT_IN = (
    *(TRANSFER, LOCALIZATION, ENGLISH_CENTRIC, OWN_ANSWER, TRANSFER_MARGIN, LOCALIZATION_MARGIN, MARGIN),
    *(TRANSFER_PREFERENCE, LOCALIZATION_PREFERENCE),
    *(ANSWER, CONSISTENCY, PERPLEXITY, LANGUAGE, REPETITION, EXACT_MATCH),
)
for _score in _BUILT_IN:
    SCORES[_score.name] = BUILT_IN[_score.name] = _score

BESIDE_ENGLISH = (
    *(TRANSFER.name, LOCALIZATION.name, ENGLISH_CENTRIC.name, TRANSFER_MARGIN.name, LOCALIZATION_MARGIN.name),
    *(TRANSFER_PREFERENCE.name, LOCALIZATION_PREFERENCE.name),
)
"""Scores that compare other locales with English. Scores in this tuple are not measured on English items if there are items
of other locales."""

AXES = (TRANSFER.name, LOCALIZATION.name)
"""The names of the scores on the two axes of the plane."""
SWEPT = (TRANSFER.name, LOCALIZATION.name, ENGLISH_CENTRIC.name)
"""The scores that a sweep measures for a vector that does not name its own score."""
ANSWERED = (*SWEPT, CONSISTENCY.name)
"""The scores that are measured for methods by default."""
SIDE_EFFECTS = (PERPLEXITY.name, LANGUAGE.name, REPETITION.name)
"""The scores of side effects, which show the costs of steering."""


def scores_of(given: Iterable[GivenScore]) -> tuple[Score, ...]:
    """Returns scores with their companions and graded forms. Each score is included once.

    Raises:
        UnknownNameError: one of the given names is not the name of a score.
        SettingsError: there are no scores, the scores are not given as a list, or a companion is not measured on all items of
            its score.
    """
    if isinstance(given, str | Score):
        raise SettingsError(f"scores={given!r} given: expected a list, such as scores=['transfer'].")
    found = {}
    for score in map(score_of, given):
        found[score.name] = score
        if score.companion:
            found[score.companion] = _companion(score, score.companion)
        if score.graded:
            found[score.graded] = _companion(score, score.graded)
    if not found:
        raise SettingsError("no scores given: expected at least one.")
    return tuple(found.values())


def _companion(score: Score, name: str) -> Score:
    finer = score_of(name)
    if not set(score.kinds) <= set(finer.kinds) or "reading" in (score.evidence, finer.evidence):
        raise SettingsError(
            f"score {score.name!r} of {' and '.join(score.kinds)} items has the companion {finer.name!r}, which is measured on "
            f"{' and '.join(finer.kinds)} items: expected a companion that is measured on all items of {score.name!r}, such "
            "as 'margin', which is measured on both kinds."
        )
    return finer


def finer_of(score: GivenScore, there: Iterable[str]) -> Score:
    """Returns the companion of a score: a continuous measure, such as the margin for transfer. If the companion was not
    measured, the score itself is returned.

    Args:
        score: the score whose companion is returned.
        there: the names of the measured scores.
    """
    known = score_of(score)
    return score_of(known.companion) if known.companion in set(there) else known


def asked_for(meta: Mapping[str, Any], there: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of the scores that were requested for a table. If ``meta`` does not contain the names, all scores
    except companions are returned.

    Args:
        meta: the metadata of the table, which describe how the table was made.
        there: the names of the scores in the table.
    """
    names = dict.fromkeys(there)
    return tuple(name for name in meta["scores"] if name in names) if "scores" in meta else without_companions(names)


def without_companions(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of the given scores, in the order of the registry. Companions and graded forms of other given scores
    are left out."""
    given, order = dict.fromkeys(names), {name: at for at, name in enumerate(SCORES)}
    companions = {finer for name in given if name in SCORES for finer in (SCORES[name].companion, SCORES[name].graded)}
    return tuple(sorted((name for name in given if name not in companions), key=lambda name: order.get(name, len(order))))


def is_of_english(score: Score) -> bool:
    """Returns whether a score is measured on English items if there are also items of other locales."""
    return score.evidence != "english" and not {score.name, score.companion, score.graded} & set(BESIDE_ENGLISH)
