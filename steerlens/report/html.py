"""A study as one HTML file that opens offline."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerlens.evaluation import MEAN, Chosen
from steerlens.models import EMBEDDED
from steerlens.results import Study
from steerlens.storage import write_text

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

_TOP = 24
"""Pixels above a figure whose title is its caption."""


def write_report(study: Study, path: str | Path) -> Path:
    """Writes the report, with its figures' code inside, so that it opens without a network.

    Raises:
        FileError: the file cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    from steerlens.plotting.theme import DARK

    environment = Environment(loader=PackageLoader("steerlens", "report"), autoescape=True, undefined=StrictUndefined)
    css, script = (Path(__file__).with_name(f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    given = {"css": css, "script": script, "plotly": get_plotlyjs(), "dark": json.dumps(DARK)}
    page = environment.get_template("report.html")
    return write_text(path, page.render(**{name: Markup(text) for name, text in given.items()}, **_content(study)))


def _content(study: Study) -> dict[str, Any]:
    from steerlens.plotting import cosine_lines, plane_panels

    manifest = study.manifest
    name, locales = manifest["model"]["name"], manifest["settings"]["locales"]
    sweeps = [study.sweep.heatmap(vector, score) for vector in ("EN", "LOC") for score in ("transfer", "localization")]
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
        "tables": [(locale, _table(study.summary(locale))) for locale in locales],
        "verdict": verdict(study),
        "plane": _drawn(study.plane.plot(by_locale=False)),
        "panels": [_drawn(figure) for figure in plane_panels(study.plane.frame)],
        "chosen": _table(_chosen(study.chosen)),
        "sweeps": [_drawn(figure) for figure in sweeps],
        "separability": _drawn(study.separability.plot()),
        "heatmap": _drawn(study.separability.heatmap()),
        "cosine": _drawn(cosine_lines(study.separability.frame)),
        "examples": _examples(study.examples),
    }


def verdict(study: Study) -> list[str]:
    """What the test results say, a sentence per method: which changes have an interval that excludes zero, which do not."""
    frame = study.plane.frame
    parts = []
    for choice in study.chosen:
        rows = frame[(frame["method"] == choice.method) & (frame["locale"] == MEAN)].set_index("score")
        said = [
            f"{score} {_points(rows.loc[score])} (interval {'excludes' if _excludes_zero(rows.loc[score]) else 'includes'} zero)"
            for score in ("transfer", "localization")
        ]
        method = choice.method[0].upper() + choice.method[1:]
        parts.append(f"{method} steering ({choice}) changes {' and '.join(said)}.")
    return parts


def _points(row: "pd.Series") -> str:
    return f"by {100 * row['change']:+.1f} points [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def _excludes_zero(row: "pd.Series") -> bool:
    return bool(row["low"] > 0 or row["high"] < 0)


def _chosen(chosen: tuple[Chosen, ...]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "method": [choice.method for choice in chosen],
            "plan": [str(choice) for choice in chosen],
            "transfer on dev": [f"{choice.transfer:+.2f}" for choice in chosen],
            "localization on dev": [f"{choice.localization:+.2f}" for choice in chosen],
        }
    )


def _examples(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    keys = ["locale", "kind", "concept"]
    examples = []
    for _, rows in frame.groupby(keys, sort=False):
        first = rows.iloc[0]
        texts = list(zip(rows["method"], rows["text"], strict=True))
        examples.append({**{name: first[name] for name in ("locale", "kind", "question", "answer")}, "texts": texts})
    return examples


def _table(frame: "pd.DataFrame") -> Any:
    from markupsafe import Markup

    return Markup(frame.to_html(index=False, border=0, escape=True))


def _drawn(figure: "Figure") -> Any:
    """A figure with its title as a caption, in the page's type, and its numbers as JSON for ``report.js`` to draw."""
    from markupsafe import Markup

    said, layout = figure.layout.meta, figure.layout
    figure.update_layout(title=None, margin_t=layout.margin.t - said["above"] + _TOP, height=layout.height - said["above"] + _TOP)
    content = figure.to_json().replace("</", "<\\/")  # or a name could end the script
    return Markup(
        '<figure><figcaption><b>{}</b>{}</figcaption><div class="plotly-graph-div" data-width="{}" style="height:{}px"></div>'
        '<script type="application/json">{}</script></figure>'
    ).format(said["title"], said["subtitle"], said["width"], int(figure.layout.height), Markup(content))
