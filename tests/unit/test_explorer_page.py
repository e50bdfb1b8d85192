"""What the explorer shows, without a browser: tokens of a vector, texts, pinned plans, points, kept steps, its status."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

import steerlens as sl
from steerlens.data.locales import next_question
from steerlens.errors import UnknownNameError
from steerlens.evaluation import Scorer
from steerlens.notebook import writer
from steerlens.notebook.explorer import Explorer
from steerlens.notebook.next_tokens import seen
from steerlens.notebook.vector_tokens import vector_tokens
from steerlens.plotting.live import live
from steerlens.steering import SteeringVector
from tests.unit.explored import PROMPT, explorer, studied, vectors  # noqa: F401 (fixtures)


def _texts(explorer: Explorer) -> str:
    return str(explorer._steering.texts.widget.value)


def _plain(html: str) -> str:
    import html as entities
    import re

    return entities.unescape(re.sub(r"<[^>]+>", "", html.replace("⏎<wbr>", "\n")))


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
