"""Heatmaps: separability by layer and locale, sweeps by layer and strength."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from steerlens.plotting.theme import CHANGE_SCALE, LEVEL_SCALE, SCORE_WORDS, figure

if TYPE_CHECKING:
    import pandas as pd


def sweep_heatmap(cells: "pd.DataFrame", vector: str, score: str, where: str) -> go.Figure:
    """Layer by strength, coloured by the change of a score against unsteered, in points; the best cell is framed.

    Between cells of the same change, the larger change of margin is the better, as in ``choose``.

    Args:
        cells: one row per layer and strength, with value, base, change, margin, n and items.
    """
    points = cells.assign(points=100 * cells["change"])
    grid = points.pivot_table(index="layer", columns="strength", values="points").sort_index()
    parts = {
        name: points.pivot_table(index="layer", columns="strength", values=name).sort_index() for name in ("value", "margin")
    }
    n, items, base = int(cells["n"].max()), int(cells["items"].max()), float(cells["base"].mean())
    limit = max(1.0, float(grid.abs().max().max()))
    word = SCORE_WORDS[score]
    fig = figure(
        f"{vector} steering: change of {word}",
        f"{where}; unsteered {base:.2f}; n = {n} concepts, {items} items",
        "strength (× difference of means)",
        "layer",
    )
    fig.add_heatmap(
        z=grid.to_numpy(),
        x=[f"{strength:g}" for strength in grid.columns],
        y=[str(layer) for layer in grid.index],
        customdata=_stacked(parts["value"], parts["margin"]),
        text=[[f"{value:+.0f}" for value in row] for row in grid.to_numpy()],
        texttemplate="%{text}",
        colorscale=CHANGE_SCALE,
        zmid=0,
        zmin=-limit,
        zmax=limit,
        xgap=2,
        ygap=2,
        colorbar={"title": "points against<br>unsteered"},
        hovertemplate=f"layer %{{y}}, strength %{{x}}<br>{word} %{{customdata[0]:.2f}} (%{{z:+.1f}} points)"
        f"<br>margin %{{customdata[1]:+.3f}} nats<br>n = {n} concepts<extra></extra>",
    )
    fig.update_xaxes(type="category")
    fig.update_yaxes(type="category")
    best = points.sort_values(["change", "margin"], ascending=False).iloc[0]
    row, column = list(grid.index).index(best["layer"]), list(grid.columns).index(best["strength"])
    fig.add_shape(type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5, line={"color": "#111", "width": 2})
    return fig


def separability_heatmap(frame: "pd.DataFrame", score: str, probe: str) -> go.Figure:
    """Layers by locales, coloured by a probe's score or by the cosine of EN and LOC."""
    part = frame[(frame["probe"] == probe) & (frame["layer"] >= 0)]
    grid = part.pivot_table(index="layer", columns="locale", values=score, sort=False).sort_index()
    cosine = score == "cosine"
    limit = max(0.1, float(grid.abs().max().max()))
    title = "Cosine of EN and LOC vectors" if cosine else "Separability by layer and locale"
    words = {
        "auroc": f"{probe}; held-out AUROC, 0.5 is chance",
        "accuracy": f"{probe}; held-out accuracy, 0.5 is chance",
        "cosine": "0 is perpendicular",
    }
    fig = figure(title, f"{words[score]}; up to {int(part['n'].max())} prompts", "locale", "layer")
    fig.add_heatmap(
        z=grid.to_numpy(),
        x=list(grid.columns),
        y=[str(layer) for layer in grid.index],
        text=[[f"{value:.2f}" for value in row] for row in grid.to_numpy()],
        texttemplate="%{text}",
        colorscale=CHANGE_SCALE if cosine else LEVEL_SCALE,
        zmin=-limit if cosine else 0.5,
        zmax=limit if cosine else 1.0,
        xgap=2,
        ygap=2,
        colorbar={"title": "cosine" if cosine else score.upper() if score == "auroc" else score},
        hovertemplate="layer %{y}, %{x}: %{z:.3f}<extra></extra>",
    )
    fig.update_xaxes(type="category")
    fig.update_yaxes(type="category")
    fig.update_layout(height=max(460, 120 + 26 * len(grid)))
    return fig


def _stacked(*grids: "pd.DataFrame") -> list[list[list[float]]]:
    """One cell per place, with the value of each grid there."""
    return [[list(cell) for cell in zip(*rows, strict=True)] for rows in zip(*(grid.to_numpy() for grid in grids), strict=True)]
