"""Draws heatmaps of scores by layer and locale, and of levels by method and locale. Also contains the functions with which all
heatmaps draw their cells."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import CHANGE_SCALE, INK, LEVEL_SCALE, figure
from steerlens.scores import Score

if TYPE_CHECKING:
    import pandas as pd

_NONE = float("nan")
_MARK = "•"
_FRACTION = 2
"""The number of decimal digits for values between -1 and 1."""
GAPS = "NaN: scores that are not finite"
"""The text in a subtitle that explains places without a number."""
FEWEST_MARKED = 20
"""The smallest number of concepts with which a cell can be marked as different from zero. With fewer concepts, a bootstrap
interval is too narrow. With 5 concepts in six locales, up to 12 of 100 intervals excluded zero although there was no effect. The
expected number is 5."""


def marked(n: float) -> str:
    """Returns the text in a subtitle that explains the mark after some numbers.

    Args:
        n: the number of concepts of the cell with the most concepts.
    """
    few = f"fewer than {FEWEST_MARKED} concepts: no cell is marked as different from zero"
    return few if n < FEWEST_MARKED else f"{_MARK}\u00a095% interval excludes zero"


def separability_heatmap(frame: "pd.DataFrame", score: str, probe: str) -> Figure:
    """Draws a heatmap of layers by locales, coloured by a score of a probe, or by the cosine between EN and LOC.

    Args:
        frame: the table of ``Separability``.
        score: ``auroc``, ``accuracy``, ``above`` (AUROC minus the best baseline's AUROC) or ``cosine`` (of EN and LOC).
        probe: the probe whose score is drawn; ``EN-LOC cosine`` for ``cosine``.
    """
    part = frame[(frame["probe"] == probe) & (frame["layer"] >= 0)]
    title = "Cosine of EN and LOC vectors" if score == "cosine" else "Separability by layer and locale"
    words = {
        "auroc": f"{probe}; held-out AUROC, 0.5 is chance",
        "accuracy": f"{probe}; held-out accuracy, 0.5 is chance",
        "above": f"{probe}; held-out AUROC minus that of the best baseline; {marked(part['concepts'].max())}",
        "cosine": "0 is perpendicular",
    }
    fig = figure(title, f"{words[score]}; up to {int(part['n'].max())} prompts", "locale", "layer")
    bar = {"auroc": "AUROC", "above": "AUROC above<br>the baseline"}.get(score, score)
    bounds = {"auroc": ("low", "high"), "above": ("above_low", "above_high")}.get(score)
    around = dict(zip(("low", "high"), (part[name] for name in bounds), strict=True)) if bounds else {"low": _NONE, "high": _NONE}
    rows = part.assign(value=part[score], **around)
    return by_layer_and_locale(fig, rows, bar, signed=score in ("cosine", "above"), least=0.5, most=1.0)


def by_layer_and_locale(
    fig: Figure, rows: "pd.DataFrame", bar: str, *, signed: bool, least: float = 0.0, most: float | None = None
) -> Figure:
    """Adds a heatmap of layers by locales, on a diverging scale around zero or on a sequential scale.

    Args:
        fig: the figure to which the heatmap is added.
        rows: columns layer, locale, value, low and high (the interval of the value; NaN if there is none), and n. If n does not
            count concepts, the column concepts is also needed.
        bar: the title of the colour bar.
        signed: whether the scale diverges around zero.
        least: the value at the low end of a sequential scale.
        most: the value at the high end of a sequential scale; ``None`` takes the largest value.
    """
    order = list(dict.fromkeys(rows["locale"]))
    grids = [rows.pivot(index="layer", columns="locale", values=v).sort_index()[order] for v in ("value", "low", "high", "n")]
    grid, low, high, n = grids
    concepts = rows.pivot(index="layer", columns="locale", values="concepts").loc[grid.index, order] if "concepts" in rows else n
    add_cells(
        fig,
        grid,
        x=order,
        y=[str(layer) for layer in grid.index],
        text=numbers(grid, low, high, concepts, 2, signed=signed),
        customdata=stacked(intervals(low, high, 3), n),
        bar=bar,
        signed=signed,
        least=least,
        most=max(0.1, float(grid.abs().max().max())) if signed else most,
        hover=f"layer %{{y}}, %{{x}}: %{{z:{'+' if signed else ''}.3f}}%{{customdata[0]}}<br>n = %{{customdata[1]}}",
    )
    fig.update_layout(height=max(460, fig.layout.margin.t + 60 + 24 * len(grid)))
    return fig


def answers_heatmap(frame: "pd.DataFrame", score: Score) -> Figure:
    """Draws a heatmap of methods by locales, coloured by the mean of a score over items. The colour scale of a share runs from 0%
    to 100%.

    Args:
        frame: columns method, locale, value (the mean) and n (items).
        score: the score that is shown.
    """
    rows, columns = list(dict.fromkeys(frame["method"])), list(dict.fromkeys(frame["locale"]))
    grid, n = (frame.pivot(index="method", columns="locale", values=name).loc[rows, columns] for name in ("value", "n"))
    word, share = score.title, score.unit == "share"
    title = f"{word[0].upper()}{word[1:]} by method and locale"
    fig = figure(title, f"{'share of items' if share else score.unit}; up to n = {int(n.max().max())} in each cell", "locale", "")
    none = grid * _NONE
    add_cells(
        fig,
        grid,
        x=columns,
        y=rows,
        text=numbers(grid, none, none, n, 2, signed=False),
        customdata=stacked(n),
        bar="share of<br>items" if share else score.unit.replace(" ", "<br>"),
        signed=False,
        most=1.0 if share else float(grid.max().max()),
        hover="%{y}, %{x}<br>" + word + " %{z:.3f}<br>n = %{customdata[0]} items",
    )
    fig.update_yaxes(autorange="reversed")
    fig.update_layout(height=fig.layout.margin.t + 110 + 30 * len(rows))
    return fig


def add_cells(
    fig: Figure,
    grid: "pd.DataFrame",
    *,
    text: list[list[str]],
    customdata: list[list[list[Any]]],
    hover: str,
    bar: str,
    signed: bool,
    least: float = 0.0,
    most: float | None = None,
    x: Sequence[str] | None = None,
    y: Sequence[str] | None = None,
    **look: Any,
) -> None:
    """Adds a heatmap, on the diverging scale from ``-most`` to ``most`` or on the sequential scale from ``least`` to ``most``.

    Args:
        grid: the number of each cell.
        x: names of the columns; with ``None``, the columns are numbered.
        y: names of the rows.
    """
    fig.add_heatmap(
        z=grid.to_numpy(),
        x=x,
        y=y,
        text=text,
        texttemplate="%{text}",
        textfont={"color": INK},
        customdata=customdata,
        hovertemplate=f"{hover}<extra></extra>",
        hoverongaps=False,
        colorscale=CHANGE_SCALE if signed else LEVEL_SCALE,
        zmid=0 if signed else None,
        zmin=-most if signed and most is not None else least,
        zmax=float(grid.max().max()) if most is None else most,
        xgap=2,
        ygap=2,
        colorbar={"title": {"text": bar, "font": {"size": 12}}, "tickfont": {"size": 12}, "thickness": 14},
        **look,
    )
    if x is not None and y is not None:
        fig.update_xaxes(type="category")
        fig.update_yaxes(type="category")
    bare(fig)


def add_gaps(fig: Figure, grid: "pd.DataFrame", said: Callable[[Any, Any], str], *, numbered: bool = False) -> None:
    """Writes NaN into the places without a number, because the heatmap leaves these places empty.

    Args:
        said: a function that returns the hover text of a place without a number, given its row and column.
        numbered: whether the axes have numbers instead of names.
    """
    gaps = [(row, column) for row, column in zip(*grid.isna().to_numpy().nonzero(), strict=True)]
    if not gaps:
        return
    fig.add_scatter(
        x=[column if numbered else str(grid.columns[column]) for _, column in gaps],
        y=[row if numbered else str(grid.index[row]) for row, _ in gaps],
        mode="text",
        text=["NaN"] * len(gaps),
        hovertext=[said(grid.index[row], grid.columns[column]) for row, column in gaps],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )


def bare(fig: Figure) -> Figure:
    """Removes the lines between cells, and lets tick labels take the space that they need."""
    for axes in (fig.update_xaxes, fig.update_yaxes):
        axes(showgrid=False, zeroline=False, automargin=True)
    return fig


def numbers(
    grid: "pd.DataFrame", low: "pd.DataFrame", high: "pd.DataFrame", concepts: "pd.DataFrame", digits: int, *, signed: bool
) -> list[list[str]]:
    """Returns the texts of the cells: a change with its sign, and with a mark if its interval excludes zero.

    Args:
        grid: the changes, or the levels.
        low: the lower ends of the intervals; NaN if there is no interval.
        high: the upper ends of the intervals.
        concepts: the number of concepts of each cell. A cell with fewer than ``FEWEST_MARKED`` concepts is not marked.
        digits: the number of decimal places.
        signed: whether the numbers are changes.
    """
    sure = (((low > 0) | (high < 0)) & (concepts >= FEWEST_MARKED)).to_numpy()
    form = f"{'+' if signed else ''}.{digits}f"

    def said(value: float, mark: bool) -> str:
        if value != value:
            return ""
        if round(value, digits) == 0:
            return f"{0:.{digits}f}"
        short = f"{value:{form}}"
        if signed and digits == _FRACTION:  # no leading zero, because there is no space for it next to a sign
            short = short.replace("0.", ".", 1) if abs(value) < 1 else short
        return f"{short.replace('-', '−')}{_MARK if signed and mark else ''}"

    return [[said(value, mark) for value, mark in zip(*lines, strict=True)] for lines in zip(grid.to_numpy(), sure, strict=True)]


def intervals(low: "pd.DataFrame", high: "pd.DataFrame", digits: int) -> "pd.DataFrame":
    """Returns the interval of each cell as text, such as `` [-0.3, +7.6]``, or an empty text if there is none."""
    said = low.copy().astype(object)
    for row, column in ((row, column) for row in low.index for column in low.columns):
        a, b = low.loc[row, column], high.loc[row, column]
        said.loc[row, column] = "" if a != a else f" [{a:+.{digits}f}, {b:+.{digits}f}]"
    return said


def stacked(*grids: "pd.DataFrame") -> list[list[list[Any]]]:
    """Returns one list for each place, with the values of all grids at this place."""
    return [[list(cell) for cell in zip(*rows, strict=True)] for rows in zip(*(grid.to_numpy() for grid in grids), strict=True)]
