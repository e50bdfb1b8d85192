"""Effects item by item, and strength-response curves."""

from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import INK, METHOD_COLOURS, SERIES, SHADE, below, figure, symbol_of

if TYPE_CHECKING:
    import pandas as pd

_MEAN = "mean"
_GAINED, _LOST = METHOD_COLOURS["EN"], METHOD_COLOURS["LOC"]


def effects_bars(frame: "pd.DataFrame", locale: str) -> Figure:
    """A panel for factual and one for cultural items: shares gained to the right and lost to the left of zero, per method.

    Args:
        frame: one locale's rows, with method, kind, n, gained, lost, against.
    """
    kinds = sorted(set(frame["kind"]), reverse=True)  # factual first
    titles = [f"{kind}, n = {frame.loc[frame['kind'] == kind, 'n'].max():.0f} items" for kind in kinds]
    where = "all locales" if locale == _MEAN else locale
    fig = figure("Items gained and lost", f"{where}; against the unsteered model", "", "", width="page")
    fig.set_subplots(rows=1, cols=len(kinds), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    for column, kind in enumerate(kinds, 1):
        part = frame[frame["kind"] == kind][::-1]  # the first method on top
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


def response_lines(curve: "pd.DataFrame", summary: "pd.DataFrame", layer: int) -> Figure:
    """Mean change of the answer's margin by strength: thin lines for locales, a thick one with its 95% band for their mean.

    Args:
        curve: columns locale, kind, strength, n, margin, low, high, hits of one vector.
        summary: mean slope and share of anti-steerable items, by locale and kind.
    """
    kinds, vector = sorted(set(curve["kind"]), reverse=True), curve["vector"].iloc[0]  # factual first
    locales = [name for name in dict.fromkeys(curve["locale"]) if name != _MEAN]
    means = summary[summary["locale"] == _MEAN].set_index("kind")
    titles = [
        f"{kind}: slope {means['slope'][kind]:+.3f} [{means['low'][kind]:+.3f}, {means['high'][kind]:+.3f}], "
        f"{100 * means['against'][kind]:.0f}% of items below 0"
        for kind in kinds
    ]
    n = ", ".join(f"{means['n'][kind]} {kind} concepts" for kind in kinds)
    fig = figure(
        f"{vector} steering at layer {layer}: response to strength", f"{n}; band: 95% over concepts", "", "", width="page"
    )
    fig.set_subplots(rows=1, cols=len(kinds), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    fig.update_annotations(font={"size": 12})
    for column, kind in enumerate(kinds, 1):
        part = curve[curve["kind"] == kind]
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
        customdata=rows[["low", "high", "hits", "n"]],
        hovertemplate=f"<b>{locale}</b>, strength %{{x}}<br>margin %{{y:+.3f}} [%{{customdata[0]:+.3f}}, %{{customdata[1]:+.3f}}]"
        "<br>hits %{customdata[2]:+.3f}<br>n = %{customdata[3]} concepts<extra></extra>",
        row=1,
        col=column,
    )
