"""Draws the depth at which each vector of a sweep works: its scores by layer, and the range of its best layer."""

from typing import TYPE_CHECKING, Any

from steerlens.plotting.figure import Figure
from steerlens.plotting.panels import panel_line
from steerlens.plotting.theme import DASHES, GREY, SHADE, below, colour_of, figure
from steerlens.scores import shown_score

if TYPE_CHECKING:
    import pandas as pd

_FIRST, _MORE = 130, 260
"""The height in pixels of the space above and below the rows of panels, and the height of each row."""


def depth_figure(cells: "pd.DataFrame", depths: "pd.DataFrame") -> Figure:
    """Draws changes of scores by layer, with one line per strength. A grey area contains the best layer in 95% of the resamples.

    Each vector has one column of panels. A column has one panel for each score from which the vector's depth was computed. A
    strength that was run only at some layers (such as a strength added by ``extend``) has numbered points and no line.

    Args:
        cells: columns vector, score, layer, strength, change.
        depths: the table of ``Depths``. Only the rows on the best layer of a single vector (measure ``peak``) are drawn.
    """
    peaks = depths[(depths["measure"] == "peak") & depths["score"].isin(list(cells["score"]))]
    vectors = list(dict.fromkeys(peaks["vector"]))
    scores = {vector: list(own["score"]) for vector, own in peaks.groupby("vector", sort=False)}
    rows, n = max(map(len, scores.values())), peaks.groupby("vector", sort=False)["n"].max()
    words = ", ".join(f"{n[vector]:.0f} concepts for {vector}" for vector in vectors)
    fig = figure("Where each vector works", f"{words}; grey: 95% of the resampled best layers", "", "", width="page")
    titles = [
        f"{vector}: {shown_score(scores[vector][row]).title}" if row < len(scores[vector]) else ""
        for row in range(rows)
        for vector in vectors
    ]
    fig.set_subplots(rows=rows, cols=len(vectors), shared_xaxes=True, vertical_spacing=0.09, subplot_titles=titles)
    for peak in peaks.to_dict("records"):
        place = scores[peak["vector"]].index(peak["score"]) + 1, vectors.index(peak["vector"]) + 1
        part = cells[(cells["vector"] == peak["vector"]) & (cells["score"] == peak["score"])]
        _panel(fig, place, part, peak["vector"], colour_of(peak["vector"], vectors))
        shade = {"fillcolor": SHADE, "line_width": 0, "row": place[0], "col": place[1]}
        fig.add_vrect(x0=peak["low"] - 0.2, x1=peak["high"] + 0.2, **shade)
    fig.update_xaxes(title="layer", row=rows)
    fig.update_layout(height=fig.layout.margin.t + _FIRST + _MORE * rows)
    return below(fig)


def _panel(fig: Figure, place: tuple[int, int], part: "pd.DataFrame", vector: str, colour: str) -> None:
    """Adds the lines of one vector and one score to a panel."""
    score, layers = shown_score(part["score"].iloc[0]), part["layer"].nunique()
    for at, (strength, own) in enumerate(part.sort_values("layer").groupby("strength")):
        look = {"color": colour, "width": 2, "dash": DASHES[at % len(DASHES)]}
        name, more = f"{vector}, strength {strength:g}", dict[str, Any]()
        if len(own) < layers:
            name += " (some layers)"
            side = "right" if at % 2 else "left"  # two strengths with the same change stay readable
            more = {"mode": "markers+text", "text": [f"{strength:g}"] * len(own), "textposition": f"middle {side}"}
        panel_line(
            fig, place, own["layer"], score.factor * own["change"], name, look, legend=place[0] == 1, cliponaxis=False, **more
        )
    y = {"title": f"change ({score.change_unit})", "rangemode": "tozero", "zerolinecolor": GREY}
    fig.update_yaxes(**y, row=place[0], col=place[1])
