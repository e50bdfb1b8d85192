"""The explorer: linked views of one model and its items, in a notebook cell."""

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

_HALF, _WHOLE = 560, 1120
"""Pixels of a figure."""
_SHOWN_TOKENS = 10


class Explorer:
    """An interactive layer probe. Show it as the last line of a cell.

    What is chosen is in ``selection``, and may be set from code too: ``explorer.selection.layer = 9``.
    """

    def __init__(
        self, specimen: Specimen, *, taken: bool, tokens: str = "last_onward", limit: float = 4.0, max_new_tokens: int = 20
    ) -> None:
        """Draws everything once.

        Args:
            taken: the vectors were taken here, not given.
            limit: largest strength of the slider.
        """
        first = specimen.locales[0]
        self.selection = Selection(
            locale=first, layer=specimen.stack.layers[len(specimen.stack.layers) // 2], tokens=tokens,
            vector=next(iter(specimen.vectors[first])), concept=specimen.of(first)[0].concept,
        )  # fmt: skip
        self._status = ipywidgets.HTML()
        self._latest = Latest(self._failed)
        layers = LayersView(specimen, self.selection, _HALF, taken=taken, tokens=tokens)
        points = PointsView(specimen, self.selection, _HALF)
        self._steering = SteeringView(specimen, self.selection, _HALF, taken=taken, limit=limit, max_new_tokens=max_new_tokens)
        self._tokens = TokensView(specimen, self._steering, _WHOLE, _SHOWN_TOKENS)
        self.views: dict[str, View] = {"layers": layers, "points": points, "steering": self._steering, "tokens": self._tokens}
        self.widget = self._page(specimen)
        self._watch()
        self._moved()
        self.settle()

    def _page(self, specimen: Specimen) -> Any:
        self.locale = ipywidgets.Dropdown(options=list(specimen.locales), value=self.selection.locale, description="Locale:")
        self.locale.observe(lambda change: self.selection.set_trait("locale", change.new), "value")
        self.selection.observe(lambda change: self.locale.set_trait("value", change.new), "locale")
        top = ipywidgets.HBox([self.views[name].widget for name in ("layers", "points")], layout={"flex_flow": "row wrap"})
        self._code = ipywidgets.Dropdown(options=list(self.views), description="Code of:")
        self._shown_code = ipywidgets.Textarea(layout={"width": "98%", "height": "190px"}, disabled=False)
        code = ipywidgets.Accordion([ipywidgets.VBox([self._code, self._shown_code])], titles=("The code that makes it",))
        return ipywidgets.VBox([self.locale, top, self._steering.widget, self._tokens.widget, code, self._status])

    def _watch(self) -> None:
        self.selection.observe(lambda _: self._moved())
        self._tokens.widget.observe(lambda _: self._moved(), "selected_index")
        self._code.observe(lambda _: self._tell_code(), "value")
        self._steering.keep.on_click(lambda _: self._kept(self._steering.keep_step))
        self._steering.clear.on_click(lambda _: self._kept(self._steering.forget))

    def _kept(self, change: Any) -> None:
        change()
        self._moved()

    def _moved(self) -> None:
        """Shows what can be said at once, and has the rest worked off."""
        self._status.value = ""
        self._steering.predict()
        self._tell_code()
        self._latest.submit(chain(self._steering.steps(), self._tokens.steps()))

    def _tell_code(self) -> None:
        self._shown_code.value = self.as_code(self._code.value)

    def _failed(self, error: Exception) -> None:
        self._status.value = f"<pre style='color:#b00020;white-space:pre-wrap'>{type(error).__name__}: {error}</pre>"

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
        """Keeps the chosen step; later moves are added to it."""
        self._kept(self._steering.keep_step)

    def forget(self) -> None:
        """Forgets the kept steps."""
        self._kept(self._steering.forget)

    def as_code(self, view: str) -> str:
        """Code that makes a view from ``model``, ``items`` and, if they were given, ``vectors``.

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
        """What a view shows now, as figures that need no kernel.

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
