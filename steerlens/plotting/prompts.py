"""Figures of single prompts: residuals in two dimensions, the logit lens token by token."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from steerlens.plotting.theme import GREY, LEVEL_SCALE, METHOD_COLOURS, OTHER_COLOURS, figure

if TYPE_CHECKING:
    import pandas as pd

_SYMBOLS = {"factual": "circle", "cultural": "diamond-open"}
_COLOURS = (*(METHOD_COLOURS[name] for name in ("EN", "LOC", "surgical", "explicit prompt", "unsteered")), *OTHER_COLOURS)
_LONGEST = 12
"""Letters of a token that a cell shows."""


def residual_scatter(frame: "pd.DataFrame", colour: str) -> go.Figure:
    """Prompts at one layer as points. Colour is what was asked for, the symbol is the kind, so that both read in grey."""
    layer, where = int(frame["layer"].iloc[0]), ", ".join(dict.fromkeys(frame["locale"]))
    fig = figure(
        f"Prompts at layer {layer}",
        f"{where}; {len(frame)} prompts of {frame['concept'].nunique()} concepts; filled: factual, open: cultural",
        frame["x_axis"].iloc[0],
        frame["y_axis"].iloc[0],
    )
    for at, (name, own) in enumerate(frame.groupby(colour, sort=False)):
        fig.add_scatter(
            x=own["x"],
            y=own["y"],
            mode="markers",
            name=str(name),
            marker={
                "color": _COLOURS[at % len(_COLOURS)],
                "symbol": [_SYMBOLS[kind] for kind in own["kind"]],
                "size": 9,
                "line": {"width": 1.5},
            },
            customdata=own[["prompt", "kind", "locale", "topic"]].assign(prompt=own["prompt"].str.replace("\n", "<br>")),
            hovertemplate="%{customdata[0]}<br><i>%{customdata[1]}, %{customdata[2]}, %{customdata[3]}</i><extra></extra>",
        )
    fig.update_layout(legend={"orientation": "h", "y": -0.2})
    return fig


def token_lens_heatmap(frame: "pd.DataFrame", steering: str) -> go.Figure:
    """Layers by tokens: the most probable next token, coloured by its probability; framed where steering changed it."""
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
    fig.add_heatmap(
        z=chances.to_numpy(),
        y=layers,
        text=[[_short(top) for top in row] for row in tops.to_numpy()],
        customdata=[list(zip(row, names, strict=True)) for row in tops.to_numpy()],
        texttemplate="%{text}",
        colorscale=LEVEL_SCALE,
        zmin=0,
        zmax=1,
        xgap=1,
        ygap=1,
        colorbar={"title": "probability"},
        hovertemplate="layer %{y}, after “%{customdata[1]}”: “%{customdata[0]}” (%{z:.2f})<extra></extra>",
    )
    fig.update_xaxes(tickvals=list(range(len(names))), ticktext=[_short(name) for name in names], showgrid=False)
    fig.update_yaxes(type="category", showgrid=False)
    fig.update_layout(height=max(fig.layout.height, 150 + 24 * len(layers)))
    if changed is not None:
        _frames(fig, changed.loc[tops.index, tops.columns])
    return fig


def choice_bars(frame: "pd.DataFrame") -> go.Figure:
    """Share of each choice, unsteered and steered; the answer in bold, the choice that wins with a tick."""
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
            text=[f"{share:.2f}{' ✓' if picked else ''}" for share, picked in zip(own["share"], own["picked"], strict=True)],
            textposition="outside",
            cliponaxis=False,
            customdata=own[["choice", "owners", "score"]],
            hovertemplate="%{customdata[0]}: %{x:.3f}<br>score %{customdata[2]:.2f} nats<br>%{customdata[1]}<extra></extra>",
        )
    fig.update_xaxes(range=[0, 1.12])
    fig.update_yaxes(tickvals=list(range(len(names))), ticktext=names, autorange="reversed", automargin=True, tickangle=0)
    fig.update_layout(barmode="group", legend={"orientation": "h", "y": -0.2})
    return fig


def margin_curve(frame: "pd.DataFrame", chosen: float, subject: str) -> go.Figure:
    """One item's margin by strength: predicted as a line, run for real as points, the chosen strength as a dashed line.

    Args:
        frame: columns strength, predicted, exact (NaN where it was not run); margins in nats per token.
        subject: what is steered where.
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
    fig.update_layout(legend={"orientation": "h", "y": -0.2})
    return fig


def _changed(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Whether the most probable next token is another one steered, by layer and position."""
    wide = frame.pivot(index=["layer", "position"], columns="steering", values="top")
    return (wide["steered"] != wide["unsteered"]).unstack("position")


def _frames(fig: go.Figure, changed: "pd.DataFrame") -> None:
    """One line around every cell that is true."""
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
