"""What each token of a pass is follows from its column, whoever runs the pass and however its tokens are fed."""

import copy
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from places import HERE

import steerlens as sl
from steerlens.errors import ModelError, PromptError, SettingsError
from steerlens.models.hooks import residual_hook
from steerlens.models.roles import FRONT, GENERATED, LAST, PAD, PROMPT, roles_of
from steerlens.steering import STEERED_TOKENS, SteeredTokens, SteeringPlan, SteeringVector

TEXT = "Question: What is the capital of Japan?\nAnswer:"
NEW = 5


def plan_of(model: sl.LensModel, tokens: SteeredTokens = "all", scale: float = 3.0) -> SteeringPlan:
    directions = scale * torch.randn(model.n_layers, model.d_model, generator=torch.Generator().manual_seed(1))
    return SteeringVector(directions, model.layers(), model.fingerprint).at(1, 1.0, tokens)


def _keep(seen: list[torch.Tensor], residual: torch.Tensor, hook: object) -> None:
    seen.append(residual[0].clone())


def _instead(embedded: torch.Tensor, residual: torch.Tensor, hook: object) -> torch.Tensor:
    return embedded


def span(model: sl.LensModel, prompt: int, tokens: SteeredTokens) -> slice:
    front = len(model.tokenizer.front)
    return {
        "all": slice(front, None),
        "prompt": slice(front, prompt),
        "last_onward": slice(prompt - 1, None),
        "generated": slice(prompt, None),
    }[tokens]


def by_hand(model: sl.LensModel, plan: SteeringPlan, text: str, new: int = NEW) -> list[int]:
    """Greedy tokens, each from a full pass in which the steered columns are edited by hand."""
    ids = list(model.tokens(text).ids)
    prompt, step = len(ids), plan.steps[0]

    def edit(residual: torch.Tensor, hook: object) -> torch.Tensor:
        edited = residual.clone()
        edited[:, span(model, prompt, step.tokens)] += step.strength * step.edit.direction.to(model.device)
        return edited

    for _ in range(new):
        with torch.no_grad():
            logits = model.tl.run_with_hooks(
                torch.tensor([ids], device=model.device), fwd_hooks=[(residual_hook(step.layer), edit)]
            )
        ids.append(int(logits[0, -1].argmax()))
    return ids[prompt:]


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_cache": False}, {"prefill_chunk_size": 3}, {"prompt_lookup_num_tokens": 3}, {"cache_implementation": "static"}],
    ids=lambda settings: next(iter(settings), "plain"),
)
@pytest.mark.parametrize("tokens", STEERED_TOKENS)
def test_generation_in_every_way_steers_the_same_tokens(model: sl.LensModel, tokens: SteeredTokens, settings: dict) -> None:
    """With the cache, without it, the prompt in chunks, and several proposed tokens at once."""
    plan = plan_of(model, tokens)
    expected = model.tokenizer.completion(by_hand(model, plan, TEXT))
    ends = {"eos_token_id": -1}  # as many tokens as were asked for
    with plan.applied(model):
        assert model.generate(TEXT, NEW, **settings, **ends) == expected
        if not settings:
            assert list(sl.models.stream(model, TEXT, NEW))[-1:] in ([expected], [])  # a stream ends at EOS


@pytest.mark.parametrize("tokens", STEERED_TOKENS)
def test_other_peoples_generation_steers_the_same_tokens(model: sl.LensModel, tokens: SteeredTokens) -> None:
    """Hugging Face's and TransformerLens' own ``generate``, under ``applied`` and under a list of hooks."""
    plan, ids = plan_of(model, tokens), torch.tensor([model.tokens(TEXT).ids], device=model.device)
    expected = by_hand(model, plan, TEXT)
    hf = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": model.tokenizer.pad_id, "eos_token_id": -1}
    lens = {"max_new_tokens": NEW, "do_sample": False, "stop_at_eos": False, "verbose": False, "return_type": "tokens"}
    ways: list[Callable[[], torch.Tensor]] = [
        lambda: model.tl.original_model.generate(ids, attention_mask=torch.ones_like(ids), **hf),
        lambda: model.tl.original_model.generate(ids, attention_mask=torch.ones_like(ids), use_cache=False, **hf),
        lambda: model.tl.generate(ids, **lens),
        lambda: model.tl.generate(ids, use_past_kv_cache=False, **lens),
    ]
    for way in ways:
        with plan.applied(model):
            assert way()[0, ids.shape[1] :].tolist() == expected
        with model.tl.hooks(fwd_hooks=plan.hooks(model)):
            assert way()[0, ids.shape[1] :].tolist() == expected


