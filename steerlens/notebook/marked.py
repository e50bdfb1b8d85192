"""Shows texts next to each other, with the changes marked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape

_PIECES = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|\w+|\s+|[^\w\s]")
"""The pattern of the pieces of a text: words, white space and punctuation. Hangul syllables and characters of scripts without
spaces are single pieces."""


@dataclass(frozen=True)
class Column:
    """One text with its heading."""

    title: str
    text: str | None
    """The text; ``None`` before the text is begun."""
    verdict: str = ""
    """Other information about the text, as HTML."""


def marked(before: str, after: str) -> str:
    """Returns the text ``after`` as HTML. Pieces that the text ``before`` does not have at the same place are in ``<mark>``."""
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    parts = []
    for tag, _, _, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        piece = escape("".join(new[start:end])).replace("\n", "⏎<wbr>")
        parts.append(piece if tag == "equal" or not piece else f"<mark>{piece}</mark>")
    return "".join(parts)


def side_by_side(columns: Sequence[Column]) -> str:
    """Returns an HTML table of texts next to each other. Differences from the first text are marked."""
    first = columns[0].text or ""
    heads = "".join(f"<th>{escape(own.title)}<br><span>{own.verdict}</span></th>" for own in columns)
    cells = "".join(f"<td dir='auto'>{'<i>…</i>' if own.text is None else marked(first, own.text)}</td>" for own in columns)
    return f"<table class='texts'><tr>{heads}</tr><tr>{cells}</tr></table>"
