"""A plan that makes texts worse is not chosen: the limits on the perplexity and the repetition of texts on dev."""

import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import Chosen, Sweep, TextLimits, side_effects
from steerlens.evaluation.searching.text_costs import TextCosts
from steerlens.options import settings_of
from steerlens.settings import QUICK, StudySettings
from steerlens.steering import LOC, PlanSpec, SteeringVector, StepSpec, VectorSet, take
from tests.unit.longform import noisy_sweep, sweep_frame, ten_each

STRONG, WEAK, OTHER = ("LOC", 0, 300.0), ("LOC", 0, 0.01), ("LOC", 3, 0.01)
FEW = TextLimits(concepts=4, max_new_tokens=8)
"""Four concepts of each kind."""


@pytest.fixture(scope="module")
def loc(llama: sl.LensModel, items: Items) -> SteeringVector:
    vector = take(llama, items, LOC)["LOC", "es-ES"]
    assert isinstance(vector, SteeringVector)
    return vector


def _swept(strong: float = 2.0, weak: float = 0.9, other: float = 0.6) -> Sweep:
    """A sweep in which the strong cell is the best, then its weaker neighbour, then a cell at another layer."""
    gains = {STRONG: strong, WEAK: weak, OTHER: other}
    return noisy_sweep({cell: np.full(10, gain) for cell, gain in gains.items()})


def _choice(swept: Sweep, llama: sl.LensModel, items: Items, loc: SteeringVector, limits: TextLimits | None) -> Chosen:
    return swept.choose(llama, ten_each(items), loc, limits=limits)["LOC"]


def _texts(items: Items) -> Items:
    """The swept items, whose texts are read and written."""
    return ten_each(items).of(kind="cultural")


def _ratio(llama: sl.LensModel, items: Items, loc: SteeringVector, cell: tuple[str, int, float]) -> float:
    """The perplexity under a cell over the unsteered one, the plain way: by side effects on the same texts."""
    plan = {"es-ES": loc.at(cell[1], cell[2], "last_onward")}
    found = side_effects(llama, _texts(items), {"x": plan}, scores=["log_perplexity"], concepts=FEW.concepts).frame
    return math.exp(float(found.loc[(found["method"] == "x") & (found["locale"] == "es-ES"), "change"].iloc[0]))


def test_the_best_cell_that_breaks_texts_is_left_out(
    llama: sl.LensModel, items: Items, loc: SteeringVector, caplog: pytest.LogCaptureFixture
) -> None:
    """With the control: without limits, the same cell is chosen. What is measured is what side effects measure."""
    strong, weak = (_ratio(llama, items, loc, cell) for cell in (STRONG, WEAK))
    assert strong > 1.05 > weak
    limits = replace(FEW, perplexity=(strong + max(weak, 1.0)) / 2, repetition=None)
    assert _choice(_swept(), llama, items, loc, None).steps == (StepSpec(*STRONG),)
    with caplog.at_level(logging.INFO, logger="steerlens"):
        chosen = _choice(_swept(), llama, items, loc, limits)
    assert chosen.steps == (StepSpec(*WEAK),)
    assert f"300 × LOC at layer 0 is not chosen, because it makes texts worse: perplexity × {strong:.1f}" in caplog.text
    assert chosen.expected is not None
    assert chosen.expected.skipped == (f"300 × LOC at layer 0 (perplexity × {strong:.1f})",)
    assert f"Skipped, because texts become worse: 300 × LOC at layer 0 (perplexity × {strong:.1f})" in chosen.explained()
    five = replace(chosen.expected, skipped=tuple("abcde"))
    assert str(five).endswith("Skipped, because texts become worse: a; b; and 3 more")
    assert Chosen.from_dict(chosen.to_dict()).expected == chosen.expected
    assert _choice(_swept(), llama, items, loc, replace(limits, perplexity=strong + 0.01)).steps == (StepSpec(*STRONG),)


