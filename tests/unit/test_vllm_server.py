"""The server's way to a plan: what requests may say, and what the engine is told. Neither vLLM nor a server runs."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

import steerlens as sl
from steerlens.errors import ModelError, SettingsError, UnknownNameError
from steerlens.fingerprint import Fingerprint
from steerlens.vllm.choosing import FIELD, with_plan
from steerlens.vllm.server import ChoosePlan, steered

FINGERPRINT = Fingerprint("", "", "float32", "none", 4, 8, (2,), 2, 0)
PLANS = {"EN": None, "LOC-es-ES": None}


@pytest.mark.parametrize(
    ("body", "chosen"),
    [
        ({"model": "m"}, None),
        ({"model": "m:LOC-es-ES"}, "LOC-es-ES"),
        ({"model": "m", "plan": "EN"}, "EN"),
        ({"model": "m:EN", "plan": "EN", "n": 1, "vllm_xargs": {"other": 3}}, "EN"),
        ({"prompt": "a"}, None),
        ({"model": "m2:EN"}, None),  # no such model, which vLLM says itself
    ],
)
def test_requests_name_their_plan(body: dict[str, Any], chosen: str | None) -> None:
    asked = with_plan(body, "m", PLANS)
    assert asked.get("vllm_xargs", {}).get(FIELD) == chosen
    assert "plan" not in asked
    rest = {name: value for name, value in asked.items() if name != "vllm_xargs"}
    assert rest == {name: value for name, value in body.items() if name not in ("plan", "vllm_xargs")}
    assert asked.get("vllm_xargs", {}).get("other") == body.get("vllm_xargs", {}).get("other")


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m:FR"},
        {"model": "m", "plan": "FR"},
        {"model": "m:EN", "plan": "LOC-es-ES"},
        {"model": "m", "vllm_xargs": {"apply_hooks": "[]"}},
        {"model": "m", "vllm_xargs": {"apply_steering_vectors": "[]"}},
        {"model": "m", "vllm_xargs": {FIELD: "EN"}},
        {"model": "m:EN", "n": 2},
        {"model": "m:EN", "use_beam_search": True},
    ],
)
def test_requests_that_cannot_be_steered_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises((SettingsError, UnknownNameError)):
        with_plan(body, "m", PLANS)


def asked_of_server(path: str, body: bytes, method: str = "POST") -> tuple[int, Any]:
    """What the middleware answers, or 200 and the body that it passes on."""
    sent: list[Any] = []
    parts = iter([body[:7], body[7:]])

    async def receive() -> dict[str, Any]:
        part = next(parts)
        return {"type": "http.request", "body": part, "more_body": part == body[:7]}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        content = (await receive())["body"]
        assert dict(scope["headers"])[b"content-length"] == str(len(content)).encode()
        sent.extend([{"status": 200}, {"body": content}])

    scope = {"type": "http", "method": method, "path": path, "headers": [(b"content-length", b"3")]}
    asyncio.run(ChoosePlan(app)(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_the_server_takes_texts_and_nothing_that_brings_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChoosePlan, "base", "m")
    monkeypatch.setattr(ChoosePlan, "plans", PLANS)
    status, body = asked_of_server("/v1/completions", b'{"model": "m:EN", "prompt": "a"}')
    assert (status, body["vllm_xargs"]) == (200, {FIELD: "EN"})
    assert asked_of_server("/v1/chat/completions", b'{"model": "m", "messages": []}')[0] == 200
    status, body = asked_of_server("/v1/completions", b'{"model": "m:FR"}')
    assert status == 404
    assert "LOC-es-ES" in body["error"]["message"]
    assert asked_of_server("/v1/completions", b'{"vllm_xargs": {"apply_hooks": 1}}')[0] == 400
    assert asked_of_server("/v1/completions", b"no json")[0] == 400
    assert asked_of_server("/v1/completions", b"[1]")[0] == 400
    assert asked_of_server("/v1/hooks/register", b"{}")[0] == 403
    assert asked_of_server("/v1/responses", b'{"model": "m:EN"}', "PUT")[0] == 403


@pytest.mark.parametrize("in_parts", [False, True])
def test_the_engine_is_given_the_plan_that_a_request_names(in_parts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the answer comes whole or in parts."""
    lens = ModuleType("vllm_lens")
    lens.Hook = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm_lens", lens)
    kind = SimpleNamespace(name="DELTA" if in_parts else "FINAL_ONLY")
    plan = sl.steering.SteeringVector(torch.ones(1, 8), (1,), FINGERPRINT).at(1)
    seen: list[Any] = []

    async def generate(self: Any, prompt: Any, params: Any, request_id: str, **more: Any) -> AsyncIterator[Any]:
        seen.append(params.extra_args)
        hooks = params.extra_args.get("apply_hooks", [])
        saved = {str(layer): 5 for own in hooks for layer in own.layer_indices}
        yield SimpleNamespace(finished=False, outputs=[SimpleNamespace(token_ids=[1])])
        output = SimpleNamespace(finished=True, outputs=[SimpleNamespace(token_ids=[2] if in_parts else [1, 2])])
        if hooks:
            output.hook_results = {"0": saved}
        yield output

    async def ask(prompt: Any, extra: dict[str, Any]) -> list[Any]:
        under = steered(generate, {"mine": plan}, lambda _: 1)
        return [one async for one in under(None, prompt, SimpleNamespace(extra_args=extra, output_kind=kind), "1")]

    ids = [2, 5, 6, 7]
    (_, output) = asyncio.run(ask({"prompt_token_ids": ids}, {FIELD: "mine", "other": 1}))
    placed = seen[-1]["apply_hooks"][0].fn
    assert (placed.plan, placed.prompt, placed.front, seen[-1]["other"]) == (plan, 4, 1, 1)
    assert not hasattr(output, "hook_results")
    asyncio.run(ask({"prompt_token_ids": ids}, {"other": 1}))
    assert seen[-1] == {"other": 1}
    shared = {FIELD: "mine"}  # by the prompts of one request
    for _ in range(2):
        asyncio.run(ask({"prompt_token_ids": ids}, shared))
        assert seen[-1]["apply_hooks"][0].fn.prompt == 4
    request = SimpleNamespace(prompt_token_ids=ids, sampling_params=SimpleNamespace(extra_args={FIELD: "mine"}, output_kind=kind))
    asyncio.run(ask(request, {}))
    assert request.sampling_params.extra_args["apply_hooks"][0].fn.prompt == 4
    with pytest.raises(ModelError):
        asyncio.run(ask({"prompt_token_ids": [*ids, 8, 9]}, {FIELD: "mine"}))