@pytest.mark.parametrize("tokens", ["prompt", "last_onward"])
def test_a_text_of_ones_own_is_a_prompt(model: sl.LensModel, tokens: SteeredTokens) -> None:
    """Also where no BOS begins it, as text, as ids and as one token; and TransformerLens sees the same tokens for it."""
    plan = plan_of(model, tokens)
    for text in (TEXT, "a"):
        ids = model.tokens(text).ids
        seen: list[torch.Tensor] = []
        keep = (residual_hook(1), partial(_keep, seen))
        with torch.no_grad():
            model.tl.run_with_hooks(torch.tensor([ids], device=model.device), fwd_hooks=[keep])
            model.tl.run_with_hooks(torch.tensor([ids], device=model.device), fwd_hooks=[*plan.hooks(model), keep])
            model.tl.run_with_hooks(text, fwd_hooks=[*plan.hooks(model), keep])
        steered = (seen[1] - seen[0]).norm(dim=-1) > 1e-3
        expected = [at in range(len(ids))[span(model, len(ids), tokens)] for at in range(len(ids))]
        assert steered.tolist() == expected
        assert torch.equal(seen[1], seen[2])


def test_several_tokens_on_a_cache_of_ones_own_need_to_be_told(llama: sl.LensModel) -> None:
    ids, plan = torch.tensor([llama.tokens(TEXT).ids], device=llama.device), plan_of(llama, "last_onward")
    length = ids.shape[1]
    with torch.no_grad(), plan.applied(llama):
        whole = llama.tl.original_model(ids).logits[0, -1]
        first = llama.tl.original_model(ids[:, :4], use_cache=True)
        with pytest.raises(PromptError, match="prompt_of"):
            llama.tl.original_model(ids[:, 4:], past_key_values=first.past_key_values)
        with sl.models.prompt_of(llama, length):
            first = llama.tl.original_model(ids[:, :4], use_cache=True)
            rest = llama.tl.original_model(ids[:, 4:], past_key_values=first.past_key_values)
    torch.testing.assert_close(rest.logits[0, -1], whole, atol=1e-4, rtol=1e-4)
    with pytest.raises(SettingsError), sl.models.prompt_of(llama, 0):
        pass


@pytest.mark.parametrize(
    ("front", "bos", "pad", "tokens", "roles"),
    [
        ((1,), 1, 0, [0, 0, 1, 5, 6], [PAD, PAD, FRONT, PROMPT, LAST]),
        ((1,), 1, 0, [1, 5, 6, 0, 0], [FRONT, PROMPT, LAST, PAD, PAD]),
        ((1,), 1, 1, [1, 1, 1, 5, 6], [PAD, PAD, FRONT, PROMPT, LAST]),  # one token for BOS and padding
        ((), None, 0, [0, 5, 6], [PAD, PROMPT, LAST]),
        ((), None, 0, [7], [LAST]),
        ((), 1, 0, [1, 5], [FRONT, LAST]),  # a declared BOS that somebody put there
        ((8, 9), None, 0, [8, 9, 5], [FRONT, FRONT, LAST]),
    ],
)
def test_roles_of_a_text(front: tuple[int, ...], bos: int | None, pad: int, tokens: list[int], roles: list[int]) -> None:
    assert roles_of(torch.tensor([tokens]), front, bos, pad).tolist() == [roles]


@pytest.mark.parametrize(
    ("past", "prompt", "tokens", "roles"),
    [
        (0, 4, [1, 5, 6, 7, 8], [FRONT, PROMPT, PROMPT, LAST, GENERATED]),  # no cache: all of the text in every pass
        (0, 4, [1, 5], [FRONT, PROMPT]),  # the prompt in chunks
        (2, 4, [6, 7], [PROMPT, LAST]),
        (3, 4, [7, 8, 9], [LAST, GENERATED, GENERATED]),
        (4, 4, [8, 0], [GENERATED, GENERATED]),
        (4, None, [8], [GENERATED]),
    ],
)
def test_roles_on_a_cache(past: int, prompt: int | None, tokens: list[int], roles: list[int]) -> None:
    mask = torch.ones(1, past + len(tokens), dtype=torch.long)
    assert roles_of(torch.tensor([tokens]), (1,), 1, 0, mask=mask, past=past, prompt=prompt).tolist() == [roles]


