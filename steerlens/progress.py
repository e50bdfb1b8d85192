"""Shows the progress of long work on standard error, as a bar in a terminal and as a widget in a notebook."""

import os
import warnings
from typing import Any

SHOW_FROM = 50
"""The smallest number of steps for which a progress bar is shown."""


def progress(total: int, description: str, unit: str, *, show: bool = True) -> Any:
    """Returns a tqdm bar that shows the remaining time. Use the bar as a context manager, and call its ``update`` method. The
    environment variable ``TQDM_DISABLE=1`` hides all bars."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm warns in a notebook that has no widgets, and then prints a text bar
        from tqdm.auto import tqdm
    hidden = not show or bool(os.environ.get("TQDM_DISABLE"))  # tqdm's widget does not read this variable
    return tqdm(total=total, desc=description, unit=unit, leave=False, smoothing=0.1, disable=hidden)


def advance(bar: Any, share: float) -> None:
    """Adds a number of steps to a progress bar. The number may be a fraction of a step, and the bar shows only completed
    steps."""
    bar.done = getattr(bar, "done", 0.0) + share
    bar.update(int(bar.done + 1e-6) - bar.n)
