"""How a request to the server chooses its plan, and which fields a request must not have."""

from collections.abc import Collection, Mapping
from typing import Any

from steerlens.errors import SettingsError, UnknownNameError

FIELD = "steerlens_plan"
"""The key of the plan's name in vLLM's arguments."""
STEERED = ("/v1/completions", "/v1/chat/completions")
"""The paths that generate texts."""
OPEN = (*STEERED, "/tokenize", "/detokenize")
"""The paths whose requests with a body are accepted. vLLM and vllm-lens have other paths that run code from a request."""
_INSIDE = ("apply_hooks", "apply_steering_vectors", FIELD)
"""The fields that a request must not set itself. The first one runs code from the request."""


def with_plan(body: Mapping[str, Any], base: str, plans: Collection[str]) -> dict[str, Any]:
    """Returns a request in vLLM's form, with the name of its plan at the place where the engine looks for it.

    A request names a plan in its ``model``, such as ``gemma-3-270m:LOC-es-ES``, or in a separate field ``plan``.

    Args:
        body: the request's JSON.
        base: the name of the model, which unsteered requests use.
        plans: the plans by name.

    Raises:
        UnknownNameError: there is no such plan.
        SettingsError: the request has two plans, a field that no request may have, or a plan together with several texts for
            one prompt.
    """
    given, name = dict(body), body.get("plan")
    by_model = str(body.get("model", base)).removeprefix(base).removeprefix(":") if _names(body.get("model"), base) else None
    given.pop("plan", None)
    if name is not None and by_model is not None and name != by_model:
        raise SettingsError(
            f"plan {name!r} and model {body['model']!r} given, which name two different plans: expected one plan. Remove one "
            "of the two."
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
    """Returns whether a model's name contains the name of a plan."""
    return isinstance(model, str) and model.startswith(f"{base}:")
