"""The explorer without a browser: what a move does, what it says, and that nothing is left behind."""

import asyncio
import builtins
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from places import some_items
from traitlets import TraitError

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError, SteerlensError, UnknownNameError
from steerlens.evaluation import Scorer
from steerlens.notebook.explorer import Explorer
from steerlens.notebook.latest import Latest
from steerlens.notebook.marked import Column, marked, side_by_side
from steerlens.steering import difference_of_means

SEED = 3
"""Other than the default, so that code which forgets it is found out."""


@pytest.fixture(scope="module")
def made(llama: sl.LensModel) -> Explorer:
    return sl.explore(llama, _items(), train_concepts=6, concepts=3, max_new_tokens=4, seed=SEED)


def _items() -> Items:
    return some_items().sample(24)


@pytest.fixture
def explorer(made: Explorer) -> Explorer:
    made.forget()
    made.selection.set(locale="es-ES", vector="EN", layer=2, strength=1.0)
    made.settle()
    return made


def test_a_move_shows_the_exact_scores_of_its_plan(explorer: Explorer, llama: sl.LensModel) -> None:
    explorer.selection.layer, explorer.selection.strength = 3, 2.5
    explorer.settle()
    item = explorer._steering.of_item.item.item
    frame = explorer.to_frame("steering")
    for steering, outcome in (
        ("unsteered", Scorer(llama, [item]).score()[0]),
        ("steered", Scorer(llama, [item]).score(explorer.plan)[0]),
    ):
        assert frame.loc[frame["steering"] == steering, "score"].to_numpy() == pytest.approx(outcome.scores, abs=1e-4)
    assert str(explorer.plan) == "2.5 × EN es-ES at layer 3"
    bars = explorer._steering.of_item._bars.shown
    assert np.array(bars.data[1].x, dtype=float) == pytest.approx(frame.loc[frame["steering"] == "steered", "share"].to_numpy())


def test_the_prediction_is_the_derivative_and_then_bends_through_what_was_run(explorer: Explorer, llama: sl.LensModel) -> None:
    live = explorer._steering.of_item.item
    curve = explorer._steering.of_item.curve().set_index("strength")
    assert curve.loc[0.0, "predicted"] == pytest.approx(live.unsteered.margin)
    run = curve["exact"].dropna()
    assert {0.0, 1.0} <= set(run.index)
    assert curve.loc[run.index, "predicted"].to_numpy() == pytest.approx(run.to_numpy(), abs=1e-5)
    vector = explorer._steering._specimen.vectors["EN", "es-ES"]
    exam, layer = Scorer(llama, [live.item]), explorer.selection.layer
    slope = float(exam.gradients([layer], "last_onward")[0, 0] @ vector.direction(layer))
    assert live.predicted("EN", layer, -0.001) == pytest.approx(live.unsteered.margin - 0.001 * slope, abs=1e-6)


def test_a_prediction_stays_beside_the_run_that_it_missed(explorer: Explorer) -> None:
    """The line is bent through what was run; what was said before the run is said after it too."""
    live, step = explorer._steering.of_item.item, explorer.selection
    step.set(layer=3)
    before = live.predicted("EN", 3, -3.0)
    step.set(strength=-3.0)
    explorer.settle()
    run = live.known("EN", 3)[-3.0].margin
    assert abs(run - before) > 0.01, "nothing was missed: take another strength"
    assert live.predicted("EN", 3, -3.0) == pytest.approx(run, abs=1e-5)
    assert live.said_before("EN", 3, -3.0) == pytest.approx(before)
    said = explorer._steering._said.value
    assert f"predicted <b>{before:+.2f}</b>, run <b>{run:+.2f}</b>" in said
    curve = explorer._steering.of_item.curve().set_index("strength")
    assert curve.loc[-3.0, "before"] == pytest.approx(before)
    step.set(strength=2.0)
    explorer.settle()
    step.set(strength=-3.0)
    assert live.said_before("EN", 3, -3.0) == pytest.approx(before), "another run changed what was said before"


