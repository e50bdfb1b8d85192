"""The versions that pyproject.toml allows, and the two ends of them that are tested: `make oldest` and constraints.txt."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import oldest

ROOT = Path(__file__).parents[2]


def _pins(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def _requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for text in (*project["dependencies"], *(text for extra in extras for text in extra))]


def test_the_oldest_versions_are_those_of_pyproject() -> None:
    """Every requirement but torch is pinned, to the one version that its range names."""
    printed = subprocess.run([sys.executable, oldest.__file__], capture_output=True, text=True, check=True).stdout
    pins = _pins(printed)
    asked = [one for one in _requirements() if one.name != "torch"]
    assert set(pins) == {canonicalize_name(one.name) for one in asked}
    for one in asked:
        assert {bound.version for bound in one.specifier} == {pins[canonicalize_name(one.name)]}


def test_the_newest_tested_versions_are_allowed() -> None:
    pins = _pins((ROOT / "constraints.txt").read_text())
    refused = [f"{one} not {pins.get(canonicalize_name(one.name))}" for one in _requirements() if not _allows(one, pins)]
    assert not refused


def _allows(one: Requirement, pins: dict[str, str]) -> bool:
    if [bound.operator for bound in one.specifier] == ["=="]:  # vLLM's, which have an environment of their own
        return True
    return canonicalize_name(one.name) in pins and one.specifier.contains(pins[canonicalize_name(one.name)])


@pytest.mark.parametrize(
    ("requirement", "message"),
    [("numpy", "neither"), ("numpy<3", "neither"), ("numpy>=2.0,<3", "neither"), ("numpy>=2.1", "two lower bounds")],
)
def test_a_requirement_needs_one_lower_bound(
    requirement: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(f"[project]\ndependencies = ['numpy>=2.0']\noptional-dependencies.more = ['{requirement}']\n")
    monkeypatch.setattr(oldest, "PROJECT", project)
    with pytest.raises(ValueError, match=message):
        oldest.bounds()
