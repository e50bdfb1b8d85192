"""Prints constraints that pin each direct dependency to its lower bound in pyproject.toml, for `make oldest`.

``name>=1.2`` becomes ``name==1.2``. Torch is left out: its builds are large, and the Makefile says which one is tested. Only the
standard library is needed, so that this runs before anything is installed.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)[>=]=([0-9][0-9a-z.]*)")


def bounds() -> dict[str, str]:
    """The lower bound of each direct dependency, those of the extras included.

    Raises:
        ValueError: a requirement without a lower bound, or one that stands twice with different bounds.
    """
    project = tomllib.loads(PROJECT.read_text())["project"]
    found: dict[str, str] = {}
    for requirement in [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]:
        parts = _REQUIREMENT.fullmatch(requirement)
        if parts is None:
            raise ValueError(f"{requirement!r} is neither name>=version nor name==version.")
        name, version = parts.groups()
        if found.setdefault(name, version) != version:
            raise ValueError(f"{name} has two lower bounds, {found[name]} and {version}: expected the same in every extra.")
    return found


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}=={version}\n" for name, version in bounds().items() if name != "torch")
