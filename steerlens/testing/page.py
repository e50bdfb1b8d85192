"""Writes the documentation's page with the state of every architecture: a table, followed by the reasons why a check did not
succeed."""

import re
from collections.abc import Sequence
from pathlib import Path

from steerlens.errors import SettingsError
from steerlens.provenance import provenance
from steerlens.storage import write_text
from steerlens.tables import markdown_table
from steerlens.testing.families import FAMILIES
from steerlens.testing.findings import Finding
from steerlens.testing.tables import COLUMNS, Examined

_BLOCK = re.compile(r"(<!-- architectures: [^\n]* -->\n)(.*?)(<!-- /architectures -->)", re.DOTALL)
_LIBRARIES = {"TransformerLens": "transformer-lens", "Transformers": "transformers", "PyTorch": "torch"}
_CLASSES = {family.name: family.model for family in FAMILIES}
_HEADER = ("architecture", "class in Transformers", *COLUMNS, "keys reused", "packed")


def write_page(rows: Sequence[Examined], path: Path) -> None:
    """Writes the rows of architectures into the page. The new rows replace the page's rows of the same architectures.

    Args:
        rows: the results of the architectures.
        path: the page.

    Raises:
        SettingsError: the page does not contain the marks for the table, or rows for other versions of the libraries would
            remain on the page.
    """
    text, versions = path.read_text(encoding="utf-8"), _versions()
    if (found := _BLOCK.search(text)) is None:
        raise SettingsError(
            f"{path} has no <!-- architectures: … --> and <!-- /architectures -->: expected docs/architectures.md."
        )
    lines, order, new = found[2].splitlines(), [family.name for family in FAMILIES], {row.name for row in rows}
    kept = [line for line in lines if (name := _name(line)) in order and name not in new]
    if kept and versions not in lines:
        raise SettingsError(f"{path} has rows of other versions than {versions} Run all architectures again, without names.")
    table = {_name(line): line for line in (*kept, *map(_row, rows)) if line.startswith("| ")}
    reasons = [*(line for line in kept if line.startswith("- ")), *(line for row in rows for line in _reasons(row))]
    body = [
        *(versions, "", _counted(list(table.values())), "", markdown_table(_HEADER, [])),
        *(table[name] for name in order if name in table),
        *("", *sorted(reasons, key=lambda line: order.index(_name(line))), ""),
    ]
    block = "\n".join(body)
    write_text(path, f"{text[: found.end(1)]}{block}{text[found.start(3) :]}")


def listed(path: Path) -> list[str]:
    """Returns the architectures that the page's table lists.

    Args:
        path: the page.
    """
    found = _BLOCK.search(path.read_text(encoding="utf-8"))
    return [] if found is None else [_name(line) for line in found[2].splitlines()[2:] if line.startswith("| ")][2:]


def _versions() -> str:
    own = provenance()["versions"]
    return f"{', '.join(f'{name} {own[package]}' for name, package in _LIBRARIES.items())}."


def _counted(lines: Sequence[str]) -> str:
    """Returns a sentence with the number of architectures for which everything is right."""
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    refused = sum(own[2] == "refused" for own in cells)
    part = sum("refused" in own[3:] for own in cells)
    wrong = sum(any(cell.startswith(("off", "error")) for cell in own) for own in cells)
    right = len(cells) - refused - part - wrong
    return (
        f"{len(cells)} models: {right} right in every check, {part} refused in some of them, {refused} not loaded, "
        f"{wrong} wrong in something."
    )


def _row(row: Examined) -> str:
    cells = [_cell(row.findings.get(name)) for name in COLUMNS]
    line = [row.name, f"`{_CLASSES[row.name]}`", *cells, *(_yes(value) for value in (row.reuses_keys, row.packs))]
    return f"| {' | '.join(line)} |"


def _reasons(row: Examined) -> list[str]:
    """Returns the reasons why checks did not succeed. Each reason is one line, with the checks to which the reason applies."""
    by_reason: dict[str, list[str]] = {}
    for column, finding in row.wrong.items():
        by_reason.setdefault(_without_places(str(finding)), []).append(column)
    return [f"- **{row.name}**, {', '.join(columns)} {reason}" for reason, columns in by_reason.items()]


def _without_places(text: str) -> str:
    """Returns a finding without the list of comparisons in brackets at its end."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0:
            return text[:at].rstrip() if text.endswith(")") else text
    return text


def _name(line: str) -> str:
    """Returns the architecture named in a line of the table or of the reasons."""
    return line[2:].split(" |")[0] if line.startswith("| ") else line[4:].split("**")[0] if line.startswith("- **") else ""


def _cell(found: Finding | None) -> str:
    return "" if found is None or found.verdict == "none" else "✓" if found.verdict == "ok" else found.verdict


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
