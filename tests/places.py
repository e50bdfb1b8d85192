"""The device that the tests' models are on: the one that ``STEERLENS_TEST_DEVICE`` names, else the CPU."""

import importlib
import os

DEVICE = os.environ.get("STEERLENS_TEST_DEVICE", "cpu")
"""A device of PyTorch, or ``pretend``."""
HERE = {"device": DEVICE, "dtype": "float32"}
"""What ``steerlens.load`` is given, since a GPU's own choice is bfloat16."""
if DEVICE == "pretend":
    importlib.import_module(DEVICE)
