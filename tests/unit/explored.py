"""Explorers that the tests of several files look at: of free prompts, and of items."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from places import some_items

import steerlens as sl
from steerlens.notebook.explorer import Explorer
from steerlens.steering import SteeringVector, difference_of_means

PROMPT = "Pregunta: ¿Qué se desayuna?\nRespuesta:"


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel) -> list[SteeringVector]:
    """One of English, and two of one name."""
    items = some_items().sample(24)
    es, ko = (difference_of_means(llama, items.english_pairs(code)) for code in ("es-ES", "ko-KR"))
    return [replace(es, locale="en-US", name="mine"), es, ko]


@pytest.fixture
def explorer(llama: sl.LensModel, vectors: list[SteeringVector]) -> Iterator[Explorer]:
    made = sl.explore(llama, prompts=[PROMPT, "The capital"], vectors=vectors, max_new_tokens=4)
    yield made
    made.close()


@pytest.fixture(scope="module")
def studied(llama: sl.LensModel) -> Explorer:
    return sl.explore(llama, some_items().sample(24), train_concepts=6, concepts=3, max_new_tokens=4)
