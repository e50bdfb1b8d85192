"""Judges: functions that apply probing, the search for plans or the transfer-localization plane to a planted model, and check
whether the resulting claims are true."""

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
"""The significance level of a judge, over all claims that the judge could make."""
ALIGNED = 0.7
"""The smallest cosine with the planted direction at which a vector counts as found. The cosine corresponds to about 45
degrees."""
_SCORES = {contrast.name: contrast.score for contrast in (EN, LOC)}
_SEARCH = SearchSettings(tokens=("last_onward",), n_folds=2, dev_concepts=30, singles=6, test_concepts=None)


@dataclass(frozen=True)
class Judgement:
    """A judge's claims about one model."""

    claims: tuple[str, ...]
    """The claims in words. The tuple is empty if the judge claims that there is no effect."""
    found: bool | None
    """Whether the judge found the planted directions; ``None`` if nothing was planted."""
    seen: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """The values of each measure, by the measure's name. There is one value for each layer, starting with the first layer."""


Judge = Callable[[Planted], Judgement]
"""A function that gets a planted model and returns claims about the model. A judge may read the truth only to check whether
the claims are true."""


def by_probing(bed: Planted, *, draws: int = 1000, alpha: float = ALPHA, locale: str | None = None) -> Judgement:
    """Claims the layers at which a probe distinguishes factual from cultural prompts. The test is ``probing.permutation_test``,
    with p-values that are corrected for the number of layers.

    The planted directions count as found if both planted layers are claimed and have the two highest AUROCs.

    Args:
        bed: the planted model.
        draws: the number of permutations.
        alpha: the significance level for the corrected p-values.
        locale: the locale that is judged; ``None`` takes the planted model's first locale other than English.
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
    """Claims the scores that the search's best plan raises on the test part. A score counts as raised if its paired 95%
    interval is above zero.

    The planted directions count as found if both scores are claimed, the plan consists of EN and LOC at their planted layers,
    and both vectors point along the planted directions. No correction for multiple plans is needed, because only one plan is
    tested. This plan was chosen on other concepts.

    Args:
        bed: the planted model.
        settings: the settings of the search. The seed is replaced by the seed of the planted model. Limits on text are not
            applied, because a planted model does not model texts.
        aligned: the smallest cosine between a vector and the planted direction.
        locale: the locale that is judged; ``None`` takes the planted model's first locale other than English.
    """
    code, truth = _locale(bed, locale)
    free = replace(settings, seed=bed.seed, limits=replace(settings.limits, text=None))
    result = search(bed.model, bed.items.split(seed=bed.seed), [code], settings=free)
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
    """Claims the scores that EN or LOC raises at some layer. The test is a sign-flip test on concepts from which no vector was
    made.

    The p-value is compared with ``alpha`` divided by the number of possible claims (Bonferroni). The possible claims are all
    combinations of the two vectors, all layers and the two scores. The planted directions count as found if three conditions
    are met. The largest gain in transfer must belong to EN at its planted layer and be claimed. The largest gain in
    localization must belong to LOC at its planted layer and be claimed. Both vectors must point along the planted directions.

    Args:
        bed: the planted model.
        strength: the strength at which vectors are added.
        alpha: the significance level over all claims.
        aligned: the smallest cosine between a vector and the planted direction.
        locale: the locale that is judged; ``None`` takes the planted model's first locale other than English.
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
"""The judges of this package, by name."""


def _locale(bed: Planted, given: str | None) -> tuple[str, Mapping[str, Truth]]:
    """Returns the locale that is judged and the planted directions of this locale. The mapping is empty if nothing was
    planted."""
    code = next(one for one in bed.items.locales if one != ENGLISH) if given is None else given
    return code, bed.truth.get(code, {})


def _cosine(vector: Intervention, truth: Truth) -> float:
    """Returns the cosine between a vector at the planted layer and the planted direction."""
    direction = cast(SteeringVector, vector).direction(truth.layer)  # EN and LOC are plain steering vectors
    return float(torch.cosine_similarity(direction, truth.direction, dim=0))
