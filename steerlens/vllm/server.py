"""An OpenAI-compatible server whose requests choose a plan by name. The server is vLLM's own server. Before a request reaches
the engine, steerlens adds the plan that the request names."""

import json
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from copy import copy
from typing import Any, ClassVar

from steerlens.errors import SteerlensError, UnknownNameError
from steerlens.steering import SteeringPlan
from steerlens.storage import json_value
from steerlens.vllm.choosing import FIELD, OPEN, STEERED, with_plan
from steerlens.vllm.loading import FIXED, check_installed, checked
from steerlens.vllm.model import VllmModel
from steerlens.vllm.placed import PlacedPlan, extra_args

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ChoosePlan:
    """ASGI middleware that stores the name of a request's plan in the field in which the engine looks for it. Requests with a
    body to a path outside ``OPEN`` get an error."""

    base: ClassVar[str] = ""
    """The name of the model."""
    plans: ClassVar[Mapping[str, SteeringPlan]] = {}
    """The plans by name. ``base`` and ``plans`` belong to the class, because vLLM creates the middleware itself and without
    arguments."""

    def __init__(self, app: Any) -> None:
        """Wraps an ASGI application."""
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handles a request. If the request is not accepted, the answer is an error. Any other request is sent to the wrapped
        application."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await (self.app(scope, receive, send) if scope["type"] in ("http", "lifespan") else _close(send))
            return
        path = scope["path"].rstrip("/")
        if path not in OPEN:
            await _answer(send, 403, f"{path} is not available on this server: expected one of {', '.join(OPEN)}.")
            return
        content = await _body(receive)
        if path in STEERED:
            try:
                content = json.dumps(with_plan(json_value(content), self.base, self.plans)).encode()
            except UnknownNameError as error:
                await _answer(send, 404, str(error))
                return
            except (SteerlensError, ValueError, TypeError, AttributeError) as error:
                await _answer(send, 400, str(error))
                return
        await self.app({**scope, "headers": _headers(scope["headers"], len(content))}, _again(content, receive), send)


def serve(
    model: VllmModel,
    plans: Mapping[str, SteeringPlan],
    *,
    called: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    options: str = "",
) -> None:
    """Runs the server until the program is interrupted.

    Args:
        model: the model that ``steerlens.vllm.loading.unloaded`` returns. The server loads the weights itself.
        plans: the plans by name.
        called: the name of the model in requests. If ``:`` and the name of a plan follow, the plan steers the model.
        host: the address at which the server listens.
        port: the port at which the server listens.
        options: other options of ``vllm serve``, as they are written on a command line.

    Raises:
        FingerprintError: a plan belongs to another model.
        ModelError: vLLM or vllm-lens is not installed.
        SettingsError: an option would make steered results wrong.
    """
    check_installed()
    for plan in plans.values():
        plan.check(model)
    import uvloop
    from vllm.entrypoints.launchers.api_server.entry import run_server
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.plugins import load_general_plugins
    from vllm.utils.argparse_utils import FlexibleArgumentParser
    from vllm.v1.engine.async_llm import AsyncLLM

    identity = model.backend.identity
    names = [called, *(f"{called}:{name}" for name in plans)]
    own = ["--model", str(identity.folder), "--dtype", str(identity.dtype).removeprefix("torch."), "--host", host]
    own += ["--port", str(port), "--middleware", f"{__name__}.{ChoosePlan.__name__}", "--served-model-name", *names]
    args = make_arg_parser(FlexibleArgumentParser()).parse_args([*own, *shlex.split(options)])
    checked({"speculative_config": args.speculative_config})
    vars(args).update(FIXED)
    validate_parsed_serve_args(args)
    load_general_plugins()
    ChoosePlan.base, ChoosePlan.plans = called, dict(plans)
    AsyncLLM.generate = steered(AsyncLLM.generate, plans, model.tokenizer.n_front)
    uvloop.run(run_server(args))


def steered(generate: Any, plans: Mapping[str, SteeringPlan], n_front: Callable[[list[int]], int]) -> Any:
    """Returns a method of vLLM's engine that answers a request under the plan that the request names.

    Args:
        generate: the engine's method that generates texts, after vllm-lens changed it.
        plans: the plans by name.
        n_front: a function that returns the number of tokens in front of a text, such as BOS, from the tokens of the text.
    """

    async def under_plan(self: Any, prompt: Any, sampling_params: Any, request_id: str, **more: Any) -> AsyncIterator[Any]:
        inside = getattr(prompt, "sampling_params", None)
        params = copy(inside or sampling_params)  # the prompts of one request share one object
        placed: PlacedPlan | None = None
        params.extra_args = dict(params.extra_args or {})
        name = params.extra_args.pop(FIELD, None)
        if name is not None:
            ids = list(prompt["prompt_token_ids"] if isinstance(prompt, Mapping) else prompt.prompt_token_ids)
            placed = PlacedPlan(plans[name], len(ids), n_front(ids))
            params.extra_args |= extra_args(placed)
        if inside is not None:
            prompt.sampling_params = params
        in_parts, written = getattr(getattr(params, "output_kind", None), "name", "") == "DELTA", 0  # a stream of parts
        async for output in generate(self, prompt, params, request_id, **more):
            written = len(output.outputs[0].token_ids) + (written if in_parts else 0)
            if placed is not None and placed.plan.layers and output.finished:
                placed.check(vars(output).pop("hook_results", None), placed.prompt, written)
            yield output

    return under_plan


async def _body(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts)


def _again(content: bytes, receive: Receive) -> Receive:
    """Returns a function that provides the messages of a request. The first call returns a body that was already read. Later
    calls return later messages, such as the client's disconnection."""
    given = iter([{"type": "http.request", "body": content, "more_body": False}])

    async def next_message() -> MutableMapping[str, Any]:
        return next(given, None) or await receive()

    return next_message


def _headers(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*kept, (b"content-length", str(length).encode())]


async def _answer(send: Send, status: int, message: str) -> None:
    """Sends an error in the form of OpenAI's API."""
    error = {"error": {"message": message, "type": "invalid_request_error", "code": status}}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(error, ensure_ascii=False).encode()})


async def _close(send: Send) -> None:
    await send({"type": "websocket.close", "code": 1008})
