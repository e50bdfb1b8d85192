"""Numbers and arrays of other packages, and numbers that cannot be used, in vectors, plans and stacks."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import steerlens as sl
from steerlens.errors import FileError, LayerError, SteerlensError, VectorError
from steerlens.steering import Add, Project, SteeringPlan, SteeringVector, Step, difference_of_means

NAN = float("nan")
pytestmark = pytest.mark.usefixtures("as_users_run_it")


@pytest.fixture
def directions(llama: sl.LensModel) -> torch.Tensor:
    return torch.randn(4, llama.d_model, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def vector(llama: sl.LensModel, directions: torch.Tensor) -> SteeringVector:
    return SteeringVector(directions, (0, 1, 2, 3), llama.fingerprint, "EN", positive=torch.arange(4.0))


@pytest.mark.parametrize("two", [2, np.float32(2), np.int64(2), torch.tensor(2.0), torch.tensor([2]), np.array(2.0), Fraction(2)])
@pytest.mark.parametrize("layer", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_numbers_of_other_packages_become_plain(vector: SteeringVector, tmp_path: Path, layer: int, two: float) -> None:
    plan = vector.at(layer, two) + vector.ablation().at(layer, two) + vector.projection(two).at(layer)
    assert str(plan) == "2 × EN at layer 3 + 2 × EN ablated at layer 3 + EN set to 2 at layer 3"
    for step in (*plan.steps, Step(Project(vector.directions[0], two), layer, two)):
        values = [step.edit.value] if isinstance(step.edit, Project) else []
        assert [type(own) for own in (step.layer, step.strength, *values)] == [int, float, *([float] * len(values))]
    for factor in (two, 2):
        assert str(factor * vector.at(3)) == "2 × EN at layer 3"
    assert str(SteeringPlan.load(plan.save(tmp_path / "p.safetensors"))) == str(plan)
    assert torch.equal(vector.direction(layer), vector.directions[3])


@pytest.mark.parametrize("bad", [NAN, np.float32("inf"), torch.tensor(NAN), "2", None, True, [1.0], torch.ones(2), 1j, 10**400])
def test_what_is_no_finite_number(vector: SteeringVector, bad: object) -> None:
    for use in (
        lambda: Step(Add(vector.directions[0]), 1, bad),
        lambda: Project(vector.directions[0], bad),
        lambda: vector.at(1) * bad,
        lambda: vector * bad,
    ):
        with pytest.raises(VectorError, match="expected a finite number"):
            use()


@pytest.mark.parametrize("bad", [1.0, np.float32(1), "1", None, True, torch.tensor(1.5), np.array([1, 2]), -1, 4, 10**30])
def test_what_is_no_layer(vector: SteeringVector, bad: object) -> None:
    with pytest.raises((VectorError, LayerError)):
        SteeringPlan((Step(Add(vector.directions[0]), bad),), vector.fingerprint)
    with pytest.raises((VectorError, LayerError)):
        SteeringVector(vector.directions[:2], (0, bad), vector.fingerprint)
    for find in (vector.direction, lambda layer: vector.at([0, layer])):
        with pytest.raises(LayerError):
            find(bad)


def test_several_layers_may_be_an_array(vector: SteeringVector) -> None:
    assert vector.at(np.array([2, 1])).layers == vector.at(torch.tensor([1, 2])).layers == vector.at((1, 2)).layers == (1, 2)
    with pytest.raises(LayerError):
        vector.at(np.array([1.0, 2.0]))


@pytest.mark.parametrize("layers", [(0, 7), (1, 1), (1, 0), (-2, 0), ()])
def test_layers_of_vectors_and_stacks(vector: SteeringVector, llama: sl.LensModel, layers: tuple[int, ...]) -> None:
    with pytest.raises((VectorError, LayerError)):
        SteeringVector(vector.directions[: len(layers)], layers, vector.fingerprint)
    stack = llama.residuals(["Hello"])
    with pytest.raises((VectorError, LayerError)):
        replace(stack, residuals=stack.residuals[: len(layers)], layers=layers)


def test_what_enters_the_first_block_is_layer_minus_one_of_a_stack_and_no_layer_of_a_vector(
    vector: SteeringVector, llama: sl.LensModel
) -> None:
    stack = llama.residuals(["Hello"])
    assert replace(stack, residuals=stack.residuals[:2], layers=(-1, 0)).layers == (-1, 0)
    with pytest.raises(LayerError):
        SteeringVector(vector.directions[:2], (-1, 0), vector.fingerprint)


def test_a_plan_fits_its_model(vector: SteeringVector) -> None:
    with pytest.raises(LayerError, match="layer 7 is not in"):
        SteeringPlan((Step(Add(vector.directions[0]), 7),), vector.fingerprint)
    with pytest.raises(VectorError, match="has 3 numbers: expected the model's d_model, 32"):
        SteeringPlan((Step(Add(torch.ones(3)), 1),), vector.fingerprint)


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int32, np.float32])
def test_arrays_are_directions(vector: SteeringVector, kind: type) -> None:
    given = (10 * vector.directions.numpy()).astype(kind)
    for form in (given, given[:, ::-1].copy()[:, ::-1], torch.from_numpy(given), given.tolist()):
        made = replace(vector, directions=form)
        assert made.directions.dtype == torch.float32
        assert torch.equal(made.directions, torch.tensor(given.astype(np.float32)))
        assert torch.equal(Add(form[1]).direction, made.directions[1])


@pytest.mark.parametrize(
    "bad", [np.full((4, 32), NAN), np.full((4, 32), 1e300), np.ones((4, 32), complex), np.ones((4, 32), bool), "abc",
            np.full((4, 32), "a"), None, np.ones((4, 31)), np.ones(32), torch.ones(4, 32).to_sparse(), [[1.0], [1.0, 2.0]]],
)  # fmt: skip
def test_arrays_that_cannot_be_directions(vector: SteeringVector, bad: object) -> None:
    with pytest.raises(VectorError):
        replace(vector, directions=bad)


@pytest.mark.parametrize(
    "bad", [np.full(32, NAN), np.ones(31), np.ones((1, 32)), "abc", None, np.ones(32, bool), [[1.0], [1.0, 2.0]]]
)
def test_arrays_that_cannot_be_a_direction(vector: SteeringVector, bad: object) -> None:
    with pytest.raises(VectorError):
        SteeringPlan((Step(Add(bad), 1),), vector.fingerprint)


def test_a_vector_is_a_constant(vector: SteeringVector, llama: sl.LensModel, tmp_path: Path) -> None:
    learned = vector.directions.clone().requires_grad_()
    made, edit = replace(vector, directions=learned), Add(learned[0])
    assert not made.directions.requires_grad
    assert not edit.direction.requires_grad
    assert torch.equal(SteeringVector.load(made.save(tmp_path / "v.safetensors")).directions, vector.directions)
    with made.at(1).applied(llama):
        assert llama.generate("Hello", 2)


def test_one_direction_twice_is_saved(vector: SteeringVector, tmp_path: Path) -> None:
    shared = vector.directions[2]
    plan = vector.at(1) + vector.at(1, 2.0) + vector.at(2)
    plan = plan + SteeringPlan(
        (Step(Add(shared), 0), Step(Add(shared.flip(0).flip(0)), 0), Step(Add(shared), 3)), plan.fingerprint
    )
    same = SteeringPlan.load(plan.save(tmp_path / "p.safetensors"))
    assert str(same) == str(plan)
    for one, other in zip(same.steps, plan.steps, strict=True):
        assert torch.equal(one.edit.direction, other.edit.direction)


def test_notes_that_are_no_json(vector: SteeringVector, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written as JSON"):
        replace(vector, notes={"when": np.float32(1)}).save(tmp_path / "v.safetensors")
    assert not list(tmp_path.iterdir())


def test_positive_and_n_are_checked(vector: SteeringVector) -> None:
    assert type(replace(vector, n=np.int64(3)).n) is int
    assert replace(vector, positive=np.arange(4)).positive.dtype == torch.float32
    for bad in ({"n": 1.5}, {"n": -1}, {"positive": torch.ones(3)}, {"positive": torch.full((4,), NAN)}):
        with pytest.raises(SteerlensError):
            replace(vector, **bad)


def test_layers_are_numpys_too(llama: sl.LensModel, items: sl.data.Items) -> None:
    pairs, stack = items.english_pairs("es-ES"), llama.residuals(items.prompts())
    for of in (llama, stack):
        assert difference_of_means(of, pairs, layers=np.arange(2)).layers == (0, 1)
    assert stack.at_layers(np.array([2, 0])).layers == (0, 2)
    assert torch.equal(stack.at_layers(np.array([2, 0])).at(np.int64(2)), stack.at(2))
    for bad in ([], [7], [0.0]):
        with pytest.raises(LayerError):
            stack.at_layers(bad)
