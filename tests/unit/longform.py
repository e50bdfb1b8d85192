"""Rows of the long table of item scores, made by hand."""

SCORES = {"factual": ("transfer", "transfer_margin"), "cultural": ("localization", "localization_margin")}
"""The score of each kind of items, and its margin."""
Row = dict[str, object]


def item_rows(
    label: Row, locale: str, kind: str, concept: str, correct: bool, margin: float = 0.0, **others: float | None
) -> list[Row]:
    """A row for each score of one item: its kind's score and margin, and others that are given by name."""
    values = dict(zip(SCORES[kind], (float(correct), margin), strict=True)) | others
    place = {"locale": locale, "kind": kind, "concept": concept}
    return [{**label, **place, "score": score, "value": value} for score, value in values.items()]


def cell_rows(after: list[Row], before: list[Row]) -> list[Row]:
    """The rows of one cell and item, with the unsteered values beside them."""
    return [{**row, "base": base["value"], "valid": True} for row, base in zip(after, before, strict=True)]
