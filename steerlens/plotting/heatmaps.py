"""Heatmaps: separability by layer and locale, sweeps by layer and strength."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from steerlens.plotting.theme import CHANGE_SCALE, LEVEL_SCALE, SCORE_WORDS, figure

if TYPE_CHECKING:
    import pandas as pd


def sweep_heatmap(cells: "pd.DataFrame", vector: str, score: str, where: str) -> go.Figure:
    """Layer by strength, coloured by the change of a score against unsteered, in points; the best cell is framed.

    Between cells of the same change, the larger change of margin is the better, as in ``choose``. Cells that were
    predicted and not run are hatched, and are framed only if none was run.

    Args:
        cells: one row per layer and strength, with value, base, change, margin, exact, n and items.
    """
    points = cells.assign(points=100 * cells["change"])
    grids = {name: _grid(points, name) for name in ("points", "value", "margin", "exact")}
    grid, exact = grids["points"], grids["exact"].fillna(False).astype(bool)
    n, items, base = int(cells["n"].max()), int(cells["items"].max()), float(cells["base"].mean())
    limit, word = max(1.0, float(grid.abs().max().max())), SCORE_WORDS[score]
    predicted = "" if exact.all(axis=None) else "; hatched: predicted, not run"
    fig = figure(
        f"{vector} steering: change of {word}",
        f"{where}; unsteered {base:.2f}; n = {n} concepts, {items} items{predicted}",
        "strength (× difference of means)",
        "layer",
    )
    fig.add_heatmap(
        z=grid.to_numpy(),
        customdata=_stacked(grids["value"], grids["margin"], exact.replace({True: "run", False: "predicted"}), *_names(grid)),
        text=[["" if value != value else f"{value:+.0f}" for value in row] for row in grid.to_numpy()],
        texttemplate="%{text}",
        colorscale=CHANGE_SCALE,
        zmid=0,
        zmin=-limit,
        zmax=limit,
        xgap=2,
        ygap=2,
        colorbar={"title": "points against<br>unsteered"},
        hovertemplate=f"layer %{{customdata[3]}}, strength %{{customdata[4]}}, %{{customdata[2]}}<br>{word} "
        f"%{{customdata[0]:.2f}} (%{{z:+.1f}} points)<br>margin %{{customdata[1]:+.3f}} nats<br>n = {n} concepts<extra></extra>",
    )
    fig.update_xaxes(tickvals=list(range(grid.shape[1])), ticktext=[f"{strength:g}" for strength in grid.columns])
    fig.update_yaxes(tickvals=list(range(len(grid))), ticktext=[str(layer) for layer in grid.index])
    for axes in (fig.update_xaxes, fig.update_yaxes):
        axes(showgrid=False, zeroline=False)
    fig.update_layout(height=max(fig.layout.height, 150 + 24 * len(grid)))
    _hatch(fig, exact)
    _frame(fig, points, grid)
    return fig


def _grid(points: "pd.DataFrame", name: str) -> "pd.DataFrame":
    """One column of the cells, as layer by strength."""
    return points.pivot_table(index="layer", columns="strength", values=name, aggfunc="first").sort_index()


def _names(grid: "pd.DataFrame") -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Layer and strength of each place."""
    layers, strengths = grid.copy().astype(object), grid.copy().astype(object)
    for layer in grid.index:
        for strength in grid.columns:
            layers.loc[layer, strength], strengths.loc[layer, strength] = str(layer), f"{strength:g}"
    return layers, strengths


