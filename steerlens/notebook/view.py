"""What every view of an explorer is."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


class View(ABC):
    """A part of the page that shows what is selected, and gives its data and the code that makes it."""

    widget: Any
    """What is put on the page."""
    controls: dict[str, Any]
    """Widgets of its own whose ``value`` says what it shows, by name."""

    @abstractmethod
    def update(self) -> None:
        """Shows what is selected now, as far as that takes no pass of the model."""

    @abstractmethod
    def figures(self) -> "list[Figure]":
        """What is selected now, as figures that need no kernel."""

    @abstractmethod
    def to_frame(self) -> "pd.DataFrame":
        """The data behind it."""

    @abstractmethod
    def as_code(self) -> str:
        """Code that makes it, from what ``sl.explore`` was given."""
