"""The training curve of an alignment method: each part of its loss over the steps."""

from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import below, colour_of, figure

if TYPE_CHECKING:
    import pandas as pd


def training_figure(log: "pd.DataFrame", smooth: int = 10) -> Figure:
    """Draws each part of the loss over the steps: thin as it was, thick its running mean.

    Args:
        log: columns step, part, value.
        smooth: the number of values that the running mean is taken over.
    """
    parts = list(dict.fromkeys(log["part"]))
    fig = figure("Training", f"thick: running mean over {smooth} values", "step", "loss (nats)")
    for part in parts:
        own, colour = log[log["part"] == part], colour_of(part, parts)
        common = {"x": own["step"], "mode": "lines", "legendgroup": part}
        fig.add_scatter(
            **common, y=own["value"], line={"color": colour, "width": 1}, opacity=0.35, showlegend=False, hoverinfo="skip"
        )
        mean = own["value"].rolling(smooth, min_periods=1).mean()
        hover = f"{part}, step %{{x}}: %{{y:.3f}} nats<extra></extra>"
        fig.add_scatter(**common, y=mean, name=part, line={"color": colour, "width": 3}, hovertemplate=hover)
    fig.update_yaxes(rangemode="tozero")
    return below(fig)
