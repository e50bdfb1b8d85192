"""Draws how many pairs a vector needs: how well two vectors from n pairs each agree, and the effect of a vector from n pairs."""

from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.panels import error_bars, panel_line
from steerlens.plotting.theme import GREY, below, colour_of, figure
from steerlens.scores import shown_score

if TYPE_CHECKING:
    import pandas as pd


def pairs_figure(halves: "pd.DataFrame | None" = None, effect: "pd.DataFrame | None" = None) -> Figure:
    """Draws two panels with one line per vector: how well two vectors from n pairs each agree, and the effect of a vector from n
    pairs.

    Args:
        halves: the table of ``SplitHalves``. The mean over locales is drawn. The line of the predicted cosine is dotted.
        effect: the rows of ``FewerPairs`` for one score of each vector. The error bars contain 95% of the draws.
    """
    drawn = [(draw, frame) for draw, frame in ((_agreement, halves), (_effect, effect)) if frame is not None]
    words = (
        "cosine of two vectors without shared pairs, dotted: by Spearman-Brown" if halves is not None else "",
        "effect on test; bars: 95% of the draws" if effect is not None else "",
    )
    fig = figure("How many pairs a vector needs", "; ".join(filter(None, words)), "", "", width="page")
    fig.set_subplots(rows=1, cols=len(drawn), horizontal_spacing=0.1)
    for column, (draw, frame) in enumerate(drawn, 1):
        draw(fig, frame, column)
    sizes = sorted({n for _, frame in drawn for n in frame["pairs"]})
    fig.update_xaxes(title="pairs", type="log", tickvals=sizes, ticktext=[f"{n:g}" for n in sizes])
    return below(fig)


def _agreement(fig: Figure, halves: "pd.DataFrame", column: int) -> None:
    means = halves.groupby(["vector", "pairs"], sort=False).mean(numeric_only=True).reset_index()
    for vector, own in means.groupby("vector", sort=False):
        look = {"color": colour_of(vector, list(dict.fromkeys(means["vector"])))}
        panel_line(fig, (1, column), own["pairs"], own["cosine"], vector, look, error_y=error_bars(own, "cosine"))
        dotted = {**look, "dash": "dot"}
        panel_line(fig, (1, column), own["pairs"], own["predicted"], f"{vector}, predicted", dotted, legend=False)
    fig.update_yaxes(title="cosine", row=1, col=column)


def _effect(fig: Figure, effect: "pd.DataFrame", column: int) -> None:
    for (vector, name), own in effect.groupby(["vector", "score"], sort=False):
        score = shown_score(name)
        look = {"color": colour_of(vector, list(dict.fromkeys(effect["vector"])))}
        shown = own.assign(**{part: score.factor * own[part] for part in ("change", "low", "high")})
        legend, bars = column == 1, error_bars(shown, "change")
        panel_line(fig, (1, column), shown["pairs"], shown["change"], vector, look, legend=legend, error_y=bars)
        fig.update_yaxes(title=f"change ({score.change_unit})", zerolinecolor=GREY, row=1, col=column)
