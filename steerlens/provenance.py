"""Describes how a result was made, for manifests and for the metadata of tables."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("steerlens", "torch", "transformers", "transformer-lens", "scikit-learn", "numpy", "pandas", "plotly")
"""The packages whose versions are recorded."""


def provenance(**parts: Any) -> dict[str, Any]:
    """Returns JSON values that say how a result was made: the given parts, and the versions of Python and of the packages.

    Args:
        parts: other information, for example ``model=model.fingerprint.to_dict()``. Parts that are ``None`` are left out.
    """
    own = {name: value for name, value in parts.items() if value is not None}
    versions = {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}
    return json.loads(json.dumps({**own, "versions": versions}))  # tuples become lists, as in a file


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
