"""Defines the visual style of all figures.

Changes are shown on a diverging scale centred at zero, and levels on a sequential scale. Readers with any colour vision can
distinguish the colours. A marker, a dash, a hatching or a signed number always repeats the meaning of a colour, so that figures
can be printed in grey.
"""

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

from steerlens.errors import SettingsError
from steerlens.plotting.figure import Figure

METHOD_COLOURS = {
    "unsteered": "#5f6b7a",
    "explicit prompt": "#b8860b",
    "EN": "#0072b2",
    "LOC": "#d55e00",
    "surgical": "#009e73",
}
"""Okabe and Ito's palette. Readers with any colour vision can distinguish its colours."""
OTHER_COLOURS = ("#cc79a7", "#56b4e9", "#8a6d00", "#000000", "#882255", "#332288", "#44aa99", "#999933")
"""The colours of other methods, in the order of their use. The last four are from Paul Tol's palette "muted"."""
METHOD_SYMBOLS = {
    "unsteered": "circle",
    "explicit prompt": "star",
    "EN": "triangle-right",
    "LOC": "triangle-up",
    "surgical": "diamond",
}
_OTHER_SYMBOLS = ("square", "cross", "hexagon", "x", "pentagon", "bowtie", "star-diamond", "hourglass")
SYMBOLS = {METHOD_COLOURS[name]: symbol for name, symbol in METHOD_SYMBOLS.items()} | dict(
    zip(OTHER_COLOURS, _OTHER_SYMBOLS, strict=True)
)
"""The marker of each colour."""
SERIES = tuple((colour, symbol) for colour, symbol in SYMBOLS.items() if colour != METHOD_COLOURS["unsteered"])
"""The colours and markers of locales and other series without their own colour, in the order of their use."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_DIVERGING = (
    "#d6604d",
    "#e58268",
    "#f4a582",
    "#f9c0a5",
    "#fddbc7",
    "#f7f7f7",
    "#d1e5f0",
    "#b2d6e7",
    "#92c5de",
    "#6bacd1",
    "#4393c3",
)
CHANGE_SCALE = [[at / 10, colour] for at, colour in enumerate(_DIVERGING)]
"""The scale of changes: red below zero, white at zero, blue above. The colours are the inner colours of ColorBrewer's RdBu. All
colours are light enough for a contrast of at least 4.5 with numbers in ``INK``."""
_SEQUENTIAL = ("#f7fcf0", "#e0f3db", "#ccebc5", "#a8ddb5", "#7bccc4", "#4eb3d3", "#2b8cbe")
LEVEL_SCALE = [[at / 6, colour] for at, colour in enumerate(_SEQUENTIAL)]
"""The scale of levels, from nearly white to blue (ColorBrewer's GnBu without its darkest colour). Numbers in ``INK`` are readable
on every colour."""
INK, SOFT, GREY = "#111111", "#5f6b7a", "#8a93a0"
SHADE = "rgba(17,17,17,0.12)"
"""The colour of areas behind lines, such as intervals and ranges."""
HATCH = "rgba(95,107,122,0.6)"
GRID = "#e3e7ed"
_NIGHT = ("#ae4739", "#93423a", "#7a3d3a", "#5f3838", "#453436", "#2b323b", "#2c3f51", "#2d4c67", "#2e597d", "#2d6290", "#2c6ca2")
_NIGHT_LEVELS = ("#232a31", "#24363c", "#244247", "#234f55", "#215c66", "#206887", "#2c6ca2")
HALO = "0 0 3px #ffffff, 0 0 3px #ffffff, 0 0 2px #ffffff"
"""A shadow that makes text readable over lines."""

PAPER = "#ffffff"
DARK = dict(zip((*_DIVERGING, *_SEQUENTIAL), (*_NIGHT, *_NIGHT_LEVELS), strict=True)) | {
    PAPER: "#1d232a",
    "white": "#1d232a",
    INK: "#e6eaf0",
    "#2a3f5f": "#e6eaf0",  # plotly_white's ink and lines
    "#ebf0f8": "#333b46",
    "#e5ecf6": "#262d36",  # the background of plotly's own template
    SOFT: "#a3adba",
    GREY: "#7d8896",
    GRID: "#333b46",
    HALO: HALO.replace(PAPER, "#1d232a"),
    "#0072b2": "#4aa8e8",
    "#d55e00": "#ff8a3d",
    "#009e73": "#2cc296",
    "#b8860b": "#e0b040",
    "#8a6d00": "#c9ad4b",
    "#000000": "#e6eaf0",
    "#882255": "#e0699f",
    "#332288": "#a99bff",
}
"""The colour on a dark page for each colour of a figure. The boxes behind the figures have the colour ``#1d232a`` on a dark
page."""

_HEAD, _LINE = {"half": 46, "page": 90}, {"half": 60, "page": 94}
"""The largest number of characters in a line of the title, and in a line of the subtitle, for a half-page figure and for a
full-page figure. A full page's lines also fit the 700 pixels of plotly's pictures in a notebook."""
_COLUMN_HEIGHT = 0.75
"""The share of a figure's height that remains when the figure is laid out for a column of a paper."""
_FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif"


def figure(title: str, subtitle: str, x: str, y: str, *, width: Literal["half", "page"] = "half", **layout: Any) -> Figure:
    """Returns an empty figure with a title that names its subject, a subtitle that says what is shown, and names of both axes.

    ``layout.meta`` contains the title, the subtitle, the height that they take above the figure, and the width. Pages that show
    titles in their own font use these values.
    """
    fig, lines, heads = Figure(), _lines(subtitle, _LINE[width]), _lines(title, _HEAD[width])
    above = 54 + 22 * len(heads) + 20 * len(lines)
    axis = {
        "gridcolor": GRID,
        "zerolinecolor": GREY,
        "zerolinewidth": 1,
        "tickfont": {"size": 12},
        "title": {"font": {"size": 14}},
    }
    fig.update_layout(
        template="plotly_white",
        meta={"title": title, "subtitle": subtitle, "above": above, "width": width},
        title={
            "text": _head(heads, lines),
            "x": 0,
            "xref": "container",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 34, "l": 16},  # below the buttons that a page shows over a figure
            "font": {"size": 16},
        },
        font={"family": _FONT, "size": 14, "color": INK},
        colorway=[colour for colour, _ in SERIES],
        margin={"l": 70, "r": 30, "t": above, "b": 60},
        height=374 + above,
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        hoverlabel={"bgcolor": PAPER, "font": {"size": 13, "color": INK}, "bordercolor": GREY},
        **layout,
    )
    fig.update_layout(
        template={"layout": {"xaxis": {**axis, "zeroline": False}, "yaxis": axis}}, xaxis_title_text=x, yaxis_title_text=y
    )
    return fig


