"""The architectures for which tiny models are made."""

from steerlens.testing.composed import COMPOSED
from steerlens.testing.dense import DENSE
from steerlens.testing.family import Family
from steerlens.testing.mixed import MIXED

FAMILIES: tuple[Family, ...] = (*DENSE, *MIXED, *COMPOSED)
"""All architectures: those with plain attention and one MLP in a layer, others, and those that take more than text."""
