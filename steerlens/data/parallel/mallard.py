"""Reads the pages of GNOME's manuals, which are in the XML format Mallard. The result for a page contains the texts in order and
the structure of the page."""

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

_TEXTS = {"title", "subtitle", "p", "cite"}
"""The names of the elements that contain text. Other elements with text occur only inside these elements."""
_OPAQUE = {"code", "screen", "synopsis"}
"""The names of the elements whose text is not translated."""
_SKIPPED = {"info", "comment"}
"""The names of the elements with information about the page. The number of these elements differs by language, because they name
the translators."""
_DEEPEST = 100


@dataclass(frozen=True)
class Page:
    """The content of a page."""

    structure: tuple[str, ...]
    """The names of the page's elements in order, with a sign at the beginning and at the end of each element."""
    texts: tuple[str, ...]
    """The text of each element that contains text, in order, with white space collapsed. The text of an element with a link
    without words is replaced by an empty text."""


class UnreadablePageError(Exception):
    """A page that is not plain, well-formed XML. The message gives the reason."""


def page(path: Path) -> Page:
    """Reads a page.

    A page with a document type declaration is refused, because the declaration could define entities that name files or grow
    without end. A page with more than a hundred levels of nested elements is also refused.

    Raises:
        UnreadablePageError: the page cannot be read.
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
    except (expat.ExpatError, OSError, ValueError, LookupError) as error:  # a wrong encoding raises the last two
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
    """Returns whether an element contains a link without words. In place of this link, a reader would see the title of the linked
    page."""
    return any(one.tag == "link" and not "".join(one.itertext()).strip() for one in element.iter())