def test_nothing_is_steered_where_every_plan_breaks_texts(llama: sl.LensModel, items: Items, loc: SteeringVector) -> None:
    swept = noisy_sweep({("LOC", layer, 300.0): np.full(10, 2.0) for layer in (0, 3)})
    chosen = _choice(swept, llama, items, loc, replace(FEW, repetition=0.0))
    assert chosen.steps == ()
    assert chosen.explained().startswith("unsteered, because every plan that helps makes texts worse. The best of them is ")
    assert "300 × LOC at layer 0 (perplexity ×" in chosen.explained()
    assert "300 × LOC at layer 3 (perplexity ×" in chosen.explained()


def test_repetition_has_a_limit_of_its_own(llama: sl.LensModel, items: Items, loc: SteeringVector) -> None:
    """What is measured is what side effects measure; with the control of a limit that is just wide enough."""
    plans = {"x": {"es-ES": loc.at(*STRONG[1:], "last_onward")}}
    more: dict[str, Any] = {"concepts": FEW.concepts, "max_new_tokens": FEW.max_new_tokens}
    found = side_effects(llama, _texts(items), plans, scores=["repetition"], **more).frame
    rise = float(found.loc[(found["method"] == "x") & (found["locale"] == "es-ES"), "change"].iloc[0])
    assert rise > 0.1
    chosen = _choice(_swept(), llama, items, loc, replace(FEW, perplexity=None, repetition=rise - 0.01))
    assert chosen.steps == (StepSpec(*WEAK),)
    assert chosen.expected is not None
    assert f"repetition {rise:+.2f})" in chosen.expected.skipped[0]
    assert _choice(_swept(), llama, items, loc, replace(FEW, perplexity=None, repetition=rise)).steps == (StepSpec(*STRONG),)


