"""Scores equal the plain way, and sweeps equal full passes."""

import pytest
import torch

import steerlens as sl
from steerlens.data import Item, Items
from steerlens.errors import PromptError, SettingsError, UnknownNameError
from steerlens.evaluation import Scorer, Scoring, sweep
from steerlens.evaluation.questions import ask
from steerlens.evaluation.scores import SWEPT
from steerlens.models.unembedding import Targets, Unembedding
from steerlens.steering import difference_of_means


def _plainly(model: sl.LensModel, item: Item, choice: int) -> float:
    """Sum of a choice's log probabilities, from Hugging Face's logits of the whole text."""
    question = ask(model, item, Scoring())
    prompt, tokens = question.row.prompt, question.row.choices[choice]
    with torch.no_grad():
        logits = model.tl.original_model(torch.tensor([[*prompt, *tokens]], device=model.device)).logits[0].log_softmax(-1)
    return sum(logits[len(prompt) - 1 + at, token].item() for at, token in enumerate(tokens))


def test_long_items_leave_the_attention_window(model: sl.LensModel) -> None:
    """Packed behind a long prompt, choices would fall out of a sliding window; they are then run one by one."""
    item = Item(
        "long", "factual", "en-US", "word " * 70 + "?", tuple(f"choice {n} " + "and more " * (5 + 2 * n) for n in range(4)), 1
    )
    outcome = Scorer(model, [item], Scoring("none")).score()[0]
    assert outcome.scores == pytest.approx([_plainly(model, item, at) for at in range(4)], abs=1e-3)


def test_normalisations(llama: sl.LensModel, items: Items) -> None:
    item = items[-1]
    sums, per_token, per_character = (Scorer(llama, [item], Scoring(n)).score()[0].scores for n in ("none", "token", "character"))
    tokens = [len(choice) for choice in ask(llama, item, Scoring()).row.choices]
    assert per_token == pytest.approx([s / n for s, n in zip(sums, tokens, strict=True)], rel=1e-5)
    assert per_character == pytest.approx([s / len(c) for s, c in zip(sums, item.choices, strict=True)], rel=1e-5)
    with pytest.raises(UnknownNameError, match="Did you mean token"):
        Scoring("tokens")


def test_prompt_and_choice_are_split_where_they_diverge(llama: sl.LensModel, items: Items) -> None:
    for item in items:
        row = ask(llama, item, Scoring()).row
        for choice, text in zip(row.choices, item.choices, strict=True):
            together = llama.tokenizer.ids(item.prompt().text + sl.data.locale(item.locale).space + text)
            assert [*row.prompt, *choice] == together


def test_letters(llama: sl.LensModel, items: Items) -> None:
    item = items.of(kind="factual")[0]
    question = ask(llama, item, Scoring(style="letters", chat=True))
    text = llama.tokenizer.decode(question.row.prompt)
    letters = [llama.tokenizer.decode(choice).strip() for choice in question.row.choices]
    assert sorted(letters) == ["A", "B", "C", "D"]
    for letter, choice in zip(letters, item.choices, strict=True):
        assert f"{letter}. {choice}" in text
    orders = {tuple(ask(llama, item, Scoring(style="letters", seed=s)).row.choices) for s in range(8)}
    assert len(orders) > 1


def test_outcome_of_a_cultural_item() -> None:
    item = Item("c", "cultural", "es-ES", "q", ("pancakes", "toast", "rice"), 1, "e", (("en-US",), ("es-ES",), ("zh-CN",)))
    from steerlens.evaluation import Outcome

    assert Outcome(item, (-1.0, -0.5, -2.0)).correct
    lost = Outcome(item, (-1.0, -1.5, -2.0))
    assert (lost.correct, lost.english_centric, lost.margin) == (False, True, -0.5)


