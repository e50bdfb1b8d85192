"""What is built for a release holds the whole package, and nothing of the project beside it."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_KEPT_OUT = shutil.ignore_patterns("__pycache__", "results", ".*")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both archives, built as ``make dist`` does, but with the setuptools that is there: no network is needed."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, tree)
    for name in ("steerlens", "tests", "experiments"):
        shutil.copytree(ROOT / name, tree / name, ignore=_KEPT_OUT)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    """The wheel, which was built from the source archive."""
    return zipfile.ZipFile(next(built.glob("*.whl")))


def _files() -> set[str]:
    """Every file of the package in the tree, code and data."""
    found = (path for path in (ROOT / "steerlens").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_the_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    """Data files too: one of a new kind needs its line under ``package-data`` in pyproject.toml."""
    there = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert sorted(_files() - there) == []
    assert sorted(there - _files()) == []


def test_the_files_that_are_compared_are_of_every_kind() -> None:
    kinds = {PurePosixPath(name).suffix for name in _files()}
    assert {".py", ".json", ".jsonl", ".css", ".js", ".html"} <= kinds
    assert {"steerlens/py.typed", "steerlens/testing/tokenizer.json"} <= _files()


def test_the_data_of_the_wheel_are_those_of_the_tree(wheel: zipfile.ZipFile) -> None:
    data = [name for name in _files() if not name.endswith(".py")]
    assert [name for name in data if wheel.read(name) != (ROOT / name).read_bytes()] == []


def test_the_wheel_has_nothing_but_the_package(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"steerlens", f"steerlens-{PROJECT['version']}.dist-info"}


def test_the_source_archive_has_neither_tests_nor_experiments(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()} - {""}
    assert {name for name in names if name.split("/")[0] in ("tests", "experiments", "docs", "notebooks")} == set()
    assert {"LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml"} <= names
    assert names >= _files()


def test_the_metadata_name_command_licences_and_extras(wheel: zipfile.ZipFile) -> None:
    info = f"steerlens-{PROJECT['version']}.dist-info"
    told = message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert told["License-Expression"] == "MIT"
    assert set(told.get_all("License-File", [])) == {"LICENSE", "NOTICE"}
    assert set(told.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= set(wheel.namelist())
    assert "steerlens = steerlens.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
