"""A notebook in JupyterLab or Notebook 7, in a real browser, with all its cells run."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LONG = 600_000
"""Milliseconds that a slow machine may take for all cells."""
SAID = "margin in nats per token"
"""What the explorer says beneath its sliders."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_APPS = {"lab": ("jupyterlab", "lab/tree"), "notebook": ("notebook", "notebooks")}
"""The module that starts each application, and where it opens notebooks."""
_IDLE = "() => document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status === 'idle'"


def system_browser() -> str | None:
    """The path of the system's Chromium or Chrome."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def served(notebook: Path, folder: Path, app: str = "lab") -> Iterator[str]:
    """Starts JupyterLab (``lab``) or Notebook 7 (``notebook``) in an empty folder, on a copy of a notebook without its outputs.

    Yields:
        The copy's address.

    Raises:
        RuntimeError: the server ends or does not answer; its log is in the message.
    """
    module, place = _APPS[app]
    _copy(notebook, folder / notebook.name)
    address, log = f"http://127.0.0.1:{(port := _free_port())}", folder / "log"
    settings = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    with log.open("w") as out:
        server = subprocess.Popen([sys.executable, "-m", module, *settings], stdout=out, stderr=out, cwd=folder)
        try:
            _until_it_answers(address, server, log)
            yield f"{address}/{place}/{notebook.name}"
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def _copy(notebook: Path, to: Path) -> None:
    document = nbformat.read(notebook, as_version=4)
    for cell in document.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(document, to)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _until_it_answers(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(240):
        try:
            _asked(f"{address}/api")
            return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.5)
    raise RuntimeError(f"the notebook server does not answer: {log.read_text()}")


def _asked(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=5) as answer:
        return json.load(answer)


@contextmanager
def opened(browser: "Browser", address: str, width: int = 1500, height: int = 1200) -> Iterator["Page"]:
    """The notebook's page, in a window of so many pixels, with all its cells sent to its kernel."""
    context = browser.new_context(viewport={"width": width, "height": height})
    try:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{address}?reset")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first.wait_for()
        _until_connected(address)
        _run_all(page)
        yield page
    finally:
        context.close()


def _until_connected(address: str) -> None:
    """Waits until the page is connected to the notebook's kernel: cells that are sent before are cleared and not run."""
    kernels = None
    for _ in range(240):
        kernels = _asked(f"http://{address.split('/')[2]}/api/kernels")
        if any(kernel["connections"] and kernel["execution_state"] == "idle" for kernel in kernels):
            return
        time.sleep(0.5)
    raise RuntimeError(f"no page is connected to a kernel: {kernels}")


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
    raise RuntimeError("all cells were sent to the kernel four times and none runs")


def finish(page: "Page") -> None:
    """Waits until the notebook's explorer is there and all cells have run.

    Raises:
        RuntimeError: a cell failed.
    """
    failed = page.locator(
        "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']",
        has_text="Traceback",
    )
    page.locator(".widget-html-content", has_text=SAID).or_(failed).first.wait_for(timeout=LONG)
    page.wait_for_function(_IDLE, timeout=LONG)
    if failed.count():
        raise RuntimeError(failed.first.inner_text())
