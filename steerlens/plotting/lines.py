"""Curves over layers."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from steerlens.plotting.theme import GREY, METHOD_COLOURS, figure

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = {"difference of means": METHOD_COLOURS["EN"], "logistic": METHOD_COLOURS["LOC"]}


def separability_lines(frame: "pd.DataFrame", locale: str) -> go.Figure:
    """AUROC of each probe by layer for one locale (``all``: pooled), with what surface form alone reaches."""
    part = frame[frame["locale"] == locale]
    own = part[part["layer"] >= 0]
    where = "all locales together" if locale == "all" else locale
    n = int(own["n"].max())
    fig = figure(
        "Separability of factual and cultural prompts by layer",
        f"{where}; {n} prompts; folds by concept; what counts lies above the surface form's line",
        "layer",
        "held-out AUROC",
        width="page",
    )
    for probe, rows in own.dropna(subset=["auroc"]).groupby("probe", sort=False):
        fig.add_scatter(
            x=rows["layer"],
            y=rows["auroc"],
            mode="lines+markers",
            name=probe,
            line={"color": _COLOURS.get(probe), "width": 2.5, "dash": "solid" if probe == "logistic" else "dot"},
            hovertemplate=f"{probe}, layer %{{x}}: %{{y:.3f}} (n = {n})<extra></extra>",
        )
    surface = part[part["layer"] < 0]["auroc"]
    if len(surface):
        level = float(surface.iloc[0])
        fig.add_hline(y=level, line={"color": GREY, "dash": "dash"}, annotation_text=f"surface form {level:.2f}")
    fig.add_hline(y=0.5, line={"color": GREY, "width": 1}, annotation_text="chance", annotation_position="bottom right")
    fig.update_yaxes(range=[0.4, 1.03])
    fig.update_layout(legend={"orientation": "h", "y": -0.2})
    return fig


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
