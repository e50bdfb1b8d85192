"""Defines the interface of every view of an explorer."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


class View(ABC):
    """A part of the page that shows the selection. A view can return its data and the code that makes it."""

    widget: Any
    """The widget that the explorer puts on the page."""
    controls: dict[str, Any]
    """The view's own widgets by name. The ``value`` of each widget decides what the view shows."""

    @abstractmethod
    def update(self) -> None:
        """Shows all parts of the current selection that need no forward pass of the model."""

    @abstractmethod
    def figures(self) -> "list[Figure]":
        """Returns figures of the current selection. The figures can be shown without a running kernel."""

    @abstractmethod
    def to_frame(self) -> "pd.DataFrame":
        """Returns the data that the view shows."""

    @abstractmethod
    def as_code(self) -> str:
        """Returns code that makes the view from the arguments of ``sl.explore``."""
