"""Prompts: the texts that a model reads."""

from dataclasses import dataclass
from typing import Literal

Form = Literal["implicit", "explicit"]


@dataclass(frozen=True)
class Prompt:
    """One text that a model reads, with what it was made from."""

    text: str
    concept: str = ""
    locale: str = ""
    kind: str = ""
    """``factual``, ``cultural`` or empty for a free text."""
    form: str = ""
    """``implicit``, ``explicit`` or empty. A factual prompt is always implicit: it has no country to name."""
