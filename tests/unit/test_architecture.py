"""The arrows of import, and who may import what."""

import ast
from functools import cache
from pathlib import Path

import steerlens

ROOT = Path(steerlens.__file__).parent
FOUNDATION = {"errors", "numeric", "parquet", "scratch", "storage", "statistics", "progress"}
ALLOWED = {
    "errors": set(),
    "numeric": {"errors"},
    "parquet": set(),
    "progress": set(),
    "scratch": set(),
    "statistics": {"errors"},
    "storage": {"errors"},
    "scores": {"errors"},
    "provenance": set(),
    "executors": {"provenance"},
    "tables": {"errors", "storage"},
    "fingerprint": {"errors"},
    "data": {"errors"},
    "settings": {"data"},
    "options": set(),
    "activations": {"data", "fingerprint"},
    "models": {"data", "activations", "fingerprint"},
    "plotting": {"scores"},
    "probing": {"data", "activations", "models", "steering", "tables", "plotting"},
    "steering": {
        *("data", "activations", "exchange", "fingerprint", "hub", "models"),
        *("provenance", "scores", "settings", "tables"),
    },
    "hub": {"fingerprint", "provenance", "tables"},
    "harness": {"data", "evaluation", "models", "provenance", "scores", "steering"},
    "exchange": {"fingerprint", "models", "settings", "steering"},
    "evaluation": {
        "activations",
        "data",
        "fingerprint",
        "models",
        "settings",
        "steering",
        "scores",
        "provenance",
        "tables",
        "plotting",
    },
    "alignment": {
        *("activations", "data", "evaluation", "fingerprint", "models", "probing"),
        *("plotting", "provenance", "steering", "tables", "training"),
    },
    "training": set(),
    "vllm": {"models", "fingerprint", "steering"},
    "testbed": {"data", "models", "evaluation", "probing", "provenance", "steering", "tables"},
    "testing": {
        *("activations", "alignment", "cli", "data", "evaluation", "exchange", "fingerprint", "harness", "models", "probing"),
        *("provenance", "results", "scores", "settings", "steering", "tables", "vllm"),
    },
    "results": {"activations", "data", "evaluation", "plotting", "probing", "scores", "steering", "tables", "report"},
    "study": {
        *("activations", "data", "evaluation", "models", "probing"),
        *("provenance", "results", "settings", "steering"),
    },
    "notebook": {"activations", "data", "evaluation", "models", "plotting", "probing", "settings", "steering"},
    "report": {"evaluation", "models", "plotting", "results"},
    "commands": {
        *("alignment", "data", "evaluation", "models", "options", "plotting", "probing"),
        *("report", "results", "settings", "steering", "study", "training", "vllm"),
    },
    "cli": {"commands", "data", "options", "settings", "training"},
}
LAZY = {"exchange", "plotting", "report"}  # results draw themselves: imported inside a method, where it cannot make a circle
"""Parts that others may import inside a function only."""


@cache
def _modules() -> list[tuple[str, Path, ast.Module]]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        relative = path.relative_to(ROOT)
        part = relative.parts[0].removesuffix(".py")
        if part != "__init__":
            found.append((part, path, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_arrows_go_one_way() -> None:
    for part, path, tree in _modules():
        targets = {name.split(".")[1] for name in _imported(tree) if name.startswith("steerlens.")}
        assert targets - {part} - FOUNDATION <= ALLOWED[part], path


def test_what_runs_a_model_is_known_in_models_only() -> None:
    """Another backend is one file: nothing else looks into a bridge or into Hugging Face's model."""
    for part, path, tree in _modules():
        looked_at = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if part == "models" and (path.parent.name == "backends" or path.name in ("lens.py", "loading.py")):
            continue  # the bridge's own backend, LensModel.tl for users, and what boots a bridge
        assert not {"tl", "original_model"} & looked_at, path


def test_the_engine_knows_no_items() -> None:
    """Rows of tokens go in and log probabilities come out; what they are scores of is said in ``evaluation``."""
    engine = ("engine", "resumed", "plain", "packing", "targets", "trust", "computed", "plans")
    for name in engine:
        tree = ast.parse((ROOT / "models" / f"{name}.py").read_text(encoding="utf-8"))
        targets = {imported.split(".")[1] for imported in _imported(tree) if imported.startswith("steerlens.")}
        assert targets <= {"models", "errors"}, name


def test_figures_and_reports_are_imported_when_asked_for() -> None:
    for part, path, tree in _modules():
        if part == "notebook" and path.name != "__init__.py":
            continue  # a face: nothing of it is imported before a figure is asked for
        top = {
            name.split(".")[1]
            for node in tree.body
            for name in _imported(ast.Module([node], []))
            if name.startswith("steerlens.")
        }
        outside_functions = {
            n for n in top if any(isinstance(x, ast.ImportFrom) and f"steerlens.{n}" in (x.module or "") for x in tree.body)
        }
        assert not (outside_functions & LAZY) - {part}, path


def test_heavy_packages_have_one_importer() -> None:
    owners = {"transformer_lens": {"models"}, "plotly": {"plotting", "report"}}
    for part, path, tree in _modules():
        body = ast.Module([node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)], [])
        typed_only = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for name in _imported(node)
        }
        for package, allowed in owners.items():
            uses = any(name.split(".")[0] == package for name in _imported(body) - typed_only)
            assert not uses or part in allowed, path


def test_statistics_know_numbers_alone() -> None:
    known = {"collections", "dataclasses", "jaxtyping", "math", "numpy", "statistics", "steerlens", "typing"}
    for part, path, tree in _modules():
        assert part != "statistics" or {name.split(".")[0] for name in _imported(tree)} <= known, path


def test_no_unpickling_and_no_remote_code() -> None:
    for _, path, _ in _modules():
        text = path.read_text(encoding="utf-8")
        for harmless in ("allow_pickle=False", "pickle.find_class"):  # the second is watched for
            text = text.replace(harmless, "")
        for forbidden in ("pickle", "torch.load", "trust_remote_code=True"):
            assert forbidden not in text, (path, forbidden)


def test_public_functions_have_docstrings() -> None:
    for _, path, tree in _modules():
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        inner = {node for function in functions for node in ast.walk(function) if node is not function}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                overload = any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)
                assert node in inner or overload or ast.get_docstring(node), (path, node.name)


def test_no_two_public_classes_have_one_name() -> None:
    """One name means one thing, wherever it is imported from."""
    places: dict[str, list[Path]] = {}
    for _, path, tree in _modules():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
