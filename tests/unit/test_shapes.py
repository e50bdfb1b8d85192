"""Shape annotations are executed in tests, in every module of the package that has some."""

from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

import steerlens as sl
from steerlens.probing.folds import Folds
from steerlens.statistics import pareto_front


def test_wrong_shapes_are_refused() -> None:
    assert pareto_front(np.zeros((3, 2))).all()
    with pytest.raises(jaxtyping.TypeCheckError, match="points"):
        pareto_front(np.zeros(3))
    folds = Folds.sharing([0, 1, 0, 1], ["a", "a", "b", "b"])
    with pytest.raises(jaxtyping.TypeCheckError, match="scores"):
        folds.auroc(torch.zeros(4))


def test_other_hints_are_left_to_mypy() -> None:
    with pytest.raises(sl.errors.UnknownNameError, match="concept, relation"):
        sl.data.atlas(["es-ES"]).split(holdout="relations")  # type: ignore[arg-type]


def test_every_module_with_shapes_is_checked(pytestconfig: pytest.Config) -> None:
    """A new one must not be forgotten. Modules without shapes are left as they are, since a checked call takes much longer."""
    checked = pytestconfig.getoption("--jaxtyping-packages").split(",")
    folder = Path(sl.__file__).parent
    files = {file: ".".join(("steerlens", *file.relative_to(folder).with_suffix("").parts)) for file in folder.rglob("*.py")}
    annotated = {name for file, name in files.items() if "from jaxtyping import" in file.read_text(encoding="utf-8")}
    assert len(annotated) > 80
    assert not [name for name in sorted(annotated) if not any(f"{name}.".startswith(f"{own}.") for own in checked)]
    assert not [own for own in checked[:-1] if not any(f"{name}.".startswith(f"{own}.") for name in annotated)]
