"""A real browser: Chromium as the system has it, driven by Playwright, which downloads none."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.lab import BROWSERS, system_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def found() -> str:
    """The path of the system's browser. Without one, tests are skipped and say so."""
    path = system_browser()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the path. On Debian: apt-get install chromium")
    return path


@pytest.fixture(scope="module")
def browser(found: str) -> Iterator["Browser"]:
    """One browser for a module's tests; while it runs, so does Playwright's event loop, and no other can. Without Playwright,
    they are skipped and say so."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install 'steerlens[dev]'")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to run as root in a sandbox
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """A window of 1100 by 900 pixels. What the page complains of fails the test at its end."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert not complaints
