"""Effects item by item, and strength-response curves."""

from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import INK, METHOD_COLOURS, SERIES, SHADE, below, figure, symbol_of

if TYPE_CHECKING:
    import pandas as pd

_MEAN = "mean"
_GAINED, _LOST = METHOD_COLOURS["EN"], METHOD_COLOURS["LOC"]


def effects_bars(frame: "pd.DataFrame", locale: str) -> Figure:
    """Draws a panel for each score: shares gained to the right and lost to the left of zero, a bar per method.

    Args:
        frame: one locale's rows of ``Effects``, with method, kind, score, n, gained, lost, against, low, high.
        locale: the locale's code, or ``mean`` for all locales; it is written in the subtitle.
    """
    scores = list(dict.fromkeys(frame["score"]))
    titles = [_panel(frame[frame["score"] == score], "items") for score in scores]
    where = "all locales" if locale == _MEAN else locale
    fig = figure("Items gained and lost", f"{where}; against the unsteered model", "", "", width="page")
    fig.set_subplots(rows=1, cols=len(scores), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    for column, score in enumerate(scores, 1):
        part = frame[frame["score"] == score][::-1]  # the first method on top
        for name, colour, sign in (("gained", _GAINED, 1), ("lost", _LOST, -1)):
            fig.add_bar(
                x=100 * sign * part[name] / part["n"],
                y=part["method"],
                orientation="h",
                marker={"color": colour},
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                hovertext=[
                    f"<b>{r.method}</b><br>gained {r.gained:g}, lost {r.lost:g} of {r.n} items<br>margin moved the wrong way: "
                    f"{100 * r.against:.0f}% [{100 * r.low:.0f}, {100 * r.high:.0f}]"
                    for r in part.itertuples()
                ],
                hoverinfo="text",
                row=1,
                col=column,
            )
        limit = max(1.0, float((100 * frame[["gained", "lost"]].max(axis=1) / frame["n"]).max())) * 1.1
        fig.update_xaxes(title="share of items (%)", range=[-limit, limit], zeroline=True, row=1, col=column)
    fig.update_layout(barmode="relative", yaxis={"automargin": True})
    fig.update_layout(height=fig.layout.margin.t + 150 + 30 * frame["method"].nunique())
    return below(fig)


def _panel(rows: "pd.DataFrame", what: str) -> str:
    """Returns the title of a score's panel: the kinds of its items, and how many there are."""
    return f"{' and '.join(dict.fromkeys(rows['kind']))}, n = {rows['n'].max():.0f} {what}"


def response_lines(curve: "pd.DataFrame", summary: "pd.DataFrame", layer: int) -> Figure:
    """Draws the mean change of the answer's margin by strength, in nats per token.

    Locales are thin lines, and their mean is a thick one with its 95% band.

    Args:
        curve: columns vector, locale, kind, score, strength, n, margin, low, high, change; rows of one vector.
        summary: mean slope and share of anti-steerable items, by locale, score and kind.
        layer: the block index at which the vector was added; it is written in the title.
    """
    scores, vector = list(dict.fromkeys(summary["score"])), curve["vector"].iloc[0]
    locales = [name for name in dict.fromkeys(curve["locale"]) if name != _MEAN]
    means = {row.score: row for row in summary[summary["locale"] == _MEAN].itertuples()}
    titles = [
        f"{row.kind}: slope {row.slope:+.3f} [{row.low:+.3f}, {row.high:+.3f}], {100 * row.against:.0f}% of items below 0"
        for row in means.values()
    ]
    n = ", ".join(f"{row.n} {row.kind} concepts" for row in means.values())
    fig = figure(
        f"{vector} steering at layer {layer}: response to strength", f"{n}; band: 95% over concepts", "", "", width="page"
    )
    fig.set_subplots(rows=1, cols=len(scores), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    fig.update_annotations(font={"size": 12})
    for column, score in enumerate(scores, 1):
        part = curve[curve["score"] == score]
        _band(fig, part[part["locale"] == _MEAN], column)
        for at, locale in enumerate([*locales, _MEAN] if len(locales) > 1 else locales):
            colour = INK if locale == _MEAN else SERIES[at % len(SERIES)][0]
            _line(fig, part[part["locale"] == locale], locale, colour, column)
        fig.update_xaxes(title="strength (× difference of means)", zeroline=True, row=1, col=column)
    fig.update_yaxes(title="change of margin (nats per token)", row=1, col=1)
    return below(fig)


def _band(fig: Figure, rows: "pd.DataFrame", column: int) -> None:
    x = [*rows["strength"], *rows["strength"][::-1]]
    y = [*rows["high"], *rows["low"][::-1]]
    look = {"fill": "toself", "fillcolor": SHADE, "line": {"width": 0}}
    fig.add_scatter(x=x, y=y, mode="lines", hoverinfo="skip", showlegend=False, row=1, col=column, **look)


def _line(fig: Figure, rows: "pd.DataFrame", locale: str, colour: str, column: int) -> None:
    fig.add_scatter(
        x=rows["strength"],
        y=rows["margin"],
        mode="lines+markers",
        name=locale,
        legendgroup=locale,
        showlegend=column == 1,
        line={"color": colour, "width": 3 if locale == _MEAN else 1.5},
        marker={"symbol": symbol_of(colour), "size": 7},
        customdata=rows[["low", "high", "change", "n"]],
        hovertemplate=f"<b>{locale}</b>, strength %{{x}}<br>margin %{{y:+.3f}} [%{{customdata[0]:+.3f}}, %{{customdata[1]:+.3f}}]"
        "<br>score %{customdata[2]:+.3f}<br>n = %{customdata[3]} concepts<extra></extra>",
        row=1,
        col=column,
    )
