"""Controls of steering: the effects of random directions of the same length, of another locale's vector, and of a vector from
shuffled labels.

An effect is specific to a vector if it differs from the effects of the vector's controls. Controls are ordinary vectors and
plans, so sweeps and the transfer-localization plane accept controls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import PromptPairs
from steerlens.errors import PairsError, SettingsError, VectorError
from steerlens.steering.directions import DirectionalEdit
from steerlens.steering.edits import Edit
from steerlens.steering.interventions import SomeIntervention, altered, generator
from steerlens.steering.plans import SteeringPlan
from steerlens.steering.steps import Step
from steerlens.steering.vectors import SteeringVector

RANDOM, OTHER, SHUFFLED = "random direction", "another locale", "shuffled labels"
DRAWS = 20
"""The number of random directions with which a plan is compared."""


def random_vectors(vector: SomeIntervention, draws: int = DRAWS, seed: int = 0) -> tuple[SomeIntervention, ...]:
    """Returns random directions (or maps) with the vector's norm at each layer. The directions at different layers are
    independent.

    Each draw depends only on the seed, the number of the draw, the layer and the vector's label.

    Args:
        vector: a steering vector or another intervention.
        draws: the number of draws.
        seed: the seed of the draws.

    Raises:
        SettingsError: the number of draws is less than 1.
    """
    _check(draws)
    drawn = (cast(SomeIntervention, vector.random_like(f"{seed}/{vector.label}", number)) for number in range(draws))
    return tuple(_control(vector, f"random {number}", own) for number, own in enumerate(drawn))


def shuffled_vectors(
    vector: SteeringVector, stack: ResidualStack, pairs: PromptPairs, draws: int = DRAWS, seed: int = 0
) -> tuple[SteeringVector, ...]:
    """Returns control vectors: differences of means after the positive and negative prompt were exchanged in a random half of
    the pairs.

    The exchange cancels the common difference of the pairs, and other differences between the prompts remain. Unlike random
    directions, the control vectors are therefore directions in which residuals vary. The control vectors are rescaled to the
    vector's norm at each layer. Without rescaling, the control vectors would be shorter than the vector by a factor of about
    the square root of the number of pairs.

    Args:
        vector: the vector that was taken from the pairs.
        stack: a stack that contains the pairs' prompts at the vector's layers.
        pairs: the pairs from which the vector was taken.
        draws: the number of draws.
        seed: the seed of the draws.

    Raises:
        PairsError: the vector was not taken from the given pairs, or there is only one pair.
        PromptError: the stack lacks some of the prompts.
        LayerError: the stack lacks one of the layers.
        FingerprintError: the stack belongs to another model.
        SettingsError: the number of draws is less than 1.
    """
    _check(draws)
    stack.fingerprint.check(vector.fingerprint, "this stack")
    if len(pairs) < 2 or pairs.digest() != vector.prompts_sha256:
        raise PairsError(
            f"{len(pairs)} pairs {pairs.name} {pairs.locale} given to shuffle {vector.label}: expected two or more pairs, and "
            "exactly the pairs from which the vector was taken."
        )
    own = stack.at_layers(vector.layers)
    differences = own.of(pairs.positive).residuals.double() - own.of(pairs.negative).residuals.double()
    signs = torch.ones(draws, len(pairs), dtype=torch.float64)
    for number, row in enumerate(signs):
        order = torch.randperm(len(pairs), generator=generator(f"{seed}/{vector.label}/shuffled/{number}"))
        row[order[: len(pairs) // 2]] = -1
    means = einsum(differences, signs, "layer pair d_model, draw pair -> draw layer d_model")
    directions = torch.nn.functional.normalize(means, dim=2).float() * vector.directions.norm(dim=1, keepdim=True)
    made = (replace(vector, directions=own, positive=None) for own in directions)
    return tuple(_control(vector, f"shuffled {number}", own) for number, own in enumerate(made))


def other_locales(vectors: Mapping[str, SomeIntervention]) -> dict[str, SomeIntervention]:
    """Returns for each locale the vector of the next locale, with its length unchanged. The last locale gets the first
    locale's vector.

    Args:
        vectors: the vector of each locale.

    Raises:
        VectorError: there are fewer than two locales.
    """
    if len(vectors) < 2:
        raise VectorError(
            f"vectors of {', '.join(vectors) or 'no locale'} given: expected vectors of two locales or more, because vectors are "
            "exchanged between locales."
        )
    following = _next(vectors).items()
    return {code: _control(vectors[code], f"of {other}", vectors[other], locale=code) for code, other in following}


@dataclass(frozen=True)
class Controls:
    """The controls of every plan on the transfer-localization plane."""

    draws: int = DRAWS
    """The number of random directions. Each random direction has the norm of the direction that it replaces."""
    seed: int = 0
    shuffled: tuple[SteeringVector, ...] = ()
    """The results of ``shuffled_vectors`` for the vectors of the plans. A method has the control ``shuffled labels`` only if
    there are results for all vectors of its plans."""

    def __post_init__(self) -> None:
        _check(self.draws)

    def of(self, plans: Mapping[str, SteeringPlan]) -> dict[str, dict[str, tuple[SteeringPlan, ...]]]:
        """Returns the controls of one method, by control and locale. A control is a plan that differs from the method's plan
        only in its directions.

        The control ``another locale`` is the unchanged plan of the next locale that has a different plan. If no plan has
        steps, there are no controls.

        Args:
            plans: the plan of each locale.
        """
        if not any(plan.steps for plan in plans.values()):
            return {}
        found = {RANDOM: {code: self._random(plan) for code, plan in plans.items()}}
        digests = {code: plan.digest() for code, plan in plans.items()}
        if len(set(digests.values())) > 1:
            found[OTHER] = {code: (plans[_next_other(code, digests)],) for code in plans}
        by_label: dict[str, list[SteeringVector]] = {}
        for vector in self.shuffled:
            by_label.setdefault(str(vector.notes.get("control_of")), []).append(vector)
        steps = [step for plan in plans.values() for step in plan.steps]
        if all(step.label in by_label and isinstance(step.edit, DirectionalEdit) for step in steps):
            found[SHUFFLED] = {code: _exchanged(plan, by_label) for code, plan in plans.items()}
        return found

    def _random(self, plan: SteeringPlan) -> tuple[SteeringPlan, ...]:
        def drawn(step: Step, number: int) -> Step:
            return replace(step, edit=step.edit.random_like(generator(f"{self.seed}/{step.label}/{step.layer}/{number}")))

        return tuple(replace(plan, steps=tuple(drawn(step, n) for step in plan.steps)) for n in range(self.draws))


def _exchanged(plan: SteeringPlan, by_label: Mapping[str, list[SteeringVector]]) -> tuple[SteeringPlan, ...]:
    """Returns one plan for each draw of shuffled labels. If the steps have different numbers of shuffled vectors, the number of
    draws is the smallest of these numbers."""
    draws = min((len(by_label[step.label]) for step in plan.steps), default=0)

    def drawn(step: Step, number: int) -> Step:
        return replace(step, edit=_along(step.edit, by_label[step.label][number].direction(step.layer)))

    return tuple(replace(plan, steps=tuple(drawn(step, n) for step in plan.steps)) for n in range(draws))


def _next(codes: Iterable[str]) -> dict[str, str]:
    given = list(codes)
    return dict(zip(given, [*given[1:], *given[:1]], strict=True))


def _next_other(code: str, digests: Mapping[str, str]) -> str:
    """Returns the next locale that has a different plan."""
    codes = list(digests)
    at = codes.index(code)
    return next(other for other in (*codes[at:], *codes[:at]) if digests[other] != digests[code])


def _along(edit: Edit, direction: Float[Tensor, " d_model"]) -> Edit:
    return edit.along(direction) if isinstance(edit, DirectionalEdit) else edit


def _control(vector: SomeIntervention, what: str, made: SomeIntervention, **others: Any) -> SomeIntervention:
    notes = {**vector.notes, "control_of": vector.label}
    return altered(made, name=f"{vector.name} {what}", notes=notes, **others)


def _check(draws: int) -> None:
    if draws < 1:
        raise SettingsError(f"{draws} draws of a control given: expected at least 1 draw. {DRAWS} or more draws are better.")
