"""Gives damaged and hostile files to every loader: ``python -m steerlens.testing.fuzz --cases 10000`` (``make fuzz``).

A target is a loader with valid files that it can load. A case is a target and a number. The number and the seed decide how the
valid files are damaged. Each case must end in a ``SteerlensError`` or in a correct result, within ten seconds and with little
memory. A case must not execute code from a file or leave files behind.
"""

from steerlens.testing.fuzz.judging import Verdict, judged
from steerlens.testing.fuzz.mutations import Tree, mutated
from steerlens.testing.fuzz.target import Target
from steerlens.testing.fuzz.targets import TARGETS

__all__ = ["TARGETS", "Target", "Tree", "Verdict", "judged", "mutated"]
