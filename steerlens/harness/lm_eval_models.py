"""Makes a steered model for lm-evaluation-harness (``lm_eval`` 0.4.13). The model answers the three kinds of requests of the
harness.

Tokens and log likelihoods of texts are the same as in the harness' own class for Hugging Face models
(``lm_eval.models.huggingface.HFLM``).
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from steerlens.errors import PromptError, SettingsError
from steerlens.evaluation.given_methods import GivenMethod
from steerlens.harness.likelihoods import Likelihood, log_likelihoods
from steerlens.harness.running import INFO, SteeredRun, needed
from steerlens.models.batches import Row
from steerlens.models.generating import all_written
from steerlens.models.lens import LensModel
from steerlens.models.sampling import sampling_settings
from steerlens.models.stopping import stops_of

_log = logging.getLogger(__name__)
_NO_LIMIT = 2048
"""The default context length in tokens, which is also the default of the harness."""
_MAX_GEN_TOKS = 256
"""The default number of generated tokens, which is also the default of the harness."""
_WORTH_PACKING, _AT_MOST = 16, 32
"""Two limits for running the continuations of a context together: the smallest number of tokens of the context, and the largest
number of continuations."""
_CACHED = "steerlens model"
"""The key of the model in a cache of responses."""
TokenRequest = tuple[Any, list[int], list[int]]
"""A request, the tokens of its context, and the tokens of its continuation."""


def lm_eval_model(model: LensModel, method: GivenMethod | None = None, *, locale: str = "", batch_size: int | None = None) -> Any:
    """Returns a model for lm-evaluation-harness, for ``lm_eval.simple_evaluate(model=…, tasks=[…])``.

    Three things are the same as in the harness' own class for Hugging Face models: tokenization, cutting long contexts from the
    left, and the tokens in front of a text. A plan for ``last_onward`` steers the last token of a context and all tokens of the
    continuation. In a text without a context (``loglikelihood_rolling``), the plan steers every token except the tokens in front.

    Args:
        model: the base model.
        method: a plan, a choice, a checkpoint or any other method, or ``None`` for no steering.
        locale: the locale whose plan is used, for example ``es-ES``. The locale is needed for a method with one plan per locale.
        batch_size: the number of contexts in a batch for log likelihoods. ``None`` chooses the number for the device. For
            generation, the number is always chosen for the device.

    Returns:
        A model of class ``lm_eval.api.model.LM``.

    Raises:
        ModelError: lm-eval is not installed.
        SettingsError: ``method`` is not a method, or the method uses explicit prompts.
        FingerprintError: a plan belongs to another model.
    """
    base = needed("lm_eval.api.model", "lm-eval").TemplateLM
    made: Any = type("SteeredLM", (LmEvalRequests, base), {"__doc__": LmEvalRequests.__doc__})
    return made(SteeredRun.of(model, method, locale), batch_size)


class LmEvalRequests:
    """Answers the requests of lm-evaluation-harness with a steered model. ``lm_eval_model`` combines this class with the model
    class of the harness."""

    backend = "causal"

    def __init__(self, running: SteeredRun, batch_size: int | None = None) -> None:
        """Stores the steered model and the batch size.

        Args:
            running: the model with its steering.
            batch_size: the number of contexts in a batch. ``None`` chooses the number for the device.
        """
        super().__init__()
        self.running, self.batch_size = running, batch_size
        self.tokenizer = running.model.tokenizer.hf
        self._device = running.model.device

    @property
    def eot_token_id(self) -> int | None:
        """The id of the token that ends a text."""
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """The id of the token in front of a text without a context: BOS, or the token that ends a text if there is no BOS.

        Raises:
            PromptError: the tokenizer has no BOS token and no token that ends a text.
        """
        known = (self.running.model.tokenizer.bos_id, self.eot_token_id)
        found = next((index for index in known if index is not None), None)
        if found is None:
            raise PromptError(
                "a text without a context was given, but the tokenizer has no BOS or EOS token to put in front of this text: "
                "expected one of these tokens. Use tasks with a context, or another model."
            )
        return found

    @property
    def max_length(self) -> int:
        """The largest number of tokens of a context with its continuation. The last token is not counted, because the model does
        not need to read this token."""
        return (self.running.model.backend.context or _NO_LIMIT + 1) - 1

    @property
    def max_gen_toks(self) -> int:
        """The number of tokens that are written if a task does not set a number."""
        return _MAX_GEN_TOKS

    @property
    def tokenizer_name(self) -> str:
        """The name of the tokenizer, for caches of requests."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Returns the tokens of a text. The tokens in front, such as BOS, are included once.

        Args:
            string: the text, which may begin with the written form of BOS.
            add_special_tokens: whether tokens are put in front. ``False`` puts no tokens in front.
            _: arguments of other model classes of the harness, which are not used.
        """
        ids, front = list(self.tokenizer(string, add_special_tokens=False)["input_ids"]), self.running.model.tokenizer.front
        if add_special_tokens is False or tuple(ids[: len(front)]) == front:
            return ids
        return [*front, *ids]

    def _loglikelihood_tokens(self, requests: Sequence[TokenRequest], **_: Any) -> list[Likelihood]:
        """Returns the likelihoods of requests that the harness has already tokenized."""
        contexts: dict[tuple[Any, ...], list[int]] = {}
        cut = 0
        for number, (_asked, context, continuation) in enumerate(requests):
            if not continuation:
                raise PromptError(
                    f"continuation {_asked[1]!r} of a task adds no token to its context: expected at least one token."
                )
            kept, lost = self._kept(context, continuation)
            cut += lost > 0
            alike = (kept,) if len(kept) >= _WORTH_PACKING else (kept, number)
            contexts.setdefault(alike, []).append(number)
        self._say_cut(cut, len(requests))
        asked = [
            (context[0], own[at : at + _AT_MOST]) for context, own in contexts.items() for at in range(0, len(own), _AT_MOST)
        ]
        rows = [self._row(context, [requests[n][2] for n in numbers]) for context, numbers in asked]
        found: dict[int, Likelihood] = {}
        for (_context, numbers), own in zip(asked, log_likelihoods(self.running, rows, self.batch_size), strict=True):
            found.update(zip(numbers, own, strict=True))
        return [found[number] for number in range(len(requests))]

    def _row(self, context: Sequence[int], continuations: Sequence[Sequence[int]]) -> Row:
        """Returns the row of a context with its continuations. The token that the harness puts before a text without a context
        counts as a token in front, even if it is not BOS."""
        row = self.running.model.row(context, continuations)
        return replace(row, front=max(row.front, int(self._is_prefix(context))))

    def _is_prefix(self, context: Sequence[int]) -> bool:
        return len(context) == 1 and context[0] in (self.running.model.tokenizer.bos_id, self.eot_token_id)

    def _kept(self, context: Sequence[int], continuation: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """Returns the part of a context that fits before the continuation, and the number of tokens that are cut from the
        left."""
        over = len(context) + len(continuation) - (self.max_length + 1)
        if over >= len(context):
            raise PromptError(
                f"a continuation of {len(continuation)} tokens given, but {self.running.model.name} takes at most "
                f"{self.max_length} tokens. Leave this task out, or use a model with a longer context."
            )
        return tuple(context[max(0, over) :]), over

    def _say_cut(self, cut: int, n: int) -> None:
        if cut:
            _log.warning("%d of %d contexts are cut from the left to fit %s", cut, n, self.running.model.name)

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002
        """Returns the log likelihoods of texts without a context. A text that is longer than the model's context is divided into
        the same windows as in the harness.

        Every scored token of a window counts as a generated token, so a plan steers the token as in generation.

        Args:
            requests: the requests of the harness. Each request has a text.
            disable_tqdm: an argument of the harness that is not used. ``TQDM_DISABLE=1`` hides the progress bars.

        Raises:
            SettingsError: the plan steers only the tokens of prompts.
        """
        if requests:
            self.running.check_read("texts that are read as a whole")
        utils = needed("lm_eval.utils", "lm-eval")
        rows, owners = [], []
        for number, request in enumerate(requests):
            for context, scored in map(utils.make_disjoint_window, self._windows(utils, request.args[0])):
                rows.append(self._row_of_text(context, scored))
                owners.append(number)
        sums = [0.0] * len(requests)
        for number, ((total, _),) in zip(owners, log_likelihoods(self.running, rows, self.batch_size), strict=True):
            sums[number] += total
        return sums

    def _windows(self, utils: Any, text: str) -> Iterable[Any]:
        given = {"prefix_token": self.prefix_token_id, "max_seq_len": self.max_length, "context_len": 1}
        return utils.get_rolling_token_windows(token_list=self.tok_encode(text), **given)

    def _row_of_text(self, context: Sequence[int], scored: Sequence[int]) -> Row:
        """Returns the row of a window. The tokens in front may occur twice, because the harness puts BOS before texts that
        already begin with BOS."""
        row = self._row(context, [scored])
        twice = self.running.model.tokenizer.n_front(scored) if self._is_prefix(context) else 0
        return replace(row, front=row.front + twice)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:  # noqa: ARG002
        """Returns the texts that the model writes after contexts. A text ends before the stop texts of its task. Requests with
        the same settings are run together.

        Args:
            requests: the requests of the harness. Each request has a context and settings.
            disable_tqdm: an argument of the harness that is not used. ``TQDM_DISABLE=1`` hides the progress bars.

        Raises:
            SettingsError: the model's ``generate`` does not support a setting, or so many new tokens are requested that no
                context fits.
        """
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(repr(sorted(request.args[1].items())), []).append(number)
        texts = [""] * len(requests)
        for numbers in groups.values():
            asked = [requests[number].args for number in numbers]
            for number, text in zip(numbers, self._written([context for context, _ in asked], asked[0][1]), strict=True):
                texts[number] = text
        return texts

    def _written(self, contexts: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
        normalized = dict(needed("lm_eval.models.utils", "lm-eval").normalize_gen_kwargs(dict(settings), self.max_gen_toks))
        stops, new = stops_of([stop for stop in normalized.pop("until") if stop]), normalized.pop("max_gen_toks")
        sample, temperature = normalized.pop("do_sample"), normalized.pop("temperature", 0.0)
        room = self.max_length - new
        if room < 1 or (sample and not temperature > 0):
            raise SettingsError(
                f"{new} new tokens at temperature {temperature} requested, with sampling {sample}: expected fewer tokens than "
                f"the model's context of {self.max_length}, and a temperature above 0 for sampling. Set the values in gen_kwargs."
            )
        given = sampling_settings(sample, temperature if sample else 1.0, 1, stops, normalized)
        whole = [self.tok_encode(context) or [self.prefix_token_id] for context in contexts]
        self._say_cut(sum(len(ids) > room for ids in whole), len(whole))
        rows = [self.running.model.row(ids[-room:]) for ids in whole]
        with self.running.steered() as model:
            return [own[0] for own in all_written(model, rows, new, stops, given)]

    def apply_chat_template(self, chat_history: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """Returns a chat as one text. As in the harness, system messages are left out if the chat template does not accept system
        messages.

        Args:
            chat_history: the messages of the chat.
            add_generation_prompt: whether the text ends with the beginning of an answer. ``False`` continues the last message.
        """
        from jinja2 import TemplateError

        how = {
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
        }
        try:
            return str(self.tokenizer.apply_chat_template(list(chat_history), **how))
        except TemplateError as error:
            others = [message for message in chat_history if message["role"] != "system"]
            if len(others) == len(chat_history):
                raise PromptError(
                    f"the model's chat template refuses the messages of a task ({error}). Run this task without a chat template."
                ) from error
            _log.warning("the chat template refuses system messages (%s), so these messages are left out", error)
            return str(self.tokenizer.apply_chat_template(others, **how))

    def get_model_info(self) -> dict[str, Any]:
        """Returns the description of the model that the harness writes to its results: the fingerprint, the method and
        versions."""
        return {INFO: self.running.info()}

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Raises an error for a cache of responses that another model or method filled. The harness distinguishes cached
        responses only by the text.

        Args:
            cache_hook: the hook of the harness, with its database of responses.

        Raises:
            SettingsError: the cache contains responses of another model or of an unknown model.
        """
        kept, mine = cache_hook.dbdict, self.running.identity()
        if kept is not None:
            if len(kept) and kept.get(_CACHED) != mine:
                raise SettingsError(
                    "use_cache names a file with the responses of another model or method, and the harness would return these "
                    "as responses of this model. Give a separate file for each model and method."
                )
            kept[_CACHED] = mine
        self.cache_hook = cache_hook
