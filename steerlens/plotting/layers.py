"""Curves over layers with their intervals: separability and its controls, geometry, the logit lens."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from steerlens.plotting.heatmaps import by_layer_and_locale
from steerlens.plotting.theme import GREY, METHOD_COLOURS, OTHER_COLOURS, figure

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = {
    "difference of means": METHOD_COLOURS["EN"],
    "logistic": METHOD_COLOURS["LOC"],
    "LDA": METHOD_COLOURS["surgical"],
    "factual": METHOD_COLOURS["EN"],
    "cultural": METHOD_COLOURS["LOC"],
    "local": METHOD_COLOURS["LOC"],
    "English-centric": METHOD_COLOURS["explicit prompt"],
    "EN": METHOD_COLOURS["EN"],
    "LOC": METHOD_COLOURS["LOC"],
    "gap": METHOD_COLOURS["unsteered"],
    "EN-LOC": METHOD_COLOURS["surgical"],
}
_DASHES = ("dash", "dot", "dashdot", "longdash")
_PLACES = ("top left", "bottom left", "top right", "bottom right")
_ORDER = (*(METHOD_COLOURS[name] for name in ("unsteered", "LOC", "EN", "surgical")), *OTHER_COLOURS)


def separability_lines(frame: "pd.DataFrame", locale: str) -> go.Figure:
    """AUROC of each probe by layer for one locale (``all``: pooled) with its interval, and what the baselines reach."""
    part = frame[(frame["locale"] == locale) & frame["auroc"].notna()]
    own, baselines = part[part["layer"] >= 0], part[part["layer"] < 0].sort_values("auroc", ascending=False)
    where, n = _where(locale), int(own["n"].max())
    fig = figure(
        "Separability of factual and cultural prompts by layer",
        f"{where}; {n} prompts of {int(own['concepts'].max())} concepts; bands: 95% over concepts; what counts lies above the "
        "highest baseline (dashed)",
        "layer",
        "held-out AUROC",
        width="page",
    )
    for probe, rows in own.groupby("probe", sort=False):
        _line(fig, rows, "auroc", str(probe), _COLOURS.get(str(probe), GREY), f"n = {n}")
    for row, dash, at in zip(baselines.itertuples(), _DASHES, _PLACES, strict=False):
        label = {"annotation_text": f"{row.probe} {row.auroc:.2f}", "annotation_position": at}
        fig.add_hline(y=row.auroc, line={"color": GREY, "dash": dash, "width": 1.5}, **label)
    return _chance(fig, float(own["auroc"].min()))


def permutation_lines(frame: "pd.DataFrame", locale: str) -> go.Figure:
    """AUROC of the difference of means by layer over the range of its null; layers that pass the corrected test are filled."""
    part = frame[frame["locale"] == locale]
    colour, passed = _COLOURS["difference of means"], part["p_corrected"] < 0.05
    fig = figure(
        "Difference of means against permuted labels",
        f"{_where(locale)}; {int(part['concepts'].max())} concepts; {int(part['draws'].max()):,} permutations; "
        "filled: p below 0.05, corrected over layers",
        "layer",
        "held-out AUROC",
        width="page",
    )
    null = part.assign(low=part["null_mean"], high=part["null_high"], null=part["null_high"])
    _line(fig, null, "null", "permuted labels, mean to 95th percentile", GREY)
    fig.add_scatter(
        x=part["layer"],
        y=part["auroc"],
        mode="lines+markers",
        name="difference of means",
        line={"color": colour, "width": 2.5},
        marker={"size": 10, "color": [colour if ok else "white" for ok in passed], "line": {"color": colour, "width": 2}},
        customdata=part[["p", "p_corrected"]],
        hovertemplate="layer %{x}: %{y:.3f}<br>p %{customdata[0]:.3f}, corrected %{customdata[1]:.3f}<extra></extra>",
    )
    return _chance(fig, float(part["auroc"].min()))


def selectivity_lines(frame: "pd.DataFrame", locale: str) -> go.Figure:
    """AUROC less that of random labels by layer for one held-out locale."""
    part = frame[frame["locale"] == locale]
    where = "mean over held-out locales" if locale == "all" else f"{locale} held out"
    fig = figure(
        "Selectivity: AUROC less that of random labels",
        f"{where}; {int(part['concepts'].max())} concepts, {int(part['draws'].max())} labellings; bands: 95% over concepts; "
        "0: learnt by heart",
        "layer",
        "selectivity",
        width="page",
    )
    for probe, rows in part.groupby("probe", sort=False):
        _line(fig, rows, "selectivity", str(probe), _COLOURS.get(str(probe), GREY), extra=("auroc", "control"))
    fig.add_hline(y=0, line={"color": GREY, "width": 1})
    return _legend(fig)


def erasure_lines(frame: "pd.DataFrame", locale: str) -> go.Figure:
    """AUROC of a new probe by layer after none, one and more directions were erased, and after erasing shuffled ones."""
    part = frame[frame["locale"] == locale]
    fig = figure(
        "What is left after erasing directions",
        f"{_where(locale)}; {int(part['concepts'].max())} concepts; bands: 95% over concepts; "
        "dotted: as many directions of shuffled labels",
        "layer",
        "held-out AUROC of a new probe",
        width="page",
    )
    for erased, rows in part.groupby("erased"):
        colour, name = _ORDER[int(erased) % len(_ORDER)], f"{erased} erased"
        _line(fig, rows, "auroc", name, colour)
        if erased:
            control = rows.drop(columns=["low", "high"])
            _line(fig, control, "control", f"{erased} of shuffled labels", colour, dash="dot")
    return _chance(fig, float(part["auroc"].min()))


def geometry_lines(frame: "pd.DataFrame", measure: str, locale: str) -> go.Figure:
    """One measure by layer for one locale, a line for each thing it is of."""
    part = frame[(frame["locale"] == locale) & (frame["measure"] == measure)]
    n = int(part["n"].min())
    where = f"{locale}; n = {n}; bands: 95% over random halves"
    fig = figure(f"{measure[0].upper()}{measure[1:]} by layer", where, "layer", measure, width="page")
    for of, rows in part.groupby("of", sort=False):
        _line(fig, rows, "value", str(of), _COLOURS.get(str(of), GREY), f"n = {int(rows['n'].max())}")
    if measure == "cosine":
        limit = frame[(frame["locale"] == locale) & (frame["measure"] == "ceiling")]
        _line(fig, limit, "value", "ceiling that noise sets", GREY, dash="dash")
    fig.add_hline(y=0, line={"color": GREY, "width": 1})
    return _legend(fig)


def geometry_heatmap(frame: "pd.DataFrame", measure: str, of: str) -> go.Figure:
    """Layers by locales, coloured by one measure; what can be below zero on a diverging scale."""
    part = frame[(frame["measure"] == measure) & (frame["of"] == of)]
    grid = part.pivot_table(index="layer", columns="locale", values="value", sort=False).sort_index()
    what = "factual less cultural" if of == "gap" else of
    fig = figure(f"{measure[0].upper()}{measure[1:]}, {what}", f"up to n = {int(part['n'].max())}", "locale", "layer")
    return by_layer_and_locale(fig, grid, measure, signed=of in ("gap", "EN-LOC") and measure != "ceiling")


def lens_lines(frame: "pd.DataFrame", locale: str, score: str) -> go.Figure:
    """A score of every answer's first token by layer, unsteered (solid) and steered (dotted)."""
    part = frame[(frame["locale"] == locale) & (frame["steering"] != "change")]
    words = {
        "log_probability": "log probability of the first token (nats)",
        "probability": "probability of the first token",
        "first": "share of items where it leads",
    }
    counts = ", ".join(f"{answer} {int(n)}" for answer, n in part.groupby("answer", sort=False)["n"].max().items())
    fig = figure("Logit lens", f"{locale}; concepts: {counts}; bands: 95% over concepts", "layer", words[score], width="page")
    for (answer, steering), rows in part.groupby(["answer", "steering"], sort=False):
        own = rows if score == "log_probability" else rows.drop(columns=["low", "high"])
        dash = "solid" if steering == "unsteered" else "dot"
        _line(fig, own, score, f"{answer}, {steering}", _COLOURS[str(answer)], dash=dash)
    return _legend(fig)


