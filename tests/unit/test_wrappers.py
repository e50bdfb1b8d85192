"""Passes without TransformerLens' wrappers give what passes with them give, and leave no hook out."""

from typing import Any

import pytest
import torch
from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent

import steerlens as sl
from steerlens.data import Items
from steerlens.evaluation import Scorer
from steerlens.models.backends.wrappers import Wrappers
from steerlens.steering import difference_of_means


def parts(model: sl.LensModel) -> dict[str, Any]:
    """The wrappers around the parts of all blocks, by name."""
    inside = {name: part for block in model.tl.blocks for name, part in block.original_component.named_modules()}
    return {name: part for name, part in inside.items() if isinstance(part, GeneralizedComponent)}


def wrapped(model: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.backend.wrappers, "_alike", False)


def test_numbers_are_equal_and_no_wrapper_runs(scored: sl.LensModel, items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    some = items.of(locale="es-ES")
    vector = difference_of_means(scored, items.english_pairs("es-ES"))
    plans, ran = [vector.at(layer, 2.0, tokens) for layer in (1, 3) for tokens in ("all", "last_onward")], []
    list(Scorer(scored, some).sweep(plans))
    handles = [part.register_forward_hook(lambda *_: ran.append(1)) for part in parts(scored).values()]

    def found() -> list[Any]:
        ran.clear()
        scorer, texts = Scorer(scored, some), ["The capital of France is", "La capital"]
        sums = [outcomes for _, outcomes in scorer.sweep(plans) if outcomes is not None]
        with plans[0].applied(scored):
            written = scored.generate(texts, 4)
        return [sums, scorer.gradients([0, 2], "all"), scored.residuals(texts).residuals, written]

    monkeypatch.setattr("steerlens.models.backends.wrappers.only_reads", lambda _: True)  # these hooks only count
    monkeypatch.setattr("steerlens.models.backends.watching._READERS", (__name__,))
    without = found()
    assert not ran
    wrapped(scored, monkeypatch)
    with_them = found()
    assert ran
    for handle in handles:
        handle.remove()
    for ours, theirs in zip(without[0], with_them[0], strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.scores == pytest.approx(other.scores, abs=1e-5)
    torch.testing.assert_close(without[1], with_them[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(without[2], with_them[2], atol=1e-5, rtol=1e-4)
    assert without[3] == with_them[3]


@pytest.mark.parametrize("point", ["attn.hook_pattern", "mlp.hook_out", "ln1.hook_in"])
def test_a_hook_inside_a_block_is_heard(llama: sl.LensModel, items: Items, point: str) -> None:
    """Everywhere that steerlens runs the model, and in the user's own passes."""
    seen: list[int] = []
    prompts = [prompt.text for prompt in items.prompts()[:2]]
    with llama.tl.hooks(fwd_hooks=[(f"blocks.1.{point}", lambda *_, **__: seen.append(1))]):
        for use in (
            lambda: llama.residuals(prompts),
            lambda: llama.generate(prompts, 2),
            lambda: Scorer(llama, items.of(locale="es-ES")).score(),
            lambda: llama.tl(torch.tensor([[1, 2, 3]])),
        ):
            seen.clear()
            use()
            assert seen


def test_a_hook_changes_what_a_sweep_gives(llama: sl.LensModel, items: Items) -> None:
    some, vector = items.of(locale="es-ES"), difference_of_means(llama, items.english_pairs("es-ES"))
    plan = vector.at(1, 2.0)
    ((_, free),) = ((i, own) for i, own in Scorer(llama, some).sweep([plan]) if own is not None)
    with llama.tl.hooks(fwd_hooks=[("blocks.2.mlp.hook_out", lambda tensor, **_: 0 * tensor)]):
        ((_, held),) = ((i, own) for i, own in Scorer(llama, some).sweep([plan]) if own is not None)
        plain = Scorer(llama, some).score(plan)
    for one, other, without in zip(held, plain, free, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)
        assert one.scores != pytest.approx(without.scores, abs=1e-4)


def test_the_wrappers_are_back_after_an_error(llama: sl.LensModel) -> None:
    before = parts(llama)
    assert before
    inside: list[Any] = []

    def interrupt(*_: Any, **__: Any) -> None:
        inside.append(parts(llama))
        raise ZeroDivisionError

    with llama.tl.hooks(fwd_hooks=[("blocks.1.hook_resid_post", interrupt)]), pytest.raises(ZeroDivisionError):
        llama.residuals("Hello there")
    assert inside == [{}]
    assert parts(llama) == before


def test_wrappers_that_compute_something_else_stay(model_folders: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = sl.load(model_folders["llama"])
    assert model.backend.wrappers._tried()
    part = next(part for name, part in parts(model).items() if name.endswith("mlp"))
    run = type(part).forward
    monkeypatch.setattr(type(part), "forward", lambda *given, **named: 1.01 * run(*given, **named))
    model.backend.wrappers = Wrappers(model.backend)
    assert not model.backend.wrappers._tried()
    with model.backend.wrappers.aside():
        assert parts(model)


def test_a_bridge_that_processed_its_weights_keeps_its_wrappers(model_folders: dict[str, Any]) -> None:
    model = sl.load(model_folders["gpt2"])
    model.tl.enable_compatibility_mode()
    with model.backend.wrappers.aside():
        assert parts(model)