def test_nothing_to_score(llama: sl.LensModel) -> None:
    with pytest.raises(PromptError, match="no items"):
        Scorer(llama, [])
    with pytest.raises(PromptError, match="1 choices"):
        Scorer(llama, [Item("a", "factual", "en-US", "q?", ("one",), 0)])
    with pytest.raises(PromptError, match="adds no token"):
        Scorer(llama, [Item("a", "factual", "en-US", "q?", ("one", ""), 0)])
    with pytest.raises(SettingsError, match="batch size"):
        Scorer(llama, [Item("a", "factual", "en-US", "q?", ("one", "two"), 0)], batch_size=0)


def test_sweep_table(llama: sl.LensModel, items: Items) -> None:
    vectors = [difference_of_means(llama, items.english_pairs(x)) for x in ("es-ES", "ko-KR")]
    table = sweep(llama, items, vectors, layers=[0, 2], strengths=[0.0, 2.0], scores=SWEPT)
    asked = [item for item in items if item.locale != "en-US"]
    assert len(table.frame) == 2 * 2 * sum(4 if item.kind == "cultural" else 3 for item in asked)  # with margins and preferences
    assert not table.frame.duplicated(["vector", "layer", "strength", "locale", "concept", "score"]).any()
    still = table.cells("transfer").query("strength == 0")
    assert (still["change"] == 0).all()
    assert (still["margin"].abs() < 1e-5).all()
    one = table.cells("localization", "ko-KR")
    assert set(one["n"]) == {8}
    assert "transfer" in table.heatmap("EN", "transfer").layout.title.text
    for bad in ({"score": "transfr"}, {"locale": "ko-KP"}):
        with pytest.raises(UnknownNameError, match="Did you mean"):
            table.cells(**bad)
    with pytest.raises(SettingsError):
        sweep(llama, items, [])


def test_little_memory_changes_no_score(model: sl.LensModel, items: Items) -> None:
    """Layers that do not fit are recorded in further passes; a plan without steps is the unsteered model."""
    vector = difference_of_means(model, items.english_pairs("es-ES"))
    nothing = sl.steering.no_steering(model.fingerprint)
    plans = [vector.at(layer, 1.0) for layer in (0, 2, 3)] + [nothing]
    some = items.of(locale="es-ES")
    much, little = (
        {index: outcomes for index, outcomes in Scorer(model, some, memory=memory).sweep(plans) if outcomes is not None}
        for memory in (1 << 30, 1)
    )
    for index, outcomes in much.items():
        close = [pytest.approx(outcome.scores, abs=1e-4) for outcome in little[index]]
        assert [outcome.scores for outcome in outcomes] == close
    assert [outcome.scores for outcome in much[3]] == [
        pytest.approx(outcome.scores, abs=1e-5) for outcome in Scorer(model, some).base
    ]


@pytest.mark.parametrize("cap", [None, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_log_probabilities_and_their_gradient(dtype: torch.dtype, cap: float | None) -> None:
    """Against PyTorch's own over whole rows of logits; a sure place in half precision is not made surer by rounding."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5000, 32, generator=generator).to(dtype)
    final = (weight[:7].float() * 1.5).to(dtype)  # each place is sure of one token
    targets = Targets(torch.tensor([0, 1, 2, 2, 6]), torch.tensor([0, 1, 2, 4999, 3]))
    unembedding = Unembedding(weight, None, cap)
    states = final.clone().requires_grad_()
    logits = (states @ weight.T).float()
    logits = logits if cap is None else torch.tanh(logits / cap) * cap
    expected = logits.log_softmax(dim=1)[targets.places, targets.tokens]
    found = unembedding.log_probabilities(final, targets)
    torch.testing.assert_close(found, expected.detach(), atol=1e-3, rtol=1e-4)
    assert (found <= 1e-5).all()
    weights = torch.tensor([1.0, -0.5, 2.0, 0.3, 1.0])
    (slope,) = torch.autograd.grad((expected * weights).sum(), states)
    close = {"atol": 1e-3, "rtol": 1e-3} if dtype == torch.float32 else {"atol": 0.1, "rtol": 0.05}
    torch.testing.assert_close(unembedding.gradient(final, targets, lambda _: weights), slope, **close)
