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
"""The number of tokens per character from which a language counts as split into bytes."""
_UNKNOWN = 0.2
"""The share of unknown tokens from which a language counts as unreadable."""


@dataclass(frozen=True)
class Encoded:
    """A text as tokens."""

    ids: tuple[int, ...]
    """The token ids, including those that the tokenizer puts in front."""
    start: int
    """The index of the first token that is learned: the answer's first token, or the first token of the text itself."""
    front: int
    """The number of tokens in front of the text, such as BOS."""
    locale: str = ""
    """The code of the locale that the text is in."""

    @property
    def first(self) -> int:
        """The column of the first token that is learned. It is never the first column, as nothing is predicted there."""
        return max(self.start, 1)

    @property
    def learned(self) -> int:
        """The number of tokens that are learned."""
        return max(0, len(self.ids) - self.first)


@dataclass(frozen=True)
class Padded:
    """Texts of a batch, padded on the right."""

    ids: Int[Tensor, "text pos"]
    mask: Int[Tensor, "text pos"]
    """1 at tokens, 0 at padding."""
    own: Bool[Tensor, "text pos"]
    """True for the text's own tokens: not those in front, and not padding."""
    learned: Bool[Tensor, "text pos"]
    """True for the tokens whose probability is learned."""


def encoded(tokenizer: Tokenizer, text: str, code: str, answer: str = "") -> Encoded:
    """Returns a text as tokens, or a question and its answer. If there is an answer, only its tokens are learned.

    Args:
        tokenizer: the model's tokenizer.
        text: the text, or the question as the model is asked it.
        code: the code of the locale.
        answer: the answer after the question, without the space before it; none for ``""``.

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
    """Returns one locale's text of a row, with its answer if it has one.

    Args:
        tokenizer: the model's tokenizer.
        row: a parallel text.
        code: one of its locales.
    """
    return encoded(tokenizer, row.texts[code], code, row.answers.get(code, ""))


def padded(texts: Sequence[Encoded], pad: int, device: torch.device) -> Padded:
    """Returns texts as one batch.

    Args:
        texts: the texts.
        pad: the token with which shorter texts are padded.
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
    """Refuses locales whose script the tokenizer splits into bytes. From bytes, a model would learn spelling and no language.

    Args:
        tokenizer: the model's tokenizer.
        rows: the parallel texts.
        codes: the locales.
        n: the number of texts of a locale that are checked.

    Raises:
        DataError: a locale has more tokens than characters, or consists mostly of unknown tokens.
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
                f"the model's tokenizer makes {how}, for texts in {code}: the tokenizer splits this language into bytes or "
                "does not know it. Leave this locale out (locales=…), or use a model that was trained on this language."
            )
