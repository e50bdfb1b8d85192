"""An operation is one class: with it, plans, sweeps, choices, searches, files, controls and the plane take it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import FileError, SettingsError, VectorError
from steerlens.evaluation import Scorer, SearchSettings, Sweep, plane, response, search, sweep
from steerlens.models.roles import FRONT, GENERATED, LAST, PROMPT
from steerlens.steering import (
    EDITS,
    EN,
    LOC,
    Contrast,
    Controls,
    Edit,
    Intervention,
    LayerEdits,
    SteeringPlan,
    SteeringVector,
    Step,
    VectorSet,
    random_vectors,
    take,
)
from steerlens.steering.controls import OTHER, RANDOM


@dataclass(frozen=True, eq=False)
class Subspace(Edit):
    """Moves the residual's part in a subspace of some dimensions towards an offset: an affine map of low rank."""

    basis: Float[Tensor, "rank d_model"]
    """Orthonormal rows."""
    offset: Float[Tensor, " d_model"]
    sign: float = 1.0
    operation = "subspace"

    @property
    def d_model(self) -> int:
        return len(self.offset)

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        if strength == 0:
            return residual
        basis = self.basis.to(residual.device, residual.dtype)
        inside = residual @ basis.T @ basis
        step = strength * (self.sign * self.offset.to(residual.device, residual.dtype) - inside)
        return torch.where(steered[..., None], residual + step, residual)

    def described(self, name: str, strength: float) -> str:
        return f"{strength:g} × {name} in {len(self.basis)} dimensions"

    def random_like(self, generator: torch.Generator) -> "Subspace":
        drawn = torch.linalg.qr(torch.randn(self.d_model, len(self.basis), generator=generator))[0].T.contiguous()
        offset = torch.randn(self.d_model, generator=generator)
        return Subspace(drawn, offset * (self.offset.norm() / offset.norm()), self.sign)


def in_subspace(vector: SteeringVector) -> Intervention:
    """What a contrast makes of its difference of means: the subspace of it and of one fixed direction, and the difference."""
    edits = {}
    for layer in vector.layers:
        two = torch.stack([vector.direction(layer), torch.ones(vector.directions.shape[1])], dim=1)
        edits[layer] = Subspace(torch.linalg.qr(two)[0].T.contiguous(), vector.direction(layer))
    return LayerEdits(edits, vector.fingerprint, vector.name, vector.locale, vector.score, source=vector.label)


MINE = Contrast("mine", Items.english_pairs, "transfer", in_subspace)


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel, items: Items) -> VectorSet:
    return take(llama, items, [MINE, LOC])


def test_it_is_known_by_its_name_and_edits_as_it_says() -> None:
    assert EDITS["subspace"] is Subspace
    edit = Subspace(torch.tensor([[0.6, 0.8]]), torch.tensor([3.0, 4.0]))
    given, roles = torch.tensor([[[1.0, 2.0]] * 4]), torch.tensor([[FRONT, PROMPT, LAST, GENERATED]])
    found = Step(edit, 0, 0.5)(given, roles)
    assert torch.equal(found[0, :2], given[0, :2])  # last_onward
    by_hand = torch.tensor([1.0, 2.0]) + 0.5 * (torch.tensor([3.0, 4.0]) - 2.2 * torch.tensor([0.6, 0.8]))
    torch.testing.assert_close(found[0, 2:], by_hand.expand(2, 2))
    assert torch.equal(Step(edit, 0, 0.0)(given, roles), given)


def test_a_contrast_makes_it_and_plans_hold_it(llama: sl.LensModel, vectors: VectorSet, tmp_path: Path) -> None:
    own = vectors["mine", "es-ES"]
    plan = own.at([1, 2], 0.5) + vectors["LOC", "es-ES"].at(3)
    assert str(own.at(1, 0.5)) == "0.5 × mine es-ES in 2 dimensions at layer 1"
    back = SteeringPlan.load(plan.save(tmp_path / "plan.safetensors"))
    assert (str(back), back.digest()) == (str(plan), plan.digest())
    assert isinstance(back.steps[0].edit, Subspace)
    assert VectorSet.load(vectors.save(tmp_path / "vectors.safetensors")).digest() == vectors.digest()
    text = "Pregunta: ¿Qué se desayuna?\nRespuesta:"
    with plan.applied(llama):
        found = llama.residuals([text]).residuals
    with back.applied(llama):
        assert torch.equal(llama.residuals([text]).residuals, found)
    assert not torch.allclose(llama.residuals([text]).residuals, found)  # the control
    with pytest.raises(VectorError, match=r"has 3 numbers|widths"):
        LayerEdits({1: Subspace(torch.ones(1, 3), torch.ones(3))}, llama.fingerprint)
    del EDITS["subspace"]
    try:
        with pytest.raises(FileError, match=r"unknown operation 'subspace'.*import its class first"):
            SteeringPlan.load(tmp_path / "plan.safetensors")
    finally:
        EDITS["subspace"] = Subspace


