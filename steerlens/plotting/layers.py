"""Draws curves over layers with their intervals: separability and its controls, geometry, and the logit lens."""

from typing import TYPE_CHECKING, Any

from steerlens.plotting.figure import Figure
from steerlens.plotting.heatmaps import by_layer_and_locale, marked
from steerlens.plotting.theme import DASHES, GREY, METHOD_COLOURS, OTHER_COLOURS, SERIES, SOFT, below, figure, symbol_of

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
_BASELINE_DASHES = {"surface form": "dash", "prompt length": "dot", "token embeddings": "dashdot", "layer-0 residual": "longdash"}
"""The dash style of each baseline's line. The styles are the same in every figure."""
_ROOM = 0.5
"""The space before the first and after the last layer, in layers."""
_ORDER = (*(METHOD_COLOURS[name] for name in ("unsteered", "LOC", "EN", "surgical")), *OTHER_COLOURS)


def separability_lines(frame: "pd.DataFrame", locale: str) -> Figure:
    """Draws the AUROC of each probe by layer for one locale, with the interval of the AUROC. The AUROC of each baseline is drawn
    too.

    Args:
        frame: the table of ``Separability``.
        locale: the locale that is drawn, or ``all`` for one probe over all locales.
    """
    part = frame[(frame["locale"] == locale) & frame["auroc"].notna()]
    own, baselines = part[part["layer"] >= 0], part[part["layer"] < 0].sort_values("auroc", ascending=False)
    where, n = _where(locale), int(own["n"].max())
    fig = figure(
        "Separability of factual and cultural prompts by layer",
        f"{where}; {n} prompts of {int(own['concepts'].max())} concepts; bands: 95% over concepts; dashed: baselines; only "
        "values above the highest baseline count",
        "layer",
        "held-out AUROC",
        width="page",
    )
    for probe, rows in own.groupby("probe", sort=False):
        _line(fig, rows, "auroc", str(probe), _COLOURS.get(str(probe), GREY))
    ends = [own["layer"].min() - _ROOM, own["layer"].max() + _ROOM]
    for row in baselines.itertuples():
        dash = _BASELINE_DASHES.get(str(row.probe), "longdashdot")
        name, line = f"{row.probe} {row.auroc:.2f}", {"color": SOFT, "dash": dash, "width": 1.75}
        hover = f"<b>{row.probe}</b><br>{row.auroc:.3f} [{row.low:.3f}, {row.high:.3f}]<br>n = {row.n:.0f}"
        fig.add_scatter(x=ends, y=[row.auroc] * 2, mode="lines", name=name, line=line, hovertext=hover, hoverinfo="text")
    return _chance(fig, float(own["auroc"].min()))


def permutation_lines(frame: "pd.DataFrame", locale: str) -> Figure:
    """Draws the AUROC of the difference of means by layer, over the range of its null distribution.

    Markers of layers that pass the corrected test are filled.

    Args:
        frame: the table of ``PermutationTest``.
        locale: the locale that is drawn, or ``all`` for all locales together.
    """
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
        hovertext=[_hover(row, "auroc", "difference of means", ("p", "p_corrected")) for row in part.to_dict("records")],
        hoverinfo="text",
    )
    return _chance(fig, float(part["auroc"].min()))


def selectivity_lines(frame: "pd.DataFrame", locale: str) -> Figure:
    """Draws the AUROC minus the AUROC of random labels by layer, for one held-out locale.

    Args:
        frame: the table of ``Selectivity``.
        locale: the locale that was held out, or ``all`` for the mean over all held-out locales.
    """
    part = frame[frame["locale"] == locale]
    where = "mean over held-out locales" if locale == "all" else f"{locale} held out"
    fig = figure(
        "Selectivity: AUROC minus that of random labels",
        f"{where}; {int(part['concepts'].max())} concepts, {int(part['draws'].max())} labellings; bands: 95% over concepts; "
        "0: memorized only",
        "layer",
        "selectivity",
        width="page",
    )
    for probe, rows in part.groupby("probe", sort=False):
        _line(fig, rows, "selectivity", str(probe), _COLOURS.get(str(probe), GREY), extra=("auroc", "control"))
    fig.add_hline(y=0, line={"color": GREY, "width": 1})
    return below(fig)


