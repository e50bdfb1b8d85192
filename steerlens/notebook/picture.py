"""Shows a figure on the page, with its title as a caption above the figure."""

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.plotting.live import caption_of, live, redraw

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class Picture:
    """A small figure that can be redrawn. The subtitle appears when the pointer is on the caption."""

    def __init__(self, fig: "Figure", width: int, height: int, clicked: Callable[[float | str, float | str], None] | None = None):
        """Draws the figure.

        Args:
            width: the width in pixels.
            height: the height in pixels, without the caption.
            clicked: a function that is called with x and y of a clicked point.
        """
        self._clicked, self._drawn = clicked, (fig.to_json(), width)
        self._caption = ipywidgets.HTML(_caption(fig), layout={"width": f"{width}px"})
        self.shown = live(fig, width, height)
        self.widget = ipywidgets.VBox([self._caption, self.shown], layout={"width": f"{width}px"})
        self._listen()

    def draw(self, fig: "Figure", width: int | None = None) -> None:
        """Shows another figure in place of the current figure. If the two figures are the same, nothing is sent to the page.

        Args:
            width: the width in pixels; ``None`` keeps the current width.
        """
        wanted = (fig.to_json(), width or self.shown.layout.width)
        if wanted == self._drawn:
            return
        self._drawn = wanted
        self._caption.value = _caption(fig)
        redraw(self.shown, fig, width)
        self._listen()

    def _listen(self) -> None:
        """Connects new traces to the click handler."""
        if self._clicked:
            for trace in self.shown.data:
                trace.on_click(self._told, append=False)

    def _told(self, _: Any, points: Any, __: Any) -> None:
        if self._clicked and points.xs:
            self._clicked(points.xs[0], points.ys[0])


def _caption(fig: "Figure") -> str:
    title, subtitle = caption_of(fig)
    return f"<div class='caption' title='{escape(subtitle, quote=True)}'><b>{escape(title)}</b> <i>{escape(subtitle)}</i></div>"
