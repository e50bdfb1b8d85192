"""Figures of the experiments, in the package's look. Changes are in points or nats per token; zero is where nothing happened."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from steerlens.plotting import Figure
from steerlens.plotting.theme import GREY, METHOD_COLOURS, SHADE, below, figure, symbol_of

_DASHES = ("dot", "solid", "dash", "dashdot")
_SHOWN = (("score", "change", 100, "points"), ("margin", "margin", 1, "nats per token"))
"""What a row of the depth figure shows: by what, the column, the factor on it, the unit."""


def depth_figure(cells: pd.DataFrame, depth: pd.DataFrame, claimed: Mapping[str, str]) -> Figure:
    """Change of each vector's score and margin by layer, a line per strength; grey: 95% of the resampled best layers.

    Args:
        cells: columns vector, score, layer, strength, change (share), margin (nats per token), n.
        depth: columns vector, by (score or margin), measure, layer, low, high.
        claimed: the score of each vector.
    """
    n = ", ".join(f"{cells[cells['score'] == score]['n'].max():.0f} concepts for {vector}" for vector, score in claimed.items())
    fig = figure("Where each vector works", f"dev; {n}; grey: 95% of the resampled best layers", "", "", width="page")
    titles = [f"{vector}: {_word(score)}{extra}" for extra in ("", ", margin") for vector, score in claimed.items()]
    fig.set_subplots(rows=2, cols=len(claimed), shared_xaxes=True, vertical_spacing=0.09, subplot_titles=titles)
    for column, (vector, score) in enumerate(claimed.items(), 1):
        part = cells[(cells["vector"] == vector) & (cells["score"] == score)]
        for row, (by, name, factor, unit) in enumerate(_SHOWN, 1):
            for at, (strength, own) in enumerate(part.groupby("strength")):
                look = {"color": METHOD_COLOURS[vector], "width": 2, "dash": _DASHES[at % len(_DASHES)]}
                _line(fig, own["layer"], factor * own[name], f"{vector}, strength {strength:g}", look, row, column, row == 1)
            peak = depth[(depth["vector"] == vector) & (depth["by"] == by) & (depth["measure"] == "peak")].iloc[0]
            fig.add_vrect(x0=peak["low"] - 0.2, x1=peak["high"] + 0.2, fillcolor=SHADE, line_width=0, row=row, col=column)
            fig.update_yaxes(title=f"change ({unit})", rangemode="tozero", zerolinecolor=GREY, row=row, col=column)
        fig.update_xaxes(title="layer", row=2, col=column)
    fig.update_layout(height=760)
    return below(fig)


def cosine_figure(table: pd.DataFrame) -> Figure:
    """Cosine of EN and LOC by layer, a panel per locale, with what noise leaves possible and what unrelated directions have.

    Args:
        table: columns locale, layer, measure (cosine, ceiling, shuffled), value, low, high, near.
    """
    locales, near = list(dict.fromkeys(table["locale"])), float(table["near"].iloc[0])
    words = "bars: halves of the pairs; grey: LOC of shuffled labels, 95%; dotted: the most that noise allows"
    fig = figure("Cosine of EN and LOC by layer", words, "", "", width="page")
    fig.set_subplots(rows=1, cols=len(locales), shared_yaxes=True, subplot_titles=locales, horizontal_spacing=0.03)
    for column, code in enumerate(locales, 1):
        own = {name: part.sort_values("layer") for name, part in table[table["locale"] == code].groupby("measure")}
        null, first = own["shuffled"], column == 1
        edge = {"fill": "toself", "fillcolor": SHADE, "line": {"width": 0}, "mode": "lines", "hoverinfo": "skip"}
        x, y = [*null["layer"], *null["layer"][::-1]], [*null["high"], *null["low"][::-1]]
        fig.add_scatter(x=x, y=y, name="unrelated", showlegend=first, row=1, col=column, **edge)
        _line(fig, own["ceiling"]["layer"], own["ceiling"]["value"], "ceiling", {"color": GREY, "dash": "dot"}, 1, column, first)
        cosine, look = own["cosine"], {"color": METHOD_COLOURS["surgical"]}
        _line(fig, cosine["layer"], cosine["value"], "cosine", look, 1, column, first, error_y=_bars(cosine, "value"))
        for value in (-near, near):
            fig.add_hline(y=value, line={"color": GREY, "width": 1, "dash": "dash"}, row=1, col=column)
        fig.update_xaxes(title="layer", row=1, col=column)
    fig.update_yaxes(range=[-1, 1], zerolinecolor=GREY)
    fig.update_yaxes(title="cosine", row=1, col=1)
    return below(fig)


def _line(
    fig: Figure,
    x: pd.Series,
    y: pd.Series,
    name: str,
    look: Mapping[str, Any],
    row: int,
    column: int,
    legend: bool,
    **more: Any,
) -> None:
    common = {"mode": "lines+markers", "line": dict(look), "name": name, "legendgroup": name, "showlegend": legend, **more}
    common["marker"] = {"symbol": symbol_of(look["color"])}
    fig.add_scatter(x=x, y=y, row=row, col=column, **common)


def _bars(rows: pd.DataFrame, value: str, factor: float = 1) -> dict[str, Any]:
    high, low = factor * (rows["high"] - rows[value]), factor * (rows[value] - rows["low"])
    return {"type": "data", "array": high.clip(lower=0), "arrayminus": low.clip(lower=0), "thickness": 1.5, "width": 3}


def _word(score: str) -> str:
    return score.replace("_", "-")
