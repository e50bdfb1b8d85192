"""The explorer without a browser: what a move does, what it says, and that nothing is left behind."""

import asyncio
import builtins
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError, SteerlensError, UnknownNameError
from steerlens.evaluation import Exam
from steerlens.notebook.latest import Latest
from steerlens.notebook.marked import marked, side_by_side
from steerlens.steering import difference_of_means


@pytest.fixture(scope="module")
def made(llama: sl.LensModel) -> "sl.notebook.explorer.Explorer":
    return sl.explore(llama, _items(), train_concepts=6, concepts=3, max_new_tokens=4)


def _items() -> Items:
    return sl.data.atlas(["es-ES", "ko-KR"]).sample(24)


@pytest.fixture
def explorer(made: "sl.notebook.explorer.Explorer") -> "sl.notebook.explorer.Explorer":
    made.forget()
    made.selection.set_trait("strength", 1.0)
    made.settle()
    return made


def test_a_move_shows_the_exact_scores_of_its_plan(explorer, llama: sl.LensModel) -> None:
    explorer.selection.layer, explorer.selection.strength = 3, 2.5
    explorer.settle()
    item = explorer._steering.item.item
    frame = explorer.to_frame("steering")
    for steering, outcome in (
        ("unsteered", Exam(llama, [item]).score()[0]),
        ("steered", Exam(llama, [item]).score(explorer.plan)[0]),
    ):
        assert frame.loc[frame["steering"] == steering, "score"].to_numpy() == pytest.approx(outcome.scores, abs=1e-4)
    assert str(explorer.plan) == "2.5 × EN es-ES at layer 3 at last_onward tokens"
    bars = explorer._steering._bars
    assert np.array(bars.data[1].x, dtype=float) == pytest.approx(frame.loc[frame["steering"] == "steered", "share"].to_numpy())


def test_the_prediction_is_the_derivative_and_then_bends_through_what_was_run(explorer, llama: sl.LensModel) -> None:
    live = explorer._steering.item
    curve = explorer._steering.curve().set_index("strength")
    assert curve.loc[0.0, "predicted"] == pytest.approx(live.base.margin)
    run = curve["exact"].dropna()
    assert {0.0, 1.0} <= set(run.index)
    assert curve.loc[run.index, "predicted"].to_numpy() == pytest.approx(run.to_numpy(), abs=1e-5)
    vector = explorer._steering._specimen.vectors["es-ES"]["EN"]
    exam, layer = Exam(llama, [live.item]), explorer.selection.layer
    slope = float(exam.gradients([layer], "last_onward")[0, 0] @ vector.direction(layer))
    assert live.predicted("EN", layer, -0.001) == pytest.approx(live.base.margin - 0.001 * slope, abs=1e-6)


def test_a_locale_brings_its_prompts_and_vectors(explorer) -> None:
    explorer.selection.locale = "ko-KR"
    assert explorer._steering.item.item.locale == "ko-KR"
    assert "ko-KR" in str(explorer.plan)
    assert explorer.locale.value == "ko-KR"
    explorer.selection.locale = "es-ES"


def test_a_click_on_the_heatmap_chooses_layer_and_locale(explorer) -> None:
    class Points:
        xs, ys = ["ko-KR"], ["2"]

    explorer.views["layers"]._clicked(None, Points, None)
    assert (explorer.selection.locale, explorer.selection.layer) == ("ko-KR", 2)
    Points.xs = ["all"]  # the row of all locales together is no locale
    explorer.views["layers"]._clicked(None, Points, None)
    assert explorer.selection.locale == "ko-KR"
    explorer.selection.locale = "es-ES"


def test_kept_steps_are_added(explorer, llama: sl.LensModel) -> None:
    explorer.selection.vector, explorer.selection.layer = "EN", 1
    explorer.keep()
    explorer.selection.vector, explorer.selection.layer, explorer.selection.strength = "LOC", 2, 2.0
    explorer.settle()
    assert str(explorer.plan) == "1 × EN es-ES at layer 1 at last_onward tokens + 2 × LOC es-ES at layer 2 at last_onward tokens"
    frame = explorer.to_frame("steering")
    own = Exam(llama, [explorer._steering.item.item]).score(explorer.plan)[0]
    assert frame.loc[frame["steering"] == "steered", "score"].to_numpy() == pytest.approx(own.scores, abs=1e-4)
    explorer.forget()
    assert len(explorer.plan.steps) == 1


@pytest.mark.parametrize("view", ["layers", "points", "steering", "tokens"])
def test_the_code_of_a_view_makes_its_figure(explorer, llama: sl.LensModel, view: str) -> None:
    items = _items()
    known = {"model": llama, "items": items}
    before = explorer._steering._specimen
    assert before.looked.concepts  # dev of the same items
    lines, _, last = explorer.as_code(view).replace("sample(60", "sample(6").rpartition("\n")
    exec(lines, known)
    again, shown = eval(last, known), explorer.figures(view)[-1]
    assert again.layout.title.text == shown.layout.title.text
    assert [trace.type for trace in again.data] == [trace.type for trace in shown.data]


