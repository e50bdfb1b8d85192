"""The edits and maps of the experiment on variants, as pure functions: what is planted is found, and nothing is nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import steerlens as sl
from experiments.common import ROOT, settings
from experiments.variants.edits import AddScaled, AffineMap, OverLayers
from experiments.variants.made import VARIANTS, spelled_alike, without
from experiments.variants.maps import Fitted, fitted, image, orthogonal, ridge
from experiments.variants.run import first_of
from experiments.variants.shown import ALL, judged
from steerlens.data import Item, Items
from steerlens.errors import LayerError, PairsError, VectorError
from steerlens.evaluation import Combinations
from steerlens.steering import EDITS, Add, Edit, LayerEdits, PlanSpec, SteeringPlan, SteeringVector, StepSpec

D = 12
EVERYWHERE = torch.ones(1, 200, dtype=torch.bool)
Fit = Callable[..., Fitted]


def _numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _rotation(n: int, seed: int = 1) -> Tensor:
    return torch.linalg.qr(_numbers(n, n, seed=seed))[0]


def _pairs(matrix: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Residuals around a mean that lie in a space of three dimensions, and their images under a map of it with an offset."""
    space = _rotation(D)[: len(matrix)]
    inside, mean, offset = _numbers(200, len(matrix), seed=2), 5 * _numbers(D, seed=3), _numbers(D, seed=4)
    source = mean + inside @ space + noise * _numbers(200, D, seed=5)
    return source, mean + offset + inside @ matrix.T @ space + noise * _numbers(200, D, seed=6)


@pytest.fixture(params=["add scaled", "affine map"])
def edit(request: pytest.FixtureRequest) -> Edit:
    if request.param == "add scaled":
        return AddScaled(_numbers(D).float(), 3.0)
    return fitted(*_pairs(_rotation(3)), orthogonal, [3]).map


def test_strength_0_is_the_identity_bit_for_bit_and_others_leave_tokens_alone(edit: Edit) -> None:
    residual = _numbers(2, 5, D).float()
    before, steered = residual.clone(), torch.zeros(2, 5, dtype=torch.bool)
    steered[:, 3:] = True
    assert torch.equal(edit(residual, 0.0, steered), before)
    after = edit(residual, 1.0, steered)
    assert torch.equal(after[:, :3], before[:, :3])
    assert (after[:, 3:] != before[:, 3:]).any(dim=-1).all()
    assert torch.equal(residual, before)
    assert EDITS[edit.operation] is type(edit)
    assert "EN" in edit.described("EN", 0.5)


def test_an_edit_comes_back_from_a_file(edit: Edit, llama: sl.LensModel, tmp_path: Path) -> None:
    wide = _widened(edit, llama.fingerprint.d_model)
    plan = LayerEdits({1: wide}, llama.fingerprint).at(1, 0.5)
    back = SteeringPlan.load(plan.save(tmp_path / "plan.safetensors"))
    assert back.digest() == plan.digest()
    prompts = _numbers(1, 4, wide.d_model).float()
    drawn = wide.random_like(torch.Generator().manual_seed(0))
    assert type(drawn) is type(edit)
    assert not torch.allclose(drawn(prompts, 1.0, EVERYWHERE[:, :4]), wide(prompts, 1.0, EVERYWHERE[:, :4]))


def _widened(edit: Edit, d_model: int) -> Edit:
    """The same edit of the model's width, zero elsewhere."""
    widths = {name: (*own.shape[:-1], d_model) for name, own in edit.tensors.items() if name != "matrix"}
    tensors = {
        name: torch.nn.functional.pad(own, (0, d_model - D)) if name in widths else own for name, own in edit.tensors.items()
    }
    return type(edit)(**tensors, **edit.header)


@pytest.mark.parametrize(("solver", "penalties"), [(orthogonal, (0.0,)), (ridge, (1e-9, 1.0))])
def test_a_planted_rotation_is_found(solver: Callable[..., Tensor], penalties: tuple[float, ...]) -> None:
    source, target = _pairs(_rotation(3))
    found = fitted(source, target, solver, [1, 3], penalties)
    assert (found.rank, found.penalty) == (3, min(penalties))
    torch.testing.assert_close(image(found.map, source), target, atol=1e-4, rtol=1e-4)
    turned = found.map.matrix.double()
    assert found.error < 1e-6
    torch.testing.assert_close(turned @ turned.T, torch.eye(3, dtype=torch.float64), atol=1e-4, rtol=0)


def test_ridge_finds_a_planted_affine_map_that_no_rotation_is() -> None:
    source, target = _pairs(torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.3, 0.0], [1.0, 0.0, -1.0]], dtype=torch.float64))
    found = fitted(source, target, ridge, [3], [1e-9])
    torch.testing.assert_close(image(found.map, source), target, atol=1e-3, rtol=1e-3)
    assert fitted(source, target, orthogonal, [3]).error > 0.1 > 1e-6 > found.error


def test_a_half_of_the_way_is_half_way_and_the_identity_is_the_offset_alone() -> None:
    source, target = _pairs(_rotation(3))
    made = fitted(source, target, orthogonal, [3]).map
    half = made(source[None].float(), 0.5, EVERYWHERE)[0].double()
    torch.testing.assert_close(half, (source + target) / 2, atol=1e-4, rtol=1e-4)
    heavy = fitted(source, target, ridge, [3], [1e9])
    assert heavy.error == pytest.approx(1, abs=1e-6)
    offset = target.mean(0) - source.mean(0)
    torch.testing.assert_close(image(heavy.map, source), source + offset, atol=1e-4, rtol=1e-4)


