"""Prompts: the texts that a model reads."""

from dataclasses import dataclass, field
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
    topic: str = field(default="", compare=False)
    """That of its item, so that probes can hold whole topics out. It does not tell prompts apart."""
    relation: str = field(default="", compare=False)
    """What a generated fact asks of its subject, as ``capital``; empty for all others."""
