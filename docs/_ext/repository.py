"""Pages made of the repository's own Markdown (changelog, the experiments' READMEs), and links from any page to it.

A link that works on the web, as ``../experiments/README.md``, leads to the page made of that file, or to the file itself.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent.parent
ROOT = DOCS.parent
MADE = DOCS / "repository"
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")


def made_pages() -> dict[Path, Path]:
    """Source to page; that of the benchmark is written by hand."""
    pages = {
        ROOT / "CHANGELOG.md": MADE / "changelog.md",
        ROOT / "CONTRIBUTING.md": MADE / "contributing.md",
    }
    for readme in sorted((ROOT / "experiments").rglob("README.md")):
        name = "-".join(("experiments", *readme.parent.relative_to(ROOT / "experiments").parts))
        pages[readme] = MADE / f"{name}.md"
    pages[ROOT / "experiments" / "benchmark" / "README.md"] = DOCS / "benchmark.md"
    return pages


def relinked(text: str, source: Path, page: Path) -> str:
    """A source's text with its links as a page of the site needs them."""
    pages = made_pages()

    def target(found: re.Match[str]) -> str:
        given = found[1]
        path = (source.parent / given).resolve()
        path = path / "README.md" if path.is_dir() else path
        if DOCS in path.parents and source == page:
            return given
        relative = os.path.relpath(pages.get(path, path), page.parent)
        outside = (
            path.suffix in (".md", ".py", ".json")
            and path not in pages
            and DOCS not in path.parents
        )
        return f"path:{relative}" if outside else relative

    return _LINK.sub(target, text)


def _make(_: Sphinx) -> None:
    MADE.mkdir(exist_ok=True)
    pages = {source: page for source, page in made_pages().items() if page.parent == MADE}
    for stale in set(MADE.glob("*.md")) - set(pages.values()):
        stale.unlink()
    for source, page in pages.items():
        text = relinked(source.read_text(encoding="utf-8"), source, page)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(name))
    if path.suffix != ".md" or path.parent == MADE:
        return
    source[0] = relinked(source[0], path, path)


def setup(app: Sphinx) -> dict[str, bool]:
    """Makes the pages before Sphinx looks for pages, and changes links as they are read."""
    app.connect("builder-inited", _make)
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