def test_the_mask_says_what_is_padding() -> None:
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0]])
    tokens = torch.tensor([[5, 1, 0, 6], [1, 5, 0, 7]])
    assert roles_of(tokens, (1,), 1, 0, mask=mask).tolist() == [[PAD, FRONT, PROMPT, LAST], [FRONT, PROMPT, LAST, PAD]]
    mask = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 0]])  # behind the prompt too, where a row has come to its end
    assert roles_of(tokens[:, :2], (1,), 1, 0, mask=mask, past=3, prompt=3).tolist() == [[GENERATED, GENERATED], [GENERATED, PAD]]
    assert roles_of(tokens[:, :2], (1,), 1, 0, mask=mask, past=3, prompt=4).tolist() == [[LAST, GENERATED], [LAST, PAD]]


def test_gradients_pass_through_a_plan(llama: sl.LensModel) -> None:
    ids, plan = torch.tensor([llama.tokens(TEXT).ids], device=llama.device), plan_of(llama)
    embedded = llama.tl.original_model.get_input_embeddings()(ids).detach().requires_grad_()
    seen: list[torch.Tensor] = []
    with plan.applied(llama), llama.tl.hooks(fwd_hooks=[("embed.hook_out", partial(_instead, embedded))]):
        llama.tl.original_model(ids).logits[0, -1, 7].backward()
    seen.append(embedded.grad)
    assert bool(seen[0].any())
    llama.tl.original_model.zero_grad()


def test_two_plans_in_two_threads_are_refused(model_folders: dict[str, Path]) -> None:
    model = sl.load(model_folders["llama"], **HERE)
    plan, errors = plan_of(model), []
    expected = model.residuals([TEXT]).residuals

    def other(work: Callable[[], object]) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    def apply() -> None:
        with plan.applied(model):
            pass

    works = [
        lambda: model.residuals([TEXT]),
        lambda: model.generate(TEXT, 2),
        lambda: model.tl(torch.tensor([model.tokens(TEXT).ids], device=model.device)),
        apply,
    ]
    with plan.applied(model):
        for work in works:
            other(work)
    assert [type(error) for error in errors] == [SettingsError] * len(works)
    errors.clear()
    for work in works:  # afterwards any thread may
        other(work)
    assert not errors
    assert torch.equal(model.residuals([TEXT]).residuals, expected)


def test_captures_in_two_threads_do_not_mix(model_folders: dict[str, Path]) -> None:
    model = sl.load(model_folders["llama"], **HERE)
    texts = [f"{word} is a word" for word in ("one", "two", "three", "four", "five", "six")]
    expected = [model.residuals([text]).residuals for text in texts]
    found: dict[int, torch.Tensor] = {}

    def capture(at: int) -> None:
        for _ in range(5):
            found[at] = model.residuals([texts[at]]).residuals

    threads = [threading.Thread(target=capture, args=(at,)) for at in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[at], expected[at]) for at in range(len(texts)))


def test_training_mode_is_refused(model_folders: dict[str, Path]) -> None:
    """Dropout would make residuals random."""
    model = sl.load(model_folders["gpt2"], **HERE)
    plan = plan_of(model)
    model.tl.train()
    for work in (lambda: model.residuals([TEXT]), lambda: model.generate(TEXT, 2), lambda: plan.applied(model).__enter__()):
        with pytest.raises(ModelError, match="training mode"):
            work()
    model.tl.eval()
    assert model.residuals([TEXT])


def test_a_copy_of_a_model_is_a_model_of_its_own(model_folders: dict[str, Path]) -> None:
    model = sl.load(model_folders["llama"], **HERE)
    copied = copy.deepcopy(model.tl)
    with torch.no_grad():
        for parameter in copied.original_model.parameters():
            parameter.zero_()
    other = sl.load(copied, **HERE)
    assert other.generate(TEXT, 3) != model.generate(TEXT, 3)
    with plan_of(other).applied(other):
        model.generate(TEXT, 2)
    assert sl.load(model.tl).generate(TEXT, 3) == model.generate(TEXT, 3)
