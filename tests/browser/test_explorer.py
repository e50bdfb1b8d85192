"""The explorer on a laptop's screen, in JupyterLab, with a tiny model: what is seen at once, the keyboard, the dark theme."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nbformat import v4, write

from tests.browser.lab import finish, opened, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTH, HEIGHT = 1366, 768
_ROOT = Path(__file__).parents[2]
_MODEL = f"""import sys
sys.path.insert(0, {str(_ROOT / "docs")!r})
import steerlens as sl
from tiny_model import tiny_model
model = tiny_model()
items = sl.data.atlas(["es-ES", "ko-KR"]).sample(20)"""
_SHOWN = """explorer = sl.explore(model, items, train_concepts=6, concepts=5, max_new_tokens=6)
explorer"""


@pytest.fixture(scope="module")
def lab(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator["Page"]:
    """A notebook with an explorer, run, and scrolled to it."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed: pip install 'steerlens[notebook]'")
    folder, source = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("source") / "explorer.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    write(v4.new_notebook(cells=[v4.new_code_cell(_MODEL), v4.new_code_cell(_SHOWN)], metadata=kernel), source)
    with served(source, folder) as address, opened(browser, address, WIDTH, HEIGHT) as page:
        finish(page)
        page.locator(".steerlens-explorer .texts mark, .steerlens-explorer .texts td").first.wait_for()
        yield page


@pytest.fixture
def page(lab: "Page") -> "Page":
    """The same page for every test, with the explorer at its top."""
    lab.locator(".steerlens-explorer").evaluate("node => node.scrollIntoView({block: 'start'})")
    lab.wait_for_timeout(500)
    return lab


def _boxes(page: "Page", selector: str) -> list[dict[str, Any]]:
    """Where the visible elements of a kind are."""
    found = [element.bounding_box() for element in page.locator(f".steerlens-explorer {selector}").all() if element.is_visible()]
    return [box for box in found if box]


@pytest.mark.parametrize("browser_is_open", [True, False])
def test_slider_heatmap_and_effect_are_on_one_screen(page: "Page", browser_is_open: bool) -> None:
    files = page.locator(".jp-DirListing")
    if files.is_visible() != browser_is_open:
        page.keyboard.press("Control+b")
        page.wait_for_timeout(1000)
        page.locator(".steerlens-explorer").evaluate("node => node.scrollIntoView({block: 'start'})")
    assert files.is_visible() == browser_is_open
    sliders, plots = _boxes(page, ".widget-slider"), _boxes(page, ".js-plotly-plot")
    assert (len(sliders), len(plots)) == (2, 3), "layer and strength; heatmap, margins and choices"
    texts, panel = _boxes(page, ".texts td"), page.locator(".jp-NotebookPanel-notebook").first.bounding_box()
    assert panel is not None
    assert len(texts) == 2
    for box in (*sliders, *plots, *texts):
        assert box["y"] >= panel["y"] - 1
        assert box["y"] + box["height"] <= min(HEIGHT, panel["y"] + panel["height"])
        assert box["x"] + box["width"] <= panel["x"] + panel["width"]
    heat, curve, bars = plots
    assert heat["x"] + heat["width"] <= curve["x"], "the effect stands beside the heatmap, not beneath it"
    assert curve["x"] + curve["width"] <= bars["x"] + 1
    assert all(box["height"] > 150 for box in plots)
    assert page.locator(".steerlens-explorer .js-plotly-plot .heatmaplayer image, .heatmaplayer .hm").count() > 0


def _said(page: "Page") -> str:
    return page.locator(".steerlens-explorer .said").inner_text()


def _until(page: "Page", words: str) -> None:
    page.locator(".steerlens-explorer .said", has_text=words).wait_for()
    page.locator(".steerlens-explorer .said b").nth(2).wait_for()


def test_the_keyboard_works_on_the_controls(page: "Page") -> None:
    cells = page.locator(".jp-CodeCell").count()
    strength = page.locator(".steerlens-explorer .widget-slider", has_text="Strength").locator(".noUi-handle")
    strength.press("ArrowRight")
    _until(page, "1.25 ×")
    page.locator(".steerlens-explorer .widget-slider", has_text="Layer").locator(".noUi-handle").press("ArrowLeft")
    _until(page, "at layer 8")
    page.locator(".steerlens-explorer .widget-toggle-button", has_text="LOC").press("Enter")
    _until(page, "LOC es-ES")
    page.locator(".steerlens-explorer button", has_text="Pin A").press("Space")
    page.locator(".steerlens-explorer .texts th", has_text="A: 1.25 × LOC").wait_for()
    page.locator(".steerlens-explorer button", has_text="Pin A").press("Space")
    page.locator(".steerlens-explorer .texts th", has_text="A: 1.25 × LOC").wait_for(state="detached")
    assert page.locator(".jp-CodeCell").count() == cells, "JupyterLab took a key for itself"


def test_a_click_on_a_cell_chooses_its_layer_and_its_locale(page: "Page") -> None:
    heat = page.locator(".steerlens-explorer .js-plotly-plot").first
    locales, layers = (heat.evaluate(f"node => node.data[0].{axis}") for axis in "xy")
    area = heat.locator(".nsewdrag").first.bounding_box()
    assert area is not None
    for locale, layer in (("ko-KR", layers[0]), ("es-ES", layers[-1])):
        across, up = (locales.index(locale) + 0.5) / len(locales), (layers.index(layer) + 0.5) / len(layers)
        x, y = area["x"] + across * area["width"], area["y"] + (1 - up) * area["height"]
        page.mouse.move(x - 2, y - 2)
        page.mouse.move(x, y)
        page.wait_for_timeout(500)  # Plotly knows the cell from the pointer above it
        page.mouse.click(x, y)
        _until(page, f"{locale} at layer {layer}")


def test_figures_are_dark_in_the_dark_theme(page: "Page") -> None:
    filtered = "() => getComputedStyle(document.querySelector('.steerlens-explorer .js-plotly-plot')).filter"
    assert page.evaluate(filtered) == "none"
    page.evaluate("() => document.body.setAttribute('data-jp-theme-light', 'false')")
    assert "invert" in page.evaluate(filtered)
    page.evaluate("() => document.body.setAttribute('data-jp-theme-light', 'true')")