def _hatch(fig: go.Figure, exact: "pd.DataFrame") -> None:
    """Diagonal lines over the cells that were not run."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, column in zip(*(~exact.to_numpy()).nonzero(), strict=True):
        for start in (-0.45, -0.15, 0.15):
            x += [column + start, column + start + 0.3, None]
            y += [row - 0.45, row + 0.45, None]
    if x:
        fig.add_scatter(
            x=x, y=y, mode="lines", line={"color": "rgba(90, 90, 90, 0.35)", "width": 1}, hoverinfo="skip", showlegend=False
        )


def _frame(fig: go.Figure, points: "pd.DataFrame", grid: "pd.DataFrame") -> None:
    """A frame around the best cell that was run."""
    run = points[points["exact"]] if points["exact"].any() else points
    best = run.sort_values(["change", "margin"], ascending=False).iloc[0]
    row, column = list(grid.index).index(best["layer"]), list(grid.columns).index(best["strength"])
    box = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    fig.add_shape(type="rect", **box, line={"color": "#111", "width": 2})


def separability_heatmap(frame: "pd.DataFrame", score: str, probe: str) -> go.Figure:
    """Layers by locales, coloured by a probe's score, by how far it lies above the best baseline, or by the cosine of EN and
    LOC."""
    part = frame[(frame["probe"] == probe) & (frame["layer"] >= 0)]
    grid = part.pivot_table(index="layer", columns="locale", values=score, sort=False).sort_index()
    title = "Cosine of EN and LOC vectors" if score == "cosine" else "Separability by layer and locale"
    words = {
        "auroc": f"{probe}; held-out AUROC, 0.5 is chance",
        "accuracy": f"{probe}; held-out accuracy, 0.5 is chance",
        "above": f"{probe}; held-out AUROC less that of the best baseline",
        "cosine": "0 is perpendicular",
    }
    fig = figure(title, f"{words[score]}; up to {int(part['n'].max())} prompts", "locale", "layer")
    bar = {"auroc": "AUROC", "above": "AUROC above<br>the baseline"}.get(score, score)
    return by_layer_and_locale(fig, grid, bar, signed=score in ("cosine", "above"), low=0.5, high=1.0)


def sweep_by_locale(cells: "pd.DataFrame", vector: str, score: str, strength: float) -> go.Figure:
    """Layers by locales, coloured by the mean change of the answer's margin that one vector makes at one strength.

    Args:
        cells: one row per locale and layer, with margin, exact, n.
    """
    grid = cells.pivot_table(index="layer", columns="locale", values="margin", sort=False).sort_index()
    how = "run" if cells["exact"].all() else "predicted"
    fig = figure(
        f"{vector} steering: change of the margin",
        f"of the {SCORE_WORDS[score]} answers, at strength {strength:g}; {how}; up to n = {int(cells['n'].max())} concepts",
        "locale",
        "layer",
    )
    return by_layer_and_locale(fig, grid, "nats<br>per token", signed=True)


def by_layer_and_locale(
    fig: go.Figure, grid: "pd.DataFrame", bar: str, *, signed: bool, low: float = 0.0, high: float | None = None
) -> go.Figure:
    """Adds a heatmap of layers by locales: on a diverging scale around zero, or on a sequential one from ``low`` to ``high``.

    Args:
        bar: title of the colour bar.
        high: the largest value there for ``None``.
    """
    limit = max(0.1, float(grid.abs().max().max()))
    fig.add_heatmap(
        z=grid.to_numpy(),
        x=list(grid.columns),
        y=[str(layer) for layer in grid.index],
        text=[[f"{value:.2f}" for value in row] for row in grid.to_numpy()],
        texttemplate="%{text}",
        colorscale=CHANGE_SCALE if signed else LEVEL_SCALE,
        zmin=-limit if signed else low,
        zmax=limit if signed or high is None else high,
        xgap=2,
        ygap=2,
        colorbar={"title": bar},
        hovertemplate="layer %{y}, %{x}: %{z:.3f}<extra></extra>",
    )
    fig.update_xaxes(type="category")
    fig.update_yaxes(type="category")
    fig.update_layout(height=max(460, 120 + 26 * len(grid)))
    return fig


def _stacked(*grids: "pd.DataFrame") -> list[list[list[float]]]:
    """One cell per place, with the value of each grid there."""
    return [[list(cell) for cell in zip(*rows, strict=True)] for rows in zip(*(grid.to_numpy() for grid in grids), strict=True)]
