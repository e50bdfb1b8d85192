"""Draws the plans that a search tried and chose, and the cost of using a plan that was chosen for another locale."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.heatmaps import add_cells, intervals, marked, numbers, stacked
from steerlens.plotting.theme import GREY, INK, METHOD_COLOURS, below, figure, symbol_of
from steerlens.scores import shown_score

if TYPE_CHECKING:
    import pandas as pd

_PARTS = {
    "test": "on test, which no choice used",
    "dev": "on dev, where each locale's own choice is the best by construction",
}


def front_figure(tried: "pd.DataFrame", chosen: Mapping[str, str], locale: str) -> Figure:
    """Draws every plan that was measured on dev as a point in the plane of the first two scores, with the Pareto front. Chosen
    plans have large markers.

    Args:
        tried: the rows of the tried plans, for one locale or for all locales together.
        chosen: the name of the chosen plan in ``tried``, by method. The plan of the method ``best`` gets a ring.
        locale: the locale of the rows, or ``all``. The subtitle shows this text.
    """
    one, two = (shown_score(name) for name in tried.columns[3:5])
    points = tried.assign(x=one.factor * tried[one.name], y=two.factor * tried[two.name])
    where = "all locales together" if locale == "all" else locale
    fig = figure(
        "Plans tried",
        f"{where}; {len(points)} plans on dev; faint: beyond the limits; ring: chosen",
        f"change of {one.title} ({one.change_unit})",
        f"change of {two.title} ({two.change_unit})",
        width="page",
    )
    for method, rows in points.groupby("method", sort=False):
        _scatter(fig, rows, str(method), rows["allowed"].map({True: 0.75, False: 0.2}), 8)
    front = points[points["front"]].sort_values(["x", "y"], ascending=[True, False])
    line = {"color": GREY, "width": 1.5}
    fig.add_scatter(x=front["x"], y=front["y"], mode="lines", name="Pareto front", line=line, hoverinfo="skip")
    for method, plan in chosen.items():
        rows = points[points["plan"] == plan].head(1)
        if method == "best":
            ring = {"symbol": "circle-open", "size": 26, "color": INK, "line": {"width": 2}}
            fig.add_scatter(x=rows["x"], y=rows["y"], mode="markers", name=f"best: {plan}", marker=ring, hoverinfo="skip")
        else:
            _scatter(fig, rows, method, 1.0, 16, legend=False)
    for axes in (fig.update_xaxes, fig.update_yaxes):
        axes(zeroline=True, zerolinecolor=GREY)
    fig.update_layout(height=600)
    return below(fig)


def _scatter(
    fig: Figure, rows: "pd.DataFrame", method: str, opacity: "pd.Series | float", size: int, *, legend: bool = True
) -> None:
    names = list(rows.columns[3 : list(rows.columns).index("perplexity")])
    hover = [
        f"<b>{r['plan']}</b><br>{', '.join(f'{shown_score(n).title} {shown_score(n).factor * r[n]:+.1f}' for n in names)}"
        f"<br>perplexity of the right answers × {r['perplexity']:.2f}"
        for r in rows.to_dict("records")
    ]
    colour = METHOD_COLOURS.get(method, GREY)
    marker = {
        "color": colour, "symbol": symbol_of(colour), "size": size, "opacity": opacity,
    }  # fmt: skip
    fig.add_scatter(
        x=rows["x"], y=rows["y"], mode="markers", name=method, marker=marker, hovertext=hover, hoverinfo="text",
        legendgroup=method, showlegend=legend,
    )  # fmt: skip


def regret_heatmap(frame: "pd.DataFrame", score: str, of: Sequence[str] = ()) -> Figure:
    """Draws a heatmap with one row for each steered locale, and one column for each locale whose chosen plan is used. A red cell
    means that the steered locale gains less with this plan than with its own chosen plan.

    Args:
        frame: the table of ``Regret``, for one score and one part (``test`` or ``dev``).
        score: the name of the score, or ``objective`` for the number that the search maximised. The subtitle shows this name.
        of: the scores from which an objective is computed. The objective is shown in percentage points if all of these scores are
            shares.
    """
    rows, columns = list(dict.fromkeys(frame["locale"])), list(dict.fromkeys(frame["choice_of"]))
    units = {(own.factor, own.change_unit) for own in map(shown_score, [score] if score != "objective" else of or [score])}
    factor, unit = units.pop() if len(units) == 1 else (1.0, "its own unit")
    digits = 1 if factor > 1 else 3
    frame = frame if "n" in frame else frame.assign(n=float("inf"))
    grids = [frame.pivot(index="locale", columns="choice_of", values=name) for name in ("regret", "low", "high", "n")]
    regret, low, high, n = (grid.loc[rows, columns] for grid in grids)
    regret, low, high = factor * regret, factor * low, factor * high
    what = "the objective's value" if score == "objective" else shown_score(score).title
    where = _PARTS[str(frame["part"].iloc[0])]
    fig = figure(
        "The cost of another locale's choice",
        f"{what}: own choice minus the other's, in {unit}, {where}; {marked(n.max().max())}",
        "steered with the choice of",
        "locale asked",
    )
    add_cells(
        fig,
        regret,
        x=columns,
        y=rows,
        text=numbers(regret, low, high, n, digits, signed=True),
        customdata=stacked(intervals(low, high, digits)),
        hover=f"%{{y}} with the choice of %{{x}}<br>regret %{{z:.{digits}f}} {unit}%{{customdata[0]}}",
        bar=f"regret<br>({unit})",
        signed=True,
        most=max(0.01 * factor, float(regret.abs().max().max())),
        reversescale=True,
    )
    fig.update_yaxes(autorange="reversed")
    return fig
