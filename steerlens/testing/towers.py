"""Makes multimodal models without vision and audio towers, because the towers need packages that the checks do not use."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from unittest import mock

import torch

from steerlens.testing.family import Family


@contextmanager
def without_towers(family: Family) -> Iterator[None]:
    """Makes models inside the ``with`` block without the vision and audio towers that the family leaves out. Texts do not pass
    through towers."""
    if not family.towers_need:
        yield
        return
    stand_in = ModuleType(family.towers_need)
    stand_in.__spec__ = ModuleSpec(family.towers_need, None)
    modeling = import_module(_class(family).__module__)

    class TextOnly:
        """Makes only language models, in the same way as ``AutoModel``."""

        @staticmethod
        def from_config(config: Any, **named: Any) -> Any:
            """Returns the model for a config, if the config belongs to a language model. Otherwise, returns a module that does
            nothing."""
            return auto.from_config(config, **named) if "text" in config.model_type else torch.nn.Identity()

    auto = modeling.AutoModel
    missing = family.towers_need not in sys.modules
    sys.modules.setdefault(family.towers_need, stand_in)
    try:
        with mock.patch.object(modeling, "AutoModel", TextOnly):
            yield
    finally:
        if missing:
            del sys.modules[family.towers_need]


def _class(family: Family) -> Any:
    import transformers

    return getattr(transformers, family.model)
