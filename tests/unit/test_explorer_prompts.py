"""The explorer with prompts alone, without a browser: any text, any vectors; its code, its state, and plans that are pinned."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from places import some_items

import steerlens as sl
from steerlens.data.locales import next_question
from steerlens.errors import SettingsError, SteerlensError, UnknownNameError
from steerlens.evaluation import Scorer
from steerlens.notebook import writer
from steerlens.notebook.explorer import Explorer
from steerlens.notebook.next_tokens import next_tokens, seen
from steerlens.notebook.vector_tokens import vector_tokens
from steerlens.plotting.live import live
from steerlens.steering import SteeringVector, difference_of_means

PROMPT = "Pregunta: ¿Qué se desayuna?\nRespuesta:"


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel) -> list[SteeringVector]:
    """One of English, and two of one name."""
    items = some_items().sample(24)
    es, ko = (difference_of_means(llama, items.english_pairs(code)) for code in ("es-ES", "ko-KR"))
    return [replace(es, locale="en-US", name="mine"), es, ko]


@pytest.fixture
def explorer(llama: sl.LensModel, vectors: list[SteeringVector]) -> Iterator[Explorer]:
    made = sl.explore(llama, prompts=[PROMPT, "The capital"], vectors=vectors, max_new_tokens=4)
    yield made
    made.close()


@pytest.fixture(scope="module")
def studied(llama: sl.LensModel) -> Explorer:
    return sl.explore(llama, some_items().sample(24), train_concepts=6, concepts=3, max_new_tokens=4)


def _run(code: str, **known: object) -> Any:
    """What printed code comes to, with nothing known but what ``explore`` was given."""
    lines, _, last = code.rpartition("\n")
    names = dict(known)
    exec(lines, names)
    return eval(last, names)


def _texts(explorer: Explorer) -> str:
    return str(explorer._steering.texts.widget.value)


def test_a_model_alone_opens_with_a_prompt_and_a_box_for_others(llama: sl.LensModel) -> None:
    own = sl.explore(llama, max_new_tokens=3)
    box = own._steering.choosing.text
    assert box.value == own.selection.prompt
    assert llama.generate(own.selection.prompt, 3) in _plain(_texts(own))
    box.value = "Another text altogether"
    own.settle()
    assert own.selection.text == "Another text altogether"
    ids = torch.tensor([llama.tokens("Another text altogether").ids], device=llama.device)
    with torch.no_grad():
        chances = llama.tl.original_model(ids).logits[0, -1].float().softmax(-1).cpu()
    frame = own.to_frame("steering")
    assert frame["probability"].max() == pytest.approx(float(chances.max()), abs=1e-5)
    assert seen(llama.tokenizer.decode([int(chances.argmax())])) in _plain(own._steering._said.value)
    box.value = "   "
    assert box.value == "Another text altogether", "an empty box is filled again"
    assert str(own.plan) == "unsteered"
    assert set(own.views) == {"steering", "tokens", "vector"}
    own.close()


def _plain(html: str) -> str:
    import html as entities
    import re

    return entities.unescape(re.sub(r"<[^>]+>", "", html.replace("⏎<wbr>", "\n")))


def test_all_vectors_are_offered_also_english_ones_and_namesakes(explorer: Explorer, llama: sl.LensModel) -> None:
    assert list(explorer.selection.offered) == ["mine en-US", "EN es-ES", "EN ko-KR"]
    explorer.selection.set(vector="EN ko-KR", layer=3, strength=3.0)
    explorer.settle()
    assert str(explorer.plan) == "3 × EN ko-KR at layer 3"
    frame = explorer.to_frame("steering")
    assert set(frame["steering"]) == {"unsteered", "steered"}
    again = next_tokens(llama, PROMPT, explorer.plan)
    assert np.allclose(frame["probability"], again["probability"], atol=1e-5)
    with explorer.plan.applied(llama):
        assert llama.generate(PROMPT, 4, stop=next_question(PROMPT)) in _plain(_texts(explorer))


@pytest.mark.parametrize("view", ["steering", "tokens", "vector"])
@pytest.mark.parametrize("strength", [2.0, -1.5])
def test_code_of_a_prompt_runs_with_what_was_given(
    explorer: Explorer, llama: sl.LensModel, vectors: list[SteeringVector], view: str, strength: float
) -> None:
    explorer.selection.set(vector="mine en-US", strength=strength)
    explorer.keep()
    explorer.selection.set(vector="EN es-ES", strength=1.0, layer=1)
    made = _run(explorer.as_code(view), model=llama, vectors=vectors)
    if view == "vector":
        assert made.equals(explorer.to_frame("vector"))
        return
    shown = explorer.figures(view)[-1]
    assert made.layout.title.text == shown.layout.title.text
    at, part = (-1, "x") if view == "steering" else (0, "z")
    assert np.allclose(np.array(made.data[at][part], float), np.array(shown.data[at][part], float), atol=1e-4)


def test_code_of_a_model_alone_runs(llama: sl.LensModel) -> None:
    own = sl.explore(llama, prompts="One 'quoted'\nprompt", max_new_tokens=2)
    for view in ("steering", "tokens"):
        assert _run(own.as_code(view), model=llama).data
    assert "no vectors" in own.as_code("vector")


def test_code_of_items_runs_with_what_was_given(studied: Explorer, llama: sl.LensModel) -> None:
    for text in ("", "A prompt of my own"):
        studied.selection.set(text=text)
        for view in studied.views:
            assert _run(studied.as_code(view), model=llama, items=some_items().sample(24)) is not None, view
    studied.selection.set(text="")


def test_in_a_notebook_code_has_the_notebooks_names(
    llama: sl.LensModel, vectors: list[SteeringVector], monkeypatch: pytest.MonkeyPatch
) -> None:
    main = sys.modules["__main__"]
    for name, value in {"my_model": llama, "first": vectors[0], "second": vectors[1]}.items():
        monkeypatch.setattr(main, name, value, raising=False)
    own = sl.explore(llama, prompts=PROMPT, vectors=[vectors[0], vectors[1]], max_new_tokens=2)
    code = own.as_code("tokens")
    assert code.startswith("# my_model, [first, second]: what sl.explore was given")
    assert _run(code, my_model=llama, first=vectors[0], second=vectors[1]).data


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"items": ["a text"]}, "list given as items.*prompts="),
        ({"items": 3}, "int 3 given as items.*load_items"),
        ({"prompts": 3}, "int 3 given as prompts.*list of texts"),
        ({"prompts": ["a", 3]}, "int 3 given as a prompt.*expected a text"),
        ({"prompts": ["a", " "]}, "empty prompt"),
        ({"vectors": 3}, "int 3 given as vectors.*take"),
        ({"vectors": ["EN"]}, "str 'EN' given as vectors"),
        ({"vectors": torch.ones(3)}, "Tensor given as vectors"),
        ({"state": [1]}, "state with .* given: expected a dict"),
        ({"state": {"selection": {"layer": 99}}}, "state with unknown layer 99"),
        ({"state": {"kept": [{"vector": ["EN", ""]}]}}, "expected a list of dicts with layer"),
        ({"state": {"shown": {"nothing": 1}}}, "state with 'nothing'"),
        ({"state": {"pinned": {"C": []}}}, "expected A and B"),
    ],
)
def test_wrong_things_are_refused_with_what_to_do(llama: sl.LensModel, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        sl.explore(llama, **given)


@pytest.mark.usefixtures("as_users_run_it")
def test_a_name_is_no_model() -> None:
    with pytest.raises(SettingsError, match=r"Load it: sl\.explore\(sl\.load\('gemma-3-270m'\)\)"):
        sl.explore("gemma-3-270m")


def test_vectors_of_another_model_are_refused(loaded: dict[str, sl.LensModel], vectors: list[SteeringVector]) -> None:
    with pytest.raises(SteerlensError, match="model"):
        sl.explore(loaded["qwen2"], vectors=vectors)


def test_english_vectors_steer_english_items(llama: sl.LensModel, vectors: list[SteeringVector]) -> None:
    own = sl.explore(llama, some_items().sample(24), vectors[:2], concepts=2, max_new_tokens=2)
    assert set(own._steering.choosing.locale.options) == {"en-US", "es-ES"}
    own.selection.set(locale="en-US")
    own.settle()
    assert str(own.plan).endswith("mine en-US at layer 2")
    own.close()


def test_the_state_is_json_and_comes_back(explorer: Explorer, llama: sl.LensModel, vectors: list[SteeringVector]) -> None:
    explorer.selection.set(vector="EN es-ES", layer=1, strength=2.0)
    explorer.keep()
    explorer.selection.set(vector="EN ko-KR", layer=3, strength=-0.5, text="Something else")
    explorer.pin("B")
    explorer.tabs.selected_index = 1
    explorer.shown["last"].value = "all tokens"
    state = json.loads(json.dumps(explorer.state()))
    again = sl.explore(llama, vectors=vectors, max_new_tokens=2, state=state)
    assert again.state() == state
    assert str(again.plan) == str(explorer.plan) == "2 × EN es-ES at layer 1 + -0.5 × EN ko-KR at layer 3"
    assert again.selection.prompt == "Something else"
    with pytest.raises(UnknownNameError, match="EN"):
        sl.explore(llama, vectors=vectors[:1], state={"kept": state["kept"]})
    again.close()


def test_the_state_of_items_comes_back(studied: Explorer, llama: sl.LensModel) -> None:
    studied.selection.set(locale="ko-KR", layer=3, strength=-2.0)
    studied.shown["colour"].value = "topic"
    state = json.loads(json.dumps(studied.state()))
    again = sl.explore(llama, some_items().sample(24), train_concepts=6, concepts=3, max_new_tokens=2, state=state)
    assert again.state() == state
    studied.shown["colour"].value = "kind"
    again.close()


def test_a_direction_towards_a_token_promotes_it(llama: sl.LensModel, vectors: list[SteeringVector]) -> None:
    unembedding = llama.backend.unembedding()
    planted = unembedding.weight[77].float() - unembedding.weight.float().mean(0)
    one = replace(vectors[0], directions=torch.stack([planted.cpu()] * 4), positive=None)
    name = llama.tokenizer.decode([77])
    up, down = (vector_tokens(llama, own, 2, top=3) for own in (one, replace(one, directions=-one.directions)))
    assert up.loc[up["side"] == "promoted", "token"].iloc[0] == name
    assert down.loc[down["side"] == "suppressed", "token"].iloc[0] == name
    assert up["logit"].iloc[0] == pytest.approx(-down.loc[down["side"] == "suppressed", "logit"].iloc[0], abs=1e-4)


def test_tokens_of_the_chosen_direction_are_on_the_page(explorer: Explorer) -> None:
    explorer.selection.set(layer=3)
    explorer.settle()
    frame, line = explorer.to_frame("vector"), _plain(explorer._vector.line.value)
    for side in ("promoted", "suppressed"):
        assert seen(frame.loc[frame["side"] == side, "token"].iloc[0]) in line
    explorer.selection.set(layer=1)
    explorer.settle()
    assert _plain(explorer._vector.line.value) != line


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was asked of ``stream``."""
    asked, real = [], writer.stream

    def counted(*args: Any, **options: Any) -> Iterator[str]:
        asked.append(options)
        yield from real(*args, **options)

    monkeypatch.setattr(writer, "stream", counted)
    return asked


