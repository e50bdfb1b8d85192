"""steerlens: see and steer factual transfer and cultural localization in multilingual language models.

    import steerlens as sl

    model = sl.load("gemma-3-270m")
    items = sl.data.atlas(locales=["es-ES", "ko-KR"])

The import of steerlens is cheap. Each part of the package is imported at its first use, and PyTorch is imported with the first
part that needs PyTorch.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steerlens import (
        alignment,
        data,
        errors,
        evaluation,
        exchange,
        harness,
        models,
        plotting,
        probing,
        report,
        statistics,
        steering,
        testbed,
        vllm,
    )
    from steerlens.activations import ResidualStack
    from steerlens.errors import SteerlensError
    from steerlens.executors import ray
    from steerlens.models import LensModel, load
    from steerlens.notebook import explore
    from steerlens.results import Study
    from steerlens.settings import StudySettings
    from steerlens.study import run_study

try:
    __version__ = version("steerlens")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"

_PARTS = (
    "alignment",
    "data",
    "errors",
    "evaluation",
    "exchange",
    "harness",
    "models",
    "plotting",
    "probing",
    "report",
    "statistics",
    "steering",
    "testbed",
    "vllm",
)
_NAMES = {
    "LensModel": "steerlens.models",
    "ResidualStack": "steerlens.activations",
    "SteerlensError": "steerlens.errors",
    "Study": "steerlens.results",
    "StudySettings": "steerlens.settings",
    "explore": "steerlens.notebook",
    "load": "steerlens.models",
    "ray": "steerlens.executors",
    "run_study": "steerlens.study",
}

__all__ = [
    "LensModel",
    "ResidualStack",
    "SteerlensError",
    "Study",
    "StudySettings",
    "alignment",
    "data",
    "errors",
    "evaluation",
    "exchange",
    "explore",
    "harness",
    "load",
    "models",
    "plotting",
    "probing",
    "ray",
    "report",
    "run_study",
    "statistics",
    "steering",
    "testbed",
    "vllm",
]


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"steerlens.{name}")
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'steerlens' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