def test_no_text_is_written_for_a_plan_over_the_limit_on_perplexity(
    llama: sl.LensModel, items: Items, loc: SteeringVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steerlens.evaluation.text_tasks.written", lambda *_: pytest.fail("a text was written"))
    swept = noisy_sweep({STRONG: np.full(10, 2.0)})
    assert not _choice(swept, llama, items, loc, replace(FEW, perplexity=1.0001)).steps


def test_numbers_that_overflow_under_a_plan_break_texts(
    llama: sl.LensModel, items: Items, loc: SteeringVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []

    def overflows(*args: object, **more: object) -> list[float]:
        calls.append(args[2] is None)
        if args[2] is not None:
            raise sl.errors.VectorError("overflow")
        return [1.0] * len(args[1])  # type: ignore[arg-type]

    monkeypatch.setattr("steerlens.evaluation.text_tasks.nats_per_token", overflows)
    chosen = _choice(_swept(), llama, items, loc, replace(FEW, perplexity=None, repetition=None))
    assert not chosen.steps
    assert "perplexity × inf" in chosen.explained()
    assert calls.count(False) == 3  # once for each cell


def test_combinations_with_a_cell_that_breaks_texts_are_not_run(llama: sl.LensModel, items: Items) -> None:
    gains = {("EN", 3, 0.01): (3, 0), ("EN", 2, 0.01): (2, 0), STRONG: (0, 5), ("LOC", 1, 0.01): (0, 2)}
    swept, vectors = Sweep(sweep_frame(gains)), VectorSet(take(llama, items).of("es-ES").values())
    free, tight = (
        swept.choose(llama, ten_each(items), vectors, limits=limits) for limits in (None, replace(FEW, perplexity=1.1))
    )
    assert 300 in set(free.tried.frame["strength_2"])  # the control
    assert set(tight.tried.frame["strength_2"]) == {0.01}
    assert (free["LOC"].steps, tight["LOC"].steps) == ((StepSpec(*STRONG),), (StepSpec("LOC", 1, 0.01),))
    assert all(step.strength < 300 for step in tight.surgical.steps)


def test_a_contrast_whose_cells_all_break_texts_is_left_out(llama: sl.LensModel, items: Items) -> None:
    gains = {("EN", 3, 0.01): (3, 3), ("EN", 2, 0.01): (2, 2), STRONG: (0, 5)}
    swept, vectors = Sweep(sweep_frame(gains)), VectorSet(take(llama, items).of("es-ES").values())
    chosen = swept.choose(llama, ten_each(items), vectors, limits=replace(FEW, perplexity=1.1))
    assert not chosen["LOC"].steps
    assert chosen.tried.frame.empty
    assert {step.vector for step in chosen.surgical.steps} <= {"EN"}


def test_cells_that_are_left_at_one_layer_are_not_combined(llama: sl.LensModel, items: Items) -> None:
    gains = {("EN", 1, 0.01): (3, 3), STRONG: (0, 5), ("LOC", 1, 300.0): (0, 2)}
    swept, vectors = Sweep(sweep_frame(gains)), VectorSet(take(llama, items).of("es-ES").values())
    assert not swept.choose(llama, ten_each(items), vectors, limits=None).tried.frame.empty  # the control
    chosen = swept.choose(llama, ten_each(items), vectors, limits=replace(FEW, perplexity=1.1, repetition=None))
    assert chosen["LOC"].steps == (StepSpec("LOC", 1, 300.0),)
    assert chosen.tried.frame.empty
    with pytest.raises(UnknownNameError):
        chosen.tried.means("transfer")
    assert len(chosen.surgical.steps) <= 1


def test_weaker_cells_of_the_next_layer_are_run_after_a_screened_sweep(
    llama: sl.LensModel, items: Items, loc: SteeringVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A screened sweep runs the promising cells alone. If all strengths of the best layer break texts, the strengths of the
    layer that is best then are run too."""
    cells = {("LOC", layer, strength): np.full(10, strength / 100) for layer in (0, 2) for strength in (1.0, 2.0, 300.0)}
    frame = noisy_sweep(cells).frame
    refused: list[str] = []

    def within(_: TextCosts, spec: PlanSpec, __: tuple[str, ...]) -> bool:
        refused.append(str(spec))
        return False

    monkeypatch.setattr(TextCosts, "within", within)
    monkeypatch.setattr(TextCosts, "refused", lambda _, spec, __: str(spec) in refused)
    screened = Sweep(frame.assign(exact=frame["strength"] == 300))
    chosen = screened.choose(llama, ten_each(items), loc, limits=FEW)["LOC"]
    assert {"300 × LOC at layer 0", "300 × LOC at layer 2"} <= set(refused)
    assert not chosen.steps
    assert chosen.expected is not None
    assert len(refused) + chosen.expected.tried == len(cells)


def test_a_model_that_does_not_write_has_no_limit_on_repetition(
    llama: sl.LensModel, items: Items, loc: SteeringVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = replace(llama.capabilities, generation=False)
    monkeypatch.setattr(type(llama), "capabilities", property(lambda _: able))
    assert _choice(_swept(), llama, items, loc, replace(FEW, perplexity=None, repetition=0.0)).steps == (StepSpec(*STRONG),)


def test_limits_that_make_no_sense() -> None:
    for bad in ({"perplexity": 0.9}, {"repetition": -0.1}, {"concepts": 0}, {"max_new_tokens": 0}, {"perplexity": math.nan}):
        with pytest.raises(SettingsError, match="expected a perplexity of 1 or more"):
            TextLimits(**bad)  # type: ignore[arg-type]


def test_side_effects_are_on_by_default_and_can_be_turned_off() -> None:
    from steerlens.cli import parsed

    assert settings_of(StudySettings, parsed(["demo"])).side_effects
    assert not settings_of(StudySettings, parsed(["demo", "--no-side-effects"])).side_effects
    assert settings_of(StudySettings, parsed(["demo", "--quick"])).side_effects == QUICK.side_effects is False
    assert settings_of(StudySettings, parsed(["demo", "--quick", "--side-effects"])).side_effects
