"""Prompts: the texts that a model reads."""

from dataclasses import dataclass, field
from typing import Literal

Form = Literal["implicit", "explicit"]


@dataclass(frozen=True)
class Prompt:
    """One text that a model reads, with information on its item."""

    text: str
    """The text, before the model's tokenizer puts anything in front of it."""
    concept: str = ""
    """The id of the concept that is asked; empty for a free text."""
    locale: str = ""
    """The code of the locale; empty for a free text."""
    kind: str = ""
    """``factual``, ``cultural``, or empty for a free text."""
    form: str = ""
    """``implicit``, ``explicit``, or empty for a free text. A factual prompt is always implicit, as it has no country to
    name."""
    topic: str = field(default="", compare=False)
    """The topic of its item, so that probes can hold out whole topics. Prompts that differ only in the topic are equal."""
    relation: str = field(default="", compare=False)
    """The relation that a generated fact asks about, for example ``capital``; empty for all other prompts."""
