"""The logit lens of the chosen prompt, token by token."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.notebook.latest import Steps
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.steering_view import SteeringView
from steerlens.notebook.view import View
from steerlens.plotting.live import live, redraw
from steerlens.probing import TokenLens, token_lens

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


class TokensView(View):
    """Unsteered above, steered below. Read only while it is open, since it unembeds every layer."""

    def __init__(self, specimen: Specimen, steering: SteeringView, width: int, last: int) -> None:
        self._specimen, self._steering, self._last, self._width = specimen, steering, last, width
        self._shown: tuple[Any, ...] = ()
        self._box = ipywidgets.VBox([ipywidgets.HTML("<i>reading …</i>")])
        self.widget = ipywidgets.Accordion([self._box], titles=("Logit lens of the prompt, token by token",))

    def update(self) -> None:
        """Nothing can be said without a pass."""

    def steps(self) -> Steps:
        """Reads and draws, if it is open."""
        if self.widget.selected_index is None:
            return
        figures = self.figures()
        yield
        if self._shown:
            for shown, fig in zip(self._shown, figures, strict=True):
                redraw(shown, fig)
        else:
            self._shown = tuple(live(fig, self._width) for fig in figures)
            self._box.children = self._shown

    def figures(self) -> "list[Figure]":
        """Unsteered and steered."""
        lens = self._lens()
        return [lens.heatmap("unsteered"), lens.heatmap("steered")]

    def to_frame(self) -> "pd.DataFrame":
        """The most probable tokens, unsteered and steered."""
        return self._lens().to_frame()

    def as_code(self) -> str:
        """Code that makes the steered heatmap."""
        plan = self._steering.as_code().rpartition("\n")[0]
        return f'{plan}\nsl.probing.token_lens(model, item.prompt(), plan, last={self._last}).heatmap("steered")'

    def _lens(self) -> TokenLens:
        return token_lens(self._specimen.model, self._steering.item.item.prompt(), self._steering.plan, last=self._last)