def erasure_lines(frame: "pd.DataFrame", locale: str) -> Figure:
    """Draws the AUROC of a new probe by layer, after zero, one or more directions are erased. The AUROC of the control is drawn
    too.

    Args:
        frame: the table of ``Erasure``.
        locale: the locale that is drawn, or ``all`` for all locales together.
    """
    part = frame[frame["locale"] == locale]
    fig = figure(
        "Separability after erasing directions",
        f"{_where(locale)}; {int(part['concepts'].max())} concepts; bands: 95% over concepts; "
        "dotted: the same number of directions from shuffled labels",
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


def geometry_lines(frame: "pd.DataFrame", measure: str, locale: str) -> Figure:
    """Draws one measure by layer for one locale, with one line for each value of the column ``of``.

    Args:
        frame: the table of ``Geometry``.
        measure: a value of the column ``measure``. For ``cosine``, the noise ceiling is drawn too.
        locale: the locale that is drawn.
    """
    part = frame[(frame["locale"] == locale) & (frame["measure"] == measure)]
    n = int(part["n"].min())
    where = f"{locale}; n = {n}; bands: 95% over random halves"
    fig = figure(f"{measure[0].upper()}{measure[1:]} by layer", where, "layer", measure, width="page")
    for of, rows in part.groupby("of", sort=False):
        _line(fig, rows, "value", str(of), _COLOURS.get(str(of), GREY))
    if measure == "cosine":
        limit = frame[(frame["locale"] == locale) & (frame["measure"] == "ceiling")]
        _line(fig, limit, "value", "noise ceiling", GREY, dash="dash")
    fig.add_hline(y=0, line={"color": GREY, "width": 1})
    return below(fig)


def geometry_heatmap(frame: "pd.DataFrame", measure: str, of: str) -> Figure:
    """Draws a heatmap of layers by locales, coloured by one measure. Measures that can be below zero have a diverging scale.

    Args:
        frame: the table of ``Geometry``.
        measure: a value of the column ``measure``.
        of: a value of the column ``of`` for this measure.
    """
    part = frame[(frame["measure"] == measure) & (frame["of"] == of)]
    what = "factual minus cultural" if of == "gap" else of
    signed = of in ("gap", "EN-LOC") and measure != "ceiling"
    n = int(part["n"].max())
    marks = f"; {marked(n)}" if signed and part["low"].notna().any() else ""
    fig = figure(f"{measure[0].upper()}{measure[1:]}, {what}", f"up to n = {n}{marks}", "locale", "layer")
    return by_layer_and_locale(fig, part, measure, signed=signed)


def lens_lines(frame: "pd.DataFrame", locale: str, score: str) -> Figure:
    """Draws a score of the first token of every answer, by layer. Solid lines are unsteered, and dotted lines are steered.

    Args:
        frame: the table of ``LogitLens``.
        locale: the locale that is drawn.
        score: ``log_probability`` (nats), ``probability`` or ``first``.
    """
    part = frame[(frame["locale"] == locale) & (frame["steering"] != "change")]
    words = {
        "log_probability": "log probability of the first token (nats)",
        "probability": "probability of the first token",
        "first": "share of items where it is first",
    }
    counts = ", ".join(f"{answer} {int(n)}" for answer, n in part.groupby("answer", sort=False)["n"].max().items())
    fig = figure("Logit lens", f"{locale}; concepts: {counts}; bands: 95% over concepts", "layer", words[score], width="page")
    for (answer, steering), rows in part.groupby(["answer", "steering"], sort=False):
        own = rows if score == "log_probability" else rows.drop(columns=["low", "high"])
        dash = "solid" if steering == "unsteered" else "dot"
        _line(fig, own, score, f"{answer}, {steering}", _COLOURS[str(answer)], dash=dash)
    return below(fig)


def cosine_lines(frame: "pd.DataFrame") -> Figure:
    """Draws the cosine between the EN and LOC vectors by layer, with one line per locale.

    Args:
        frame: the table of ``Separability``.
    """
    part = frame[frame["cosine"].notna()]
    words = f"one line per locale; 0: the two directions are perpendicular; up to n = {int(part['n'].max())} prompts"
    fig = figure("Cosine of EN and LOC vectors by layer", words, "layer", "cosine")
    for at, (locale, rows) in enumerate(part.drop(columns=["low", "high"]).groupby("locale", sort=False)):
        colour, _ = SERIES[at % len(SERIES)]
        _line(fig, rows, "cosine", str(locale), colour, dash=DASHES[at % len(DASHES)])
    fig.add_hline(y=0, line={"color": GREY, "width": 1})
    fig.update_yaxes(range=[-1, 1])
    return below(fig)


def _line(
    fig: Figure, rows: "pd.DataFrame", score: str, name: str, colour: str, *, dash: str = "solid", extra: tuple[str, ...] = ()
) -> None:
    """Draws a curve over layers, with a band if the rows have an interval."""
    if {"low", "high"} <= set(rows.columns) and rows["low"].notna().any():
        around = [*rows["high"], *rows["low"][::-1]]
        layers = [*rows["layer"], *rows["layer"][::-1]]
        band = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": colour, "opacity": 0.15}
        fig.add_scatter(x=layers, y=around, **band, legendgroup=name, showlegend=False, hoverinfo="skip")
    fig.update_xaxes(range=[rows["layer"].min() - _ROOM, rows["layer"].max() + _ROOM], tickformat="d")
    fig.add_scatter(
        x=rows["layer"],
        y=rows[score],
        mode="lines+markers",
        name=name,
        legendgroup=name,
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"symbol": symbol_of(colour), "size": 8},
        hovertext=[_hover(row, score, name, extra) for row in rows.to_dict("records")],
        hoverinfo="text",
    )


def _hover(row: dict[str, Any], score: str, name: str, extra: tuple[str, ...]) -> str:
    low, high = row.get("low", float("nan")), row.get("high", float("nan"))
    around = "" if low != low else f" [{low:.3f}, {high:.3f}]"
    more = "".join(f"<br>{column.replace('_', ' ')} {row[column]:.3f}" for column in extra)
    sizes = [f"{row[column]:.0f} {column}" for column in ("concepts", "draws") if row.get(column, 0) > 0]
    n = ", ".join([f"n = {row['n']:.0f}", *sizes]) if row.get("n", 0) > 0 else ", ".join(sizes)
    return f"<b>{name}</b>, layer {row['layer']}<br>{row[score]:.3f}{around}{more}<br>{n}"


def _where(locale: str) -> str:
    return "all locales together" if locale == "all" else locale


def _chance(fig: Figure, least: float) -> Figure:
    """Draws a line at 0.5, and sets the range from below the smallest AUROC to 1."""
    fig.add_hline(y=0.5, line={"color": GREY, "width": 1}, annotation_text="chance", annotation_position="bottom left")
    fig.update_annotations(font={"size": 12, "color": SOFT})
    fig.update_yaxes(range=[min(0.4, least - 0.05), 1.03])
    return below(fig)
