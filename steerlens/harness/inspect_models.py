"""Makes a steered model for Inspect (``inspect_ai``). The model generates one text at a time."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steerlens.errors import PromptError, SettingsError
from steerlens.evaluation.given_methods import GivenMethod
from steerlens.harness.running import INFO, SteeredRun, needed
from steerlens.models.generating import all_written
from steerlens.models.lens import LensModel
from steerlens.models.sampling import sampling_settings, seeded
from steerlens.models.stopping import before_stop, stops_of

_MAX_TOKENS = 2048
"""The default number of generated tokens, which is also the default of Inspect."""
_REFUSED = (
    *("best_of", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "prompt_logprobs"),
    "response_schema",
)
"""The settings of Inspect that would change the generated text and that steerlens does not support."""


def inspect_model(model: LensModel, method: GivenMethod | None = None, *, locale: str = "") -> Any:
    """Returns a model for Inspect, for ``inspect_ai.eval(task, model=…)``.

    Messages go through the model's chat template. A base model has no chat template, so its prompt consists of the texts of the
    messages, separated by line breaks. Generation is greedy unless a temperature, top-p or top-k is set. Texts are written one
    after another.

    Args:
        model: the base model.
        method: a plan, a choice, a checkpoint or any other method, or ``None`` for no steering.
        locale: the locale whose plan is used, for example ``es-ES``. The locale is needed for a method with one plan per locale.

    Returns:
        An ``inspect_ai.model.Model``. The model's name is different for each method, so a cache of Inspect stores the texts of
        each method separately.

    Raises:
        ModelError: inspect-ai is not installed.
        SettingsError: ``method`` is not a method, or the method uses explicit prompts.
        FingerprintError: a plan belongs to another model.
    """
    theirs = needed("inspect_ai.model", "inspect-ai")
    running = SteeredRun.of(model, method, locale)
    info = running.info()
    digest = hashlib.sha256(json.dumps(running.identity()).encode()).hexdigest()
    made: Any = type("SteeredAPI", (InspectRequests, theirs.ModelAPI), {"__doc__": InspectRequests.__doc__})
    api = theirs.modelapi(name="steerlens")(made)(f"{model.name.rstrip('/').rpartition('/')[2]}@{digest[:12]}")
    api.running, api.asked = running, Counter()
    return theirs.Model(api, theirs.GenerateConfig(), {INFO: info})


class InspectRequests:
    """Answers Inspect's requests with a steered model. ``inspect_model`` combines this class with the model class of Inspect."""

    running: SteeredRun
    model_name: str
    asked: Counter[tuple[int, ...]]
    """The number of requests for each prompt. If a seed is set, this number is added to the seed, so each epoch of a sample gets
    different random numbers."""

    def max_connections(self) -> int:
        """Returns 1, because the model writes one text after another."""
        return 1

    def max_tokens(self) -> int:
        """Returns the maximum number of generated tokens, for tasks in which Inspect sets no maximum."""
        return _MAX_TOKENS

    async def generate(self, input: Sequence[Any], tools: Sequence[Any], tool_choice: Any, config: Any) -> Any:  # noqa: ARG002
        """Returns the text that the model writes.

        Args:
            input: Inspect's messages.
            tools: must be empty.
            tool_choice: an argument of Inspect that is not used.
            config: Inspect's settings of generation.

        Raises:
            SettingsError: tools or unsupported settings are given.
            PromptError: the messages contain other data than text, have unsupported roles, or are too long for the model.
        """
        given = [name for name in _REFUSED if getattr(config, name, None)]
        if tools or given:
            raise SettingsError(
                f"{'tools' if tools else ', '.join(given)} given to a steered model: expected only max_tokens, temperature, "
                "top_p, top_k, stop_seqs, seed and num_choices, because the model only writes texts."
            )
        return self._output(self._tokens(input), config)

    def _tokens(self, messages: Sequence[Any]) -> list[int]:
        chat = [{"role": str(message.role), "content": _text(message)} for message in messages]
        tokenizer = self.running.model.tokenizer
        if getattr(tokenizer.hf, "chat_template", None):
            return tokenizer.ids(chat)
        others = [message["role"] for message in chat if message["role"] not in ("system", "user")]
        if others:
            raise PromptError(
                f"messages of {', '.join(others)} given to {self.running.model.name}: expected only messages of users and of "
                "the system, because this is a base model (its tokenizer has no chat template)."
            )
        return tokenizer.ids("\n\n".join(message["content"] for message in chat))

    def _output(self, ids: list[int], config: Any) -> Any:
        theirs, model = needed("inspect_ai.model", "inspect-ai"), self.running.model
        row, wanted = model.row(ids), config.max_tokens or _MAX_TOKENS
        new = min(wanted, (model.backend.context or len(ids) + wanted) - len(ids))
        if new < 1:
            raise PromptError(
                f"messages of {len(ids)} tokens given, but the context of {model.name} is only {model.backend.context} tokens. "
                "Shorten the messages."
            )
        stops, n, seen = stops_of(config.stop_seqs or ()), config.num_choices or 1, _Seen(len(ids))
        settings = {**_sampling(config, n, stops), "stopping_criteria": [seen]}
        seed = None if config.seed is None else config.seed + self.asked[tuple(ids)]
        self.asked[tuple(ids)] += 1
        with self.running.steered(), seeded(seed, model.device):
            (texts,) = all_written(model, [row], new, stops, settings)
        written = [_own(own, model.tokenizer.pad_id, n) for own in seen.generated]
        limit = "max_tokens" if new == wanted else "model_length"
        choices = [
            theirs.ChatCompletionChoice(
                message=theirs.ChatMessageAssistant(content=text, model=self.model_name, source="generate"),
                stop_reason=limit if len(own) == new and not self._ended(own, stops) else "stop",
            )
            for text, own in zip(texts, written, strict=True)
        ]
        out = sum(map(len, written))
        usage = theirs.ModelUsage(input_tokens=len(ids), output_tokens=out, total_tokens=len(ids) + out)
        return theirs.ModelOutput(model=self.model_name, choices=choices, usage=usage)

    def _ended(self, ids: Sequence[int], stops: Sequence[str]) -> bool:
        """Returns whether a text with the largest allowed number of tokens is complete and was not cut off."""
        tokenizer = self.running.model.tokenizer
        return ids[-1] in tokenizer.hf.all_special_ids or before_stop(tokenizer.completion(ids), stops) is not None


