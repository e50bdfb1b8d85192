"""What users give as methods: explicit prompts in compositions, names, and mistakes that are told in words."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError
from steerlens.evaluation import (
    EXPLICIT,
    Checkpoint,
    Checkpoints,
    ExplicitPrompt,
    Hooked,
    Score,
    Scorer,
    Scoring,
    Steered,
    Trained,
    answered,
    plane,
    side_effects,
)
from steerlens.evaluation.writing import written
from steerlens.steering import SteeringPlan, take

VOWELS = Score("vowels", lambda w: sum(letter in "aeiou" for letter in w.text), None, "writing", "letters")


@pytest.fixture(scope="module")
def plan(llama: sl.LensModel, items: Items) -> SteeringPlan:
    return take(llama, items)["EN", "es-ES"].at(1, 3.0)


@pytest.fixture(scope="module")
def some(items: Items) -> Items:
    """Spanish items, one of the cultural ones without an explicit prompt."""
    own = list(items.of(locale="es-ES"))
    at = next(at for at, item in enumerate(own) if item.explicit)
    own[at] = replace(own[at], explicit="")
    return Items(tuple(own))


def test_a_plan_under_explicit_prompts_keeps_its_transfer(llama: sl.LensModel, some: Items, plan: SteeringPlan) -> None:
    both = Steered(plan) + ExplicitPrompt()
    methods = {"EN": plan, "both": both, "asked": ExplicitPrompt()}
    frame = answered(llama, some, methods, scores=["margin"]).frame
    values = frame.pivot_table(index=["kind", "concept"], columns="method", values="value")
    factual, cultural = values.loc["factual"], values.loc["cultural"]
    assert factual[["EN", "both"]].std(axis=1).max() < 1e-6
    assert (factual["asked"] == factual["unsteered"]).all()
    assert factual.get(EXPLICIT) is None or factual[EXPLICIT].isna().all()  # which has none
    without = next(item.concept for item in some if item.kind == "cultural" and not item.explicit)
    assert cultural.loc[without, "both"] == pytest.approx(cultural.loc[without, "EN"], abs=1e-6)
    scorer = Scorer(llama, some.of(kind="cultural"), Scoring(form="explicit"))
    expected = {outcome.item.concept: outcome.margin for outcome in scorer.score(plan)}
    assert cultural["both"].to_dict() == pytest.approx(expected, abs=1e-4)
    table = plane(llama, some, methods)
    points = table.frame.query("locale == 'mean' and score == 'transfer'").set_index("method")["change"]
    assert points["both"] == pytest.approx(points["EN"])
    drawn = {trace.name: trace.x[0] for trace in table.plot(by_locale=False).data if trace.name in ("EN", "both", EXPLICIT)}
    assert drawn == pytest.approx({"EN": 100 * points["EN"], "both": 100 * points["EN"], EXPLICIT: 0.0})


def test_texts_are_written_to_explicit_prompts(llama: sl.LensModel, some: Items, plan: SteeringPlan) -> None:
    methods = {"both": Steered(plan) + ExplicitPrompt()}
    frame = answered(llama, some, methods, scores=[VOWELS, "log_perplexity"], max_new_tokens=3).frame
    for method, asked, steered in (
        (EXPLICIT, [item for item in some if item.explicit], None),
        ("both", list(some), plan),
        ("unsteered", list(some), None),
    ):
        own = frame[(frame["method"] == method) & (frame["score"] == "vowels")].set_index("concept")["value"]
        form = "implicit" if method == "unsteered" else "explicit"
        texts = written(llama, Items(tuple(asked)), steered, 3, scoring=Scoring(form=form))
        assert own.to_dict() == {one.item.concept: VOWELS.value(one) for one in texts}
    assert set(frame[frame["score"] == "log_perplexity"]["method"]) == {"unsteered", "both"}  # held-out text has no such form
    assert EXPLICIT not in set(side_effects(llama, some, methods, scores=["repetition"], max_new_tokens=3).frame["method"])


def test_texts_are_put_as_the_scoring_says(llama: sl.LensModel, some: Items) -> None:
    item = next(iter(some))
    solved = next(other for other in some if other.concept != item.concept and other.kind == item.kind)
    letters = Scoring(style="letters")
    (open_one,), (lettered,) = (written(llama, Items((item,)), None, 3, scoring=own) for own in (Scoring(), letters))
    assert lettered.expected in "ABCDEFGH"
    assert open_one.expected == item.choices[item.answer]
    shots = Scoring(examples=(solved,))
    (few,) = written(llama, Items((item,)), None, 3, scoring=shots)
    text = f"{solved.prompt().text} {solved.choices[solved.answer]}\n\n{item.prompt().text}"
    assert few.text == llama.generate(text, 3)
    frame = answered(llama, some, {"same": llama}, scores=[VOWELS], scoring=shots, max_new_tokens=3).frame
    own = frame[(frame["method"] == "same") & (frame["concept"] == item.concept) & (frame["kind"] == item.kind)]
    assert own["value"].item() == VOWELS.value(few)


def test_a_model_that_chats_is_asked_in_turns(loaded: dict[str, sl.LensModel], some: Items) -> None:
    model = next((own for own in loaded.values() if getattr(own.tokenizer.hf, "chat_template", None)), None)
    if model is None:
        pytest.skip("no tiny model has a chat template")
    item = next(iter(some))
    (found,) = written(model, Items((item,)), None, 3, scoring=Scoring(chat=True))
    assert found.text == model.generate([{"role": "user", "content": item.prompt().text}], 3)


@pytest.mark.parametrize("name", ["unsteered", EXPLICIT])
def test_names_of_what_methods_are_compared_with(llama: sl.LensModel, items: Items, plan: SteeringPlan, name: str) -> None:
    with pytest.raises(SettingsError, match=f"the name '{name}' was given to a method"):
        plane(llama, items, {name: plan})
    with pytest.raises(SettingsError, match=f"the name '{name}' was given to a method"):
        side_effects(llama, items, {name: plan})


def _nothing(model: sl.LensModel) -> Any:
    """A function that forgets to return what it trained."""


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (lambda plan: plan, "SteeringPlan given as methods: expected a dict of methods by name"),
        (lambda plan: [plan], "list given as methods"),
        (lambda _: {"f": {}}, "an empty mapping given as method 'f'"),
        (
            lambda _: {"f": [("blocks.99.hook_resid_post", print)]},
            r"hooks at blocks.99.hook_resid_post were given.*blocks.0.hook_",
        ),
        (lambda _: {"f": Hooked([("blocks.1.hook_resid_post", 3)])}, r"expected a list of pairs \(hook_name, function\)"),
        (lambda _: {"f": Trained(_nothing)}, "None given as the model of a method: expected a LensModel"),
        (lambda plan: {"f": Trained(_nothing) + Steered(plan)}, "None given as the model of a method: expected a LensModel"),
    ],
)
def test_mistakes_are_told_in_words(
    llama: sl.LensModel, items: Items, plan: SteeringPlan, methods: Callable[[SteeringPlan], Any], said: str
) -> None:
    for function in (answered, plane):
        with pytest.raises(SettingsError, match=said):
            function(llama, items, methods(plan))


def test_items_that_no_score_is_measured_on(llama: sl.LensModel, items: Items, plan: SteeringPlan) -> None:
    english, factual = items.of(locale="en-US"), items.of(kind="factual", locale="es-ES")
    with pytest.raises(SettingsError, match="there are no locales to score"):
        plane(llama, english, {"f": plan})
    assert set(plane(llama, english, {"f": plan}, locales=["en-US"]).frame["locale"]) == {"en-US", "mean"}
    with pytest.raises(SettingsError, match="contains no items in es-ES that can be used to measure localization"):
        plane(llama, factual, {"f": plan}, scores=["localization"])


def test_checkpoints_of_folders_and_models(llama: sl.LensModel, items: Items, model_folders: dict[str, Path]) -> None:
    some = items.of(kind="factual")
    given = Checkpoints({"es-ES": str(model_folders["llama"]), "ko-KR": llama})
    frame = answered(llama, some, {"each": given}, scores=["margin"]).frame
    values = frame.pivot_table(index=["locale", "concept"], columns="method", values="value")
    assert (values["each"] - values["unsteered"]).abs().max() < 1e-5
    named = Checkpoints({"es-ES": Checkpoint(llama)})
    assert named.prepared(llama, "es-ES").model is llama
    assert given.prepared(llama, "es-ES").model is given.prepared(llama, "es-ES").model  # loaded once
