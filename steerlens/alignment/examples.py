"""Training examples: parallel texts as tokens, and batches of texts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from steerlens.data import locale
from steerlens.data.parallel import ParallelText
from steerlens.errors import DataError
from steerlens.models.tokens import Tokenizer

_PER_CHARACTER = 1.2
"""The largest allowed number of tokens per character. If a language has more tokens per character, its texts count as split into
bytes."""
_UNKNOWN = 0.2
"""The largest allowed share of unknown tokens. If a language has a larger share, the tokenizer counts as not knowing the
language."""


@dataclass(frozen=True)
class Encoded:
    """A text as tokens."""

    ids: tuple[int, ...]
    """The token ids of the text, including special tokens in front, such as BOS."""
    start: int
    """The index of the first token that training learns to predict. This token is the answer's first token or, for a text without
    an answer, the text's first token."""
    front: int
    """The number of tokens in front of the text, such as BOS."""
    locale: str = ""
    """The code of the locale of the text."""

    @property
    def first(self) -> int:
        """The index of the first token that training learns to predict, counted from the beginning of the sequence. The index is
        at least 1, because the model does not predict the first token of a sequence."""
        return max(self.start, 1)

    @property
    def learned(self) -> int:
        """The number of tokens that training learns to predict."""
        return max(0, len(self.ids) - self.first)


@dataclass(frozen=True)
class Padded:
    """Texts of a batch, padded on the right."""

    ids: Int[Tensor, "text pos"]
    mask: Int[Tensor, "text pos"]
    """The attention mask, which is 1 at tokens and 0 at padding."""
    own: Bool[Tensor, "text pos"]
    """A mask that is true for the tokens of the text, and false for tokens in front, such as BOS, and for padding."""
    learned: Bool[Tensor, "text pos"]
    """A mask that is true for the tokens that training learns to predict."""


def encoded(tokenizer: Tokenizer, text: str, code: str, answer: str = "") -> Encoded:
    """Returns the tokens of a text, or of a question with its answer. If there is an answer, training learns to predict only the
    tokens of the answer.

    Args:
        tokenizer: the model's tokenizer.
        text: the text, or the question in the form in which the model gets it.
        code: the code of the locale.
        answer: the answer after the question, without the space before the answer. ``""`` means that there is no answer.

    Raises:
        PromptError: the text is empty.
    """
    if not answer:
        ids = tokenizer.ids(text)
        front = tokenizer.n_front(ids)
        return Encoded(tuple(ids), front, front, code)
    asked, (answered,) = tokenizer.split(text, [locale(code).space + answer])
    return Encoded((*asked, *answered), len(asked), tokenizer.n_front(asked), code)


def encoded_row(tokenizer: Tokenizer, row: ParallelText, code: str) -> Encoded:
    """Returns the tokens of a parallel text in one locale, followed by the tokens of its answer if there is an answer.

    Args:
        tokenizer: the model's tokenizer.
        row: a parallel text.
        code: the code of one of the locales of the parallel text.
    """
    return encoded(tokenizer, row.texts[code], code, row.answers.get(code, ""))


def padded(texts: Sequence[Encoded], pad: int, device: torch.device) -> Padded:
    """Returns texts as one batch.

    Args:
        texts: the texts.
        pad: the id of the token with which shorter texts are padded.
        device: the device of the tensors.
    """
    length = max(len(text.ids) for text in texts)
    ids = torch.full((len(texts), length), pad)
    for line, text in zip(ids, texts, strict=True):
        line[: len(text.ids)] = torch.tensor(text.ids)

    def columns(of: Callable[[Encoded], tuple[int, int]]) -> Tensor:
        marked = torch.zeros(ids.shape, dtype=torch.bool)
        for line, text in zip(marked, texts, strict=True):
            line[slice(*of(text))] = True
        return marked.to(device)

    mask = columns(lambda text: (0, len(text.ids)))
    own = columns(lambda text: (text.front, len(text.ids)))
    learned = columns(lambda text: (text.first, len(text.ids)))
    return Padded(ids.to(device), mask.long(), own, learned)


def check_languages(tokenizer: Tokenizer, rows: Iterable[ParallelText], codes: Sequence[str], n: int = 50) -> None:
    """Raises an error for a locale whose script the tokenizer splits into bytes. From bytes, a model would learn only spelling,
    and not the language.

    Args:
        tokenizer: the model's tokenizer.
        rows: the parallel texts.
        codes: the locales.
        n: the number of texts of a locale that are checked.

    Raises:
        DataError: the texts of a locale have too many tokens per character, or too many unknown tokens.
    """
    texts: dict[str, list[str]] = {code: [] for code in codes}
    for row in rows:
        for code in codes:
            if code in row.texts and len(texts[code]) < n:
                texts[code].append(row.texts[code])
    unknown = getattr(tokenizer.hf, "unk_token_id", None)
    for code, some in texts.items():
        ids = [one for text in some for one in tokenizer.hf(text, add_special_tokens=False)["input_ids"]]
        characters = sum(map(len, some))
        lost = sum(one == unknown for one in ids) / max(1, len(ids)) if unknown is not None else 0.0
        if len(ids) > _PER_CHARACTER * characters or lost > _UNKNOWN:
            how = f"{len(ids) / max(1, characters):.1f} tokens per character, {lost:.0%} of them unknown"
            raise DataError(
                f"for texts in {code}, the model's tokenizer makes {how}, so the tokenizer splits this language into bytes or "
                "does not know the language. Leave this locale out (locales=…), or use a model that was trained on this language."
            )
