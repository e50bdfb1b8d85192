"""From text to the tokens that a model sees, with BOS once at the front."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steerlens.data import Prompt
from steerlens.errors import PromptError

Message = dict[str, str]
Text = str | Prompt | Sequence[Message]
"""What a model can be given: a text, a ``Prompt``, or the messages of a chat, as ``{"role": …, "content": …}``."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of one prompt, as a model sees them."""

    ids: tuple[int, ...]
    texts: tuple[str, ...]
    """Each token decoded alone. A character cut in two by a token shows as ``�``."""

    def __len__(self) -> int:
        return len(self.ids)

    def __str__(self) -> str:
        return " ".join(f"[{text!r:.40}]" for text in self.texts)


class Tokenizer:
    """A Hugging Face tokenizer, used in the one way that residuals and scores can rely on."""

    def __init__(self, tokenizer: Any) -> None:
        self.hf = tokenizer
        self.bos_id: int | None = tokenizer.bos_token_id
        eos_id: int | None = tokenizer.eos_token_id
        self.pad_id: int = next((i for i in (tokenizer.pad_token_id, eos_id, self.bos_id) if i is not None), 0)

    def ids(self, prompt: Text) -> list[int]:
        """Token ids of a prompt. BOS stands once at the front, if the model has one, whether the text or the chat
        template wrote it or not, and nothing is appended.

        Raises:
            PromptError: the prompt is empty, or a chat was given to a model without a chat template.
        """
        text = self.text(prompt)
        ids: list[int] = list(self.hf(text, add_special_tokens=False)["input_ids"])
        while ids and ids[0] == self.bos_id:
            ids.pop(0)
        if not ids or not text.strip():
            raise PromptError(f"prompt {text!r} is empty: expected at least one token besides BOS. Leave it out or fill it.")
        return ids if self.bos_id is None else [self.bos_id, *ids]

    def text(self, prompt: Text) -> str:
        """The text that is tokenized: a chat goes through the model's template, with the cue for an answer."""
        if isinstance(prompt, Prompt):
            return prompt.text
        if isinstance(prompt, str):
            return prompt
        if not getattr(self.hf, "chat_template", None):
            raise PromptError(
                "chat messages were given, but this model's tokenizer has no chat template: it is a base model. "
                "Give the prompt as one text."
            )
        return str(self.hf.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True))

    def tokens(self, prompt: Text) -> Tokens:
        """Ids and texts of a prompt's tokens."""
        ids = self.ids(prompt)
        return Tokens(tuple(ids), tuple(self.decode([i]) for i in ids))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of some tokens, as written, special ones too."""
        return str(self.hf.decode(list(ids), clean_up_tokenization_spaces=False))

    def completion(self, ids: Sequence[int]) -> str:
        """Text of generated tokens, without special ones."""
        return str(self.hf.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def split(self, prompt: Text, continuations: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Tokens of a prompt and of each continuation, divided where they diverge when tokenized together.

        A tokenizer may join the prompt's last characters with the continuation's first. So each continuation is
        tokenized behind the prompt, and the prompt ends where the first of them leaves the prompt's own tokens. The
        same place serves all, or their probabilities would be of different texts.

        Raises:
            PromptError: empty prompt, no continuations, or a continuation without a token of its own.
        """
        if not continuations:
            raise PromptError(f"prompt {self.text(prompt)!r} has no choices to score: give at least one.")
        alone, text = self.ids(prompt), self.text(prompt)
        together = [self.ids(text + continuation) for continuation in continuations]
        cut = min(_common_prefix(alone, ids) for ids in together)
        for continuation, ids in zip(continuations, together, strict=True):
            if len(ids) == cut or not continuation.strip():
                raise PromptError(f"choice {continuation!r} of prompt {text!r} adds no token: expected a text to score.")
        return alone[:cut], [ids[cut:] for ids in together]


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
