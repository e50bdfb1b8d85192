"""Draws how well the form of prompts alone separates factual prompts from cultural prompts."""

from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import GREY, METHOD_COLOURS, figure

if TYPE_CHECKING:
    import pandas as pd


def form_bars(frame: "pd.DataFrame") -> Figure:
    """Draws the AUROC of character n-grams by locale, as bars that start at chance level.

    Args:
        frame: the table of ``FormSeparability``.
    """
    n = int(frame["n"].max())
    fig = figure(
        "How well form alone distinguishes factual and cultural prompts",
        f"character n-grams; bars start at chance; up to {n} prompts in a locale",
        "held-out AUROC",
        "locale",
    )
    fig.add_bar(
        x=frame["auroc"] - 0.5,
        base=0.5,
        y=frame["locale"],
        orientation="h",
        marker={"color": METHOD_COLOURS["unsteered"]},
        text=[f"{value:.2f}" for value in frame["auroc"]],
        hovertext=[
            f"<b>{r.locale}</b><br>AUROC {r.auroc:.3f}, accuracy {r.accuracy:.3f}<br>mean characters: "
            f"factual {r.length_factual:.0f}, cultural {r.length_cultural:.0f}<br>n = {r.n} prompts of {r.concepts} concepts"
            for r in frame.itertuples()
        ],
        hoverinfo="text",
    )
    fig.add_vline(x=0.5, line={"color": GREY, "width": 1.5})
    fig.update_xaxes(range=[min(0.4, float(frame["auroc"].min()) - 0.05), 1.0])
    fig.update_yaxes(type="category", autorange="reversed", automargin=True, showgrid=False)
    fig.update_layout(height=fig.layout.margin.t + 90 + 34 * len(frame))
    return fig
