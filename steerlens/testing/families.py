"""Lists the architectures for which tiny models are made."""

from steerlens.testing.composed import COMPOSED
from steerlens.testing.dense import DENSE
from steerlens.testing.family import Family
from steerlens.testing.mixed import MIXED

FAMILIES: tuple[Family, ...] = (*DENSE, *MIXED, *COMPOSED)
"""All architectures: dense architectures with attention and one MLP in each layer, architectures with experts or states, and
architectures that also take images or sounds."""
