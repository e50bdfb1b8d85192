"""Writes figures as HTML. Titles use the page's font, and figures are redrawn for a phone's width, for dark mode and for
print."""

import json
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import DARK

_TOP = 24
"""The height in pixels of the space at the top of a figure whose title is in the caption."""
_LEAST = 40
"""The smallest height in pixels at which a figure is readable."""
_HEAD = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'


def page(figure: Figure) -> str:
    """Returns an HTML page with one figure and everything that the figure needs."""
    title = escape(figure.noted.get("title", "steerlens"))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n{_HEAD}\n<title>{title}</title>\n<style>{style()}</style>\n'
        f'</head>\n<body class="alone">\n{element(figure)}\n{scripts()}\n</body>\n</html>\n'
    )


def element(figure: Figure) -> str:
    """Returns the HTML of one figure in a page: the title as a caption, and the data as JSON. The code from ``scripts`` draws the
    data.

    A figure keeps its own title if ``theme.figure`` did not make the figure, or if the title was changed later.
    """
    said, shown, caption = figure.noted, Figure(figure), ""
    if said and (shown.layout.title.text or "").replace("<br>", " ").startswith(f"<b>{said['title']}</b>"):
        caption = f"<figcaption><b>{escape(said['title'])}</b>{escape(said['subtitle'])}</figcaption>"
        less = max(0, min(said["above"] - _TOP, shown.layout.margin.t, shown.layout.height - _LEAST))
        shown.update_layout(title=None, margin_t=shown.layout.margin.t - less, height=shown.layout.height - less)
    height = int(shown.layout.height or 450)
    content = shown.update_layout(height=height).to_json().replace("</", "<\\/")  # otherwise a name could end the script
    alt = escape(f"{said['title']}. {said['subtitle']}" if said else "figure", quote=True)
    place = f'data-width="{said.get("width", "page")}" role="img" aria-label="{alt}" style="height:{height}px"'
    return (
        f'<figure>{caption}<div class="plotly-graph-div" {place}></div>'
        f'<script type="application/json">{content}</script></figure>'
    )


def style() -> str:
    """Returns the style sheet of pages with figures."""
    return _beside("page.css")


def scripts() -> str:
    """Returns the scripts of a page: plotly, and the code that draws the figures. Put the scripts after the figures."""
    dark = f'<script type="application/json" id="dark">{json.dumps(DARK)}</script>'
    return f"<script>{get_plotlyjs()}</script>\n{dark}\n<script>{_beside('page.js')}</script>"


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
