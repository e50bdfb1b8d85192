"""Every way to a score gives the same score: plain, packed, resumed, from kept keys and values, in any batch and order."""

import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.evaluation import Outcome, Scorer, Scoring
from steerlens.evaluation.questions import Question, ask
from steerlens.models.batches import TokenBatch
from steerlens.models.capabilities import packs
from steerlens.models.passes import announced
from steerlens.steering import STEERED_TOKENS, SteeredTokens, SteeringPlan, difference_of_means

NO_DIVISOR = Scoring("none")


def few_shots(items: Items) -> Scoring:
    return Scoring("none", examples=tuple(items.of(locale="es-ES"))[:3])


@pytest.fixture
def asked(items: Items) -> list[sl.data.Item]:
    spanish = list(items.of(locale="es-ES"))
    return spanish[3:7] + spanish[-3:]


def plain(model: sl.LensModel, question: Question, plan: SteeringPlan | None = None) -> list[float]:
    """Sums of log probabilities from the model's own logits: a pass a choice, all of its text, hooks installed by hand."""
    sums = []
    for choice in question.row.choices:
        row = model.row(question.row.prompt, [choice])
        with (
            torch.no_grad(),
            model.backend.hooked(plan.hooks(model) if plan else []),
            announced(model.backend.state, model.batch([row]).roles),
        ):
            ids = torch.tensor([row.ids], device=model.device)
            logits = model.tl.original_model(ids, use_cache=False).logits[0].log_softmax(-1)
        first = len(question.row.prompt) - 1
        sums.append(sum(logits[first + at, token].item() for at, token in enumerate(choice)))
    return sums


def plans_of(model: sl.LensModel, items: Items, tokens: SteeredTokens) -> list[SteeringPlan]:
    en = difference_of_means(model, items.english_pairs("es-ES"))
    return [
        en.at(1, 3.0, tokens),
        en.at(1, -1.0, tokens),
        en.at(0, 1.0, tokens) + en.at(2, -2.0, tokens),
        en.at(0, 0.5, tokens),
        en.at(3, 2.0, tokens),
        sl.steering.no_steering(model.fingerprint),
    ]


def swept(scorer: Scorer, plans: list[SteeringPlan]) -> list[list[tuple[float, ...]]]:
    found = {index: outcomes for index, outcomes in scorer.sweep(plans) if outcomes is not None}
    return [scores(found[index]) for index in range(len(plans))]


def scores(outcomes: list[Outcome]) -> list[tuple[float, ...]]:
    return [outcome.scores for outcome in outcomes]


def close(a: object, b: object) -> None:
    for mine, theirs in zip(a, b, strict=True):  # type: ignore[call-overload]
        assert mine == pytest.approx(theirs, abs=1e-3)


@pytest.mark.parametrize("shots", [False, True])
def test_equal_the_plain_way_in_any_batch_and_order(
    scored: sl.LensModel, items: Items, asked: list[sl.data.Item], shots: bool
) -> None:
    scoring = few_shots(items) if shots else NO_DIVISOR
    expected = [plain(scored, ask(scored, item, scoring)) for item in asked]
    for batch_size in (1, 3, None):
        scorer = Scorer(scored, asked, scoring, batch_size=batch_size)
        assert bool(scorer.engine.prefix) == shots  # the examples are run once, apart
        close(scores(scorer.score()), expected)
        close(scores(scorer.base), expected)
    close(scores(Scorer(scored, asked[::-1], scoring).score())[::-1], expected)


@pytest.mark.parametrize("shots", [False, True])
@pytest.mark.parametrize("tokens", STEERED_TOKENS)
def test_steered_paths_agree(
    scored: sl.LensModel, items: Items, asked: list[sl.data.Item], tokens: SteeredTokens, shots: bool
) -> None:
    """Full passes with hooks, and passes that go on from a recorded one at a layer and, where the plan allows, at a token."""
    scoring, plans = few_shots(items) if shots else NO_DIVISOR, plans_of(scored, items, tokens)
    assert scored.reuses_keys
    by_hand = [plain(scored, ask(scored, item, scoring), plans[0]) for item in asked]
    whole = Scorer(scored, asked, scoring)
    full = [scores(whole.score(plan)) for plan in plans]
    close(full[0], by_hand)
    for batch_size, memory in ((None, 1 << 30), (2, 1 << 30), (None, 1)):
        scorer = Scorer(scored, asked, scoring, batch_size=batch_size, memory=memory)
        for mine, theirs in zip(swept(scorer, plans), full, strict=True):
            close(mine, theirs)
        close(scores(scorer.base), full[-1])
    assert all(trusted for way, trusted in scored.trusted.items() if way[0] == "sweeps")  # none was run the plain way
    assert any(a != pytest.approx(b, abs=1e-2) for a, b in zip(full[0], full[-1], strict=True))