def test_every_score_of_the_heatmap_is_drawn_and_has_its_code(explorer, llama: sl.LensModel) -> None:
    layers = explorer.views["layers"]
    for name in layers.score.options:
        layers.score.value = name
        lines, _, last = explorer.as_code("layers").rpartition("\n")
        known = {"model": llama, "items": _items()}
        exec(lines, known)
        again = eval(last, known).data[0].z
        assert np.allclose(
            np.array(again, float), np.array(explorer.figures("layers")[0].data[0].z, float), atol=1e-3, equal_nan=True
        )
        assert len(explorer.to_frame("layers"))
    layers.score.value = layers.score.options[0]


def test_a_page_without_widgets_shows_the_figures(explorer) -> None:
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"].count("plotly-graph-div") == 4


def test_a_notebook_saved_as_html_shows_the_figures(explorer) -> None:
    """Without the widgets' state, as most pages have it."""
    from nbconvert import HTMLExporter
    from nbformat import v4

    cell = v4.new_code_cell("explorer", outputs=[v4.new_output("display_data", data=explorer._repr_mimebundle_())])
    html, _ = HTMLExporter().from_notebook_node(v4.new_notebook(cells=[cell]))
    assert html.count('class="plotly-graph-div"') == 4


def test_pictures_are_shown_where_plotly_is_told_to(explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    import plotly.io
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    with capture_output() as shown:
        explorer._ipython_display_()
    assert "application/vnd.jupyter.widget-view+json" in shown.outputs[0].data
    monkeypatch.setattr(plotly.io.renderers, "default", "png+plotly_mimetype")
    drawn = []
    monkeypatch.setattr("plotly.graph_objects.Figure.show", lambda fig: drawn.append(fig))
    explorer._ipython_display_()
    assert len(drawn) == 4


def test_the_token_lens_is_read_once_it_is_open(explorer) -> None:
    tokens = explorer.views["tokens"]
    assert not tokens._shown
    tokens.widget.selected_index = 0
    explorer.settle()
    assert len(tokens._shown) == 2
    first = tokens._shown[1].data[0].z.copy()
    explorer.selection.strength = 4.0
    explorer.settle()
    assert not np.allclose(first, tokens._shown[1].data[0].z)
    tokens.widget.selected_index = None
    assert set(explorer.to_frame("tokens")["steering"]) == {"unsteered", "steered"}


def test_the_model_is_left_unsteered_between_slices(llama: sl.LensModel, explorer) -> None:
    """In the middle of a steered text, another pass is as if nobody steered."""
    ids = torch.tensor([llama.tokens("Hola, ¿qué tal?").ids])
    with torch.no_grad():
        before = llama.tl.original_model(ids).logits
    explorer.selection.strength = 3.5
    for _ in explorer._latest._steps:
        with torch.no_grad():
            assert torch.equal(llama.tl.original_model(ids).logits, before)


def test_unknown_views_and_bad_vectors_are_refused(explorer, llama: sl.LensModel) -> None:
    with pytest.raises(UnknownNameError, match="view"):
        explorer.as_code("layer")
    with pytest.raises(SettingsError, match="no vectors"):
        sl.explore(llama, _items(), [], concepts=2)
    vector = difference_of_means(llama, _items().english_pairs("es-ES"))
    with pytest.raises(SettingsError, match="two vectors"):
        sl.explore(llama, _items(), [vector, vector], concepts=2)
    with pytest.raises(SettingsError, match="en-US"):
        sl.explore(llama, _items().of(locale="en-US"), concepts=2)


def test_given_vectors_are_offered_and_their_code_names_them(llama: sl.LensModel) -> None:
    vector = difference_of_means(llama, _items().english_pairs("es-ES"))
    items = _items().where(lambda item: item.locale != "ko-KR")
    own = sl.explore(llama, items, [vector], concepts=2, max_new_tokens=2)
    lines, _, last = own.as_code("steering").rpartition("\n")
    known = {"model": llama, "items": items, "vectors": [vector]}
    exec(lines, known)
    assert str(known["plan"]) == str(own.plan)
    assert eval(last, known).data[1].x == pytest.approx(own.figures("steering")[1].data[1].x)


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


def test_what_changed_is_marked() -> None:
    assert marked("se toma café", "se toma té") == "se toma <mark>té</mark>"
    assert marked("a < b", "a < b") == "a &lt; b"
    assert marked("春节吃饺子", "春节吃汤圆") == "春节吃<mark>汤圆</mark>"
    assert "<script>" not in side_by_side("<script>", "x", "<script>", "<script>")
