"""The quickstart in JupyterLab, in a real browser: every cell is run, a slider is moved, the numbers change."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"
LONG = 600_000
"""Milliseconds that a slow machine may take for all cells."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab whose folder holds a copy of the notebook without its outputs."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed: pip install 'steerlens[notebook]'")
    folder = tmp_path_factory.mktemp("lab")
    nbformat = pytest.importorskip("nbformat")
    document = nbformat.read(NOTEBOOK, as_version=4)
    for cell in document.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(document, folder / NOTEBOOK.name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *settings], stdout=log, stderr=log, cwd=folder)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, server, folder / "log")
            yield address
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait_for(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{address}/api", timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not answer: {log.read_text()}")


@pytest.fixture
def notebook(browser: "Browser", lab: str) -> Iterator["Page"]:
    """The notebook, opened, with all its cells sent to its kernel."""
    context = browser.new_context(viewport={"width": 1500, "height": 1200})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{lab}/lab/tree/{NOTEBOOK.name}?reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first.wait_for()
    _until_connected(lab)
    _run_all(page)
    yield page
    context.close()


def _until_connected(lab: str) -> None:
    """Waits until the page is connected to the notebook's kernel: cells that are sent before are cleared and not run."""
    for _ in range(240):
        with urllib.request.urlopen(f"{lab}/api/kernels", timeout=5) as answer:
            kernels = json.load(answer)
        if any(kernel["connections"] and kernel["execution_state"] == "idle" for kernel in kernels):
            return
        time.sleep(0.5)
    pytest.fail(f"no page is connected to a kernel: {kernels}")


def _run_all(page: "Page") -> None:
    """Sends all cells, again if the first one does not say that it is running."""
    from playwright.sync_api import TimeoutError as Late

    for _ in range(4):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            page.locator(".jp-CodeCell .jp-InputPrompt").first.filter(has_text="[*]").wait_for(timeout=15_000)
        except Late:
            page.keyboard.press("Escape")  # a dialog, if there is one
        else:
            return
    pytest.fail("all cells were sent to the kernel four times and none runs")


def test_the_explorer_answers_to_its_slider(notebook: "Page") -> None:
    said = notebook.locator(".widget-html-content", has_text="margin in nats per token")
    failed = notebook.locator(
        "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']",
        has_text="Traceback",
    )
    said.or_(failed).first.wait_for(timeout=LONG)
    notebook.wait_for_function(
        "() => document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status === 'idle'", timeout=LONG
    )
    assert not failed.count(), failed.first.inner_text()
    said.first.scroll_into_view_if_needed()
    before, bars = _run(notebook, said), _bars(notebook)
    slider = notebook.locator(".widget-slider", has_text="Strength").locator(".noUi-handle")
    for _ in range(4):
        slider.press("ArrowRight")
    notebook.wait_for_function(f"() => ({_TEXT})().startsWith('<code>2 ×') && ({_TEXT})().includes('run <b>')", timeout=60_000)
    after = _run(notebook, said)
    assert _numbers(after)[0] == _numbers(before)[0], "the unsteered margin stays"
    assert _numbers(after)[1:] != _numbers(before)[1:], "the predicted and the exact one move"
    assert _bars(notebook) != bars


_TEXT = (
    "() => [...document.querySelectorAll('.widget-html-content')].map(node => node.innerHTML)"
    ".find(html => html.includes('margin in nats per token'))"
)


def _run(page: "Page", said: "Locator") -> str:
    """What is said once the exact margin is there."""
    page.wait_for_function(f"() => ({_TEXT})().includes('run <b>')", timeout=60_000)
    return str(page.evaluate(_TEXT))


def _numbers(html: str) -> list[str]:
    return re.findall(r"<b>([+-]\d+\.\d+)</b>", html)


def _bars(page: "Page") -> list[str]:
    """The outlines of the bars that are drawn."""
    return [str(bar.get_attribute("d")) for bar in page.locator(".barlayer .bars path").all()]
