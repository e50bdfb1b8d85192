"""An operation is one class: with it, plans, sweeps, choices, searches, files, controls and the plane take it."""

from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsIndex

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
    Add,
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
    with pytest.raises(SettingsError, match=r"effect of mine at layer 1 cannot be predicted.*Use mode 'exact' or 'screened'"):
        sweep(llama, some, own, [1], [1.0], mode="attribution", tokens=tokens)


def test_it_is_chosen_searched_and_placed_with_its_controls(
    llama: sl.LensModel, items: Items, vectors: VectorSet, tmp_path: Path
) -> None:
    swept = sweep(llama, items, vectors, [1, 3], [0.5, 1.0])
    chosen = swept.choose()
    assert set(chosen) == {"mine", "LOC", "surgical"}
    assert {*chosen.tried.frame["vector_1"], *chosen.tried.frame["vector_2"]} == {"mine", "LOC"}
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


def test_every_operation_has_a_name_of_its_own(llama: sl.LensModel, tmp_path: Path) -> None:
    """A class made from another would have its digest, and be read back as it: its results would be taken for its own."""
    before = dict(EDITS)
    with pytest.raises(SettingsError, match=r"operation .*Half has no name: expected operation = 'half'"):

        class Half(Add):
            pass

    for taken in ("add", "subspace"):
        with pytest.raises(SettingsError, match=rf"operation '{taken}' of .*Other is already the name of"):

            class Other(Add):
                operation = taken

    assert before == EDITS

    def defined(factor: float) -> type[Add]:
        class Tenfold(Add):
            operation = "tenfold"

            def __call__(
                self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
            ) -> Float[Tensor, "batch pos d_model"]:
                return super().__call__(residual, factor * strength, steered)

        return Tenfold

    try:
        first, again = defined(10.0), defined(20.0)  # as a notebook's cell that is run twice
        assert EDITS["tenfold"] is again is not first
        plans = [SteeringPlan((Step(kind(torch.ones(llama.d_model)), 1),), llama.fingerprint) for kind in (again, Add)]
        assert plans[0].digest() != plans[1].digest()
        back = SteeringPlan.load(plans[0].save(tmp_path / "plan.safetensors"))
        assert type(back.steps[0].edit) is again
    finally:
        EDITS.pop("tenfold", None)


@pytest.mark.parametrize("offset", [torch.ones(32, dtype=torch.bfloat16), torch.ones(32, requires_grad=True)])
def test_tensors_of_any_kind_are_swept_and_saved(llama: sl.LensModel, items: Items, offset: torch.Tensor, tmp_path: Path) -> None:
    some = items.of(locale="es-ES", kind="factual")
    basis = torch.eye(32)[:2]
    given, plain = (
        LayerEdits({1: Subspace(basis.to(own.dtype), own)}, llama.fingerprint, "mine") for own in (offset, torch.ones(32))
    )
    found, expected = (sweep(llama, some, own, [1], [0.5]).frame["value"].to_numpy() for own in (given, plain))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    vectors = VectorSet([given])
    back = VectorSet.load(vectors.save(tmp_path / "vectors.safetensors"))
    assert back.digest() == vectors.digest()
    kept = back["mine"].edit(1)
    assert isinstance(kept, Subspace)
    assert kept.offset.dtype is offset.dtype
    assert not kept.offset.requires_grad
    plan = given.at(1)
    assert SteeringPlan.load(plan.save(tmp_path / "plan.safetensors")).digest() == plan.digest()


class Turning(Intervention):
    """An intervention of one's own that is no dataclass: an edit that depends on the layer by a rule."""

    name, layers = "turning", (1, 2, 3)

    def __init__(self, model: sl.LensModel, seed: int = 0) -> None:
        self.fingerprint, self.seed, self.score = model.fingerprint, seed, "transfer"

    def edit(self, layer: SupportsIndex) -> Add:
        drawn = torch.randn(self.fingerprint.d_model, generator=torch.Generator().manual_seed(self.seed + self.layer(layer)))
        return Add(3 * drawn)

    def random_like(self, key: str, number: int = 0) -> "Turning":  # noqa: ARG002 (the number is enough here)
        made = copy(self)
        made.seed = 1000 + number
        return made


def test_an_intervention_of_ones_own_is_swept_chosen_saved_and_placed(
    llama: sl.LensModel, items: Items, vectors: VectorSet, tmp_path: Path
) -> None:
    own = Turning(llama)
    swept = sweep(llama, items, [own, *vectors.named("LOC").values()], [1, 3], [1.0])
    assert set(swept.frame["vector"]) == {"turning", "LOC"}
    cell = swept.frame.query("vector == 'turning' and layer == 3 and score == 'transfer' and locale == 'es-ES'")
    scorer = Scorer(llama, items.of(kind="factual", locale="es-ES"))
    assert cell["value"].tolist() == [outcome.correct for outcome in scorer.score(own.at(3))]
    chosen = swept.choose()
    assert set(chosen) == {"turning", "LOC", "surgical"}
    assert plane(llama, items, {"turning": own.at(3)}, controls=Controls(draws=2)).frame["change"].notna().all()
    renamed = own.called("again")
    assert (renamed.label, own.label, str(renamed.at(1))) == ("again", "turning", "1 × again at layer 1")
    control = random_vectors(own, 2)[1]
    assert (control.label, control.notes["control_of"]) == ("turning random 1", "turning")
    back = VectorSet.load(VectorSet([own]).save(tmp_path / "own.safetensors"))
    assert isinstance(back["turning"], LayerEdits)
    assert back.digest() == VectorSet([own]).digest()
    assert back["turning"].at([1, 2]).digest() == own.at([1, 2]).digest()
