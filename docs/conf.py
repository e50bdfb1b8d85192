"""How the site is built: ``make docs``."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "steerlens"
author = "The steerlens developers"
copyright = author
release = version = version_of("steerlens")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "repository",
    "results",
]
exclude_patterns = ["_ext"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
maximum_signature_line_length = 90
add_module_names = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "steerlens"
html_static_path = ["_static"]
html_css_files = ["steerlens.css"]
html_copy_source = False
html_show_copyright = False
copybutton_exclude = ".linenos, .gp, .go"


def _readable(app, what, name, obj, options, signature, returns):  # type: ignore[no-untyped-def]
    """One default that is no expression, as a factory is shown, leaves a signature unformatted."""
    return (signature.replace("<factory>", "..."), returns) if signature else None


def _plain(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    """Napoleon takes what stands before a description's first colon for a type, in its first line."""
    if what in ("attribute", "data", "property"):
        lines.insert(0, "")


def setup(app):  # type: ignore[no-untyped-def]
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", _plain, priority=400)
    app.connect("autodoc-process-signature", _readable)
