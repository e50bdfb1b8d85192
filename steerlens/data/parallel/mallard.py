"""Pages of GNOME's manuals, in Mallard's XML: their texts in order, and their structure."""

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

_TEXTS = {"title", "subtitle", "p", "cite"}
"""Elements that contain text, with others only within their lines."""
_OPAQUE = {"code", "screen", "synopsis"}
"""Elements whose text is not translated."""
_SKIPPED = {"info", "comment"}
"""Elements about the page: their number differs by language, as translators are named there."""
_DEEPEST = 100


@dataclass(frozen=True)
class Page:
    """What a page says."""

    structure: tuple[str, ...]
    """The names of its elements in order, each with a sign where it begins and ends."""
    texts: tuple[str, ...]
    """The text of each element that contains text, in order, with white space collapsed; empty if it contains a link without
    words."""


class UnreadablePageError(Exception):
    """A page that is no plain, well-formed XML. The message is the reason."""


def page(path: Path) -> Page:
    """Reads a page.

    A page with a document type declaration is refused, as are others with more than a hundred elements in each other: it could
    define entities that name files or grow without end.

    Raises:
        UnreadablePageError: it cannot be read.
    """
    structure: list[str] = []
    texts: list[str] = []
    _walk(_parsed(path), structure, texts)
    return Page(tuple(structure), tuple(texts))


def _parsed(path: Path) -> Element:
    builder, depth = TreeBuilder(), 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise UnreadablePageError("elements nested too deeply")
        builder.start(name.rpartition(" ")[2], attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name.rpartition(" ")[2])

    def refuse(*_: object) -> None:
        raise UnreadablePageError("document type declaration")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, OSError, ValueError, LookupError) as error:  # the last two of an encoding that it names
        raise UnreadablePageError("not well-formed XML") from error
    return builder.close()


def _walk(element: Element, structure: list[str], texts: list[str]) -> None:
    if element.tag in _SKIPPED:
        return
    structure.append(f"<{element.tag}")
    if element.tag in _TEXTS:
        texts.append("" if _hole(element) else " ".join("".join(element.itertext()).split()))
    elif element.tag not in _OPAQUE:
        for child in element:
            _walk(child, structure, texts)
    structure.append(">")


def _hole(element: Element) -> bool:
    """Whether a text contains a link for which the reader is shown the title of another page."""
    return any(one.tag == "link" and not "".join(one.itertext()).strip() for one in element.iter())
