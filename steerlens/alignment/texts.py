"""Turns parallel texts into the examples of a method: single texts, and pairs with English."""

from collections.abc import Iterator, Sequence

from steerlens.alignment.examples import encoded_row
from steerlens.alignment.objectives import Example
from steerlens.data import ENGLISH
from steerlens.data.parallel import ParallelCorpus, ParallelText
from steerlens.errors import DataError
from steerlens.models.tokens import Tokenizer


def about(row: ParallelText) -> str:
    """Returns the subject of a row, which is the id of its concept, or the row's key if the row has no concept.

    Args:
        row: a parallel text.
    """
    return row.concept or row.key


def single_texts(
    corpus: ParallelCorpus, codes: Sequence[str], tokenizer: Tokenizer, *, answered: bool = False
) -> tuple[Example, ...]:
    """Returns every text of the given locales as a separate example. If a question has an answer, training learns to predict only
    the answer.

    Args:
        corpus: the parallel texts.
        codes: the locales whose texts are taken.
        tokenizer: the model's tokenizer.
        answered: whether texts without an answer are left out.
    """
    wanted = [(row, code) for row in corpus for code in codes if code in (row.answers if answered else row.texts)]
    return tuple(Example((encoded_row(tokenizer, row, code),), about(row)) for row, code in wanted)


def pairs_with_english(corpus: ParallelCorpus, locales: Sequence[str], tokenizer: Tokenizer) -> tuple[Example, ...]:
    """Returns every text in English together with its translation into one locale.

    Args:
        corpus: the parallel texts.
        locales: the locales that are paired with English.
        tokenizer: the model's tokenizer.

    Raises:
        DataError: there are no pairs.
    """
    found = tuple(
        Example((encoded_row(tokenizer, row, ENGLISH), encoded_row(tokenizer, row, code)), about(row))
        for row, code in _pairs(corpus, locales)
    )
    return some(found, f"texts in {ENGLISH} and in one of {', '.join(locales)}")


def some(found: tuple[Example, ...], what: str) -> tuple[Example, ...]:
    """Returns the given examples. Raises an error if there are no examples.

    Args:
        found: the examples.
        what: a description of the expected examples, for the error message.

    Raises:
        DataError: there are no examples.
    """
    if not found:
        raise DataError(
            f"the parallel texts contain no {what}, so this method has nothing to learn from. Give other texts, for example "
            "sl.data.parallel.facts(split.train)."
        )
    return found


def _pairs(corpus: ParallelCorpus, locales: Sequence[str]) -> Iterator[tuple[ParallelText, str]]:
    return ((row, code) for row in corpus if ENGLISH in row.texts for code in locales if code in row.texts)