def _line(
    fig: go.Figure,
    rows: "pd.DataFrame",
    score: str,
    name: str,
    colour: str,
    note: str = "",
    *,
    dash: str = "solid",
    extra: tuple[str, ...] = (),
) -> None:
    """A curve over layers, with a band where the rows have an interval."""
    if {"low", "high"} <= set(rows.columns) and rows["low"].notna().any():
        around = [*rows["high"], *rows["low"][::-1]]
        layers = [*rows["layer"], *rows["layer"][::-1]]
        band = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": colour, "opacity": 0.15}
        fig.add_scatter(x=layers, y=around, **band, legendgroup=name, showlegend=False, hoverinfo="skip")
    more = "".join(f"<br>{column.replace('_', ' ')} %{{customdata[{at}]:.3f}}" for at, column in enumerate(extra))
    fig.add_scatter(
        x=rows["layer"],
        y=rows[score],
        mode="lines+markers",
        name=name,
        legendgroup=name,
        line={"color": colour, "width": 2.5, "dash": dash},
        customdata=rows[list(extra)] if extra else None,
        hovertemplate=f"{name}, layer %{{x}}: %{{y:.3f}}{more}{'<br>' + note if note else ''}<extra></extra>",
    )


def _where(locale: str) -> str:
    return "all locales together" if locale == "all" else locale


def _chance(fig: go.Figure, least: float) -> go.Figure:
    """A line at a half, and room from below the least AUROC to 1."""
    fig.add_hline(y=0.5, line={"color": GREY, "width": 1}, annotation_text="chance", annotation_position="bottom left")
    fig.update_yaxes(range=[min(0.4, least - 0.05), 1.03])
    return _legend(fig)


def _legend(fig: go.Figure) -> go.Figure:
    fig.update_layout(legend={"orientation": "h", "y": -0.2})
    return fig
