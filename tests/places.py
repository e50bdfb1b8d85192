"""Where the tests' models are (``STEERLENS_TEST_DEVICE``, else the CPU), and the items that tests read."""

import importlib
import os
from pathlib import Path

from steerlens.data import Items, load_items

DEVICE = os.environ.get("STEERLENS_TEST_DEVICE", "cpu")
"""A device of PyTorch, or ``pretend``."""
HERE = {"device": DEVICE, "dtype": "float32"}
"""What ``steerlens.load`` is given, since a GPU's own choice is bfloat16."""
if DEVICE == "pretend":
    importlib.import_module(DEVICE)

TEXTS = Path(__file__).parent / "texts"
"""Questions and answers that the tests rest on, which no change of the atlas moves."""


def some_items() -> Items:
    """Forty concepts of each kind in English, Spanish and Korean."""
    return load_items(TEXTS / "items.jsonl")
