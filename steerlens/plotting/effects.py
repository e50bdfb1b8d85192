"""Draws the numbers of items that steering gains and loses, and curves of a score's change by strength."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import INK, METHOD_COLOURS, SERIES, SHADE, below, figure, symbol_of
from steerlens.scores import Score, shown_score

if TYPE_CHECKING:
    import pandas as pd

_MEAN = "mean"
_BESIDE = 2
"""The number of panels in a row. Further panels are in rows below."""
_GAINED, _LOST = METHOD_COLOURS["EN"], METHOD_COLOURS["LOC"]


def effects_bars(frame: "pd.DataFrame", locale: str) -> Figure:
    """Draws one panel for each score and kind of items, with one bar per method. Bars to the right of zero show the share of
    gained items, and bars to the left show the share of lost items.

    Args:
        frame: one locale's rows of ``Effects``, with the columns method, kind, score, n, gained, lost, against, low, high.
        locale: the locale's code, or ``mean`` for all locales. The subtitle shows this text.
    """
    panels = _panels(frame)
    titles = [f"{_named(panels, *key)}, n = {part['n'].max():.0f} items" for key, part in panels.items()]
    where = "all locales" if locale == _MEAN else locale
    fig = figure("Items gained and lost", f"{where}; relative to the unsteered model", "", "", width="page")
    room = 30 * frame["method"].nunique()
    places = _places(fig, titles, 50 + room, shared_yaxes=True, horizontal_spacing=0.04)
    limit = max(1.0, float((100 * frame[["gained", "lost"]].max(axis=1) / frame["n"]).max())) * 1.1
    for at, (rows, place) in enumerate(zip(panels.values(), places, strict=True)):
        part = rows[::-1]  # the first method on top
        for name, colour, sign in (("gained", _GAINED, 1), ("lost", _LOST, -1)):
            fig.add_bar(
                x=100 * sign * part[name] / part["n"],
                y=part["method"],
                orientation="h",
                marker={"color": colour},
                name=name,
                legendgroup=name,
                showlegend=at == 0,
                hovertext=[
                    f"<b>{r.method}</b><br>gained {r.gained:g}, lost {r.lost:g} of {r.n} items<br>"
                    f"{'margin ' if shown_score(r.score).companion else ''}moved the wrong way: "
                    f"{100 * r.against:.0f}% [{100 * r.low:.0f}, {100 * r.high:.0f}]"
                    for r in part.itertuples()
                ],
                hoverinfo="text",
                **place,
            )
        fig.update_xaxes(title="share of items (%)", range=[-limit, limit], zeroline=True, **place)
    fig.update_yaxes(automargin=True)
    return below(fig.update_layout(barmode="relative"))


def _places(fig: Figure, titles: list[str], height: int, **spacing: Any) -> list[dict[str, int]]:
    """Divides a figure into panels with a height in pixels, two in a row, and returns the row and column of each panel."""
    rows, gap = -(-len(titles) // _BESIDE), 100
    inner = rows * height + (rows - 1) * gap
    share = gap / inner if rows > 1 else 0.0
    fig.set_subplots(rows=rows, cols=min(len(titles), _BESIDE), vertical_spacing=share, subplot_titles=titles, **spacing)
    fig.update_annotations(font={"size": 12})
    fig.update_layout(height=fig.layout.margin.t + 100 + inner)
    return [{"row": 1 + at // _BESIDE, "col": 1 + at % _BESIDE} for at in range(len(titles))]


def _panels(rows: "pd.DataFrame") -> dict[tuple[str, str], "pd.DataFrame"]:
    """Returns the rows of each score and kind of items."""
    return {(str(score), str(kind)): part for (score, kind), part in rows.groupby(["score", "kind"], sort=False)}


def _named(panels: Iterable[tuple[str, str]], score: str, kind: str) -> str:
    """Returns the title of a panel: its kind of items and, if another panel has the same kind, also its score."""
    alone = sum(other == kind for _, other in panels) == 1
    return kind if alone else f"{shown_score(score).title}, {kind}"


def response_lines(curve: "pd.DataFrame", summary: "pd.DataFrame", layer: int) -> Figure:
    """Draws the mean change of the answer's margin by strength, with one panel per score and kind of items. For a score without a
    margin, the change of the score is drawn.

    Each locale is a thin line. The mean over locales is a thick line with its 95% band.

    Args:
        curve: the rows of one vector, with the columns vector, locale, kind, score, finer, strength, n, margin, low, high,
            change.
        summary: the mean slope and the share of anti-steerable items, by locale, score and kind.
        layer: the block index at which the vector was added. The title shows this index.
    """
    finer = {score: shown_score(name) for score, name in zip(curve["score"], curve["finer"], strict=True)}
    locales = [name for name in dict.fromkeys(curve["locale"]) if name != _MEAN]
    means = {(row.score, row.kind): row for row in summary[summary["locale"] == _MEAN].itertuples()}
    titles = [
        f"{_named(means, *key)}: slope {row.slope:+.3f} [{row.low:+.3f}, {row.high:+.3f}], {100 * row.against:.0f}% of items "
        f"{'below' if finer[row.score].higher_is_better else 'above'} 0"
        for key, row in means.items()
    ]
    n = ", ".join(dict.fromkeys(f"{row.n} {row.kind} concepts" for row in means.values()))
    vector, units = curve["vector"].iloc[0], {own.unit for own in finer.values()}
    fig = figure(
        f"{vector} steering at layer {layer}: response to strength", f"{n}; band: 95% over concepts", "", "", width="page"
    )
    gap = 0.04 if len(units) == 1 else 0.09
    places = _places(fig, titles, 214, shared_yaxes="all" if len(units) == 1 else False, horizontal_spacing=gap)
    for (score, kind), place in zip(means, places, strict=True):
        part = _shown(curve[(curve["score"] == score) & (curve["kind"] == kind)], finer[score])
        _band(fig, part[part["locale"] == _MEAN], place)
        for at, locale in enumerate([*locales, _MEAN] if len(locales) > 1 else locales):
            colour = INK if locale == _MEAN else SERIES[at % len(SERIES)][0]
            _line(fig, part[part["locale"] == locale], locale, colour, place)
        fig.update_xaxes(title="strength (× difference of means)", zeroline=True, **place)
        if place["col"] == 1 or len(units) > 1:
            fig.update_yaxes(title=f"change of {_word(finer[score], score)} ({finer[score].change_unit})", **place)
    return below(fig)


def _shown(rows: "pd.DataFrame", finer: Score) -> "pd.DataFrame":
    """Returns the rows of a panel. If the score is a share, changes are converted to percentage points."""
    return rows.assign(**{name: finer.factor * rows[name] for name in ("margin", "low", "high")})


def _word(finer: Score, score: str) -> str:
    return "margin" if finer.name != score else finer.title


def _band(fig: Figure, rows: "pd.DataFrame", place: dict[str, int]) -> None:
    x = [*rows["strength"], *rows["strength"][::-1]]
    y = [*rows["high"], *rows["low"][::-1]]
    look = {"fill": "toself", "fillcolor": SHADE, "line": {"width": 0}}
    fig.add_scatter(x=x, y=y, mode="lines", hoverinfo="skip", showlegend=False, **place, **look)


def _line(fig: Figure, rows: "pd.DataFrame", locale: str, colour: str, place: dict[str, int]) -> None:
    fig.add_scatter(
        x=rows["strength"],
        y=rows["margin"],
        mode="lines+markers",
        name=locale,
        legendgroup=locale,
        showlegend=place == {"row": 1, "col": 1},
        line={"color": colour, "width": 3 if locale == _MEAN else 1.5},
        marker={"symbol": symbol_of(colour), "size": 7},
        customdata=rows[["low", "high", "change", "n"]],
        hovertemplate=f"<b>{locale}</b>, strength %{{x}}<br>change %{{y:+.3f}} [%{{customdata[0]:+.3f}}, %{{customdata[1]:+.3f}}]"
        "<br>score %{customdata[2]:+.3f}<br>n = %{customdata[3]} concepts<extra></extra>",
        **place,
    )
