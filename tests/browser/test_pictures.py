"""Figures saved as pictures and pages, in a browser."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from steerlens.plotting import Figure
from steerlens.plotting.theme import figure

if TYPE_CHECKING:
    from playwright.sync_api import Page

STARTS = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}


@pytest.fixture
def drawn() -> Figure:
    fig = figure("Title", "what is shown", "layer", "score")
    fig.add_scatter(x=[0, 1], y=[0, 1])
    return fig


@pytest.mark.parametrize("ending", STARTS)
def test_saves_pictures(ending: str, drawn: Figure, found: str, tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    content = drawn.save(tmp_path / f"figure.{ending}", width=320, height=240, scale=1).read_bytes()
    assert content.startswith(STARTS[ending])
    if ending == "png":
        assert [int.from_bytes(content[at : at + 4], "big") for at in (16, 20)] == [320, 240]


def test_a_saved_page_opens_offline(page: "Page", drawn: Figure, tmp_path: Path) -> None:
    page.context.set_offline(True)
    page.goto(drawn.save(tmp_path / "figure.html").as_uri())
    page.locator(".trace path").first.wait_for()
    assert page.locator("figcaption").inner_text() == "Title\nwhat is shown"
    assert not page.locator(".gtitle").count()


def test_a_title_of_ones_own_stays(page: "Page", drawn: Figure, tmp_path: Path) -> None:
    page.goto(drawn.update_layout(title_text="Mine").save(tmp_path / "figure.html").as_uri())
    page.locator(".trace path").first.wait_for()
    assert page.locator(".gtitle").text_content() == "Mine"
    assert not page.locator("figcaption").count()


def test_any_figure_is_drawn(page: "Page", tmp_path: Path) -> None:
    page.goto(Figure({"data": [{"y": [1, 2]}]}).save(tmp_path / "figure.html", height=300).as_uri())
    page.locator(".trace path").first.wait_for()
    assert page.locator("svg.main-svg").first.bounding_box()["height"] == 300
