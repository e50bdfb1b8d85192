"""Draws alignment by training: the parts of the loss over the steps, and the changes inside the model by layer."""

from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import below, colour_of, figure, line_of, symbol_of

if TYPE_CHECKING:
    import pandas as pd

_BEFORE = "before"
"""The base model's name in the table."""
_MEANINGS = {
    "centred cosine": "between {} prompts and their English translations, each language's mean subtracted",
    "moved": "how far cultural prompts moved along the base model's {} vector (1: by the whole vector)",
    "kept direction": "cosine between the {} vector of the model and that of the base model",
}
"""The meaning of each measure, for the subtitle of the figure."""


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
    trained = [name for name in models if name != _BEFORE]
    means = rows.groupby(["model", "layer"], sort=False)["value"].mean().reset_index()
    words = f"{_MEANINGS.get(measure, '{}').format(of)}; mean over locales"
    fig = figure(f"{measure} by layer".capitalize(), words, "layer", measure)
    for name in models:
        own = means[means["model"] == name]
        line = line_of("unsteered" if name == _BEFORE else name, trained)
        fig.add_scatter(
            x=own["layer"],
            y=own["value"],
            name=name,
            mode="lines+markers",
            line=line,
            marker={"symbol": symbol_of(line["color"])},
            hovertemplate=f"{name}, layer %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    return below(fig)
