"""The planted model does what its docstring says, and only that."""

import pytest
import torch

from steerlens.data import ENGLISH
from steerlens.errors import SettingsError
from steerlens.evaluation import Scorer, Scoring
from steerlens.steering import SteeringVector, difference_of_means
from steerlens.testbed import Planted, planted


@pytest.fixture(scope="module")
def bed() -> Planted:
    return planted(3, locales=("es-ES",), concepts=24)


@pytest.fixture(scope="module")
def empty() -> Planted:
    return planted(3, nothing=True, locales=("es-ES",), concepts=24)


def _rate(bed: Planted, kind: str, locale: str, plan: object = None, form: str = "implicit") -> float:
    outcomes = Scorer(bed.model, bed.items.of(kind=kind, locale=locale), Scoring(form=form)).score(plan)
    return sum(outcome.correct for outcome in outcomes) / len(outcomes)


def test_it_knows_in_english_and_when_told_the_country(bed: Planted, empty: Planted) -> None:
    assert _rate(bed, "factual", ENGLISH) > 0.8
    assert _rate(bed, "factual", "es-ES") < 0.6
    assert _rate(bed, "cultural", "es-ES", form="explicit") > 0.8
    assert _rate(bed, "cultural", "es-ES") < 0.6
    for form in ("implicit", "explicit"):
        assert _rate(empty, "cultural", "es-ES", form=form) < 0.8  # two choices
    assert _rate(empty, "factual", ENGLISH) < 0.5


def test_a_direction_works_after_its_layer_and_nowhere_else(bed: Planted) -> None:
    for name, kind in (("EN", "factual"), ("LOC", "cultural")):
        truth = bed.truth["es-ES"][name]
        directions = (5 * truth.direction).expand(bed.model.n_layers, -1)
        vector = SteeringVector(directions, bed.model.layers(), bed.model.fingerprint, name, "es-ES")
        rates = [_rate(bed, kind, "es-ES", vector.at(layer)) for layer in bed.model.layers()]
        assert rates[truth.layer] > 0.9
        assert max(rate for layer, rate in enumerate(rates) if layer != truth.layer) <= _rate(bed, kind, "es-ES")


def test_a_direction_is_there_at_its_layer_and_nowhere_else(bed: Planted) -> None:
    stack = bed.model.residuals(bed.items.prompts())
    for name, kind, form, locale in (("EN", "factual", "implicit", ENGLISH), ("LOC", "cultural", "explicit", "es-ES")):
        truth = bed.truth["es-ES"][name]
        whole = stack.where(lambda p, of=(kind, form, locale): (p.kind, p.form, p.locale) == of)
        sizes = whole.residuals @ truth.direction
        torch.testing.assert_close(sizes[truth.layer], torch.full_like(sizes[0], 5.0), atol=0.1, rtol=0)
        assert sizes[[layer for layer in bed.model.layers() if layer != truth.layer]].abs().max() < 0.1


def test_vectors_point_along_what_was_planted(bed: Planted) -> None:
    for pairs in (bed.items.english_pairs("es-ES"), bed.items.localized_pairs("es-ES")):
        truth = bed.truth["es-ES"][pairs.name]
        cosines = torch.cosine_similarity(difference_of_means(bed.model, pairs).directions, truth.direction[None], dim=1)
        assert cosines[truth.layer] > 0.8
        assert cosines.abs().sum() - cosines[truth.layer] < 0.1


def test_english_steering_erases(bed: Planted) -> None:
    vector = difference_of_means(bed.model, bed.items.english_pairs("es-ES"))
    plan = vector.at(bed.truth["es-ES"]["EN"].layer, 2.0)
    assert _rate(bed, "cultural", "es-ES", plan) < _rate(bed, "cultural", "es-ES")


def test_the_seed_says_it_all(bed: Planted) -> None:
    again = planted(3, locales=("es-ES",), concepts=24)
    assert again.model.fingerprint == bed.model.fingerprint
    assert again.items.digest() == bed.items.digest()
    assert planted(4, locales=("es-ES",), concepts=24).model.fingerprint != bed.model.fingerprint


def test_layers_can_be_given() -> None:
    places = {"es-ES": (2, 4), "ko-KR": (2, 6)}
    bed = planted(0, concepts=6, layers=places)
    assert {code: (own["EN"].layer, own["LOC"].layer) for code, own in bed.truth.items()} == places
    assert bed.layers == (2, 4, 6)
    assert planted(0, concepts=6, nothing=True).layers == ()


@pytest.mark.parametrize(
    "bad", [{"layers": (0, 4)}, {"layers": (4, 2)}, {"layers": (2, 7)}, {"n_layers": 5}, {"layers": {"es-ES": (2, 4)}}]
)
def test_layers_that_do_not_fit(bad: dict) -> None:
    with pytest.raises(SettingsError, match="planted layers"):
        planted(0, **bad)


@pytest.mark.parametrize("bad", [{"concepts": 3}, {"locales": ("zh-CN",)}, {"locales": ("fr-FR",)}, {"locales": ()}])
def test_worlds_that_cannot_be_written(bad: dict) -> None:
    with pytest.raises(SettingsError, match="one word with a space after it"):
        planted(0, **bad)
