"""Runs the Python of these pages: a block with ``>>>`` as a doctest, any other as a script, a page in one namespace.

``sl.load`` gives the tiny model whatever name it is asked for, and the atlas is cut to a few concepts, so that code is run as it
stands on the page. Before a block that needs a network, a GPU or a file of the reader's stands ``<!--- skip: next -->``.
"""

import os
from collections.abc import Iterable
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import plotly.io
import pytest
import torch
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

import steerlens as sl
from steerlens.steering.contrasts import CONTRASTS
from steerlens.steering.edits import EDITS
from tiny_model import tiny_model

CONCEPTS = 12
"""Of each kind: what is left of the atlas."""

_REGISTRIES: tuple[dict[str, Any], ...] = (sl.evaluation.SCORES, CONTRASTS, EDITS)
_BUILT_IN = tuple(dict(registry) for registry in _REGISTRIES)
_model = cache(tiny_model)
_atlas = sl.data.atlas
_started_in, _folders, _registered = os.getcwd(), [], []


def _load(name: Any, *_: Any, **__: Any) -> sl.LensModel:
    return _model() if isinstance(name, str) else sl.LensModel(name)


def _few(*given: Any, **settings: Any) -> sl.data.Items:
    return _atlas(*given, **settings).sample(CONCEPTS)


@cache
def _examples() -> dict[str, Any]:
    """What the examples of the API begin with."""
    items = _few(["es-ES", "ko-KR"])
    split = items.split(seed=0)
    stack = _model().residuals(items.prompts())
    vectors = sl.steering.take(stack, split.train)
    en, loc = vectors["EN", "es-ES"], vectors["LOC", "es-ES"]
    plan = 0.5 * en.at(5) + 2 * loc.at(14)
    return {
        "sl": sl,
        "model": _model(),
        "items": items,
        "split": split,
        "stack": stack,
        "vectors": vectors,
        "en": en,
        "loc": loc,
        "plan": plan,
    }


def _set(contents: Iterable[dict[str, Any]]) -> None:
    """Fills the registries: what a page registers stays on that page, and what tests registered is not seen there."""
    for registry, own in zip(_REGISTRIES, contents, strict=True):
        registry.clear()
        registry.update(own)


def _begin(namespace: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    plotly.io.renderers.default = ""
    namespace.update(_examples())
    sl.load, sl.data.atlas = _load, _few  # type: ignore[assignment]
    _registered.append([dict(registry) for registry in _REGISTRIES])
    _set(_BUILT_IN)
    _folders.append(TemporaryDirectory())
    os.chdir(_folders[-1].name)


def _end(_: dict[str, Any]) -> None:
    _set(_registered.pop())
    os.chdir(_started_in)
    _folders.pop().cleanup()
    del sl.load
    sl.data.atlas = _atlas


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")


pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE),
        SkipParser(),
    ],
    patterns=["*.md"],
    excludes=["repository/*.md"],
    setup=_begin,
    teardown=_end,
).pytest()
