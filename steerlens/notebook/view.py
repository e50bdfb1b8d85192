"""The interface of every view of an explorer."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


class View(ABC):
    """A part of the page that shows the selection, and returns its data and the code that makes it."""

    widget: Any
    """The widget that is put on the page."""
    controls: dict[str, Any]
    """The view's own widgets, by name, whose ``value`` decides what it shows."""

    @abstractmethod
    def update(self) -> None:
        """Shows the current selection, as far as no pass of the model is needed."""

    @abstractmethod
    def figures(self) -> "list[Figure]":
        """The current selection as figures that need no kernel."""

    @abstractmethod
    def to_frame(self) -> "pd.DataFrame":
        """The data behind the view."""

    @abstractmethod
    def as_code(self) -> str:
        """Code that makes the view from the arguments of ``sl.explore``."""