def test_texts_are_written_once_and_end_before_another_question(explorer: Explorer, streamed: list[dict[str, Any]]) -> None:
    explorer.selection.set(strength=2.5)
    explorer.settle()
    assert [own["stop"] for own in streamed] == [("\nPregunta:",)]
    explorer.selection.set(strength=0.0)
    explorer.settle()
    assert len(streamed) == 1, "strength 0 is the unsteered text"
    assert "now:" not in _texts(explorer)
    explorer.selection.set(strength=2.5)
    explorer.settle()
    assert len(streamed) == 1
    explorer.selection.set(text="Question: what?\nAnswer:")
    explorer.settle()
    assert {own["stop"] for own in streamed[1:]} == {("\nQuestion:",)}


def test_colours_do_not_end_a_text(studied: Explorer, streamed: list[dict[str, Any]]) -> None:
    studied.selection.set(strength=3.25)
    steps = studied._latest._steps
    for _ in range(3):
        next(steps)
    for name in ("score", "colour"):
        studied.shown[name].value = studied.shown[name].options[1]
        assert studied._latest._steps is steps
        studied.shown[name].value = studied.shown[name].options[0]
    studied.settle()
    assert len(streamed) <= 2


def test_a_text_that_was_broken_off_goes_on(llama: sl.LensModel, streamed: list[dict[str, Any]]) -> None:
    from contextlib import nullcontext

    own = writer.Writer(llama, 5)
    first = own.text(PROMPT, (), nullcontext)
    next(first)
    del first
    assert list(own.text(PROMPT, (), nullcontext))[-1] == llama.generate(PROMPT, 5, stop=next_question(PROMPT))
    assert len(streamed) == 1


