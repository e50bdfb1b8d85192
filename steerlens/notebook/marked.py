"""Two texts side by side, with what changed marked."""

import re
from difflib import SequenceMatcher
from html import escape

_PIECES = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|\w+|\s+|[^\w\s]")
"""Words, white space and punctuation; characters of scripts that write no spaces, and Hangul, one at a time."""


def marked(before: str, after: str) -> str:
    """``after`` as HTML, with the pieces that ``before`` does not have in their place in ``<mark>``."""
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    parts = []
    for tag, _, _, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        piece = escape("".join(new[start:end])).replace("\n", "⏎<br>")
        parts.append(piece if tag == "equal" or not piece else f"<mark>{piece}</mark>")
    return "".join(parts)


def side_by_side(prompt: str, before: str, after: str | None, title: str) -> str:
    """A table of HTML: the prompt above, what is written after it unsteered on the left and steered on the right.

    Args:
        after: ``None`` before it is begun.
        title: of the steered column.
    """
    cell = "style='text-align:left;vertical-align:top;width:50%;padding:4px 12px 4px 0;line-height:1.4'"
    shown = "<i>…</i>" if after is None else marked(before, after)
    whole = escape(prompt).replace("\n", "<br>")
    return (
        f"<div dir='auto' style='padding:4px 0'>{whole}</div><table style='width:100%;border-collapse:collapse'>"
        f"<tr><th {cell}>unsteered</th><th {cell}>{escape(title)}</th></tr>"
        f"<tr><td {cell} dir='auto'>{marked(before, before)}</td><td {cell} dir='auto'>{shown}</td></tr></table>"
    )
