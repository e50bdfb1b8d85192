"""Places names next to points so that they overlap as little as possible."""

from collections.abc import Sequence

_ROOM = {
    "top center": (0.0, 1.0),
    "bottom center": (0.0, -1.0),
    "middle right": (1.0, 0.0),
    "middle left": (-1.0, 0.0),
    "top right": (0.85, 0.85),
    "top left": (-0.85, 0.85),
    "bottom right": (0.85, -0.85),
    "bottom left": (-0.85, -0.85),
}
"""The text positions that plotly offers, with their direction from the point. Positions that come first are preferred."""
_MARKER = 7.0
"""The distance in pixels that is kept free around a point."""

_Box = tuple[float, float, float, float]


def beside(
    x: Sequence[float],
    y: Sequence[float],
    names: Sequence[str],
    scale: tuple[float, float],
    others: Sequence[tuple[float, float]] = (),
    letter: tuple[float, float] = (7, 13),
) -> list[str]:
    """Returns a ``textposition`` for each name. Names are placed one after another. Each name gets the position where it covers
    the smallest area of points and of earlier names.

    Args:
        x: the x coordinates of the points.
        y: the y coordinates of the points.
        names: the names.
        scale: the number of pixels in one unit of x and of y.
        others: points without a name. Names should not cover the points in ``others`` either.
        letter: the width and height of a letter in pixels.
    """
    at = [(a * scale[0], b * scale[1]) for a, b in zip(x, y, strict=True)]
    free = [*at, *((a * scale[0], b * scale[1]) for a, b in others)]
    taken: list[_Box] = [(a - _MARKER, b - _MARKER, a + _MARKER, b + _MARKER) for a, b in free]
    chosen = []
    for (a, b), name in zip(at, names, strict=True):
        size = (letter[0] * len(name), letter[1])
        boxes = {place: _box(a, b, size, direction) for place, direction in _ROOM.items()}
        best = min(boxes, key=lambda place, boxes=boxes: sum(_common(boxes[place], other) for other in taken))  # type: ignore[misc]
        chosen.append(best)
        taken.append(boxes[best])
    return chosen


def _box(a: float, b: float, size: tuple[float, float], direction: tuple[float, float]) -> _Box:
    x = a + direction[0] * (_MARKER + size[0] / 2)
    y = b + direction[1] * (_MARKER + size[1] / 2)
    return x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2


def _common(one: _Box, other: _Box) -> float:
    """Returns the area that two boxes share."""
    return max(0.0, min(one[2], other[2]) - max(one[0], other[0])) * max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
