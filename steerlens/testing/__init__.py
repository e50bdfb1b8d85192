"""Compares the engine with Hugging Face alone, on tiny random models of many architectures.

``python -m steerlens.testing.architectures`` runs all comparisons.
"""

from steerlens.testing.families import FAMILIES
from steerlens.testing.family import Family

__all__ = ["FAMILIES", "Family"]
