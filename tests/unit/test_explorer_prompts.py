"""The explorer with prompts alone, without a browser: any text, any vectors; its code and its state."""

import json
import sys
from typing import Any

import numpy as np
import pytest
import torch
from places import some_items

import steerlens as sl
from steerlens.data.locales import next_question
from steerlens.errors import SettingsError, SteerlensError, UnknownNameError
from steerlens.notebook.explorer import Explorer
from steerlens.notebook.next_tokens import next_tokens, seen
from steerlens.steering import SteeringVector
from tests.unit.explored import PROMPT, explorer, studied, vectors  # noqa: F401 (fixtures)


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
        ({"items": ["a text"]}, "list was given as items.*prompts="),
        ({"items": 3}, "int 3 was given as items.*load_items"),
        ({"prompts": 3}, "int 3 was given as prompts.*list of texts"),
        ({"prompts": ["a", 3]}, "int 3 was given as a prompt.*expected a text"),
        ({"prompts": ["a", " "]}, "empty prompt"),
        ({"vectors": 3}, "int 3 was given as vectors.*take"),
        ({"vectors": ["EN"]}, "str 'EN' was given as vectors"),
        ({"vectors": torch.ones(3)}, "Tensor was given as vectors"),
        ({"state": [1]}, "state with .* was given: expected a dict"),
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
