"""How soon the explorer answers to a slider in the browser, and whether the page freezes.

    python -m experiments.benchmark.explorer_times [--app notebook] [--moves 10]

Opens notebook 01 in JupyterLab (or Notebook 7, if it is installed) in headless Chromium, runs all cells, clicks on the strength
slider, and notes in the page how many seconds after the click each answer is drawn. Writes
``results/explorer_times-lab.json`` and a screenshot.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from steerlens.storage import write_text
from tests.browser.lab import SAID, finish, opened, served, system_browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
_WATCH = """words => {
    const seen = window.seen = {frame: 0};
    window.watching?.disconnect();
    let before = null, shown = null, last = null;
    const said = () => [...document.querySelectorAll('.widget-html-content')].map(node => node.innerText);
    const margin = texts => texts.find(text => text.includes(words));
    const since = () => (performance.now() - seen.start) / 1000;
    const pressed = () => {
        seen.start = last = performance.now();
        before = said().join();
        shown = margin(said());
    };
    document.addEventListener('pointerdown', pressed, {capture: true, once: true});
    window.watching = new MutationObserver(() => {
        if (!seen.start) return;
        const now = said(), line = margin(now);
        if (!line || now.join() === before) return;
        seen.texts = since();
        if (line === shown) return;  // another part of the page has changed
        seen.predicted ??= since();
        if (!line.includes('running')) seen.exact ??= since();
    });
    window.watching.observe(document.body, {subtree: true, childList: true, characterData: true});
    const frame = now => {
        if (window.seen !== seen) return;
        if (last) { seen.frame = Math.max(seen.frame, (now - last) / 1000); last = now; }
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""
"""Notes seconds from a click to the first new words, to the exact margin, to the last new words, and the longest frame."""
_STEPS = (15, 9, 14, 8, 13, 7, 12, 6, 11, 5)
"""Each a strength that was not shown before, clear of the handle where the last one left it."""


def move(page: "Page", step: int) -> dict[str, Any]:
    """A click on the strength slider, so many of its 16 steps above zero: seconds to each answer."""
    slider = page.locator(".widget-slider", has_text="Strength").locator(".noUi-base")
    box = slider.bounding_box()
    assert box is not None, "the slider is not on the page"
    page.evaluate(_WATCH, SAID)
    slider.click(position={"x": box["width"] * (0.5 + step / 32), "y": box["height"] / 2}, force=True)
    page.wait_for_function("() => window.seen.exact", timeout=60_000)
    page.wait_for_function("() => (performance.now() - window.seen.start) / 1000 > window.seen.texts + 3", timeout=120_000)
    return dict(page.evaluate("() => window.seen"))


def measured(app: str, moves: int) -> pd.DataFrame:
    """A row a move, each to a strength that was not shown before."""
    from playwright.sync_api import sync_playwright

    with (
        TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=system_browser(), args=["--no-sandbox"]) as browser,
        served(ROOT / "notebooks" / "01_quickstart.ipynb", Path(folder), app) as address,
        opened(browser, address) as page,
    ):
        finish(page)
        page.locator(".widget-html-content", has_text=SAID).first.scroll_into_view_if_needed()
        page.wait_for_timeout(5000)
        rows = [move(page, step) for step in _STEPS[:moves]]
        page.screenshot(path=ROOT / "results" / f"explorer-{app}.png")
    return pd.DataFrame(rows)[["predicted", "exact", "texts", "frame"]]


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the medians and the largest, and writes all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", choices=("lab", "notebook"), default="lab")
    parser.add_argument("--moves", type=int, default=10, choices=range(1, len(_STEPS) + 1), metavar="1 to 10")
    args = parser.parse_args(argv)
    (ROOT / "results").mkdir(exist_ok=True)
    frame = measured(args.app, args.moves)
    print(frame.agg(["median", "max"]).round(3).to_string())
    write_text(
        ROOT / "results" / f"explorer_times-{args.app}.json",
        json.dumps({"app": args.app, "seconds": frame.to_dict("list")}, indent=1),
    )


if __name__ == "__main__":
    main()
