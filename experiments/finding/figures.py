"""A figure of the finding, in the package's look."""

import pandas as pd

from steerlens.plotting import Figure
from steerlens.plotting.panels import error_bars, panel_line
from steerlens.plotting.theme import GREY, METHOD_COLOURS, SHADE, below, figure


def cosine_figure(table: pd.DataFrame) -> Figure:
    """Draws the cosine of EN and LOC by layer, a panel per locale, with what noise leaves possible and what unrelated ones have.

    Args:
        table: columns locale, layer, measure (cosine, ceiling, shuffled), value, low, high, near.
    """
    locales, near = list(dict.fromkeys(table["locale"])), float(table["near"].iloc[0])
    words = "bars: halves of the pairs; grey: LOC of shuffled labels, 95%; dotted: the most that noise allows"
    fig = figure("Cosine of EN and LOC by layer", words, "", "", width="page")
    fig.set_subplots(rows=1, cols=len(locales), shared_yaxes=True, subplot_titles=locales, horizontal_spacing=0.03)
    for column, code in enumerate(locales, 1):
        own = {name: part.sort_values("layer") for name, part in table[table["locale"] == code].groupby("measure")}
        null, ceiling, cosine, place = own["shuffled"], own["ceiling"], own["cosine"], (1, column)
        edge = {"fill": "toself", "fillcolor": SHADE, "line": {"width": 0}, "mode": "lines", "hoverinfo": "skip"}
        x, y = [*null["layer"], *null["layer"][::-1]], [*null["high"], *null["low"][::-1]]
        legend = {"legend": column == 1}
        fig.add_scatter(x=x, y=y, name="unrelated", showlegend=column == 1, row=1, col=column, **edge)
        dotted, solid = {"color": GREY, "dash": "dot"}, {"color": METHOD_COLOURS["surgical"]}
        panel_line(fig, place, ceiling["layer"], ceiling["value"], "ceiling", dotted, **legend)
        bars = error_bars(cosine, "value")
        panel_line(fig, place, cosine["layer"], cosine["value"], "cosine", solid, error_y=bars, **legend)
        for value in (-near, near):
            fig.add_hline(y=value, line={"color": GREY, "width": 1, "dash": "dash"}, row=1, col=column)
        fig.update_xaxes(title="layer", row=1, col=column)
    fig.update_yaxes(range=[-1, 1], zerolinecolor=GREY)
    fig.update_yaxes(title="cosine", row=1, col=1)
    return below(fig)
