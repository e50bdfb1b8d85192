"""The explorer shows linked views of one model and its prompts in a notebook cell."""

from collections.abc import Callable, Mapping
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.errors import UnknownNameError
from steerlens.notebook.hand import Hand
from steerlens.notebook.latest import Latest, Steps
from steerlens.notebook.layers_view import LayersView
from steerlens.notebook.points_view import PointsView
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.state import restore, state_of
from steerlens.notebook.steering_view import SteeringView
from steerlens.notebook.style import STYLE
from steerlens.notebook.tokens_view import TokensView
from steerlens.notebook.vector_view import VectorView
from steerlens.notebook.view import View
from steerlens.plotting.live import shows_stills, still
from steerlens.steering import SteeringPlan

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_LEFT, _RIGHT = 398, 496
"""The widths of the two columns in pixels. Both columns together fit into a window of 1366 pixels with JupyterLab's file browser
open."""
_HIGH, _LOW = 356, 212
"""The heights in pixels of the heatmap and of the figures that show the effect of steering. With the controls and the texts,
these figures fit into a height of 768 pixels."""
_TITLES = {"layers": "Layers", "points": "Points", "tokens": "Logit lens", "vector": "Vector"}
_CODE = {"width": "98%", "height": "300px"}


class Explorer:
    """An interactive layer probe. Write the explorer in the last line of a cell to show it.

    The current choices are in ``selection``. You can also set the choices from code: ``explorer.selection.set(layer=9)``.
    """

    def __init__(
        self, specimen: Specimen, *, limit: float = 4.0, max_new_tokens: int = 20, state: Mapping[str, Any] | None = None
    ) -> None:
        """Draws all views once.

        Args:
            specimen: the model, vectors, prompts and items that are explored.
            limit: the largest strength of the slider.
            max_new_tokens: the largest number of tokens of a generated text.
            state: the result of ``state()``; ``None`` starts with the first prompt, locale, layer and vector.
        """
        self.selection = Selection(specimen, specimen.tokens, limit)
        self.hand = Hand(specimen, self.selection)
        self._latest = Latest(self._failed)
        chosen = (self.selection, self.hand)
        self._vector = VectorView(specimen, *chosen)
        self._steering = SteeringView(
            specimen, *chosen, self._vector.line, limit=limit, max_new_tokens=max_new_tokens, width=_RIGHT, height=_LOW
        )
        self._tokens = TokensView(specimen, *chosen, self._steering, _LEFT, _HIGH)
        self.views: dict[str, View] = {}
        if own := specimen.studied:
            self.views["layers"] = LayersView(specimen, own, *chosen, _LEFT, _HIGH)
            self.views["points"] = PointsView(specimen, own, self.selection, _LEFT, _HIGH)
        self.views |= {"steering": self._steering, "tokens": self._tokens, "vector": self._vector}
        self.shown = {name: control for view in self.views.values() for name, control in view.controls.items()}
        self._code = ipywidgets.Dropdown(options=list(self.views), description="Code of:")
        self._shown_code, self._error = ipywidgets.Textarea(layout=_CODE), ipywidgets.HTML()
        self._status = self._steering.choosing.status
        self.tabs = self._tabs()
        self.widget = self._page()
        if state is not None:
            restore(self, state)
        self._watch()
        self._update()
        self.settle()

    def _tabs(self) -> Any:
        own = {title: self.views[name].widget for name, title in _TITLES.items() if name in self.views}
        own["Code"] = ipywidgets.VBox([self._code, self._shown_code])
        return ipywidgets.Tab(
            list(own.values()), titles=tuple(own), selected_index=0, layout={"width": f"{_LEFT + 18}px", "height": "auto"}
        )

    def _page(self) -> Any:
        grid = ipywidgets.GridBox(
            [self.tabs, self._steering.widget],
            layout={"grid_template_columns": f"{_LEFT + 18}px {_RIGHT}px", "grid_gap": "0 8px", "align_items": "flex-start"},
        )
        style = ipywidgets.HTML(f"<style>{STYLE}</style>", layout={"height": "0px", "margin": "0"})
        page = ipywidgets.VBox([style, grid, self._steering.texts.widget, self._error])
        page.add_class("steerlens-explorer")
        return page

    def _watch(self) -> None:
        """Makes all views update when a control changes, on the event loop of the cells."""

        def follow(_: Any) -> None:
            self._latest.call(self._update)

        self.selection.observe(follow)
        self.tabs.observe(follow, "selected_index")
        for control in self._tokens.controls.values():
            control.observe(follow, "value")
        for view in self.views.values():
            for control in view.controls.values() if view is not self._tokens else ():
                control.observe(lambda _: self._latest.call(self._redraw), "value")
        self._code.observe(lambda _: self._latest.call(self._redraw), "value")
        buttons = self._steering.choosing
        buttons.keep.on_click(lambda _: self._latest.call(self.keep))
        buttons.clear.on_click(lambda _: self._latest.call(self.forget))
        for name, button in buttons.pins.items():
            button.on_click(lambda _, name=name: self._latest.call(lambda: self.pin(name)))

    def _redraw(self) -> None:
        """Shows all results that need no forward pass. Computations that are already running continue."""
        try:
            for view in self.views.values():
                view.update()
            self._shown_code.value = self.as_code(self._code.value)
        except Exception as error:
            self._failed(error)

    def _update(self) -> None:
        """Shows all results that need no forward pass, and starts the computation of the other results."""
        self._tokens.open = self.tabs.get_title(self.tabs.selected_index or 0) == _TITLES["tokens"]
        self._error.value, self._status.value = "", "<span class='busy'>computing …</span>"
        self._redraw()
        steering = self._steering
        self._latest.submit(
            chain(steering.steps(), self._tokens.steps(), self._vector.steps(), steering.texts.steps(), self._done())
        )

    def _done(self) -> Steps:
        self._status.value = ""
        yield

    def _failed(self, error: Exception) -> None:
        self._status.value = "<span class='failed'>failed: see below</span>"
        self._error.value = f"<div class='failed'>{escape(f'{type(error).__name__}: {error}')}</div>"

    @property
    def plan(self) -> SteeringPlan:
        """The plan that the user set: the kept steps and the chosen step."""
        return self.hand.plan

    @property
    def busy(self) -> bool:
        """Whether exact values are still being computed."""
        return self._latest.busy

    def settle(self) -> None:
        """Waits until all exact values are computed."""
        self._latest.settle()

    def keep(self) -> None:
        """Keeps the chosen steering step, and sets the slider to 0. Later steps are added to the kept step."""
        self._changed(self.hand.keep)

    def forget(self) -> None:
        """Removes the kept steering steps."""
        self._changed(self.hand.forget)

    def pin(self, name: str) -> None:
        """Pins the current plan as ``A`` or ``B``. The pinned plan's text and margin stay visible next to the text and margin of
        later plans.

        Args:
            name: ``A`` or ``B``. If the same plan is already pinned under this name, the pin is removed.

        Raises:
            UnknownNameError: the name is neither ``A`` nor ``B``.
        """
        self._changed(lambda: self.hand.pin(name))

    def state(self) -> dict[str, Any]:
        """Returns the selection, the kept steps, the pinned plans and the open views as JSON values, for ``sl.explore(…,
        state=)``."""
        return state_of(self)

    def close(self) -> None:
        """Removes the page and releases its memory."""
        self._latest.cancel()
        self.selection.unobserve_all()
        _close(self.widget)

    def _changed(self, change: Callable[[], None]) -> None:
        change()
        self._update()

    def as_code(self, view: str) -> str:
        """Returns code that makes a view from the arguments of ``explore``. In a notebook, the code uses the names of your
        variables.

        Args:
            view: ``steering``, ``tokens`` or ``vector``, and with items also ``layers`` or ``points``.

        Raises:
            UnknownNameError: there is no such view.
        """
        return self._view(view).as_code()

    def to_frame(self, view: str) -> "pd.DataFrame":
        """Returns the data behind a view.

        Args:
            view: see ``as_code``.

        Raises:
            UnknownNameError: there is no such view.
        """
        return self._view(view).to_frame()

    def figures(self, view: str) -> "list[Figure]":
        """Returns figures of the current selection. The figures can be shown without a running kernel.

        Args:
            view: see ``as_code``.

        Raises:
            UnknownNameError: there is no such view.
        """
        return self._view(view).figures()

    def _view(self, name: str) -> View:
        if name not in self.views:
            raise UnknownNameError("view", name, self.views)
        return self.views[name]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if shows_stills():  # a notebook that is run only to be read shows pictures, as plotly is set to do
            for fig in self._stills():
                fig.show()
        else:
            display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]

    def _stills(self) -> "list[Figure]":
        first = ("layers", "points") if "layers" in self.views else ("tokens",)
        return [fig for name in (*first, "steering") for fig in self.figures(name)]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Returns the widgets and, for pages without widgets, the figures as they were when the cell ran."""
        return {**self.widget._repr_mimebundle_(), "text/html": still(self._stills())}


def _close(widget: Any) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
