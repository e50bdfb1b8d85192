"""The engine held against Hugging Face alone, on tiny random models of many architectures.

``python -m steerlens.testing.architectures`` runs all of it.
"""

from steerlens.testing.families import FAMILIES
from steerlens.testing.family import Family

__all__ = ["FAMILIES", "Family"]
