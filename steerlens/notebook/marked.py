"""Texts side by side, with what changed marked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape

_PIECES = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|\w+|\s+|[^\w\s]")
"""Words, white space and punctuation; characters of scripts that write no spaces, and Hangul, one at a time."""


@dataclass(frozen=True)
class Column:
    """One text under its heading."""

    title: str
    text: str | None
    """``None`` before it is begun."""
    verdict: str = ""
    """What else is known of it, as HTML."""


def marked(before: str, after: str) -> str:
    """``after`` as HTML, with the pieces that ``before`` does not have in their place in ``<mark>``."""
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    parts = []
    for tag, _, _, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        piece = escape("".join(new[start:end])).replace("\n", "⏎<wbr>")
        parts.append(piece if tag == "equal" or not piece else f"<mark>{piece}</mark>")
    return "".join(parts)


def side_by_side(columns: Sequence[Column]) -> str:
    """A table of HTML: texts beside each other, marked where they differ from the first one."""
    first = columns[0].text or ""
    heads = "".join(f"<th>{escape(own.title)}<br><span>{own.verdict}</span></th>" for own in columns)
    cells = "".join(f"<td dir='auto'>{'<i>…</i>' if own.text is None else marked(first, own.text)}</td>" for own in columns)
    return f"<table class='texts'><tr>{heads}</tr><tr>{cells}</tr></table>"