def test_pinned_plans_stay_beside_the_present_one(studied: Explorer, llama: sl.LensModel) -> None:
    studied.forget()
    studied.selection.set(locale="es-ES", vector="EN", layer=1, strength=2.0)
    studied.pin("A")
    studied.selection.set(vector="LOC", layer=3, strength=-3.0)
    studied.pin("B")
    studied.selection.set(layer=2, strength=1.0)
    plans = [studied.plan, *(studied.hand.plan_of(studied.hand.pinned[name]) for name in "AB")]
    for concept in studied._steering._specimen.concepts("es-ES")[:2]:
        studied.selection.set(concept=concept)
        studied.settle()
        scorer, said = Scorer(llama, [studied._steering.of_item.item.item]), _plain(_texts(studied))
        assert "A: 2 × EN es-ES at layer 1" in said
        assert "B: -3 × LOC es-ES at layer 3" in said
        for plan in plans:
            assert f"margin {scorer.score(plan)[0].margin:+.2f}" in said
            with plan.applied(llama):
                assert llama.generate(studied.selection.prompt, 4, stop=next_question(studied.selection.prompt)) in said
    studied.selection.set(vector="EN", layer=1, strength=2.0)
    studied.pin("A")
    studied.settle()
    assert "A:" not in _texts(studied), "pinned again, it is taken away"
    with pytest.raises(UnknownNameError, match="pin"):
        studied.pin("C")