def test_models_that_keep_no_keys_are_run_whole(
    llama: sl.LensModel, items: Items, asked: list[sl.data.Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = plans_of(llama, items, "last_onward")
    expected = swept(Scorer(llama, asked, few_shots(items)), plans)
    monkeypatch.setitem(llama.__dict__, "reuses_keys", False)
    for mine, theirs in zip(swept(Scorer(llama, asked, few_shots(items)), plans), expected, strict=True):
        close(mine, theirs)


def test_models_that_cannot_pack_are_run_choice_by_choice(
    llama: sl.LensModel, items: Items, asked: list[sl.data.Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packing shows in the trial where positions are counted by column, as with ALiBi: here a mask that bends by column."""
    assert packs(llama)
    expected = scores(Scorer(llama, asked, NO_DIVISOR).score())
    original = TokenBatch.__init__

    def by_column(self: TokenBatch, tokens: torch.Tensor, positions: torch.Tensor, *rest: object) -> None:
        original(self, tokens, torch.arange(tokens.shape[1]).expand_as(positions), *rest)

    monkeypatch.setattr(TokenBatch, "__init__", by_column)
    assert not packs(llama)
    monkeypatch.undo()
    monkeypatch.setitem(llama.__dict__, "packs", False)
    monkeypatch.setitem(llama.__dict__, "reuses_keys", False)
    close(scores(Scorer(llama, asked, NO_DIVISOR).score()), expected)
    assert Scorer(llama, asked).gradients([0, 2], "all").shape == (2, len(asked), llama.d_model)


def test_resuming_is_the_same_pass_bit_for_bit(scored: sl.LensModel, asked: list[sl.data.Item]) -> None:
    batch = scored.batch([ask(scored, item, NO_DIVISOR).row for item in asked], "aligned")
    with torch.no_grad():
        expected = scored.backend.final(batch)
        cached = scored.backend.cached_pass(batch, scored.layers())
        assert torch.equal(cached.final, expected)
        for layer in scored.layers():
            assert torch.equal(scored.backend.resume(cached, {layer: cached.residuals[layer]})[0], expected)
            onward = scored.backend.cached_pass(batch, [layer], batch.last)
            again, _ = scored.backend.resume(onward, {layer: onward.residuals[layer]})
            close_norms = (again - expected[:, batch.last :]).norm(dim=-1) <= 1e-4 * expected[:, batch.last :].norm(dim=-1)
            assert close_norms.all()


def test_passes_leave_no_hook_behind(llama: sl.LensModel, items: Items, asked: list[sl.data.Item]) -> None:
    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in llama.tl.modules())

    before, scorer = hooks(), Scorer(llama, asked, few_shots(items))
    swept(scorer, plans_of(llama, items, "all"))
    scorer.gradients([0, 2], "last_onward")
    assert hooks() == before
    sweep = Scorer(llama, asked).sweep(plans_of(llama, items, "all"))
    next(sweep)
    sweep.close()
    assert hooks() == before


def test_examples_are_of_the_locale_and_never_the_item_itself(llama: sl.LensModel, items: Items) -> None:
    scoring = Scoring(examples=tuple(items)[:20])
    item = items.of(locale="es-ES")[0]
    text = llama.tokenizer.decode(ask(llama, item, scoring).row.prompt)
    others = [e for e in scoring.examples if e.locale == "es-ES" and e.concept != item.concept]
    assert others
    assert text.count("\n\n") == len(others)
    assert all(e.prompt().text in text for e in others)
    assert text.count(item.question) == 1
    chat = llama.tokenizer.decode(ask(llama, item, Scoring(chat=True, examples=scoring.examples)).row.prompt)
    assert chat.count("[assistant]") == len(others) + 1
    assert chat.count("[user]") == len(others) + 1


def test_what_memory_does_not_hold_is_run_in_halves(
    llama: sl.LensModel,
    items: Items,
    asked: list[sl.data.Item],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A pass of more than two rows, or a climb of more than three copies of the batch, fits no more."""
    plans, prompts = plans_of(llama, items, "last_onward"), items.prompts()[:7]
    everything = Scorer(llama, asked, NO_DIVISOR)
    expected, base, slopes = swept(everything, plans), scores(everything.base), everything.gradients([0, 2], "last_onward")
    residuals, full = llama.residuals(prompts).residuals, scores(everything.score(plans[0]))
    whole, climb, sizes = type(llama.backend).final, type(llama.backend).resume, []

    def final(self: object, batch: TokenBatch) -> torch.Tensor:
        sizes.append(len(batch.rows))
        if len(batch.rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, batch)

    def resume(self: object, cached: object, entering: dict, *rest: object, **how: object) -> object:
        sizes.append(sum(map(len, entering.values())))
        if sizes[-1] > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return climb(self, cached, entering, *rest, **how)

    monkeypatch.setattr(type(llama.backend), "final", final)
    monkeypatch.setattr(type(llama.backend), "resume", resume)
    monkeypatch.setitem(llama.__dict__, "token_budget", 2048)
    scorer = Scorer(llama, asked, NO_DIVISOR)
    for mine, theirs in zip(swept(scorer, plans), expected, strict=True):
        close(mine, theirs)
    close(scores(scorer.base), base)
    close(scores(scorer.score(plans[0])), full)
    torch.testing.assert_close(scorer.gradients([0, 2], "last_onward"), slopes, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(llama.residuals(prompts).residuals, residuals, atol=1e-4, rtol=1e-3)
    assert max(sizes) > 6
    assert llama.token_budget < 2048  # what is batched from now on is smaller
    assert "run in two halves" in caplog.text
    monkeypatch.setattr(type(llama.backend), "final", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("not even one")))
    with pytest.raises(torch.OutOfMemoryError, match="not even one"):
        llama.residuals(prompts)
