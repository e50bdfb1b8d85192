"""Texts in columns of a terminal, where a Chinese or Korean character takes two places."""

import unicodedata


def width(text: str) -> int:
    """Places that a text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, places: int) -> str:
    """The text with spaces behind it, up to so many places."""
    return text + " " * (places - width(text))
