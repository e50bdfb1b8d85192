"""Writes a study as one HTML file that opens offline."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerlens.evaluation import Choices
from steerlens.models import EMBEDDED
from steerlens.results import Study
from steerlens.storage import write_text

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure


def write_report(study: Study, path: str | Path) -> Path:
    """Writes the report as one HTML file. The file contains the code of its figures, so that it opens without a network.

    Args:
        study: a finished study.
        path: the HTML file that is written.

    Returns:
        The path of the file.

    Raises:
        FileError: the file cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from steerlens.plotting import page

    environment = Environment(loader=PackageLoader("steerlens", "report"), autoescape=True, undefined=StrictUndefined)
    css = page.style() + Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    template = environment.get_template("report.html")
    return write_text(path, template.render(css=Markup(css), scripts=Markup(page.scripts()), **_content(study)))


def _content(study: Study) -> dict[str, Any]:
    from steerlens.plotting import cosine_lines, plane_panels

    manifest = study.manifest
    name, locales = manifest["model"]["name"], manifest["settings"]["locales"]
    unsteered = [method for method, own in study.chosen.items() if not own.steps]
    sweeps = [study.sweep.heatmap(vector, score) for vector, score in study.sweep.aims.items()]
    return {
        "model": name,
        "licence": EMBEDDED[name].licence if name in EMBEDDED else "",
        "locales": locales,
        "started": manifest["started"],
        "versions": manifest["versions"],
        "settings": manifest["settings"],
        "counts": manifest["data"]["concepts"],
        "manifest": json.dumps(manifest, indent=2, ensure_ascii=False),
        "table": _table(study.summary()),
        "side_effects": "" if (effects := study.side_effects()).empty else _table(effects),
        "tables": [(locale, _table(study.plane.summary(locale))) for locale in locales],
        "verdict": study.found(),
        "plane": _element(study.plane.plot(by_locale=False)),
        "panels": [_element(figure) for figure in plane_panels(study.plane.frame)],
        "chosen": _table(_chosen(study.chosen)),
        "sweeps": [_element(figure) for figure in sweeps],
        "separability": _element(study.separability.plot()),
        "heatmap": _element(study.separability.heatmap()),
        "cosine": _element(cosine_lines(study.separability.frame)),
        "examples": _examples(study.examples[~study.examples["method"].isin(unsteered)]),
        "unsteered": unsteered,
    }


def _chosen(chosen: Choices) -> "pd.DataFrame":
    import pandas as pd

    rows = [{"method": name, "plan": str(own), "evidence on dev": own.explained()} for name, own in chosen.items()]
    return pd.DataFrame(rows)


def _examples(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    keys = ["locale", "kind", "concept"]
    examples = []
    for _, rows in frame.groupby(keys, sort=False):
        first = rows.iloc[0]
        right = rows["right"] if "right" in rows else [False] * len(rows)  # results of earlier versions lack this column
        texts = list(zip(rows["method"], rows["text"], right, strict=True))
        examples.append({**{name: first[name] for name in ("locale", "kind", "question", "answer")}, "texts": texts})
    return examples


def _table(frame: "pd.DataFrame") -> Any:
    from markupsafe import Markup

    return Markup(frame.to_html(index=False, border=0, escape=True))


def _element(figure: "Figure") -> Any:
    from markupsafe import Markup

    from steerlens.plotting.page import element

    return Markup(element(figure))
