"""The notebooks as they are kept: valid, numbered, run without errors, of public names only, and with working links."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

import steerlens as sl

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
OF_A_MACHINE = re.compile(r"(?<![\w.:/])/(?:root|home|Users|work|tmp|var|opt|mnt)/|[A-Z]:\\\\Users")


def _read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def _code(path: Path) -> str:
    return "\n".join(cell.source for cell in _read(path).cells if cell.cell_type == "code")


def _texts(path: Path) -> Iterator[str]:
    """Sources and what cells printed, without pictures."""
    for cell in _read(path).cells:
        yield cell.source
        for out in cell.get("outputs", ()):
            yield out.get("text", "")
            yield from (str(value) for kind, value in out.get("data", {}).items() if not kind.startswith("image/"))


def private_names(code: str) -> list[str]:
    """What code uses of steerlens beyond its public names."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute):
            chain = ast.unparse(node).split(".")
            if (
                (node.attr.startswith("_") and not node.attr.endswith("__"))
                or (chain[0] == "sl" and len(chain) == 2 and chain[1] not in sl.__all__)
                or (chain[0] == "sl" and len(chain) == 3 and chain[2] not in _public(chain[1]))
            ):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("steerlens"):
            found.append(ast.unparse(node))
    return found


def _public(part: str) -> list[str]:
    """Names of a part; of a class or function of the package itself, all that it has."""
    if isinstance(getattr(sl, part, None), type) or callable(getattr(sl, part, None)):
        return dir(getattr(sl, part))
    return list(import_module(f"steerlens.{part}").__all__)


def test_they_are_numbered_in_order() -> None:
    assert [path.stem[:3] for path in NOTEBOOKS] == [f"{number:02}_" for number in range(1, len(NOTEBOOKS) + 1)]
    assert len(NOTEBOOKS) >= 7


@each_notebook
def test_is_valid_and_begins_and_ends_with_words(path: Path) -> None:
    notebook = _read(path)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == notebook.cells[-1].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert LINK.search(notebook.cells[-1].source) or "sl." in notebook.cells[-1].source, "ends without a place to go next"


@each_notebook
def test_was_run_from_top_to_bottom_without_errors(path: Path) -> None:
    cells = [cell for cell in _read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [out for cell in cells for out in cell.outputs]
    assert not [out for out in outputs if out.output_type == "error"]
    assert not [out.text for out in outputs if out.get("name") == "stderr" and "Warning" in out.text]
    figures = [out for out in outputs if "application/vnd.plotly.v1+json" in out.get("data", {})]
    assert figures
    assert all("image/png" in out.data for out in figures), "a figure that would not be seen on the web"


@each_notebook
def test_uses_public_names_only(path: Path) -> None:
    assert private_names(_code(path)) == []


@pytest.mark.parametrize(
    ("code", "private"),
    [
        ("import steerlens as sl\nsl.load('x')\nsl.evaluation.sweep()\nsl.Study.load('x')", False),
        ("sl.evaluation.nothing_such()", True),
        ("sl.nothing_such()", True),
        ("model._unembeds", True),
        ("from steerlens.evaluation.grid import Grid", True),
    ],
)
def test_private_names_are_found(code: str, private: bool) -> None:
    assert bool(private_names(code)) == private


@each_notebook
def test_holds_no_path_of_a_machine(path: Path) -> None:
    assert [found.group() for text in _texts(path) for found in OF_A_MACHINE.finditer(text)] == []


@each_notebook
def test_links_lead_somewhere(path: Path) -> None:
    links = [link for cell in _read(path).cells if cell.cell_type == "markdown" for link in LINK.findall(cell.source)]
    assert [link for link in links if not (FOLDER / link).exists()] == []


@each_notebook
def test_widgets_leave_no_state_behind(path: Path) -> None:
    """It is twenty times the rest, and nothing shows it: pictures stand for the widgets."""
    assert "widgets" not in _read(path).metadata
