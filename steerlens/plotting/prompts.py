"""Draws figures of single prompts: residuals in two dimensions, the logit lens by token, choices and margins."""

from typing import TYPE_CHECKING

from steerlens.plotting.figure import Figure
from steerlens.plotting.heatmaps import add_cells
from steerlens.plotting.theme import GREY, METHOD_COLOURS, SERIES, below, figure

if TYPE_CHECKING:
    import pandas as pd

_SYMBOLS = {"factual": "circle", "cultural": "diamond-open"}
_COLOURS = {"factual": METHOD_COLOURS["EN"], "cultural": METHOD_COLOURS["LOC"]}
_LONGEST = 12
"""The number of letters of a token that are shown in a cell."""


def residual_scatter(frame: "pd.DataFrame", colour: str) -> Figure:
    """Draws the prompts at one layer as points. The symbol of a point shows the kind of the prompt.

    Args:
        frame: the table of ``ResidualMap``.
        colour: the column that decides the colour of points, such as ``topic``. Rare values of the column are drawn together as
            ``other``.
    """
    layer, where = int(frame["layer"].iloc[0]), ", ".join(dict.fromkeys(frame["locale"]))
    fig = figure(
        f"Prompts at layer {layer}",
        f"{where}; {len(frame)} prompts of {frame['concept'].nunique()} concepts; filled: factual, open: cultural",
        frame["x_axis"].iloc[0],
        frame["y_axis"].iloc[0],
    )
    names = list(dict.fromkeys(frame[colour]))
    shown = frame[colour].where(frame[colour].isin(names[: len(SERIES) - 1]) | (len(names) <= len(SERIES)), "other")
    for at, (name, own) in enumerate(frame.groupby(shown, sort=False)):
        fig.add_scatter(
            x=own["x"],
            y=own["y"],
            mode="markers",
            name=str(name),
            marker={
                "color": _COLOURS.get(str(name), SERIES[at % len(SERIES)][0]),
                "symbol": [_SYMBOLS[kind] for kind in own["kind"]],
                "size": 9,
                "line": {"width": 1.5},
            },
            customdata=own[["prompt", "kind", "locale", "topic"]].assign(prompt=own["prompt"].str.replace("\n", "<br>")),
            hovertemplate="%{customdata[0]}<br><i>%{customdata[1]}, %{customdata[2]}, %{customdata[3]}</i><extra></extra>",
        )
    return below(fig)


def token_lens_heatmap(frame: "pd.DataFrame", steering: str) -> Figure:
    """Draws the most probable next token of each layer and token. The colour shows the probability of this token, and a frame
    marks a token that steering changed.

    Args:
        frame: the table of ``TokenLens``.
        steering: a value of the column ``steering``: ``unsteered`` or ``steered``.
    """
    own = frame[frame["steering"] == steering]
    tops, chances = (own.pivot(index="layer", columns="position", values=name).sort_index() for name in ("top", "probability"))
    names = own.drop_duplicates("position").set_index("position")["token"]
    layers = [str(layer) for layer in tops.index]
    changed = _changed(frame) if steering != "unsteered" else None
    framed = "" if changed is None else "; framed: changed by steering"
    fig = figure(
        f"Logit lens by token, {steering}",
        f"the most probable next token after each token and block{framed}",
        "token of the prompt",
        "layer",
        width="page",
    )
    add_cells(
        fig,
        chances,
        text=[[_short(top) for top in row] for row in tops.to_numpy()],
        customdata=[
            [[top, name, layer] for top, name in zip(row, names, strict=True)]
            for layer, row in zip(layers, tops.to_numpy(), strict=True)
        ],
        bar="probability",
        signed=False,
        most=1.0,
        hover="layer %{customdata[2]}, after “%{customdata[1]}”: “%{customdata[0]}” (%{z:.2f})",
    )
    fig.update_xaxes(tickvals=list(range(len(names))), ticktext=[_short(name) for name in names])
    fig.update_yaxes(tickvals=list(range(len(layers))), ticktext=layers)
    fig.update_layout(height=max(fig.layout.height, fig.layout.margin.t + 60 + 24 * len(layers)))
    if changed is not None:
        _frames(fig, changed.loc[tops.index, tops.columns])
    return fig


