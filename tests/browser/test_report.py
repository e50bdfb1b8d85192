"""The report, opened as a reader would."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import steerlens as sl

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

FIGURES = 2 + 3 + 1  # sweeps, separability, the plane; each method that steers has a panel too


@pytest.fixture(scope="module")
def study(llama: sl.LensModel, items: sl.data.Items) -> sl.Study:
    settings = sl.StudySettings(locales=("es-ES", "ko-KR"), layers=(1, 2), strengths=(1.0, 2.0), examples=1, max_new_tokens=3)
    return sl.run_study(llama, items, settings)


@pytest.fixture(scope="module")
def report(study: sl.Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study.report(tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def opened(page: "Page", report: Path) -> "Callable[..., Page]":
    """Opens the report without a network and waits until its figures are drawn."""

    def open_(width: int = 1100) -> "Page":
        page.context.set_offline(True)
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-drawn]")
        return page

    return open_


def test_opens_offline_and_draws_every_figure(opened: "Callable[..., Page]", report: Path, study: sl.Study) -> None:
    page = opened()
    assert report.stat().st_size < 10_000_000
    assert page.locator(".plotly-graph-div").count() == FIGURES + sum(bool(own.steps) for own in study.chosen.values())
    for plot in page.locator(".plotly-graph-div").all():
        assert plot.locator("svg.main-svg").first.bounding_box()["width"] > 200
        assert plot.locator(".trace path, .hm image, .heatmaplayer image").count() > 0
        assert plot.locator("xpath=../figcaption/b").inner_text()


def test_hover_shows_n_and_interval(opened: "Callable[..., Page]") -> None:
    page = opened()
    plane = _figure(page, "Transfer-localization plane")
    points = plane.locator(".scatterlayer .trace .points path").all()  # methods that do nothing lie under "unsteered"
    text = next(text for point in reversed(points) if "n = " in (text := _hovered(page, plane, point)))
    assert "[" in text
    assert "]" in text
    sweep = _figure(page, "LOC steering: change of localization")
    text = _hovered(page, sweep, sweep.locator(".heatmaplayer image").first)
    assert "concepts" in text
    assert "[" in text


def test_click_on_the_legend_hides_a_method(opened: "Callable[..., Page]") -> None:
    page = opened()
    plane = _figure(page, "Transfer-localization plane")
    entries = plane.locator(".legend .traces")
    entry = entries.filter(has_text="surgical")
    assert entry.evaluate("node => getComputedStyle(node).opacity") == "1"
    entry.locator(".legendtoggle").click()
    page.wait_for_function("name => document.querySelector(name)", arg=".legend .traces[style*='opacity: 0.5']")
    hidden = plane.evaluate("node => node.data.filter(trace => trace.visible === 'legendonly').map(trace => trace.legendgroup)")
    assert set(hidden) == {"surgical"}


def test_click_opens_each_locale(opened: "Callable[..., Page]") -> None:
    page = opened()
    table = page.locator("details table").first
    assert not table.is_visible()
    page.locator("summary").click()
    assert table.is_visible()


def test_fits_a_phone(opened: "Callable[..., Page]") -> None:
    page = opened(390)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for plot in page.locator(".plotly-graph-div").all():
        box = plot.locator("svg.main-svg").first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_is_drawn_anew_when_the_window_changes(opened: "Callable[..., Page]") -> None:
    page = opened()
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("[...document.querySelectorAll('svg.main-svg')].every(svg => svg.clientWidth < 390)")


def test_dark_mode_darkens_page_and_figures_but_not_print(opened: "Callable[..., Page]") -> None:
    page = opened()
    light = _brightness(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.querySelectorAll('svg.main-svg')[0].style.background.includes('29, 35, 42')")
    assert _brightness(page) < 60 < 200 < light
    text = page.locator(".plotly-graph-div .xtick text").first.evaluate("node => getComputedStyle(node).fill")
    assert min(_numbers(text)) > 150
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert "255" in page.locator("svg.main-svg").first.evaluate("node => node.style.background")
    assert page.locator("details table").first.is_visible()


def _figure(page: "Page", title: str) -> "Locator":
    return page.locator("figure", has=page.locator("figcaption b", has_text=title)).locator(".plotly-graph-div").first


def _hovered(page: "Page", plot: "Locator", mark: "Locator") -> str:
    """What the figure says when the mouse is over the middle of a mark."""
    plot.scroll_into_view_if_needed()
    box = mark.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 3, y - 3)
    page.mouse.move(x, y, steps=3)
    hover = plot.locator(".hoverlayer .hovertext").first
    hover.wait_for(state="attached")
    return hover.text_content() or ""


def _brightness(page: "Page") -> float:
    return sum(_numbers(page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]) / 3


def _numbers(colour: str) -> list[float]:
    return [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]
