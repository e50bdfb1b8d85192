"""Bars of long work, and how they are hidden."""

import pytest
import tqdm.auto
import tqdm.notebook

from steerlens.progress import SHOW_FROM, advance, progress

KINDS = pytest.mark.parametrize("kind", [tqdm.std.tqdm, tqdm.notebook.tqdm], ids=["terminal", "notebook"])


@KINDS
def test_the_variable_hides_bars_in_a_terminal_and_in_a_notebook(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tqdm.auto, "tqdm", kind)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert progress(SHOW_FROM, "Work", "item").disable


def test_a_bar_is_shown_unless_it_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tqdm.auto, "tqdm", tqdm.std.tqdm)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    assert progress(3, "Work", "item", show=False).disable
    with progress(3, "Work", "item") as bar:
        assert not bar.disable
        for _ in range(4):
            advance(bar, 0.5)
        assert bar.n == 2
