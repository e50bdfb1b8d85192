"""Finds the plan that a request to the server chooses, and the fields that a request must not have."""

from collections.abc import Collection, Mapping
from typing import Any

from steerlens.errors import SettingsError, UnknownNameError

FIELD = "steerlens_plan"
"""The key under which the name of the plan is stored in the ``vllm_xargs`` of a request."""
STEERED = ("/v1/completions", "/v1/chat/completions")
"""The paths of the requests that generate texts."""
OPEN = (*STEERED, "/tokenize", "/detokenize")
"""The paths at which the server accepts requests with a body. Other paths are closed, because vLLM and vllm-lens have paths that
run code from a request."""
_INSIDE = ("apply_hooks", "apply_steering_vectors", FIELD)
"""The fields that a request must not set. The field ``apply_hooks`` would run code from the request."""


def with_plan(body: Mapping[str, Any], base: str, plans: Collection[str]) -> dict[str, Any]:
    """Returns a request in the form of vLLM. The name of the plan is stored in the field from which the engine reads the name.

    A request names a plan in the field ``model``, for example ``gemma-3-270m:LOC-es-ES``, or in the field ``plan``.

    Args:
        body: the JSON values of the request.
        base: the name of the model without a plan, which unsteered requests use.
        plans: the names of the plans.

    Raises:
        UnknownNameError: there is no plan with the requested name.
        SettingsError: the request names two plans, has a forbidden field, or asks for several texts for one prompt under a plan.
    """
    given, name = dict(body), body.get("plan")
    by_model = str(body.get("model", base)).removeprefix(base).removeprefix(":") if _names(body.get("model"), base) else None
    given.pop("plan", None)
    if name is not None and by_model is not None and name != by_model:
        raise SettingsError(
            f"plan {name!r} and model {body['model']!r} given, which name two different plans: expected one plan. Remove "
            "plan, or remove the plan's name from model."
        )
    inside = given.get("vllm_xargs") or {}
    if not isinstance(inside, Mapping) or not isinstance(name, str | None):
        raise SettingsError(
            f"plan {name!r:.80} and vllm_xargs {inside!r:.80} given: expected a name as plan, and an object as vllm_xargs."
        )
    if found := sorted({*inside, *given}.intersection(_INSIDE)):
        raise SettingsError(
            f"{', '.join(found)} given: expected none of these, because this server steers only with the plans that it was "
            "started with. Name one of these plans as 'plan'."
        )
    chosen = by_model if name is None else name
    if chosen is None:
        return given
    if chosen not in plans:
        raise UnknownNameError("plan", chosen, plans)
    if given.get("n", 1) not in (None, 1) or given.get("best_of") not in (None, 1) or given.get("use_beam_search"):
        raise SettingsError(
            "n, best_of or beam search given with a plan: expected only one text for each prompt. Send the request several times."
        )
    return {**given, "vllm_xargs": {**inside, FIELD: chosen}}


def _names(model: Any, base: str) -> bool:
    """Returns whether the name of a model contains the name of a plan."""
    return isinstance(model, str) and model.startswith(f"{base}:")
