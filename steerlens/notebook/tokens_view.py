"""Shows the logit lens of the chosen prompt, token by token. A click on a cell chooses the layer of the cell."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.notebook.hand import Hand, Moves, acting
from steerlens.notebook.latest import Steps
from steerlens.notebook.layers_view import CHOSEN, KEPT
from steerlens.notebook.picture import Picture
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.steering_view import SteeringView
from steerlens.notebook.view import View
from steerlens.probing import TokenLens, token_lens

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_LAST = {"last 6 tokens": 6, "last 12 tokens": 12, "last 24 tokens": 24, "all tokens": None}
_CELL = 54
"""The width of a token's column in pixels."""
_ROOM = 60
STEERED, UNSTEERED = "steered", "unsteered"


class TokensView(View):
    """The view of the logit lens. The logit lens unembeds every layer, which takes time. So the lens is computed only while the
    view is open."""

    def __init__(
        self, specimen: Specimen, selection: Selection, hand: Hand, steering: SteeringView, width: int, height: int
    ) -> None:
        self._specimen, self._selection, self._hand, self._steering = specimen, selection, hand, steering
        self._size = (width, height)
        self._picture: Picture | None = None
        self._read: tuple[Any, TokenLens] | None = None
        self.open = False
        """Whether the view is visible."""
        self.steering = ipywidgets.ToggleButtons(options=[UNSTEERED, STEERED], value=STEERED, style={"button_width": "90px"})
        self.last = ipywidgets.Dropdown(options=list(_LAST), layout={"width": "130px"})
        self.controls = {"lens": self.steering, "last": self.last}
        self._box = ipywidgets.VBox([ipywidgets.HTML("<i>reading …</i>")], layout={"overflow": "auto", "width": f"{width}px"})
        own = [self.steering, self.last] if specimen.vectors else [self.last]
        self.widget = ipywidgets.VBox([ipywidgets.HBox(own), self._box])

    def update(self) -> None:
        """Does nothing, because a new logit lens always needs a forward pass."""

    def steps(self) -> Steps:
        """Reads the lens and draws the heatmap, if the view is open."""
        if not self.open:
            return
        fig = self._figure()
        yield
        width = max(self._size[0], _ROOM + _CELL * len(fig.layout.xaxis.tickvals))
        if self._picture is None:
            self._picture = Picture(fig, width, self._size[1], self._clicked)
            self._box.children = (self._picture.widget,)
        else:
            self._picture.draw(fig, width)

    def figures(self) -> "list[Figure]":
        """Returns the figure of the unsteered lens and, if something is steered, the figure of the steered lens."""
        lens = self._lens()
        return [lens.heatmap(steering) for steering in dict.fromkeys(lens.frame["steering"])]

    def to_frame(self) -> "pd.DataFrame":
        """Returns the most probable tokens, unsteered and steered."""
        return self._lens().to_frame()

    def as_code(self) -> str:
        """Returns code that makes the heatmap."""
        plan = ", plan" if self._hand.moves else ""
        shown = f'heatmap("{STEERED}")' if plan else "heatmap()"
        return f"{self._steering.plan_code()}sl.probing.token_lens(model, prompt{plan}, last={_LAST[self.last.value]}).{shown}"

    def _lens(self) -> TokenLens:
        """Returns the latest result if it is still valid, and otherwise reads the lens again."""
        chosen, last = self._selection, _LAST[self.last.value]
        moves: Moves = self._hand.moves
        key = (chosen.prompt, moves, last)
        if self._read is None or self._read[0] != key:
            plan = self._hand.plan_of(moves) if moves else None
            self._read = (key, token_lens(self._specimen.model, chosen.prompt, plan, last=last))
        return self._read[1]

    def _figure(self) -> "Figure":
        """Returns the figure of the chosen lens, with frames around the chosen layer and the layers of kept steps."""
        lens, wanted = self._lens(), self.steering.value
        there = set(lens.frame["steering"])
        fig = lens.heatmap(wanted if wanted in there and acting(self._hand.moves) else UNSTEERED)
        layers, ends = list(fig.layout.yaxis.ticktext), len(fig.layout.xaxis.tickvals) - 0.5
        for layer, line in (*((move.layer, KEPT) for move in self._hand.kept), (self._selection.layer, CHOSEN)):
            row = layers.index(str(layer))
            fig.add_shape(type="rect", x0=-0.5, x1=ends, y0=row - 0.5, y1=row + 0.5, line=line)
        return fig

    def _clicked(self, _: float | str, y: float | str) -> None:
        layer = round(float(y))  # every layer of the model is a row
        if layer in self._specimen.layers:
            self._selection.set(layer=layer)
