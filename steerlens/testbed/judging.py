"""What probing, the search and the plane claim about a planted model, and whether the claims are true."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch

from steerlens.data import ENGLISH, Items
from steerlens.evaluation import BEST, SearchSettings, answered, placed, search
from steerlens.probing import permutation_test
from steerlens.steering import EN, LOC, UNSTEERED, Intervention, SteeringVector, take
from steerlens.testbed.planted import Planted, Truth

ALPHA = 0.05
"""The significance level of judges, over all claims that they could make."""
ALIGNED = 0.7
"""The smallest cosine with the planted direction for which a vector counts as that direction: 45 degrees."""
_SCORES = {contrast.name: contrast.score for contrast in (EN, LOC)}
_SEARCH = SearchSettings(tokens=("last_onward",), n_folds=2, dev_concepts=30, singles=6, test_concepts=None)


@dataclass(frozen=True)
class Judgement:
    """A judge's claims about one model."""

    claims: tuple[str, ...]
    """The claims, in the judge's own words; empty if the judge claims that there is nothing."""
    found: bool | None
    """Whether the judge found what was planted; ``None`` if nothing was planted."""
    seen: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """The values of each measure at each layer, from the first layer."""


Judge = Callable[[Planted], Judgement]
"""A function that gets a model whose truth is known, and returns what it claims about the model. A judge may read the truth
only to say whether it was found."""


def by_probing(bed: Planted, *, draws: int = 1000, alpha: float = ALPHA, locale: str | None = None) -> Judgement:
    """Claims the layers at which the kinds can be told apart, by ``probing.permutation_test``, corrected over layers.

    The truth counts as found if both planted layers are claimed and have the two highest AUROCs.

    Args:
        bed: the planted model.
        draws: the number of permutations.
        alpha: the level of the corrected p values.
        locale: the locale that is judged; ``None`` takes the bed's first locale other than English.
    """
    code, truth = _locale(bed, locale)
    stack = bed.model.residuals(bed.items.of(locale=code).prompts(explicit=False))
    frame = permutation_test(stack, draws=draws, seed=bed.seed).frame
    claimed = set(frame[frame["p_corrected"] < alpha]["layer"])
    highest, planted = set(frame.nlargest(2, "auroc")["layer"]), {own.layer for own in truth.values()}
    found = highest == planted <= claimed
    claims = tuple(f"layer {layer}" for layer in sorted(claimed))
    return Judgement(claims, found if truth else None, {"auroc": frame["auroc"].tolist()})


def by_search(
    bed: Planted, *, settings: SearchSettings = _SEARCH, aligned: float = ALIGNED, locale: str | None = None
) -> Judgement:
    """Claims the scores that the search's preferred plan raises on the test part: a paired 95% interval above zero.

    The truth counts as found if the judge claims both scores, the plan consists of EN at its layer and LOC at its layer, and
    both vectors point along the planted directions. There is only one plan, and it was chosen on other concepts, so no
    correction is needed.

    Args:
        bed: the planted model.
        settings: the settings of the search; the seed is the bed's.
        aligned: the smallest cosine between a vector and the planted direction.
        locale: the locale that is judged; ``None`` takes the bed's first locale other than English.
    """
    code, truth = _locale(bed, locale)
    result = search(bed.model, bed.items.split(seed=bed.seed), [code], settings=replace(settings, seed=bed.seed))
    assert result.tested is not None, "a split has a part to test on"
    tested, chosen = result.tested.frame, result.chosen(code)
    raised = set(tested[(tested["method"] == BEST) & (tested["low"] > 0)]["score"])
    claims = [score for score in _SCORES.values() if score in raised]
    placed_right = {step.vector: step.layer for step in chosen.steps} == {name: own.layer for name, own in truth.items()}
    along = all(_cosine(result.vectors.of(code)[name], own) > aligned for name, own in truth.items())
    found = len(claims) == 2 and placed_right and along
    return Judgement(tuple(f"{score} by {chosen}" for score in claims), found if truth else None)


def by_plane(
    bed: Planted, *, strength: float = 2.0, alpha: float = ALPHA, aligned: float = ALIGNED, locale: str | None = None
) -> Judgement:
    """Claims the scores that EN or LOC at some layer raises on concepts that no vector was made from, by a sign-flip test.

    p is compared with ``alpha`` divided by the number of possible claims (Bonferroni): both vectors, all layers, both scores.
    The truth counts as found if the largest gain in transfer belongs to EN at its layer and is claimed, the largest gain in
    localization belongs to LOC at its layer and is claimed, and both vectors point along the planted directions.

    Args:
        bed: the planted model.
        strength: the strength at which vectors are added.
        alpha: the level over all claims.
        aligned: the smallest cosine between a vector and the planted direction.
        locale: the locale that is judged; ``None`` takes the bed's first locale other than English.
    """
    code, truth = _locale(bed, locale)
    split = bed.items.split(seed=bed.seed)
    held_out = Items((*split.dev, *split.test)).of(locale=code)
    vectors = take(bed.model, split.train, locales=[code]).of(code)
    cells = {(name, layer): f"{name} at {layer}" for name in vectors for layer in bed.model.layers()}
    methods = {method: {code: vectors[name].at(layer, strength)} for (name, layer), method in cells.items()}
    answers = answered(bed.model, held_out, methods)
    table = placed(answers, seed=bed.seed).frame
    changes = table[table["locale"] == code].set_index(["score", "method"])["change"]
    could = [(score, method) for method in methods for score in _SCORES.values()]
    p = {(score, method): answers.compare(method, UNSTEERED, score, seed=bed.seed).frame["p"].item() for score, method in could}
    claimed = {claim for claim in could if changes[claim] > 0 and p[claim] < alpha / len(could)}
    right = [
        changes[_SCORES[name]][list(methods)].idxmax() == cells[name, own.layer]
        and (_SCORES[name], cells[name, own.layer]) in claimed
        and _cosine(vectors[name], own) > aligned
        for name, own in truth.items()
    ]
    seen = {score: [changes[score, cells[name, at]] for at in bed.model.layers()] for name, score in _SCORES.items()}
    return Judgement(tuple(sorted(f"{score} by {method}" for score, method in claimed)), all(right) if truth else None, seen)


JUDGES: Mapping[str, Judge] = {"probing": by_probing, "search": by_search, "plane": by_plane}
"""The package's own judges by name."""


def _locale(bed: Planted, given: str | None) -> tuple[str, Mapping[str, Truth]]:
    """Returns the locale that is judged and its truth, which is empty if nothing was planted."""
    code = next(one for one in bed.items.locales if one != ENGLISH) if given is None else given
    return code, bed.truth.get(code, {})


def _cosine(vector: Intervention, truth: Truth) -> float:
    """Returns the cosine between a vector at the planted layer and the planted direction."""
    direction = cast(SteeringVector, vector).direction(truth.layer)  # EN and LOC are added as they are
    return float(torch.cosine_similarity(direction, truth.direction, dim=0))