@pytest.mark.parametrize("tokens", ["all", "last_onward"])
def test_it_is_swept_exactly_and_screened(llama: sl.LensModel, items: Items, vectors: VectorSet, tokens: str) -> None:
    some = items.of(locale="es-ES", kind="factual")
    own = vectors["mine", "es-ES"]
    swept = sweep(llama, some, own, [1, 3], [0.5, 1.0], tokens=tokens)
    scorer = Scorer(llama, some)
    for (layer, strength), rows in swept.frame[swept.frame["score"] == "transfer_margin"].groupby(["layer", "strength"]):
        margins = [outcome.margin for outcome in scorer.score(own.at(int(layer), strength, tokens))]
        np.testing.assert_allclose(rows["value"], margins, atol=1e-4)
    screened = sweep(llama, some, own, strengths=[0.25, 0.5, 1.0], mode="screened", tokens=tokens).frame
    assert 0.3 < screened["exact"].mean() < 1
    keys = ["layer", "strength", "concept", "score"]
    both = screened[screened["exact"]].merge(swept.frame, on=keys, suffixes=("", "_run"))
    assert len(both)
    np.testing.assert_allclose(both["value"], both["value_run"], atol=1e-4)
    with pytest.raises(SettingsError, match=r"effect of mine at layer 1 cannot be predicted.*use mode 'exact' or 'screened'"):
        sweep(llama, some, own, [1], [1.0], mode="attribution", tokens=tokens)


def test_it_is_chosen_searched_and_placed_with_its_controls(
    llama: sl.LensModel, items: Items, vectors: VectorSet, tmp_path: Path
) -> None:
    swept = sweep(llama, items, vectors, [1, 3], [0.5, 1.0])
    chosen = swept.choose()
    assert set(chosen) == {"mine", "LOC", "surgical"}
    assert {step.vector for step in chosen.surgical.steps} == {"mine", "LOC"}
    loaded = Sweep.load(swept.save(tmp_path / "sweep.parquet")).choose(llama, items, vectors)
    assert {name: one.spec for name, one in loaded.items()} == {name: one.spec for name, one in chosen.items()}
    plans = {code: vectors["mine", code].at(1, 0.5) for code in vectors.locales}
    drawn = Controls(draws=2).of(plans)
    for control in drawn[RANDOM]["es-ES"]:
        edit, like = control.steps[0].edit, plans["es-ES"].steps[0].edit
        assert isinstance(edit, Subspace)
        torch.testing.assert_close(edit.offset.norm(), like.offset.norm())
        assert not torch.equal(edit.basis, like.basis)
    assert drawn[OTHER]["es-ES"][0] is plans["ko-KR"]
    assert random_vectors(vectors["mine", "es-ES"], 2)[1].label == "mine random 1 es-ES"
    frame = plane(llama, items, {"mine": plans, "chosen": chosen.surgical}, controls=Controls(draws=2)).frame
    assert {"mine", "mine: random direction", "mine: another locale", "chosen"} <= set(frame["method"])
    answer = response(llama, items, vectors["mine", "es-ES"], 1, (0.25, 0.5, 1.0))
    assert answer.slopes()["slope"].notna().all()


def test_it_is_searched(llama: sl.LensModel, items: Items, tmp_path: Path) -> None:
    settings = SearchSettings(
        layers=(1, 3), strengths=(0.25, 0.5), tokens=("last_onward",), n_folds=2, singles=2, combinations=2, dev_concepts=None
    )
    found = search(llama, items, ["es-ES"], contrasts=[MINE, EN], settings=settings)
    assert set(found.choices["es-ES"]) == {"mine", "EN", "surgical", "best"}
    assert isinstance(found.vectors["mine", "es-ES"], LayerEdits)
    assert set(found.tried.frame["method"]) == {"unsteered", "mine", "EN", "surgical"}
    back = type(found).load(found.save(tmp_path / "search"))
    assert back.vectors.digest() == found.vectors.digest()
    assert str(back.plan("es-ES", "surgical")) == str(found.plan("es-ES", "surgical"))
