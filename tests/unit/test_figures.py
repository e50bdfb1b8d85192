"""Figures: saved in every format, one look for all, names that keep clear of each other."""

import copy
import itertools
import json
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest
from plotly.offline import get_plotlyjs

import steerlens as sl
from steerlens.errors import FileError, SettingsError, UnknownNameError
from steerlens.evaluation import SCORES, Answers, Score, SideEffects, Sweep, placed, register
from steerlens.plotting import Figure
from steerlens.plotting.labels import beside
from steerlens.plotting.live import live, redraw
from steerlens.plotting.theme import (
    CHANGE_SCALE,
    DARK,
    INK,
    LEVEL_SCALE,
    METHOD_COLOURS,
    OTHER_COLOURS,
    PAPER,
    figure,
    line_of,
    symbol_of,
)
from steerlens.probing import FormSeparability


@pytest.fixture
def drawn() -> Figure:
    fig = figure("Title", "what is shown", "layer", "score")
    fig.add_scatter(x=[0, 1], y=[0, 1])
    return fig


def test_saves_a_page_that_opens_offline(drawn: Figure, tmp_path: Path) -> None:
    path = drawn.save(tmp_path / "new" / "figure.html")
    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "new" / "figure.html"
    assert "Title" in text
    assert 'name="viewport"' in text
    assert len(text) > 3_000_000  # plotly itself
    assert not re.search(r'<(?:script|link)\b[^>]* (?:src|href)="http', text)  # some versions of plotly's own code name addresses


