"""Shape annotations are executed in tests, in every module of the package that has some."""

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


def test_the_whole_package_is_checked(pytestconfig: pytest.Config) -> None:
    """A list of modules would forget new ones."""
    assert pytestconfig.getoption("--jaxtyping-packages") == "steerlens,shape_checks.checked"
