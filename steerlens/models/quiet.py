"""Silences the progress bars and log messages of other libraries while steerlens shows its own progress bars."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Switches off progress bars, warnings and other messages below the level of an error in Transformers and accelerate. The
    switch applies only inside the ``with`` block."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    places = getLogger("accelerate")
    of_places = places.level
    places.setLevel(ERROR)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        places.setLevel(of_places)
        if bars:
            logging.enable_progress_bar()
