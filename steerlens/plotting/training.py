"""Draws alignment by training: the parts of the loss over the steps, and the changes inside the model by layer."""

from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import below, colour_of, figure, symbol_of

if TYPE_CHECKING:
    import pandas as pd


def training_figure(log: "pd.DataFrame", smooth: int = 10) -> Figure:
    """Draws each part of the loss over the steps: a thin line for the values, and a thick line for their running mean.

    Args:
        log: columns step, part, value.
        smooth: the number of values in the running mean.
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


def inside_figure(rows: "pd.DataFrame", measure: str, of: str) -> Figure:
    """Draws one measure of several models by layer, as the mean over locales.

    Args:
        rows: columns model, layer, value.
        measure: the name of the measure, for the axis.
        of: the data for which the measure was computed, as a text for the title.
    """
    models = list(dict.fromkeys(rows["model"]))
    means = rows.groupby(["model", "layer"], sort=False)["value"].mean().reset_index()
    fig = figure("Inside the model", f"{measure} of {of}, mean over locales", "layer", measure)
    for name in models:
        own = means[means["model"] == name]
        colour = colour_of("unsteered" if name == "before" else name, models)
        fig.add_scatter(
            x=own["layer"],
            y=own["value"],
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"symbol": symbol_of(colour)},
            hovertemplate=f"{name}, layer %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    return below(fig)
