"""Cosines of the EN and LOC vectors."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from steerlens.plotting.theme import GREY, figure

if TYPE_CHECKING:
    import pandas as pd


def cosine_lines(frame: "pd.DataFrame") -> go.Figure:
    """Cosine of the EN and LOC vectors by layer, a line per locale."""
    part = frame[frame["cosine"].notna()]
    fig = figure("Cosine of EN and LOC vectors by layer", "0: the two directions are perpendicular", "layer", "cosine")
    for locale, rows in part.groupby("locale", sort=False):
        fig.add_scatter(
            x=rows["layer"],
            y=rows["cosine"],
            mode="lines+markers",
            name=locale,
            hovertemplate=f"{locale}, layer %{{x}}: %{{y:+.3f}}<extra></extra>",
        )
    fig.add_hline(y=0, line={"color": GREY, "width": 1})
    fig.update_yaxes(range=[-1, 1])
    fig.update_layout(legend={"orientation": "h", "y": -0.2})
    return fig