class _Seen:
    """A Hugging Face stopping criterion that never stops, and records the generated tokens."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.generated: list[list[int]] = []

    def __call__(self, ids: Tensor, scores: Any = None, **_: Any) -> Tensor:  # noqa: ARG002 (Hugging Face)
        self.generated = ids[:, self.width :].tolist()
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)


def _own(ids: Sequence[int], pad_id: int, n: int) -> Sequence[int]:
    """Returns the tokens of a text without padding. The first padding token is kept, because it may be the token that ended the
    text."""
    length = len(ids)
    while n > 1 and length > 1 and ids[length - 1] == ids[length - 2] == pad_id:
        length -= 1
    return ids[:length]


def _sampling(config: Any, n: int, stops: Sequence[str]) -> dict[str, Any]:
    others = {name: own for name in ("top_p", "top_k") if (own := getattr(config, name)) is not None}
    temperature = config.temperature if config.temperature is not None else (1.0 if others else 0.0)
    sample = temperature > 0
    return sampling_settings(sample, temperature if sample else 1.0, n, stops, others if sample else {})


def _text(message: Any) -> str:
    content = message.content
    if not isinstance(content, str) and any(part.type != "text" for part in content):
        raise PromptError(f"a message with {', '.join(part.type for part in content)} given: expected only text.")
    return str(message.text)