def _lines(text: str, longest: int) -> list[str]:
    """Divides a text into as few lines as possible. The lines have about the same length, so that no line contains only one
    word."""
    lines = textwrap.wrap(text, longest)
    shorter = (textwrap.wrap(text, width) for width in range(1 + len(text) // (1 + len(lines)), longest))
    return next((found for found in shorter if len(found) == len(lines)), lines)


def _head(heads: Sequence[str], lines: Sequence[str]) -> str:
    return f"<b>{'<br>'.join(heads)}</b><br><span style='font-size:13px;color:{SOFT}'>{'<br>'.join(lines)}</span>"


def in_column(fig: Figure) -> Figure:
    """Returns a full-page figure with a new layout for a column: shorter lines in the title and subtitle, and other margins,
    fonts and legend.

    Args:
        fig: a figure made by ``figure``, with all of its axes above each other.

    Raises:
        SettingsError: the figure has axes side by side, which do not fit into a column.
    """
    made, noted = Figure(fig), fig.noted
    starts = {tuple(axis.domain or (0, 1)) for axis in made.select_xaxes()}
    if len(starts) > 1 or not noted:
        raise SettingsError(
            "this figure does not fit into a column, because it has panels side by side or is not a figure of steerlens. Save "
            "the figure as wide as a page, or draw it without panels, for example with plane.plot(by_locale=False)."
        )
    if noted["width"] == "half":
        return made
    heads, lines = _lines(noted["title"], _HEAD["half"]), _lines(noted["subtitle"], _LINE["half"])
    above = 54 + 22 * len(heads) + 20 * len(lines)
    names = [trace.name for trace in made.data if trace.name and trace.showlegend is not False]
    legend = 30 + 22 * -(-len(dict.fromkeys(names)) // 2)
    height = int((made.layout.height - made.layout.margin.t) * _COLUMN_HEIGHT) + above + legend
    made.update_layout(
        meta={**noted, "above": above, "width": "half"},
        title_text=_head(heads, lines),
        font_size=12,
        margin={"l": 56, "r": 12, "t": above, "b": 60 + legend},
        height=height,
        legend={
            **{"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom"},
            "font": {"size": 12},
        },
    )
    made.for_each_annotation(lambda note: note.update(font={"size": 10, "color": note.font.color}))
    return made


def below(fig: Figure) -> Figure:
    """Puts the legend below the figure, where the legend has enough space."""
    fig.update_layout(height=fig.layout.height + 30, legend_font_size=13)
    fig.update_layout(legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom"})
    return fig


def colour_of(method: str, order: Sequence[str]) -> str:
    """Returns a method's colour. A known method has a fixed colour, and any other method gets the next free colour."""
    others = [name for name in order if name not in METHOD_COLOURS]
    return METHOD_COLOURS.get(method) or OTHER_COLOURS[others.index(method) % len(OTHER_COLOURS)]


def line_of(method: str, order: Sequence[str]) -> dict[str, Any]:
    """Returns the look of a method's line. If all free colours are in use, a colour is used again with another dash."""
    others = [name for name in order if name not in METHOD_COLOURS]
    again = others.index(method) // len(OTHER_COLOURS) if method in others else 0
    return {"color": colour_of(method, order), "width": 2, "dash": DASHES[again % len(DASHES)]}


def symbol_of(colour: str) -> str:
    """Returns the marker that belongs to a colour, so that figures can be read in grey."""
    return SYMBOLS.get(colour, "circle")
