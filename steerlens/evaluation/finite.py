"""Checks for scores that are NaN or infinite. The largest number in half precision is 65,504, and steering with a strong
vector can exceed this number."""

from collections.abc import Sequence

from steerlens.errors import ModelError, VectorError
from steerlens.evaluation.outcomes import Outcome
from steerlens.models.lens import LensModel
from steerlens.steering import SteeringPlan


def finite(outcomes: Sequence[Outcome], model: LensModel, plan: SteeringPlan | None = None) -> Sequence[Outcome]:
    """Returns the outcomes if all scores are finite numbers.

    Args:
        plan: the plan that steered the model; ``None`` for the unsteered model.

    Raises:
        ModelError: scores of the unsteered model are not finite.
        VectorError: scores under the plan are not finite.
    """
    refuse(sum(not outcome.valid for outcome in outcomes), len(outcomes), "items", model, plan)
    return outcomes


def refuse(bad: int, n: int, of: str, model: LensModel, plan: SteeringPlan | None = None) -> None:
    """Raises an error if some of the scores are NaN or infinite.

    Args:
        bad: the number of scores that are not finite.
        n: the number of all scores.
        of: a description of what is scored.

    Raises:
        ModelError: scores of the unsteered model are NaN or infinite.
        VectorError: scores under the plan are NaN or infinite.
    """
    dtype = model.fingerprint.dtype
    what = f"gives NaN or infinite scores for {bad} of {n} {of} in {dtype}"
    if bad and plan is None:
        raise ModelError(f"the unsteered model {model.name} {what}: {_wider(dtype) or 'check its weights'}.")
    if bad:
        raise VectorError(f"plan {plan} {what}: {advice(dtype)}.")


def advice(dtype: str) -> str:
    """Returns the advice for a plan under which the model's numbers overflow."""
    wider = _wider(dtype)
    return f"lower the strength{f', or {wider}' if wider else ''}"


def _wider(dtype: str) -> str:
    return "load the model in bfloat16 or float32" if dtype == "float16" else ""
