"""Parallel texts for training: a corpus class, and a loader for each source."""

from steerlens.data.parallel.aya import aya
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.culture import culture
from steerlens.data.parallel.facts import facts
from steerlens.data.parallel.flores import flores
from steerlens.data.parallel.leaks import Leak
from steerlens.data.parallel.manuals import manuals
from steerlens.data.parallel.names import names
from steerlens.data.parallel.opus100 import opus100
from steerlens.data.parallel.tatoeba import tatoeba
from steerlens.data.parallel.texts import ParallelText

__all__ = [
    "Leak",
    "ParallelCorpus",
    "ParallelText",
    "aya",
    "culture",
    "facts",
    "flores",
    "manuals",
    "names",
    "opus100",
    "tatoeba",
]