def test_no_figure_offers_to_upload_itself(drawn: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plotly's button "Share chart" sends a figure to a server, unless its settings say otherwise."""
    assert go.Figure(drawn).to_html(include_plotlyjs=False).count("showSendToCloud") == 0  # plotly's own says nothing
    assert '"showSendToCloud": false' in drawn.to_html(include_plotlyjs=False)
    page = drawn.save(tmp_path / "figure.html").read_text(encoding="utf-8")
    assert "showSendToCloud: false" in page
    assert "http" not in page.replace(get_plotlyjs(), "").replace("http://www.w3.org", "")
    assert live(drawn, 400, 300)._config["showSendToCloud"] is False
    monkeypatch.setattr(plotly.io.renderers, "default", "plotly_mimetype")
    bundle = drawn._repr_mimebundle_()["application/vnd.plotly.v1+json"]
    assert bundle["config"]["showSendToCloud"] is False
    shown: list[Any] = []
    monkeypatch.setattr(plotly.io, "show", lambda *_, **named: shown.append(named["config"]))
    drawn.show()
    drawn._ipython_display_()
    drawn.show(config={"showSendToCloud": True})
    assert [own["showSendToCloud"] for own in shown] == [False, False, True]


def test_says_what_it_cannot_write(drawn: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match=r"'\.gif'.*\.html, \.png, \.svg, \.pdf"):
        drawn.save(tmp_path / "figure.gif")
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot write"):
        drawn.save(tmp_path / "file" / "figure.html")
    monkeypatch.setattr("steerlens.plotting.figure.find_spec", lambda _: None)
    with pytest.raises(FileError, match=r"kaleido is not installed.*steerlens\[notebook\].*Chromium"):
        drawn.save(tmp_path / "figure.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_says_that_the_browser_is_missing(drawn: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_browser(*_: object, **__: object) -> bytes:
        raise RuntimeError("\n\nKaleido requires Google Chrome to be installed.\n\nEither download")

    monkeypatch.setattr("steerlens.plotting.figure.find_spec", lambda _: True)
    monkeypatch.setattr(go.Figure, "to_image", no_browser)
    with pytest.raises(FileError, match=r"requires Google Chrome.*install Chrome or Chromium\. Or save the figure as \.html"):
        drawn.save(tmp_path / "figure.pdf")
    assert not list(tmp_path.iterdir())


def test_is_a_plotly_figure_in_all_else(drawn: Figure) -> None:
    for same in (copy.deepcopy(drawn), pickle.loads(pickle.dumps(drawn)), Figure(drawn)):  # noqa: S301 (our own)
        assert type(same) is Figure
        assert json.loads(same.to_json()) == json.loads(drawn.to_json())
        assert same.natural_width == 460
    drawn.set_subplots(rows=1, cols=2)
    assert type(drawn.update_layout(width=100)) is Figure
    assert go.Figure(drawn).to_plotly_json() == drawn.to_plotly_json()
    assert Figure().natural_width == 860


def test_every_colour_has_a_marker_and_a_dark_page() -> None:
    colours = [*METHOD_COLOURS.values(), *OTHER_COLOURS]
    assert len({symbol_of(colour) for colour in colours}) == len(colours)
    assert all(_contrast(DARK.get(colour, colour), DARK[PAPER]) > 4 for colour in colours)  # lines need a contrast of 3
    assert {colour for _, colour in CHANGE_SCALE} <= set(DARK)
    assert set(DARK) == {colour.lower() for colour in DARK}


def _luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.1 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(_luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scale", [CHANGE_SCALE, LEVEL_SCALE], ids=["changes", "levels"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_numbers_can_be_read_on_every_cell(scale: list[list[Any]], dark: bool) -> None:
    ink = DARK[INK] if dark else INK
    stops = [DARK[colour] if dark else colour for _, colour in scale]
    channels = [[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in stops]
    for first, second in itertools.pairwise(channels):
        for part in (0, 0.25, 0.5, 0.75, 1):
            mixed = "#" + "".join(f"{round((1 - part) * a + part * b):02x}" for a, b in zip(first, second, strict=True))
            assert _contrast(ink, mixed) >= 4.5, mixed


def test_a_cells_number_is_in_ink() -> None:
    cells = Sweep(pd.DataFrame(_cell(0, lambda at: at < 15))).heatmap("EN", "transfer").data[0]
    assert cells.textfont.color == INK


def test_names_keep_clear_of_each_other() -> None:
    assert beside([0], [0], ["es"], (1, 1)) == ["top center"]
    places = beside([0, 0, 0], [0, 0, 0], ["es", "ko", "id"], (1, 1), [(0, 20)])
    assert len(set(places)) == 3
    assert "top center" not in places  # something else is there


def _cell(layer: int, correct: Callable[[int], float], score: str = "transfer", **more: Any) -> list[dict[str, Any]]:
    """Rows of a sweep: 20 items of one cell, each 0 unsteered."""
    cell = {"vector": "EN", "layer": layer, "strength": 1.0, "tokens": "last_onward", "exact": True, "locale": "es-ES"} | more
    item = {"kind": "factual", "score": score, "base": 0.0, "valid": True}
    return [{**cell, **item, "concept": f"c{at}", "value": float(correct(at))} for at in range(20)]


def test_sweep_marks_what_excludes_zero_and_was_run() -> None:
    sure, unsure = _cell(0, lambda at: at < 15), _cell(1, lambda at: at < 1)
    fig = Sweep(pd.DataFrame(sure + unsure + _cell(2, lambda at: at < 15, exact=False))).heatmap("EN", "transfer")
    assert [row[0] for row in fig.data[0].text] == ["+75•", "+5", "+75"]
    assert "[" in fig.data[0].customdata[0][0][5]
    assert fig.data[0].customdata[2][0][5] == ""
    assert "excludes zero" in fig.layout.title.text
    assert (fig.data[0].zmin, fig.data[0].zmax) == (-75, 75)


def test_few_concepts_mark_no_cell_and_do_not_darken_it() -> None:
    rows = pd.DataFrame(_cell(0, lambda at: at < 1))
    few = Sweep(rows[rows["concept"].isin([f"c{at}" for at in range(10)])]).heatmap("EN", "transfer")
    assert few.data[0].text[0][0] == "+10"
    assert few.data[0].zmax == pytest.approx(30)  # three of ten items
    sure = pd.DataFrame(_cell(0, lambda at: at < 19))
    none = Sweep(sure[sure["concept"].isin([f"c{at}" for at in range(19)])]).heatmap("EN", "transfer")
    assert none.data[0].text[0][0] == "+100"
    assert "fewer than 20 concepts: no cell is marked" in none.layout.title.text.replace("<br>", " ")
    assert Sweep(sure).heatmap("EN", "transfer").data[0].text[0][0].endswith("•")


def _answers(value: Callable[[str, int], float], score: str = "transfer") -> Answers:
    """Both of two methods on four items in two locales."""
    rows = [
        {"method": method, "of": "", "control": "", "draw": 0, "locale": locale, "kind": "factual", "concept": f"c{at}"}
        | {"score": score, "value": value(method, at)}
        for method in ("unsteered", "EN")
        for locale in ("es-ES", "ko-KR")
        for at in range(4)
    ]
    return Answers(pd.DataFrame(rows))


def test_a_page_wide_figure_is_laid_out_again_for_a_column() -> None:
    subtitle = "es-ES, id-ID, ko-KR; 64 factual and cultural concepts; crosses: paired 95% intervals over concepts"
    subtitle += "; of controls: 95% of the draws"
    wide = figure("Transfer-localization plane", subtitle, "x", "y", width="page")
    wide.add_scatter(x=[0], y=[0], name="EN")
    narrow = wide.in_column()
    assert (wide.natural_width, narrow.natural_width) == (860, 460)
    assert narrow.layout.title.text.count("<br>") > wide.layout.title.text.count("<br>")
    assert narrow.layout.title.text.replace("<br>", " ") == wide.layout.title.text.replace("<br>", " ")
    assert narrow.layout.margin.b > wide.layout.margin.b  # the legend lies there
    half = figure("Half", "a column", "x", "y")
    assert half.in_column().to_plotly_json() == half.to_plotly_json()
    for other in (Figure(), wide.set_subplots(rows=1, cols=2)):
        with pytest.raises(SettingsError, match="does not fit into a column"):
            other.in_column()


def test_a_page_says_what_a_figure_shows_to_those_who_do_not_see_it(drawn: Figure, tmp_path: Path) -> None:
    text = drawn.save(tmp_path / "figure.html").read_text(encoding="utf-8")
    assert 'role="img" aria-label="Title. what is shown"' in text


def test_answers_are_drawn_as_levels() -> None:
    answers = _answers(lambda method, at: float(at < {"unsteered": 2, "EN": 3}[method]))
    cells = answers.heatmap().data[0]
    assert cells.z.tolist() == [[0.5, 0.5], [0.75, 0.75]]
    assert (cells.zmin, cells.zmax) == (0, 1)
    assert cells.colorscale == go.Heatmap(colorscale=LEVEL_SCALE).colorscale
    with pytest.raises(UnknownNameError, match="'localization': expected one of transfer"):
        answers.heatmap("localization")
    with pytest.raises(UnknownNameError):
        answers.heatmap("fluency")


@pytest.fixture
def surprise() -> Iterator[Score]:
    """A score of a user's own, in a unit of its own, of which less is better."""
    own = register(
        Score("surprise", lambda _: None, "factual", unit="bits", label="surprise at the answer", higher_is_better=False)
    )
    yield own
    del SCORES["surprise"]


def test_a_score_of_ones_own_is_drawn_under_its_label_in_its_unit(surprise: Score) -> None:
    swept = Sweep(pd.DataFrame(_cell(0, lambda _: 1.25, "surprise") + _cell(1, lambda _: 0.5, "surprise")))
    fig = swept.heatmap("EN", surprise)
    assert "EN steering: change of surprise at the answer" in fig.layout.title.text
    assert "frame: best" not in fig.layout.title.text
    assert fig.data[0].colorbar.title.text == "bits against<br>unsteered"
    assert [row[0] for row in fig.data[0].text] == ["+1.25•", "+.50•"]
    assert fig.data[0].z[0][0] == 1.25, "not in points"

    answers = _answers(lambda method, at: {"unsteered": 1.0, "EN": 3.0}[method] + at, "surprise")
    levels = answers.heatmap("surprise")
    assert levels.data[0].z.tolist() == [[2.5, 2.5], [4.5, 4.5]]
    assert "surprise at the answer" in levels.layout.title.text.lower()
    rows = placed(answers).frame
    forest = sl.plotting.forest_figure(rows[rows["locale"] == "mean"].assign(group="EN"), "Changes", "mean", ["surprise"])
    assert forest.layout.annotations[0].text == "surprise at the answer"
    assert forest.layout.xaxis.title.text == "change (bits)"
    assert forest.data[0].x.tolist() == [0.0, 2.0]


def test_side_effects_fill_what_excludes_zero() -> None:
    row = {"locale": "mean", "n": 24, "value": 0.0, "of": "", "control": "", "draws": 1, "p": np.nan}
    rows = [
        {**row, "method": "unsteered", "score": "log_perplexity", "change": 0.0, "low": 0.0, "high": 0.0},
        {**row, "method": "EN", "score": "log_perplexity", "change": 0.3, "low": 0.1, "high": 0.5},
        {**row, "method": "LOC", "score": "log_perplexity", "change": 0.1, "low": -0.1, "high": 0.3},
    ]
    table = SideEffects(pd.DataFrame(rows))
    fig = table.plot()
    assert [trace.name for trace in fig.data] == ["EN", "LOC"]
    assert [trace.marker.color[0] for trace in fig.data] == [METHOD_COLOURS["EN"], "white"]
    assert "n = 24" in fig.data[0].hovertext[0]
    assert fig.layout.xaxis.title.text == "change (nats per token)"
    with pytest.raises(UnknownNameError):
        table.plot("fr-FR")


def test_form_is_drawn_from_chance() -> None:
    row = {
        "locale": "es-ES",
        "auroc": 0.8,
        "accuracy": 0.7,
        "length_factual": 30.0,
        "length_cultural": 40.0,
        "n": 20,
        "concepts": 20,
    }
    (bars,) = FormSeparability(pd.DataFrame([row])).plot().data
    assert bars.base == 0.5
    assert bars.x[0] == pytest.approx(0.3)


def test_a_redrawn_figure_sends_no_placeholder_for_what_stays() -> None:
    """In one message for several traces plotly's widget puts one, and the browser takes it for a value."""

    def curve(y: list[float], runs: list[float]) -> Figure:
        frame = pd.DataFrame({"strength": [-1.0, 0.0, 1.0], "predicted": y, "exact": runs})
        return sl.plotting.margin_curve(frame, 1.0, "EN")

    shown = live(curve([0.0, 1.0, 2.0], [np.nan, 1.0, np.nan]), 400, 300)
    sent: list[dict[str, Any]] = []
    shown.observe(lambda change: sent.append(change.new) if change.new else None, "_py2js_update")
    redraw(shown, wanted := curve([0.5, 1.5, 2.5], [np.nan, 1.0, 2.0]))
    values = [value for message in sent for each in message["style_data"].values() for value in each]
    assert len(values) == 3, "the line's y; the points' x and y"
    assert all(isinstance(value, np.ndarray) for value in values)
    for mine, theirs in zip(shown.data, wanted.data, strict=True):
        assert np.array_equal(mine.x, theirs.x)
        assert np.array_equal(mine.y, theirs.y)
    assert shown.layout.shapes[1].x0 == 1


@pytest.mark.parametrize("width", ["half", "page"])
def test_lines_of_a_subtitle_fit_and_have_about_the_same_length(width: Literal["half", "page"]) -> None:
    subtitles = "es-ES, id-ID, ko-KR; 64 factual and cultural concepts; crosses: paired 95% intervals over concepts"
    limit = {"half": 60, "page": 94}[width]
    for end in (*(at for at, character in enumerate(subtitles) if character == " "), len(subtitles)):
        subtitle = subtitles[:end]
        lines = _lines_of(figure("Title", subtitle, "x", "y", width=width))
        assert " ".join(lines) == subtitle
        assert len(lines) - -(-len(subtitle) // limit) in (0, 1)
        assert max(map(len, lines)) <= limit
        assert len(lines) == 1 or min(map(len, lines)) > 0.6 * max(map(len, lines))


def _lines_of(fig: Figure) -> list[str]:
    return str(fig.layout.title.text).partition("'>")[2].removesuffix("</span>").split("<br>")


def test_a_line_that_has_the_colour_of_another_has_another_dash() -> None:
    names = [f"method {at}" for at in range(2 * len(OTHER_COLOURS))]
    lines = [line_of(name, names) for name in names]
    assert len({(line["color"], line["dash"]) for line in lines}) == len(names)
    assert line_of("EN", names) == {"color": METHOD_COLOURS["EN"], "width": 2, "dash": "solid"}
