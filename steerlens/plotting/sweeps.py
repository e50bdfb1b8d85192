"""Draws sweeps by layer and strength: the gain of each cell, which cells were only predicted, and which gains may be chance."""

from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.heatmaps import (
    GAPS,
    add_cells,
    add_gaps,
    bare,
    by_layer_and_locale,
    intervals,
    marked,
    numbers,
    stacked,
)
from steerlens.plotting.theme import HATCH, INK, figure
from steerlens.scores import Score

if TYPE_CHECKING:
    import pandas as pd

_FLOOR = 3
"""The smallest number of items by which a cell must change to get the darkest colour of the scale. With a smaller number, a
change of a single item could be as dark as the best cell of a good sweep."""


def sweep_heatmap(cells: "pd.DataFrame", vector: str, score: Score, where: str) -> Figure:
    """Draws a heatmap of layers by strengths, coloured by the change of a score against the unsteered model (shares in percentage
    points). The best cell is framed.

    Among cells with the same change, the cell with the largest change of the margin is the best, as in ``choose``. Cells that
    were predicted and not run are hatched. A hatched cell is framed only if no cell was run. A dot marks a change whose own
    interval excludes zero. Places without a cell are empty.

    Args:
        cells: one row per layer and strength of the sweep, with value, base, change, margin, invalid, exact, n and items, and
            with low and high (the interval of the change) if there are intervals.
        vector: the vector's name.
        score: the score that is shown.
        where: a text that names the locales.
    """
    around = {name: score.factor * cells[name] if name in cells else float("nan") for name in ("low", "high")}
    points = cells.assign(points=score.factor * cells["change"], **around)
    grids = {name: _grid(points, name) for name in ("points", "value", "margin", "exact", "low", "high", "n")}
    grid, low, high = (grids[name] for name in ("points", "low", "high"))
    exact, word, n = grids["exact"].ne(False), score.title, int(cells["n"].max())
    fig = figure(
        f"{vector} steering: change of {word}",
        _subtitle(points, exact, where, score, lacks=len(points) < grid.size),
        "strength (× difference of means)",
        "layer",
    )
    share = _grid(points, "invalid")
    how = exact.astype(object).replace({True: "run", False: "predicted"})
    add_cells(
        fig,
        grid,
        text=numbers(grid, low, high, grids["n"], 0 if score.factor > 1 else 2, signed=True),
        customdata=stacked(
            grids["value"], grids["margin"], how, *_names(grid), intervals(low, high, 1 if score.factor > 1 else 3)
        ),
        bar=f"{score.change_unit} against<br>unsteered",
        signed=True,
        most=max(_least(cells, score), float(grid.abs().max().max())),
        hover="layer %{customdata[3]}, strength %{customdata[4]}, %{customdata[2]}<br>"
        + word
        + f" %{{customdata[0]:.2f}}: %{{z:+.{1 if score.factor > 1 else 3}f}} {score.change_unit}%{{customdata[5]}}"
        + ("<br>margin %{customdata[1]:+.3f} nats per token" if score.companion else "")
        + f"<br>n = {n} concepts",
    )
    names = [f"{strength:g}" for strength in grid.columns], [str(layer) for layer in grid.index]
    for axes, ticks in zip((fig.update_xaxes, fig.update_yaxes), names, strict=True):
        axes(tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.55, len(ticks) - 0.45])
    fig.update_layout(height=max(fig.layout.height, fig.layout.margin.t + 60 + 24 * len(grid)))
    add_gaps(
        fig,
        grid.where(share.notna(), 0.0),  # a cell that is not in the sweep is not a missing number
        lambda layer, s: f"layer {layer}, strength {s:g}<br>{share.loc[layer, s]:.0%} of items: NaN or infinite scores",
        numbered=True,
    )
    _hatch(fig, exact)
    _frame(fig, points, grid, score)
    return bare(fig)


