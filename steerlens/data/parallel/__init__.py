"""Parallel texts to train on: a corpus of them, and a loader for each source."""

from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.facts import facts
from steerlens.data.parallel.leaks import Leak
from steerlens.data.parallel.texts import ParallelText

__all__ = [
    "Leak",
    "ParallelCorpus",
    "ParallelText",
    "facts",
]
