"""The explorer: linked views of one model and its items, in a notebook cell."""

from collections.abc import Callable
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.errors import UnknownNameError
from steerlens.notebook.latest import Latest
from steerlens.notebook.layers_view import LayersView
from steerlens.notebook.points_view import PointsView
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.steering_view import SteeringView
from steerlens.notebook.tokens_view import TokensView
from steerlens.notebook.view import View
from steerlens.plotting.live import shows_stills, still
from steerlens.steering import SteeringPlan

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_HALF, _WHOLE = 480, 960
"""Pixels of a figure: two stand side by side in a notebook on a laptop, with the file browser open."""
_SHOWN_TOKENS = 10
_WIDE = {"width": "98%", "height": "190px"}


class Explorer:
    """An interactive layer probe. Show it as the last line of a cell.

    What is chosen is in ``selection``, and may be set from code too: ``explorer.selection.set(layer=9)``.
    """

    def __init__(self, specimen: Specimen, *, limit: float = 4.0, max_new_tokens: int = 20) -> None:
        """Draws everything once.

        Args:
            limit: largest strength of the slider.
        """
        self.selection = Selection(specimen, specimen.tokens, limit)
        self._latest = Latest(self._failed)
        self._steering = SteeringView(specimen, self.selection, _HALF, limit=limit, max_new_tokens=max_new_tokens)
        self._tokens = TokensView(specimen, self._steering, _WHOLE, _SHOWN_TOKENS)
        self.views: dict[str, View] = {
            "layers": LayersView(specimen, self.selection, _HALF),
            "points": PointsView(specimen, self.selection, _HALF),
            "steering": self._steering,
            "tokens": self._tokens,
        }
        self.locale = ipywidgets.Dropdown(options=list(specimen.locales), value=self.selection.locale, description="Locale:")
        self._code = ipywidgets.Dropdown(options=list(self.views), description="Code of:")
        self._shown_code, self._status = ipywidgets.Textarea(layout=_WIDE), ipywidgets.HTML()
        self.widget = self._page()
        self._watch()
        self._update()
        self.settle()

    def _page(self) -> Any:
        top = ipywidgets.HBox([self.views[name].widget for name in ("layers", "points")], layout={"flex_flow": "row wrap"})
        code = ipywidgets.VBox([self._code, self._shown_code])
        below = [self._steering.widget, self._tokens.widget, ipywidgets.Accordion([code], titles=("The code that makes it",))]
        return ipywidgets.VBox([self.locale, top, *below, self._status])

    def _watch(self) -> None:
        """Whatever moves, everything follows, on the cells' loop."""

        def follow(_: Any) -> None:
            self._latest.call(self._update)

        self.selection.observe(follow)
        self.locale.observe(lambda change: self.selection.set(locale=change.new), "value")
        self._tokens.widget.observe(follow, "selected_index")
        for control in (self._code, *chain.from_iterable(view.controls for view in self.views.values())):
            control.observe(follow, "value")
        buttons = self._steering.choosing
        buttons.keep.on_click(lambda _: self._latest.call(self.keep))
        buttons.clear.on_click(lambda _: self._latest.call(self.forget))

    def _update(self) -> None:
        """Shows what can be said at once, and has the rest worked off."""
        try:
            self._status.value, self.locale.value = "", self.selection.locale
            for view in self.views.values():
                view.update()
            self._shown_code.value = self.as_code(self._code.value)
            self._latest.submit(chain(self._steering.steps(), self._tokens.steps()))
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        said = escape(f"{type(error).__name__}: {error}")
        self._status.value = f"<pre style='color:#b00020;white-space:pre-wrap'>{said}</pre>"

    @property
    def plan(self) -> SteeringPlan:
        """The plan made by hand: the kept steps and the chosen one."""
        return self._steering.plan

    @property
    def busy(self) -> bool:
        """Exact values are still to come."""
        return self._latest.busy

    def settle(self) -> None:
        """Waits for all exact values."""
        self._latest.settle()

    def keep(self) -> None:
        """Keeps the chosen step, and sets the slider to 0; later moves are added to it."""
        self._changed(self._steering.keep_step)

    def forget(self) -> None:
        """Forgets the kept steps."""
        self._changed(self._steering.forget)

    def close(self) -> None:
        """Takes the page away and lets go of all that it held."""
        self._latest.cancel()
        self.selection.unobserve_all()
        _close(self.widget)

    def _changed(self, change: Callable[[], None]) -> None:
        change()
        self._update()

    def as_code(self, view: str) -> str:
        """Code that makes a view from what ``explore`` was given: ``model``, ``items`` or ``split``, and ``vectors``, if any.

        Raises:
            UnknownNameError: a view other than ``layers``, ``points``, ``steering`` and ``tokens``.
        """
        return self._view(view).as_code()

    def to_frame(self, view: str) -> "pd.DataFrame":
        """The data behind a view.

        Raises:
            UnknownNameError: no such view.
        """
        return self._view(view).to_frame()

    def figures(self, view: str) -> "list[Figure]":
        """What is selected now, as figures that need no kernel.

        Raises:
            UnknownNameError: no such view.
        """
        return self._view(view).figures()

    def _view(self, name: str) -> View:
        if name not in self.views:
            raise UnknownNameError("view", name, self.views)
        return self.views[name]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if shows_stills():  # a notebook that is run to be read: pictures, as plotly was told to make them
            for fig in self._stills():
                fig.show()
        else:
            display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]

    def _stills(self) -> "list[Figure]":
        return [fig for name in ("layers", "points", "steering") for fig in self.figures(name)]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The widgets; and, where a page has none, the figures as they were when the cell ran."""
        return {**self.widget._repr_mimebundle_(), "text/html": still(self._stills())}


def _close(widget: Any) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
