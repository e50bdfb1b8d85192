"""Progress of long work on standard error: a bar in a terminal, a widget in a notebook."""

import os
import warnings
from typing import Any

SHOW_FROM = 50
"""The smallest number of steps for which a progress bar is shown."""


def progress(total: int, description: str, unit: str, *, show: bool = True) -> Any:
    """A tqdm bar with the remaining time. Call its ``update``, and use it as a context manager. ``TQDM_DISABLE=1`` hides all
    bars."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm warns in a notebook that has no widgets, and then prints a text bar
        from tqdm.auto import tqdm
    hidden = not show or bool(os.environ.get("TQDM_DISABLE"))  # asked here too: tqdm's widget does not read the variable
    return tqdm(total=total, desc=description, unit=unit, leave=False, smoothing=0.1, disable=hidden)


def advance(bar: Any, share: float) -> None:
    """Adds a part of a step, which may be a fraction. The bar counts completed steps."""
    bar.done = getattr(bar, "done", 0.0) + share
    bar.update(int(bar.done + 1e-6) - bar.n)
