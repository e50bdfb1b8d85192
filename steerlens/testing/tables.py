"""Writes the rows of the architectures as Markdown and JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steerlens.storage import write_text
from steerlens.tables import markdown_table
from steerlens.testing.findings import Finding

COLUMNS = (
    "load",
    "eager",
    "tokens",
    "residuals",
    "scores",
    "sweep",
    "hits",
    "full pass",
    "gradients",
    "generate",
    "stream",
    "settings",
    "strength 0",
    "hooks",
)


@dataclass
class Examined:
    """The results of one architecture."""

    name: str
    model_type: str = ""
    findings: dict[str, Finding] = field(default_factory=dict)
    packs: bool | None = None
    """Whether choices can be packed after their prompt."""
    reuses_keys: bool | None = None
    """Whether keys and values can be stored and reused."""
    seconds: float = 0.0
    """The time that the checks took on one core, in seconds."""

    @property
    def loaded(self) -> bool:
        """Whether the model could be loaded."""
        return len(self.findings) > 1

    @property
    def wrong(self) -> dict[str, Finding]:
        """The results of the checks that did not succeed."""
        return {name: found for name, found in self.findings.items() if found.verdict not in ("ok", "none")}

    @property
    def right(self) -> bool:
        """Whether the model was loaded, and every check succeeded."""
        return self.loaded and not self.wrong

    @property
    def line(self) -> str:
        """Returns a summary of the row as one line for a terminal."""
        state = "right" if self.right else "; ".join(f"{name} {found.verdict}" for name, found in self.wrong.items())
        return f"{self.name:24} {self.seconds:5.1f} s  {state}"

    def to_dict(self) -> dict[str, object]:
        """Returns the row as plain JSON values."""
        return {
            "name": self.name,
            "model_type": self.model_type,
            "right": self.right,
            **{name: str(found) for name, found in self.findings.items()},
            "keys reused": self.reuses_keys,
            "packs": self.packs,
            "seconds": round(self.seconds, 1),
        }


def summary(rows: Sequence[Examined]) -> str:
    """Returns the number of architectures for which everything is right, and the numbers of architectures with other
    results."""
    right, loaded = sum(row.right for row in rows), sum(row.loaded for row in rows)
    refused = sum(row.loaded and not row.right and only_refused(row) for row in rows)
    return (
        f"{right} right in everything; {loaded - right - refused} wrong in something; "
        f"{refused} refused in something and otherwise right; "
        f"{len(rows) - loaded} not loaded; {len(rows)} in all, {sum(row.seconds for row in rows):.0f} s."
    )


def markdown(rows: Sequence[Examined]) -> str:
    """Returns the table, followed by the full text of every finding."""
    heads = ["architecture", "model_type", *COLUMNS, "keys reused", "packs", "s"]
    lines = []
    for row in rows:
        cells = [_cell(row.findings.get(name)) for name in COLUMNS]
        ends = [_yes(row.reuses_keys), _yes(row.packs), f"{row.seconds:.1f}"]
        lines.append([row.name, row.model_type, *cells, *ends])
    found = [f"- **{row.name}**, {name}: {_plain(str(finding))}" for row in rows for name, finding in row.wrong.items()]
    return "\n".join([summary(rows), "", markdown_table(heads, lines), "", *found, ""])


def write(rows: Sequence[Examined], path: Path) -> None:
    """Writes the table as Markdown, and as JSON next to it.

    Raises:
        FileError: a file cannot be written.
    """
    write_text(path, markdown(rows))
    values = {"summary": summary(rows), "rows": [row.to_dict() for row in rows]}
    write_text(path.with_suffix(".json"), json.dumps(values, indent=1, ensure_ascii=False))


def only_refused(row: Examined) -> bool:
    """Returns whether all checks of an architecture that did not succeed were refused with an explanation.

    Args:
        row: the results of the architecture.
    """
    return all(found.verdict == "refused" for found in row.wrong.values())


def _cell(found: Finding | None) -> str:
    if found is None or found.verdict == "none":
        return "–"
    size = found.text.split(" at ")[0]
    return f"off {size}" if found.verdict == "off" and size[:1].isdigit() else found.verdict


def _yes(value: bool | None) -> str:
    return "–" if value is None else "yes" if value else "no"


def _plain(text: str) -> str:
    return text.replace("|", "\\|")
