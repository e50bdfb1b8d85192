"""The directive ``result``: a figure of a kept result, drawn by the package when the site is built.

    ```{result} Sweep sweep heatmap LOC localization
    What a reader who cannot see it is told.
    ```

The arguments are the result's class, its table in ``docs/tables``, the method that draws it, and
that method's arguments.
"""

import shlex
from pathlib import Path
from typing import Any

from docutils import nodes
from plotly.offline import get_plotlyjs
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import steerlens as sl

TABLES = Path(__file__).parent.parent / "tables"
SCRIPT = "plotly.min.js"
_HOMES = (sl.evaluation, sl.probing)


class Result(SphinxDirective):
    """A figure, with its caption beneath."""

    required_arguments = 3
    optional_arguments = 9
    has_content = True

    def run(self) -> list[nodes.Node]:
        kind, table, method, *given = shlex.split(" ".join(self.arguments))
        path = TABLES / f"{table}.parquet"
        self.env.note_dependency(str(path))
        result = getattr(next(home for home in _HOMES if hasattr(home, kind)), kind).load(path)
        figure = getattr(result, method)(*given)
        content = figure.to_json().replace("</", "<\\/")  # or a title could end the script
        drawn = f'<div class="result-figure"><script type="application/json">{content}</script></div>'
        caption = nodes.caption("", "", *self.parse_inline(" ".join(self.content))[0])
        box = nodes.container("", nodes.raw("", drawn, format="html"), classes=["result"])
        return [nodes.figure("", box, caption)]


def _write_script(app: Sphinx) -> None:
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    (static / SCRIPT).write_text(get_plotlyjs(), encoding="utf-8")


def _load_script(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    if doctree is not None and any(
        "result" in node["classes"] for node in doctree.findall(nodes.container)
    ):
        app.add_js_file(SCRIPT, priority=100)
        app.add_js_file("results.js", priority=101)


def setup(app: Sphinx) -> dict[str, Any]:
    """Tells Sphinx of the directive and of the script that draws."""
    app.add_directive("result", Result)
    app.connect("builder-inited", _write_script)
    app.connect("html-page-context", _load_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
