"""Checks a model's behaviour: the texts that the model writes, the hooks that remain, and strength 0."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import torch

import steerlens as sl
from steerlens.models import stream
from steerlens.models.hooks import residual_hook
from steerlens.steering import STEERED_TOKENS, SteeredTokens
from steerlens.testing.bench import TEXTS, Bench, Recipe
from steerlens.testing.findings import Finding, Tally

_NEW = 6
"""The number of tokens that are generated."""
_SETTINGS: dict[str, dict[str, Any]] = {
    "use_cache=False": {"use_cache": False},
    "prefill_chunk_size=5": {"prefill_chunk_size": 5},
    "prompt_lookup_num_tokens=3": {"prompt_lookup_num_tokens": 3},
}


def texts(bench: Bench) -> dict[str, Finding]:
    """Checks greedy texts: alone, in a batch, as a stream and with Hugging Face's settings, unsteered and steered."""
    generated, streamed, settled = Tally(), Tally(), Tally()
    plain = [_by_hand(bench, text, None, "all") for text in TEXTS]
    settings = {name: values for name, values in _SETTINGS.items() if _takes(bench, values, plain)}
    for name, tokens, recipe in _steerings(bench):
        model, expected = bench.model, [_by_hand(bench, text, recipe, tokens) for text in TEXTS] if recipe else plain
        with generated.trying(f"{name} alone"), _applied(recipe, model):
            generated.same(f"{name} alone", model.generate(TEXTS[0], _NEW), expected[0])
        with generated.trying(f"{name} in a batch"), _applied(recipe, model):
            generated.same(f"{name} in a batch", model.generate(list(TEXTS), _NEW), expected)
        around: Callable[[], AbstractContextManager[Any]] = partial(_applied, recipe, model)
        with streamed.trying(name):
            pieces = list(stream(model, TEXTS[0], _NEW, around=around))
            streamed.same(name, pieces[-1] if pieces else "", expected[0])
        for setting, values in settings.items():
            with settled.trying(f"{setting} {name}"), _applied(recipe, model):
                settled.same(f"{setting} {name}", model.generate(TEXTS[0], _NEW, **values), expected[0])
    return {"generate": generated.finding, "stream": streamed.finding, "settings": settled.finding}


def hooks_left(bench: Bench, before: int) -> dict[str, Finding]:
    """Checks that no hook remains after the earlier checks, or after passes that end in an error.

    Args:
        before: the number of hooks after the model was loaded, as returned by ``hooks_at_rest``.
    """
    tally, model = Tally(), bench.model
    tally.same("normal ends", hooks(model), before)
    recipe = bench.recipe({0: 1.0, 1: 1.0}, "all")
    calls: dict[str, Callable[[], object]] = {
        "residuals": lambda: model.residuals(TEXTS),
        "score": lambda: bench.scorer(solved=True).score(recipe.plan),
        "sweep": lambda: list(bench.scorer(solved=True).sweep([recipe.plan, recipe.plan])),
        "gradients": lambda: bench.scorer(solved=True).gradients([0, 1], "all"),
        "generate": lambda: model.generate(TEXTS[0], _NEW),
        "stream": lambda: list(stream(model, TEXTS[0], _NEW, around=lambda: recipe.plan.applied(model))),
    }
    for name, call in calls.items():
        failed = False
        with _failing(model):
            try:
                call()
            except Exception:
                failed = True
        if failed:
            tally.same(f"an error in {name}", hooks(model), before)
    _leave_early(bench, recipe)
    tally.same("a sweep and a stream that are left", hooks(model), before)
    return {"hooks": tally.finding}


def strength_zero(bench: Bench) -> dict[str, Finding]:
    """Checks that strength 0 gives the unsteered model's scores and texts, bit for bit."""
    tally, model = Tally(), bench.model
    with tally.trying("score"):
        scorer = bench.scorer(solved=True)
        unsteered = [outcome.scores for outcome in scorer.score()]
        for tokens in STEERED_TOKENS:
            zero = bench.recipe({0: 0.0, 2: 0.0}, tokens).plan
            tally.same(f"scores, {tokens}", [outcome.scores for outcome in scorer.score(zero)], unsteered)
    with tally.trying("residuals"):
        plain = model.residuals(TEXTS).residuals
        with bench.recipe({0: 0.0, 2: 0.0}, "all").plan.applied(model):
            tally.same("residuals", torch.equal(model.residuals(TEXTS).residuals, plain), True)
    return {"strength 0": tally.finding}


def hooks_at_rest(model: sl.LensModel) -> int:
    """Returns the number of hooks on all modules after one plain pass. In the first pass, TransformerLens and Transformers
    install some hooks, which stay."""
    with torch.no_grad(), suppress(Exception):  # if no pass runs, other checks report it
        model.backend.logits(model.batch([model.row(model.tokens(TEXTS[0]).ids)]))
    return hooks(model)


def hooks(model: sl.LensModel) -> int:
    """Returns the number of hooks on a model."""
    return len(model.backend.hooks_on())


def _steerings(bench: Bench) -> Iterator[tuple[str, SteeredTokens, Recipe | None]]:
    """Yields the unsteered case, and two steered layers with each choice of tokens."""
    yield "unsteered", "all", None
    yield from ((tokens, tokens, bench.recipe({0: 1.0, 2: 1.0}, tokens)) for tokens in STEERED_TOKENS)


def _applied(recipe: Recipe | None, model: sl.LensModel) -> AbstractContextManager[Any]:
    return nullcontext() if recipe is None else recipe.plan.applied(model)


def _by_hand(bench: Bench, text: str, recipe: Recipe | None, tokens: SteeredTokens) -> str:
    ids = bench.model.tokens(text).ids
    return _decoded(bench, bench.hand.greedy(ids, _NEW, recipe.directions if recipe else {}, tokens))


def _decoded(bench: Bench, ids: list[int]) -> str:
    return str(bench.hand.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _takes(bench: Bench, values: dict[str, Any], plain: list[str]) -> bool:
    """Returns whether Hugging Face supports a setting for this architecture: with this setting, Hugging Face must generate the
    same greedy text for every prompt as without the setting.

    More than one prompt is needed, because one prompt can give the same text by chance. This happens for Jamba, whose scores
    differ if prompts are processed in pieces.
    """
    for text, expected in zip(TEXTS, plain, strict=True):
        given = torch.tensor([list(bench.model.tokens(text).ids)])
        try:
            output = bench.hand.model.generate(
                input_ids=given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=_NEW,
                do_sample=False,
                pad_token_id=bench.model.tokenizer.pad_id,
                **values,
            )
        except Exception:  # an architecture that keeps a state raises errors of many types for some settings
            return False
        if _decoded(bench, output[0, given.shape[1] :].tolist()) != expected:
            return False
    return True


@contextmanager
def _failing(model: sl.LensModel) -> Iterator[None]:
    """Inside the ``with`` block, every pass ends in an error in the last block of the model."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("an error in the middle of a pass")

    with model.backend.hooked([(residual_hook(model.n_layers - 1), fail)]):
        yield


def _leave_early(bench: Bench, recipe: Recipe) -> None:
    """Begins a sweep and a stream, and closes the sweep and the stream before their end."""
    unfinished: list[Any] = [stream(bench.model, TEXTS[0], _NEW, around=lambda: recipe.plan.applied(bench.model))]
    with suppress(Exception):  # the scorer may be refused
        unfinished.append(bench.scorer(solved=False).sweep([recipe.plan]))
    for iterator in unfinished:
        with suppress(Exception):  # the checks of sweeps and streams report the error
            next(iterator)
        iterator.close()