def test_a_locale_brings_its_prompts_and_vectors(explorer: Explorer) -> None:
    explorer.selection.set(locale="ko-KR")
    assert explorer._steering.of_item.item.item.locale == "ko-KR"
    assert "ko-KR" in str(explorer.plan)
    assert explorer._steering.choosing.locale.value == "ko-KR"
    explorer.selection.locale = "es-ES"


def test_a_click_on_the_heatmap_chooses_layer_and_locale(explorer: Explorer) -> None:
    clicked = explorer.views["layers"]._clicked
    clicked("ko-KR", "2")
    assert (explorer.selection.locale, explorer.selection.layer) == ("ko-KR", 2)
    clicked("all", "2")  # the column of all locales together is no locale
    assert explorer.selection.locale == "ko-KR"
    explorer.selection.locale = "es-ES"


def test_kept_steps_are_added(explorer: Explorer, llama: sl.LensModel) -> None:
    explorer.selection.set(vector="EN", layer=1)
    explorer.keep()
    assert str(explorer.plan) == "1 × EN es-ES at layer 1"  # once, and the slider is back at 0
    explorer.selection.set(vector="LOC", layer=2, strength=2.0)
    explorer.settle()
    assert str(explorer.plan) == "1 × EN es-ES at layer 1 + 2 × LOC es-ES at layer 2"
    frame = explorer.to_frame("steering")
    own = Scorer(llama, [explorer._steering.of_item.item.item]).score(explorer.plan)[0]
    assert frame.loc[frame["steering"] == "steered", "score"].to_numpy() == pytest.approx(own.scores, abs=1e-4)
    assert _made_by(explorer.as_code("steering"), llama)[1]["plan"].layers == (1, 2)
    explorer.forget()
    assert len(explorer.plan.steps) == 1


def _made_by(code: str, model: sl.LensModel, **known: object) -> tuple[Any, dict[str, Any]]:
    """What printed code comes to, and all that it defined."""
    lines, _, last = code.rpartition("\n")
    names: dict[str, Any] = {"model": model, "items": _items(), **known}
    exec(lines, names)
    return eval(last, names), names


def _numbers(fig: Any) -> list[Any]:
    drawn = [getattr(trace, name, None) for trace in fig.data for name in ("z", "x")]
    return [np.array(values, float) for values in drawn if values is not None]


@pytest.mark.parametrize("view", ["points", "steering", "tokens"])
def test_the_code_of_a_view_makes_its_figure(explorer: Explorer, llama: sl.LensModel, view: str) -> None:
    again, _ = _made_by(explorer.as_code(view), llama)
    shown = explorer.figures(view)[-1]
    assert again.layout.title.text == shown.layout.title.text
    for mine, theirs in zip(_numbers(again), _numbers(shown), strict=True):
        assert np.allclose(mine, theirs, atol=1e-3, equal_nan=True)


def test_every_score_of_the_heatmap_is_drawn_and_has_its_code(explorer: Explorer, llama: sl.LensModel) -> None:
    layers = explorer.views["layers"]
    for name in layers.score.options:
        layers.score.value = name
        again, _ = _made_by(explorer.as_code("layers"), llama)
        assert np.allclose(again.data[0].z, explorer.figures("layers")[0].data[0].z, atol=1e-3, equal_nan=True)
        assert len(explorer.to_frame("layers"))
    layers.score.value = layers.score.options[0]


def test_what_is_chosen_from_code_is_shown_and_must_exist(explorer: Explorer) -> None:
    concept = explorer._steering._specimen.concepts("ko-KR")[-1]
    explorer.selection.set(vector="LOC", concept=concept, layer=3, locale="ko-KR")  # in any order
    controls = explorer._steering.choosing
    assert (controls.vector.value, controls.prompts.value, controls.layer.value) == ("LOC", (True, concept), 3)
    assert explorer._steering.choosing.locale.value == "ko-KR"
    for bad in ({"layer": 99}, {"locale": "xx"}, {"concept": "typo"}, {"vector": "en"}, {"strength": 9.0}, {"depth": 1}):
        with pytest.raises(TraitError, match="expected"):
            explorer.selection.set(**bad)
    assert (explorer.selection.layer, explorer.selection.locale) == (3, "ko-KR")


