"""Prompts, which are the texts that a model reads."""

from dataclasses import dataclass, field
from typing import Literal

Form = Literal["implicit", "explicit"]


@dataclass(frozen=True)
class Prompt:
    """One text that a model reads, with information on its item."""

    text: str
    """The text of the prompt, without the tokens that the model's tokenizer puts in front, such as BOS."""
    concept: str = ""
    """The id of the concept that is asked, or an empty text for a prompt without a concept."""
    locale: str = ""
    """The code of the locale, or an empty text for a prompt without a locale."""
    kind: str = ""
    """The kind of the item, ``factual`` or ``cultural``, or an empty text for a prompt without an item."""
    form: str = ""
    """The form of the prompt, ``implicit`` or ``explicit``, or an empty text for a prompt without an item. A factual prompt is
    always implicit, because no country needs to be named."""
    topic: str = field(default="", compare=False)
    """The topic of the prompt's item. Probes use the topic to hold out all items of a topic. Prompts that differ only in the
    topic are equal."""
    relation: str = field(default="", compare=False)
    """The relation that a generated fact asks about, for example ``capital``. The relation is empty for all other prompts."""
