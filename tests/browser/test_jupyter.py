"""The quickstart in JupyterLab, in a real browser: every cell is run, a slider is moved, the numbers change."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.lab import SAID, finish, opened, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"


@pytest.fixture
def notebook(browser: "Browser", tmp_path: Path) -> Iterator["Page"]:
    """The notebook, opened and run."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed: pip install 'steerlens[notebook]'")
    with served(NOTEBOOK, tmp_path) as address, opened(browser, address) as page:
        finish(page)
        yield page


@pytest.mark.skipif("STEERLENS_LONG" not in os.environ, reason="runs the quickstart in JupyterLab: set STEERLENS_LONG=1")
def test_the_explorer_answers_to_its_slider(notebook: "Page") -> None:
    notebook.locator(".widget-html-content", has_text=SAID).first.scroll_into_view_if_needed()
    before, bars = _run(notebook), notebook.evaluate(_BARS)
    slider = notebook.locator(".widget-slider", has_text="Strength").locator(".noUi-handle")
    for _ in range(4):
        slider.press("ArrowRight")
    notebook.wait_for_function(f"() => ({_TEXT})().includes('<code>2 ×') && ({_TEXT})().includes('run <b>')", timeout=60_000)
    after = _run(notebook)
    assert _numbers(after)[0] == _numbers(before)[0], "the unsteered margin stays"
    assert _numbers(after)[1:] != _numbers(before)[1:], "the predicted and the exact one move"
    notebook.wait_for_function(f"before => JSON.stringify(({_BARS})()) !== JSON.stringify(before)", arg=bars, timeout=60_000)
    assert notebook.evaluate(_PREDICTED) == [-4, 4], "the line keeps its strengths"


_PREDICTED = """() => {
    const traces = [...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => plot.data ?? []);
    const x = Array.from(traces.find(trace => trace.name === 'predicted').x ?? []);
    return [Math.min(...x), Math.max(...x)];
}"""
"""The smallest and the largest strength of the predicted line, as the page has them."""
_TEXT = (
    "() => [...document.querySelectorAll('.widget-html-content')].map(node => node.innerHTML)"
    f".find(html => html.includes('{SAID}'))"
)


def _run(page: "Page") -> str:
    """What is said once the exact margin is there."""
    page.wait_for_function(f"() => ({_TEXT})().includes('run <b>')", timeout=60_000)
    return str(page.evaluate(_TEXT))


def _numbers(html: str) -> list[str]:
    return re.findall(r"<b>([+-]\d+\.\d+)</b>", html)


_BARS = "() => [...document.querySelectorAll('.barlayer .bars path')].map(bar => bar.getAttribute('d'))"
"""The outlines of the bars that are drawn."""
