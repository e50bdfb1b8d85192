"""The links of the repository's Markdown: which lead nowhere, and which lead to the web.

``make links`` prints the latter.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)`*\s*$|`[^`\n]+`", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+\s+(.+)$", re.MULTILINE)


def pages() -> Iterator[Path]:
    """Every Markdown file that a reader meets."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in ("docs", "experiments"):
        yield from (
            page
            for page in sorted((ROOT / folder).rglob("*.md"))
            if (ROOT / "docs" / "repository") not in page.parents
        )


def links(page: Path) -> list[str]:
    """What a page's links lead to, code left out."""
    return _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """The anchors that the web gives a page's headings."""
    titles = _HEADING.findall(
        re.sub(
            r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
        )
    )
    return {
        re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles
    }


def broken() -> list[str]:
    """Each internal link without a target, as ``page: link``."""
    found = []
    for page in pages():
        for link in links(page):
            place, _, anchor = link.partition("#")
            target = (page.parent / place).resolve() if place else page
            if "://" in link or link.startswith("mailto:"):
                continue
            if not target.exists() or (
                anchor and target.suffix == ".md" and anchor not in anchors(target)
            ):
                found.append(f"{page.relative_to(ROOT)}: {link}")
    return found


def external() -> dict[str, list[str]]:
    """Every link to the web, and the pages that have it."""
    found: dict[str, list[str]] = {}
    for page in pages():
        for link in links(page):
            if "://" in link:
                found.setdefault(link, []).append(str(page.relative_to(ROOT)))
    return dict(sorted(found.items()))


if __name__ == "__main__":
    for link, places in external().items():
        print(f"{link}\t{', '.join(dict.fromkeys(places))}")  # noqa: T201
    for line in broken():
        print(f"BROKEN {line}")  # noqa: T201