def test_a_page_without_widgets_shows_the_figures(explorer: Explorer) -> None:
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"].count("plotly-graph-div") == 4


def test_a_notebook_saved_as_html_shows_the_figures(explorer: Explorer) -> None:
    """Without the widgets' state, as most pages have it."""
    from nbconvert import HTMLExporter
    from nbformat import v4

    cell = v4.new_code_cell("explorer", outputs=[v4.new_output("display_data", data=explorer._repr_mimebundle_())])
    html, _ = HTMLExporter().from_notebook_node(v4.new_notebook(cells=[cell]))
    assert html.count('class="plotly-graph-div"') == 4


def test_pictures_are_shown_where_plotly_is_told_to(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    import plotly.io
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    with capture_output() as shown:
        explorer._ipython_display_()
    assert "application/vnd.jupyter.widget-view+json" in shown.outputs[0].data
    monkeypatch.setattr(plotly.io.renderers, "default", "png+plotly_mimetype")
    drawn = []
    monkeypatch.setattr("plotly.graph_objects.Figure.show", lambda fig, **_: drawn.append(fig))
    explorer._ipython_display_()
    assert len(drawn) == 4


def test_the_token_lens_is_read_once_it_is_open(explorer: Explorer) -> None:
    tokens = explorer.views["tokens"]
    assert tokens._picture is None
    explorer.tabs.selected_index = explorer.tabs.titles.index("Logit lens")
    explorer.settle()
    first = tokens._picture.shown.data[0].z.copy()
    explorer.selection.strength = 4.0
    explorer.settle()
    assert not np.allclose(first, tokens._picture.shown.data[0].z)
    tokens.steering.value = "unsteered"
    explorer.settle()
    assert np.allclose(tokens._picture.shown.data[0].z, explorer.figures("tokens")[0].data[0].z)
    tokens._clicked(0, 1.0)
    assert explorer.selection.layer == 1
    explorer.tabs.selected_index, tokens.steering.value = 0, "steered"
    assert set(explorer.to_frame("tokens")["steering"]) == {"unsteered", "steered"}


def test_the_model_is_left_unsteered_between_slices(llama: sl.LensModel, explorer: Explorer) -> None:
    """In the middle of a steered text, another pass is as if nobody steered."""
    ids = torch.tensor([llama.tokens("Hola, ¿qué tal?").ids], device=llama.device)
    with torch.no_grad():
        before = llama.tl.original_model(ids).logits
    explorer.selection.strength = 3.5
    for _ in explorer._latest._steps:
        with torch.no_grad():
            assert torch.equal(llama.tl.original_model(ids).logits, before)


def test_unknown_views_and_bad_vectors_are_refused(explorer: Explorer, llama: sl.LensModel) -> None:
    with pytest.raises(UnknownNameError, match="view"):
        explorer.as_code("layer")
    with pytest.raises(SettingsError, match="no vectors"):
        sl.explore(llama, _items(), [], concepts=2)
    low, high = (difference_of_means(llama, _items().english_pairs("es-ES"), layers=own) for own in ([0, 1], [2, 3]))
    with pytest.raises(SettingsError, match="two vectors"):
        sl.explore(llama, _items(), [low, low], concepts=2)
    with pytest.raises(SettingsError, match="layer in common"):
        sl.explore(llama, _items(), [low, replace(high, name="high")], concepts=2)
    with pytest.raises(UnknownNameError, match="el-GR"):
        sl.explore(llama, _items(), [replace(low, locale="el-GR")], concepts=2)
    with pytest.raises(SettingsError, match="en-US"):
        sl.explore(llama, _items().of(locale="en-US"), concepts=2)


def test_given_vectors_of_some_locales_and_layers_are_offered_there(llama: sl.LensModel) -> None:
    vector = replace(difference_of_means(llama, _items().english_pairs("ko-KR"), layers=[1, 3]), name="my EN")
    own = sl.explore(llama, _items(), [vector], concepts=2, max_new_tokens=2)
    assert own._steering.choosing.locale.options == ("ko-KR",)
    assert own._steering.choosing.layer.options == (1, 3)
    _, names = _made_by(own.as_code("steering"), llama, vectors=[vector])
    assert str(names["plan"]) == str(own.plan)
    own.views["layers"].score.value = "my EN → transfer"
    assert _made_by(own.as_code("layers"), llama, vectors=[vector])[0].data[0].z.shape == (2, 1)
    assert set(own.to_frame("layers")["vector"]) == {"my EN"}
    own.close()


def test_code_names_what_was_given(llama: sl.LensModel) -> None:
    split, vector = _items().split(seed=0), difference_of_means(llama, _items().english_pairs("es-ES"))
    own = sl.explore(llama, split, [vector], concepts=2, max_new_tokens=2)
    assert own.as_code("steering").startswith("# model, split, vectors: what sl.explore was given")
    assert str(_made_by(own.as_code("steering"), llama, split=split, vectors=[vector])[1]["plan"]) == str(own.plan)


def test_a_vector_without_locale_is_offered_in_all(llama: sl.LensModel) -> None:
    vector = replace(difference_of_means(llama, _items().english_pairs("es-ES")), locale="", name="for")
    own = sl.explore(llama, _items(), [vector], concepts=2, max_new_tokens=2)
    assert own._steering.choosing.locale.options == ("es-ES", "ko-KR")
    assert str(_made_by(own.as_code("steering"), llama, vectors=[vector])[1]["plan"]) == str(own.plan)


def test_a_closed_explorer_leaves_no_widgets(llama: sl.LensModel) -> None:
    from ipywidgets import Widget

    before = set(Widget._instances) if hasattr(Widget, "_instances") else set()
    sl.explore(llama, _items(), concepts=2, train_concepts=3, max_new_tokens=2).close()
    left = [w for key, w in getattr(Widget, "_instances", {}).items() if key not in before]
    assert not [w for w in left if type(w).__name__ in ("VBox", "HBox", "FigureWidget", "FloatSlider")]


def test_missing_widgets_are_named(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest, **more):
        if name == "anywidget":
            raise ModuleNotFoundError("No module named 'anywidget'", name="anywidget")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "anywidget", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SteerlensError, match=r"anywidget.*steerlens\[notebook\]"):
        sl.explore(llama, _items())