def test_a_click_on_a_point_chooses_its_prompt_which_has_a_ring(studied: Explorer) -> None:
    points = studied.views["points"]
    frame = studied.to_frame("points")
    for row in (frame.iloc[0], frame.iloc[-1]):
        points._clicked(row["x"], row["y"])
        assert (studied.selection.locale, studied.selection.concept) == (row["locale"], row["concept"])
        ring = points._picture.shown.data[-1]
        assert (ring.x[0], ring.y[0]) == pytest.approx((row["x"], row["y"]))


def test_kept_steps_are_framed_and_named_apart_from_the_present_one(studied: Explorer) -> None:
    studied.selection.set(locale="es-ES", vector="EN", layer=1, strength=1.0)
    studied.keep()
    studied.selection.set(vector="LOC", layer=3, strength=2.0)
    shapes = studied.views["layers"]._picture.shown.layout.shapes
    assert [(shape.line.dash, shape.y0) for shape in shapes] == [("dot", 0.5), (None, 2.5)]
    said = studied._steering._said.value
    assert "kept <code>1 × EN es-ES at layer 1</code>" in said
    assert "now <code>2 × LOC es-ES at layer 3</code>" in said
    studied.forget()


def test_the_page_says_that_it_computes_until_all_is_there(explorer: Explorer) -> None:
    status = explorer._steering.choosing.status
    explorer.selection.set(strength=1.75)
    assert "computing" in status.value
    explorer.settle()
    assert status.value == ""


def test_an_item_can_be_left_for_a_prompt_of_ones_own_and_found_again(studied: Explorer) -> None:
    box, item = studied._steering.choosing.text, studied.selection.prompt
    box.value = "A prompt of my own"
    studied.settle()
    assert set(studied.to_frame("steering").columns) == {"steering", "token", "probability"}
    assert studied._steering.choosing.prompts.value == (False, "A prompt of my own")
    box.value = item
    studied.settle()
    assert studied.selection.text == ""
    assert "margin" in studied._steering._said.value


def test_numbers_in_cells_are_written_as_everywhere() -> None:
    fig = sl.plotting.Figure()
    fig.add_heatmap(z=[[0.29, -0.3]], text=[["+.29•", "−.30"]])
    assert list(live(fig, 300, 200).data[0].text[0]) == ["+0.29•", "−0.30"]