def sweep_by_locale(rows: "pd.DataFrame", vector: str, score: Score, strength: float, finer: Score) -> Figure:
    """Draws a heatmap of layers by locales, coloured by the mean change of a score, or of its companion, under one vector.

    Args:
        rows: one row per locale and layer, with value, low and high (in the unit of ``finer``), n, exact.
        vector: the vector's name.
        score: the score of the figure.
        strength: the strength, a factor on the vector.
        finer: the score that is drawn: the companion, such as the margin of the answers, or the score itself.
    """
    rows = rows.assign(**{name: finer.factor * rows[name] for name in ("value", "low", "high")})
    of, of_what = ("the margin", f"of {score.title} answers, ") if finer.name == score.companion else (finer.title, "")
    how = "run" if rows["exact"].all() else "run or predicted" if rows["exact"].any() else "predicted"
    marks = "; ".join([marked(rows["n"].max()), *[GAPS] * bool(rows["value"].isna().any())])
    fig = figure(
        f"{vector} steering: change of {of}",
        f"{of_what}at strength {strength:g}; {how}; up to n = {int(rows['n'].max())} concepts; {marks}",
        "locale",
        "layer",
    )
    fig = by_layer_and_locale(fig, rows, finer.change_unit.replace(" ", "<br>", 1), signed=True)
    grid = rows.pivot(index="layer", columns="locale", values="value").sort_index()
    add_gaps(fig, grid, lambda layer, locale: f"layer {layer}, {locale}<br>NaN or infinite scores, or no item with the score")
    return fig


def _subtitle(cells: "pd.DataFrame", exact: "pd.DataFrame", where: str, score: Score, *, lacks: bool) -> str:
    sizes = f"n = {int(cells['n'].max())} concepts, {int(cells['items'].max())} items"
    notes = [marked(cells["n"].max())] * bool(cells["low"].notna().any()) + ["hatched: predicted, not run"] * (
        not exact.all(axis=None)
    )
    notes += [GAPS] * bool(cells["change"].isna().any()) + ["empty: not run"] * lacks
    return "; ".join([where, f"unsteered {cells['base'].mean():.2f}", sizes, *["frame: best"] * score.higher_is_better, *notes])


def _least(cells: "pd.DataFrame", score: Score) -> float:
    """Returns the smallest change with which a cell can get the darkest colour of the scale. For a share of items, this is the
    share of three items."""
    return score.factor * (max(0.01, _FLOOR / float(cells["items"].max())) if score.unit == "share" else 0.01)


def _grid(points: "pd.DataFrame", name: str) -> "pd.DataFrame":
    """Returns one column of the cells as a table of layers by strengths."""
    return points.pivot(index="layer", columns="strength", values=name).sort_index()


def _names(grid: "pd.DataFrame") -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Returns two tables with the layer and the strength of each place."""
    layers, strengths = grid.copy().astype(object), grid.copy().astype(object)
    for layer in grid.index:
        for strength in grid.columns:
            layers.loc[layer, strength], strengths.loc[layer, strength] = str(layer), f"{strength:g}"
    return layers, strengths


def _hatch(fig: Figure, exact: "pd.DataFrame") -> None:
    """Draws diagonal lines over the cells that were not run. The lines are on both sides of the number in each cell."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, column in zip(*(~exact.to_numpy()).nonzero(), strict=True):
        for start in (-0.47, -0.33, 0.18, 0.32):  # no line crosses the number in the middle
            x += [column + start, column + start + 0.15, None]
            y += [row - 0.45, row + 0.45, None]
    if x:
        fig.add_scatter(x=x, y=y, mode="lines", line={"color": HATCH, "width": 1}, hoverinfo="skip", showlegend=False)


def _frame(fig: Figure, points: "pd.DataFrame", grid: "pd.DataFrame", score: Score) -> None:
    """Draws a frame around the best cell. Only cells that were run and have a number can get the frame. There is no frame for a
    score that should be low."""
    run = (points[points["exact"]] if points["exact"].any() else points).dropna(subset="change")
    if run.empty or not score.higher_is_better:
        return
    best = run.sort_values(["change", "margin"], ascending=False).iloc[0]
    row, column = list(grid.index).index(best["layer"]), list(grid.columns).index(best["strength"])
    box = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    fig.add_shape(type="rect", **box, line={"color": INK, "width": 2.5})