def test_a_newer_job_ends_an_older_one_and_errors_are_shown() -> None:
    done, errors = [], []

    def job(name: str, n: int) -> Iterator[None]:
        for at in range(n):
            done.append(f"{name}{at}")
            yield

    def broken() -> Iterator[None]:
        yield
        raise ValueError("no such thing")

    async def moves() -> None:
        latest = Latest(errors.append)
        latest.submit(job("dragged", 3))  # never begun: another came at once
        latest.submit(job("old", 1000))
        await asyncio.sleep(0.2)
        assert done[0] == "old0"
        latest.submit(job("new", 3))
        await asyncio.sleep(0.3)
        assert done[-3:] == ["new0", "new1", "new2"]
        assert not latest.busy
        latest.submit(broken())
        await asyncio.sleep(0.3)

    asyncio.run(moves())
    assert not any(name.startswith("dragged") for name in done)
    assert sum(name.startswith("old") for name in done) < 1000
    assert [str(error) for error in errors] == ["no such thing"]


def test_moves_of_another_thread_are_done_on_the_cells_loop() -> None:
    """As a kernel's subshell sends them, while a cell runs: nothing happens until the cell has ended."""
    threads = []

    async def cells() -> None:
        latest = Latest(lambda _: None)

        def job() -> Iterator[None]:
            threads.append(threading.get_ident())
            yield

        mover = threading.Thread(target=lambda: latest.call(lambda: latest.submit(job())))
        mover.start()
        mover.join()  # the cell still runs
        assert not latest.busy
        await asyncio.sleep(0.3)
        assert not latest.busy

    asyncio.run(cells())
    assert threads == [threading.get_ident()]


def test_what_changed_is_marked() -> None:
    assert marked("se toma café", "se toma té") == "se toma <mark>té</mark>"
    assert marked("a < b", "a < b") == "a &lt; b"
    assert marked("春节吃饺子", "春节吃汤圆") == "春节吃<mark>汤圆</mark>"
    assert "<script>" not in side_by_side([Column("<script>", "x"), Column("<script>", "<script>")])
