"""What must hold for the documentation, beside its examples: links lead somewhere, and every public name is described."""

import inspect
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import steerlens as sl
from links import ROOT, anchors, broken, external

DOCS = Path(__file__).parent
PARTS = tuple(name for name in sl.__all__ if inspect.ismodule(getattr(sl, name)))


def test_internal_links_lead_somewhere() -> None:
    assert broken() == []


def test_a_broken_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "README.md").write_text(
        "# A b, c!\n[x](#a-b-c) [y](gone.md) [z](README.md#gone) `[w](code.md)`\n"
    )
    monkeypatch.setattr("links.ROOT", tmp_path)
    assert anchors(tmp_path / "README.md") == {"a-b-c"}
    assert broken() == ["README.md: gone.md", "README.md: README.md#gone"]


def test_external_links_are_listed() -> None:
    assert "https://arxiv.org/abs/2510.26024" in external()


@pytest.mark.parametrize("part", PARTS)
def test_every_public_name_has_its_place_in_the_api(part: str) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    module = import_module(f"steerlens.{part}")
    if f"automodule:: steerlens.{part}" in pages:
        return
    described = set(re.findall(rf":: steerlens\.{part}\.(\w+)", pages))
    assert sorted(set(module.__all__) - described) == [], "add a directive to docs/api"


def test_every_name_of_the_package_has_its_place_in_the_api() -> None:
    import steerlens as sl

    pages = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    elsewhere = {
        "LensModel": "models",
        "load": "models",
        "SteerlensError": "errors",
        **dict.fromkeys(PARTS, ""),
    }
    missing = [
        name
        for name in sl.__all__
        if name not in elsewhere and f":: steerlens.{name}\n" not in pages
    ]
    assert missing == [], "add a directive to docs/api"


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = re.search(
        r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert cited is not None
    assert cited[1] == project["version"]
    assert f"version = {{{project['version']}}}" in (DOCS / "cite.md").read_text(
        encoding="utf-8"
    )
