"""Tables as Markdown."""

from steerlens.tables import markdown_table


def test_missing_numbers_are_empty_cells() -> None:
    assert markdown_table(["a", 2], [[1, float("nan")], ["", None]]) == "| a | 2 |\n| --- | --- |\n| 1 |  |\n|  |  |"
