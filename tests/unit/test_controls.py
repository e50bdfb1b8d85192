"""Controls have the length of what they control and none of its meaning."""

from dataclasses import replace

import pytest
import torch

import steerlens as sl
from steerlens.errors import PairsError, SettingsError, VectorError
from steerlens.steering import (
    Controls,
    SteeringVector,
    difference_of_means,
    no_steering,
    other_locales,
    random_vectors,
    shuffled_vectors,
)
from steerlens.steering.controls import OTHER, RANDOM, SHUFFLED


@pytest.fixture(scope="module")
def stack(llama: sl.LensModel, items: sl.data.Items) -> sl.ResidualStack:
    return llama.residuals(items.prompts())


@pytest.fixture(scope="module")
def vectors(stack: sl.ResidualStack, items: sl.data.Items) -> dict[str, SteeringVector]:
    return {code: difference_of_means(stack, items.english_pairs(code)) for code in ("es-ES", "ko-KR")}


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(a, b, dim=-1)


def test_random_directions_have_the_norm_and_are_all_over_the_sphere(vectors: dict[str, SteeringVector]) -> None:
    vector = vectors["es-ES"]
    drawn = random_vectors(vector, 200, seed=3)
    for control in drawn:
        torch.testing.assert_close(control.directions.norm(dim=1), vector.directions.norm(dim=1), rtol=1e-5, atol=0)
    cosines = torch.stack([_cosine(control.directions, vector.directions) for control in drawn])  # [draw, layer]
    d = vector.directions.shape[1]
    assert cosines.mean(dim=0).abs().max() < 4 / (200 * d) ** 0.5
    torch.testing.assert_close(cosines.std(dim=0), torch.full((4,), d**-0.5), rtol=0.2, atol=0)
    assert torch.equal(random_vectors(vector, 2, seed=3)[1].directions, drawn[1].directions)
    assert not torch.equal(random_vectors(vector, 1, seed=4)[0].directions, drawn[0].directions)
    assert drawn[0].label == "EN random 0 es-ES"


def test_shuffled_labels_lose_a_planted_direction(stack: sl.ResidualStack, items: sl.data.Items) -> None:
    """The direction that all pairs share is found with their labels and gone without them."""
    pairs, planted = items.english_pairs("es-ES"), torch.zeros(stack.residuals.shape[2])
    planted[0] = 50.0
    shifted = stack.residuals.clone()
    for prompt in pairs.positive:
        shifted[:, stack.prompts.index(prompt)] += planted
    with_it = replace(stack, residuals=shifted)
    vector = difference_of_means(with_it, pairs)
    assert _cosine(vector.directions, planted.expand_as(vector.directions)).min() > 0.9
    drawn = shuffled_vectors(vector, with_it, pairs, 20)
    assert len(pairs) % 2 == 0  # so that the planted direction cancels whole
    for control in drawn:
        assert _cosine(control.directions, planted.expand_as(vector.directions)).abs().max() < 0.6
        torch.testing.assert_close(control.directions.norm(dim=1), vector.directions.norm(dim=1), rtol=1e-4, atol=0)
    mean = torch.stack([_cosine(c.directions, vector.directions) for c in drawn]).mean()
    assert abs(mean) < 0.25
    with pytest.raises(PairsError, match="exactly the pairs from which the vector was taken"):
        shuffled_vectors(vector, with_it, items.english_pairs("ko-KR"))


def test_other_locales_exchange_their_vectors(vectors: dict[str, SteeringVector]) -> None:
    others = other_locales(vectors)
    assert torch.equal(others["es-ES"].directions, vectors["ko-KR"].directions)
    assert (others["es-ES"].locale, others["es-ES"].name) == ("es-ES", "EN of ko-KR")
    with pytest.raises(VectorError, match="two locales"):
        other_locales({"es-ES": vectors["es-ES"]})


def test_controls_of_a_plan_change_its_directions_alone(
    vectors: dict[str, SteeringVector], stack: sl.ResidualStack, items: sl.data.Items
) -> None:
    plans = {code: v.at(1, 2.0, "all") + v.ablation().at(2) for code, v in vectors.items()}
    shuffled = [c for code, v in vectors.items() for c in shuffled_vectors(v, stack, items.english_pairs(code), 3)]
    found = Controls(draws=4, seed=1, shuffled=tuple(shuffled)).of(plans)
    assert {name: len(own["es-ES"]) for name, own in found.items()} == {RANDOM: 4, OTHER: 1, SHUFFLED: 3}
    for own in found.values():
        for control in (*own["es-ES"], *own["ko-KR"]):
            for step, like in zip(control.steps, plans["es-ES"].steps, strict=True):
                same = (like.layer, like.strength, like.tokens, like.edit.operation)
                assert (step.layer, step.strength, step.tokens, step.edit.operation) == same
    assert torch.equal(found[SHUFFLED]["es-ES"][0].steps[0].edit.direction, shuffled[0].direction(1))
    drawn = random_vectors(vectors["es-ES"], 1, seed=1)[0]
    assert torch.equal(found[RANDOM]["es-ES"][0].steps[0].edit.direction, drawn.direction(1))
    assert set(Controls().of({"es-ES": plans["es-ES"]})) == {RANDOM}  # no other locale, nothing shuffled
    with pytest.raises(SettingsError, match="0 draws"):
        Controls(draws=0)


def test_a_plan_is_no_control_of_itself(vectors: dict[str, SteeringVector]) -> None:
    """One plan for all locales, or for some of them, has another locale's only where that is another one."""
    spanish, korean = (vector.at(1) for vector in vectors.values())
    assert set(Controls(draws=2).of({"es-ES": spanish, "ko-KR": spanish})) == {RANDOM}
    assert set(Controls(draws=2).of({"es-ES": spanish, "ko-KR": vectors["es-ES"].at(1)})) == {RANDOM}  # equal, not the same
    others = Controls(draws=2).of({"es-ES": spanish, "el-GR": spanish, "ko-KR": korean})[OTHER]
    assert {code: plans[0] is korean for code, plans in others.items()} == {"es-ES": True, "el-GR": True, "ko-KR": False}
    nothing = no_steering(spanish.fingerprint)
    assert Controls(draws=2).of({"es-ES": nothing, "ko-KR": nothing}) == {}
