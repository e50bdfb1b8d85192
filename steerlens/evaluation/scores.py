"""The built-in scores."""

from collections.abc import Iterable

from steerlens.errors import SettingsError
from steerlens.evaluation.consistency import consistency
from steerlens.evaluation.languages import in_language
from steerlens.evaluation.outcomes import Writing
from steerlens.scores import SCORES, GivenScore, Score, register, score_of

_GRAM = 4
"""The tokens of the sequences whose repetition is counted."""


def repetition(writing: Writing) -> float | None:
    """Returns the share of a text's four-token sequences that came before in it (seq-rep-4 of Welleck et al., arXiv 1908.04319).

    Args:
        writing: the text with its tokens.

    Returns:
        ``None`` for a text of fewer than four tokens.
    """
    ids = writing.tokens
    grams = [ids[at : at + _GRAM] for at in range(len(ids) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else None


def exact_match(writing: Writing) -> bool:
    """Says whether a text begins with the item's answer, letter case and what stands around it aside.

    Args:
        writing: the text and the item that it answers.
    """
    item = writing.item
    return writing.text.strip().casefold().startswith(item.choices[item.answer].strip().casefold())


TRANSFER = Score("transfer", lambda o: o.correct, "factual", companion="transfer_margin")
"""T: a factual item is answered right."""
LOCALIZATION = Score("localization", lambda o: o.correct, "cultural", companion="localization_margin")
"""L: the local answer of an implicit cultural item wins."""
ENGLISH_CENTRIC = Score(
    "english_centric", lambda o: o.english_centric, "cultural", label="English-centric rate", higher_is_better=False
)
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
PERPLEXITY = Score(
    "log_perplexity", lambda r: r.nats, None, "reading", "nats per token", "log perplexity", higher_is_better=False
)
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
for _score in _BUILT_IN:
    register(_score)

BESIDE_ENGLISH = (TRANSFER.name, LOCALIZATION.name, ENGLISH_CENTRIC.name, TRANSFER_MARGIN.name, LOCALIZATION_MARGIN.name)
"""The scores that say how other locales do beside English: they are not measured on English items where there are others."""

AXES = (TRANSFER.name, LOCALIZATION.name)
"""The scores of the plane's two axes."""
SWEPT = (TRANSFER.name, LOCALIZATION.name, ENGLISH_CENTRIC.name)
"""What a sweep measures, if not told otherwise; with the margins, which are companions of two of these."""
ANSWERED = (*SWEPT, CONSISTENCY.name)
"""What methods are measured by, if not told otherwise."""
SIDE_EFFECTS = (PERPLEXITY.name, LANGUAGE.name, REPETITION.name)
"""What steering may cost besides."""


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


def without_companions(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names but those that are companions of another one of them, in the order of the registry."""
    given, order = dict.fromkeys(names), {name: at for at, name in enumerate(SCORES)}
    companions = {SCORES[name].companion for name in given if name in SCORES}
    return tuple(sorted((name for name in given if name not in companions), key=lambda name: order.get(name, len(order))))


def is_of_english(score: Score) -> bool:
    """Says whether a score means something for English items too, where there are others."""
    return score.evidence != "english" and not {score.name, score.companion} & set(BESIDE_ENGLISH)
