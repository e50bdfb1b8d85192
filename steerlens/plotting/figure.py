"""Defines the class of every figure that a result returns: a plotly figure with a method that writes it to a file."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from steerlens.errors import FileError, UnknownNameError
from steerlens.storage import write_atomically, write_text

PAGE, STATIC = "html", ("png", "svg", "pdf")
WIDTHS = {"half": 460, "page": 860}
"""The width in pixels of a saved picture that is readable on half a page of a paper (about 3.3 inches), or on a full page (about
6.9 inches)."""
OFFLINE = {"showSendToCloud": False}
"""The plotly settings that keep a figure on the user's machine. The settings remove the button "Share chart", which would upload
the figure to a server."""
_SOFTWARE = (
    "To draw pictures, kaleido and a browser are needed: pip install 'steerlens[notebook]', and install Chrome or Chromium"
)


class Figure(go.Figure):  # type: ignore[misc]
    """A plotly figure with the method ``save``, and without plotly's upload button. All other methods are plotly's own, such as
    ``update_layout``."""

    def show(self, *args: Any, config: dict[str, Any] | None = None, **options: Any) -> None:
        """Shows the figure in the same way as plotly.

        Args:
            args: plotly's arguments.
            config: plotly's settings, for example of the buttons.
            options: plotly's options.
        """
        super().show(*args, config={**OFFLINE, **(config or {})}, **options)

    def to_html(self, *args: Any, config: dict[str, Any] | None = None, **options: Any) -> str:
        """Returns the figure as plotly's own HTML. ``save`` writes a page that is also readable on a phone and in dark mode.

        Args:
            args: plotly's arguments.
            config: plotly's settings, for example of the buttons.
            options: plotly's options.
        """
        html: str = super().to_html(*args, config={**OFFLINE, **(config or {})}, **options)
        return html

    def _ipython_display_(self) -> None:
        """Shows the figure if it is the last value of a notebook's cell."""
        import plotly.io

        if plotly.io.renderers.render_on_display and plotly.io.renderers.default:
            self.show()
        else:
            super()._ipython_display_()

    def _repr_mimebundle_(self, *args: Any, **options: Any) -> Any:
        """Returns what a notebook shows."""
        return super()._repr_mimebundle_(*args, **{"config": OFFLINE, **options})

    def save(self, path: str | Path, *, width: int | None = None, height: int | None = None, scale: float = 2.0) -> Path:
        """Writes the figure to a file. The ending of the file's name decides the format. The file is written completely or not at
        all.

        Args:
            path: the path of the file. An ``.html`` file contains plotly (about 5 MB) and opens offline, also on a phone and in
                dark mode. ``.png``, ``.svg`` and ``.pdf`` need kaleido and Chrome or Chromium.
            width: the width of a picture in CSS pixels, 96 per inch. ``None`` takes the figure's own width: 460 for half a page,
                860 for a full page. An HTML page uses the width of its window.
            height: the height in pixels; ``None`` takes the figure's own height.
            scale: the number of pixels of a PNG per CSS pixel.

        Returns:
            The path.

        Raises:
            UnknownNameError: the file name does not end in ``.html``, ``.png``, ``.svg`` or ``.pdf``.
            FileError: the file cannot be written, or the program that draws pictures is missing. The message says what to
                install.
        """
        path = Path(path)
        ending = path.suffix.lower().removeprefix(".")
        if ending == PAGE:
            from steerlens.plotting.page import page  # the page module imports the theme, which imports this module

            return write_text(path, page(Figure(self).update_layout(height=height) if height else self))
        if ending not in STATIC:
            raise UnknownNameError("ending of a figure's file", path.suffix, [f".{name}" for name in (PAGE, *STATIC)])
        size = {"width": width or self.layout.width or self.natural_width, "height": height or self.layout.height}
        return write_atomically(path, _written(path, lambda: self.to_image(ending, scale=scale, **size)))

    def in_column(self) -> "Figure":
        """Returns the figure with a new layout for the column of a paper, 460 pixels wide, with the legend below the figure.

        Raises:
            SettingsError: the figure has panels side by side, which do not fit into a column.
        """
        from steerlens.plotting.theme import in_column  # the theme imports this module

        return in_column(self)

    @property
    def natural_width(self) -> int:
        """The width in pixels for which the figure was laid out: half a page or a full page, as recorded by ``theme.figure``. For
        any other figure, this is the width of a full page."""
        return WIDTHS[self.noted.get("width", "page")]

    @property
    def noted(self) -> dict[str, Any]:
        """The data that ``theme.figure`` records about a figure: title, subtitle, above (the height of title and subtitle in
        pixels), and width. Empty for any other figure."""
        meta = self.layout.meta
        return dict(meta) if isinstance(meta, dict) and "above" in meta else {}


def _written(path: Path, draw: Callable[[], bytes]) -> Callable[[Path], None]:
    """Returns the function that writes a picture to a file.

    Raises:
        FileError: kaleido or its browser is missing or fails.
    """

    def write(part: Path) -> None:
        if find_spec("kaleido") is None:
            raise FileError(
                f"cannot draw {path}: kaleido is not installed. {_SOFTWARE}. Or save the figure as .html, which needs no other "
                "software."
            )
        try:
            picture = draw()
        except Exception as error:  # kaleido and the browser raise errors of many types
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise FileError(
                f"cannot draw {path}: {reason} {_SOFTWARE}. Or save the figure as .html, which needs no other software."
            ) from error
        part.write_bytes(picture)

    return write