def choice_bars(frame: "pd.DataFrame") -> Figure:
    """Draws the share of each choice, unsteered and steered. The answer is bold, and the choice that wins has a tick.

    Args:
        frame: the table of ``ItemChoices`` for one item.
    """
    item, runs = frame.iloc[0], list(dict.fromkeys(frame["steering"]))
    first = frame[frame["steering"] == runs[0]]
    names = [f"<b>{row.choice}</b>" if row.answer else row.choice for row in first.itertuples()]
    fig = figure(
        "Choices before and after" if len(runs) > 1 else "Choices",
        f"{item['concept']}, {item['locale']}; bold: the answer; ✓: wins",
        "share among the choices (softmax of their scores)",
        "",
    )
    styles = {"unsteered": (METHOD_COLOURS["unsteered"], ""), "steered": (METHOD_COLOURS["surgical"], "/")}
    for steering in runs:
        own, (colour, pattern) = frame[frame["steering"] == steering], styles[steering]
        fig.add_bar(
            x=own["share"],
            y=list(range(len(own))),
            orientation="h",
            name=steering,
            marker={"color": colour, "pattern": {"shape": pattern, "fgcolor": "white", "solidity": 0.2}},
            text=[f"{share:.2f}{' ✓' if wins else ''}" for share, wins in zip(own["share"], own["predicted"], strict=True)],
            textposition="outside",
            cliponaxis=False,
            customdata=own[["choice", "owners", "score"]],
            hovertemplate="%{customdata[0]}: %{x:.3f}<br>score %{customdata[2]:.2f} nats<br>%{customdata[1]}<extra></extra>",
        )
    fig.update_xaxes(range=[0, 1.12])
    fig.update_yaxes(tickvals=list(range(len(names))), ticktext=names, autorange="reversed", automargin=True, tickangle=0)
    fig.update_layout(barmode="group")
    return below(fig)


def margin_curve(frame: "pd.DataFrame", chosen: float, subject: str) -> Figure:
    """Draws one item's margin by strength. A line shows predicted margins, points show exact margins, and a dashed line marks the
    chosen strength.

    Args:
        frame: columns strength, predicted, exact (NaN at strengths without a computed margin). Margins are in nats per token.
        chosen: the strength that is marked.
        subject: the steered prompt, vector and layer, for the subtitle.
    """
    fig = figure(
        "Margin of the answer by strength",
        f"{subject}; above 0 the answer wins; line: predicted, points: run",
        "strength (× vector)",
        "margin (nats per token)",
    )
    line = {"color": METHOD_COLOURS["EN"], "width": 2, "dash": "dot"}
    fig.add_scatter(x=frame["strength"], y=frame["predicted"], mode="lines", line=line, name="predicted")
    run = frame[frame["exact"].notna()]
    marker = {"color": METHOD_COLOURS["LOC"], "size": 9}
    fig.add_scatter(x=run["strength"], y=run["exact"], mode="markers", marker=marker, name="run")
    fig.update_traces(hovertemplate="strength %{x:.2f}: %{y:+.3f}<extra>%{fullData.name}</extra>")
    fig.add_hline(y=0, line={"color": GREY, "width": 1})
    fig.add_vline(x=chosen, line={"color": GREY, "dash": "dash", "width": 1.5})
    return below(fig)


def _changed(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Returns whether steering changes the most probable next token, by layer and position."""
    wide = frame.pivot(index=["layer", "position"], columns="steering", values="top")
    return (wide["steered"] != wide["unsteered"]).unstack("position")


def _frames(fig: Figure, changed: "pd.DataFrame") -> None:
    """Draws a frame around every cell whose value is true."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, column in zip(*changed.to_numpy().nonzero(), strict=True):
        x += [column + side for side in (-0.47, 0.47, 0.47, -0.47, -0.47)] + [None]
        y += [row + side for side in (-0.45, -0.45, 0.45, 0.45, -0.45)] + [None]
    style = {"color": METHOD_COLOURS["LOC"], "width": 2}
    fig.add_scatter(x=x, y=y, mode="lines", line=style, hoverinfo="skip", showlegend=False)


def _short(token: str) -> str:
    shown = token.replace("\n", "⏎").strip(" ") or "␣"
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