def test_rank_and_penalty_follow_pairs_that_were_left_out() -> None:
    """Where languages differ by an offset and noise alone, what fits best predicts worst: the heaviest penalty is taken."""
    source, target = _pairs(torch.eye(3, dtype=torch.float64), noise=1.0)
    found = fitted(source[:60], target[:60], ridge, [3, 12], [1e-6, 1.0])
    assert found.penalty == 1.0
    assert fitted(source[:60], target[:60], ridge, [12], [1e-6]).error > found.error
    assert fitted(source[:20], target[:20], orthogonal, [500], folds=4).rank == D
    with pytest.raises(PairsError, match="9 pairs given to fit a map on: expected 10 or more for 5 folds"):
        fitted(source[:9], target[:9], ridge, [2], [1.0])


def test_the_step_grows_with_the_residual_and_is_the_usual_one_on_the_mean() -> None:
    direction = _numbers(D).float()
    residual = _numbers(1, 4, D, seed=1).float() * torch.tensor([0.1, 1.0, 10.0, 100.0])[None, :, None]
    lengths = residual.norm(dim=-1)
    edit = AddScaled(direction, float(lengths.mean()))
    steps = (edit(residual, 2.0, EVERYWHERE[:, :4]) - residual).norm(dim=-1)
    torch.testing.assert_close(
        steps / lengths, torch.full((1, 4), float(2 * direction.norm() / lengths.mean())), rtol=1e-3, atol=0
    )
    assert float(steps.mean()) == pytest.approx(float(2 * direction.norm()), rel=1e-3)
    with pytest.raises(VectorError, match=r"usual length 0\.0 given"):
        AddScaled(direction, 0.0)
    with pytest.raises(VectorError, match=r"shapes .* given: expected \[rank, d_model\]"):
        AffineMap(torch.eye(2, D), torch.eye(3), torch.zeros(D), torch.zeros(D))


@pytest.fixture
def vector(llama: sl.LensModel) -> SteeringVector:
    directions = _numbers(4, llama.fingerprint.d_model).float()
    return SteeringVector(directions, (0, 1, 2, 3), llama.fingerprint, "EN", "es-ES", n=3, score="transfer")


def test_a_vector_over_three_layers_has_a_third_of_its_strength_at_each(vector: SteeringVector) -> None:
    ramp = OverLayers(vector, "EN: over three layers")
    assert (ramp.layers, ramp.locale, ramp.score) == ((1, 2), "es-ES", "transfer")
    plan = ramp.at(2, 1.5)
    assert [(step.layer, step.strength) for step in plan.steps] == [(1, 0.5), (2, 0.5), (3, 0.5)]
    for step in plan.steps:
        assert isinstance(step.edit, Add)
        assert torch.equal(step.edit.direction, vector.direction(step.layer))
    assert PlanSpec.of(ramp.name, 2, 1.5).plan({ramp.name: ramp}).digest() == plan.digest()
    with pytest.raises(LayerError):
        ramp.at(3)
    with pytest.raises(VectorError, match="expected three or more"):
        OverLayers(SteeringVector(vector.directions[:2], (0, 1), vector.fingerprint), "short")


def test_loc_without_en_has_nothing_along_en_and_all_that_is_across(vector: SteeringVector) -> None:
    loc = SteeringVector(_numbers(4, vector.fingerprint.d_model, seed=9).float(), vector.layers, vector.fingerprint, "LOC")
    made = without(loc, vector)
    assert made.name == "LOC: without EN"
    assert made.cosine(vector).abs().max() < 1e-6 < loc.cosine(vector).abs().min()
    assert (loc - made).cosine(vector).abs().min() > 1 - 1e-5


def test_facts_spelled_alike_are_told_by_locale() -> None:
    asked = [("en-US", "Madrid"), ("es-ES", "Madrid"), ("ko-KR", "마드리드")]
    items = Items(tuple(Item("capital", "factual", code, "?", (answer, "x"), 0) for code, answer in asked))
    assert spelled_alike(items) == {("es-ES", "capital")}


def test_names_and_settings_belong_together() -> None:
    names = [one.name for one in VARIANTS]
    assert len(set(names)) == len(names)
    assert {one.kind for one in VARIANTS} == {"EN", "LOC"} < set(names)
    for smoke in (False, True):
        assert all(one.swept(settings("variants", smoke=smoke)) for one in VARIANTS)
    page = (ROOT.parent / "docs" / "variants.md").read_text(encoding="utf-8")
    assert all(f"| {one.name.partition(': ')[2]} |" in page for one in VARIANTS if one.name != one.kind)


def test_the_best_combination_is_read_as_a_plan() -> None:
    spec = PlanSpec((StepSpec("EN", 3, 1.0), StepSpec("LOC", 5, 2.0)))
    row = {f"{name}_{at}": value for at, step in enumerate(spec.to_list(), 1) for name, value in step.items()}
    assert first_of(Combinations(pd.DataFrame([row, {**row, "layer_1": 1}]))) == spec


def test_a_variant_is_judged_against_its_own_standard_vector() -> None:
    rows = [
        {"method": method, "against": against, "score": score, "items": ALL, "change": change}
        for change, (method, against, score) in enumerate(
            [
                ("EN", "unsteered", "transfer"),
                ("EN", "unsteered", "localization"),
                ("EN: a", "unsteered", "transfer"),
                ("EN: a", "unsteered", "localization"),
                ("EN: a", "EN", "transfer"),
            ]
        )
    ]
    table = pd.DataFrame(rows)
    told = judged(table, "EN: a", "EN")
    assert [np.nan if row is None else row["change"] for row in told.values()] == [2, 4, 3]
    assert judged(table, "EN", "EN")["against"] is None
