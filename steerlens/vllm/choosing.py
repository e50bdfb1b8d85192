"""How a request to the server says by which plan it is steered, and what no request may say."""

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
"""The fields that a request may not set itself. The first runs code from the request."""


def with_plan(body: Mapping[str, Any], base: str, plans: Collection[str]) -> dict[str, Any]:
    """Returns a request as vLLM takes it, with the name of its plan where the engine finds it.

    A request names a plan in its ``model``, as ``gemma-3-270m:LOC-es-ES``, or in a field ``plan`` of its own.

    Args:
        body: the request's JSON.
        base: the name of the model, which unsteered requests give.
        plans: the plans by name.

    Raises:
        UnknownNameError: no such plan.
        SettingsError: two plans, a field that no request may have, or a plan with several texts for one prompt.
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
    """Says whether a model's name names a plan."""
    return isinstance(model, str) and model.startswith(f"{base}:")
