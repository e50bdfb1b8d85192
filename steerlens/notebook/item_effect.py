"""Shows the effect of steering on one item: the margin by strength, and the scores of the choices before and after steering. The
margin is predicted at once."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.evaluation import Outcome
from steerlens.evaluation.item_choices import ItemChoices, compared
from steerlens.notebook.hand import Hand, Moves, acting
from steerlens.notebook.latest import Steps
from steerlens.notebook.live_item import LiveItem
from steerlens.notebook.picture import Picture
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.plotting import margin_curve

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_LONGEST = 18
"""The number of letters of a choice that are shown next to its bar."""
_BEFORE = {"symbol": "x-thin-open", "size": 8, "color": "#5f6b7a", "line": {"width": 2}}


class ItemEffect:
    """The view of one item: the curve of the margin by strength, and the bars of the choices."""

    def __init__(self, specimen: Specimen, selection: Selection, hand: Hand, limit: float, width: int, height: int) -> None:
        self._specimen, self._selection, self._hand, self._limit = specimen, selection, hand, limit
        self._live: dict[Any, LiveItem] = {}
        self._others: dict[Any, Outcome] = {}
        self.item.derive()
        self._run()  # complete figures need no later message, which a slow page could miss
        half = width // 2 - 2
        self._curve, self._bars = Picture(self._margins(), half, height), Picture(self._bar_chart(), half, height)
        self.widget = ipywidgets.HBox([self._curve.widget, self._bars.widget])

    @property
    def item(self) -> LiveItem:
        """The known results for the chosen item."""
        chosen, kept = self._selection, self._hand.kept
        key = (chosen.locale, chosen.concept, chosen.tokens, kept)
        if key not in self._live:
            item, vectors = self._specimen.item(chosen.locale, chosen.concept), list(chosen.offered.values())
            tokens: Any = chosen.tokens
            before = self._hand.plan_of(kept) if kept else None
            self._live[key] = LiveItem(self._specimen.model, item, vectors, self._specimen.layers, tokens, before)
        return self._live[key]

    def update(self) -> str:
        """Draws the predicted margin, if the prediction needs no further forward pass.

        Returns:
            The results that are known now, as HTML.
        """
        if not self.item.derived:
            return "<i>reading the prompt …</i>"
        self._curve.draw(self._margins())
        return self._saying()

    def steps(self) -> Steps:
        """Computes the derivative of the margin, and then the exact scores of the choices."""
        self.item.derive()
        yield
        self._run()
        self._bars.draw(self._bar_chart())
        yield

    def verdict(self, moves: Moves) -> str:
        """Runs the item under a steering plan, and returns a short text on the effect."""
        outcome, moves = self.item.unsteered, acting(moves)
        if moves:
            key = (self._selection.locale, self._selection.concept, moves)
            if key not in self._others:
                known = self._known() if moves == acting(self._hand.moves) else None
                self._others[key] = known or self.item.score(self._hand.plan_of(moves))
            outcome = self._others[key]
        return f"margin {outcome.margin:+.2f} {'✓' if outcome.correct else '✗'}" if outcome.valid else "scores are not finite"

    def figures(self) -> "list[Figure]":
        """Returns the curve of the margin by strength, and the bars of the choices."""
        self._run()
        return [self._margins(), self._choices().plot()]

    def to_frame(self) -> "pd.DataFrame":
        """Returns the choices with their scores, unsteered and steered."""
        self._run()
        return self._choices().to_frame()

    def curve(self) -> "pd.DataFrame":
        """Returns the margin by strength in three columns: the current prediction, the exact margin if it was computed, and the
        prediction that was made before the exact margin was computed."""
        return self.item.curve(self._selection.vector, self._selection.layer, self._limit)

    def _run(self) -> None:
        move = self._selection.move
        if move is not None:
            self.item.run(move.plan(self._specimen.vectors), move.spec)

    def _known(self) -> Outcome | None:
        chosen = self._selection
        return self.item.known(chosen.vector, chosen.layer).get(chosen.strength)

    def _choices(self) -> ItemChoices:
        """Returns the known scores of the choices. Before the plan has been run, only the unsteered scores are known."""
        return compared(self.item.unsteered, self._known())

    def _bar_chart(self) -> "Figure":
        fig = self._choices().plot().update_xaxes(title_text="share")
        return fig.update_yaxes(ticktext=[_short(name) for name in fig.layout.yaxis.ticktext])

    def _margins(self) -> "Figure":
        chosen, frame = self._selection, self.curve()
        fig = margin_curve(frame, chosen.strength, f"{chosen.vector} {chosen.locale} at layer {chosen.layer}")
        missed = frame[frame["before"].notna()]
        fig.add_scatter(x=missed["strength"], y=missed["before"], mode="markers", marker=_BEFORE, name="predicted first")
        fig.update_traces(showlegend=False, selector={"name": "predicted"})  # the dotted line has no space for all three
        return fig.update_traces(hovertemplate="strength %{x:+.2f}: %{y:+.2f}<extra>%{fullData.name}</extra>")

    def _saying(self) -> str:
        chosen, item, run = self._selection, self.item, self._known()
        predicted = item.said_before(chosen.vector, chosen.layer, chosen.strength)
        exact = (
            "<i>running …</i>"
            if run is None
            else "run: <b>NaN or infinite scores</b>, lower the strength"
            if not run.valid
            else f"run <b>{run.margin:+.2f}</b> {'✓' if run.correct else '✗'}"
        )
        return (
            f"margin in nats per token: unsteered <b>{item.unsteered.margin:+.2f}</b>, predicted <b>{predicted:+.2f}</b>, {exact}"
        )


def _short(name: str) -> str:
    bold = name.startswith("<b>")
    plain = name.removeprefix("<b>").removesuffix("</b>")
    plain = plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"
    return f"<b>{plain}</b>" if bold else plain
