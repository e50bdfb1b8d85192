"""The README's pictures and table, made from a finished study: ``python experiments/pictures.py results/demo``.

Needs Chrome or Chromium, which plotly's static export (kaleido) draws with.
"""

import re
import sys
from pathlib import Path

import steerlens as sl
from steerlens.options import given_as
from steerlens.tables import markdown_table

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
_SIZES = ("train_concepts", "dev_concepts", "test_concepts")
BLOCK = re.compile(r"(<!-- demo: .*? -->\n).*?(<!-- /demo -->)", re.DOTALL)


def main(folder: str) -> None:
    study = sl.Study.load(folder)
    figures = {
        "en-transfer": study.sweep.heatmap("EN", "transfer"),
        "loc-localization": study.sweep.heatmap("LOC", "localization"),
        "plane": study.plane.plot(),
        "separability": study.separability.plot(),
    }
    for name, figure in figures.items():
        print(figure.save(IMAGES / f"{name}.png", scale=1.5))
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(BLOCK.sub(lambda found: found[1] + block(study) + found[2], text), encoding="utf-8")
    print(readme)


def _kept(count: object) -> object:
    return tuple(count) if isinstance(count, list) else count


def block(study: sl.Study) -> str:
    """What the demo found, as Markdown."""
    settings, counts = study.manifest["settings"], study.manifest["data"]["concepts"]["test"]
    summary = study.summary()
    table = markdown_table(summary.columns, summary.itertuples(index=False))
    effects = study.side_effects()
    listed = markdown_table(effects.columns, effects.itertuples(index=False)) if len(effects) else ""
    aside = f"\nSide effects of the same plans:\n\n{listed}\n" if listed else ""
    where = ", ".join(settings["locales"])
    n = f"{counts['factual']} factual and {counts['cultural']} cultural concepts"
    usual, given = sl.StudySettings(), sl.StudySettings(**{name: _kept(settings[name]) for name in _SIZES})
    sizes = "".join(
        f" --{name.replace('_', '-')} {given_as(getattr(given, name))}"
        for name in _SIZES
        if getattr(given, name) != getattr(usual, name)
    )
    minutes = f"{study.manifest['seconds'] / 60:.0f} minutes with {study.manifest['threads']} threads"
    return (
        f"What `steerlens demo{sizes}` printed last, after {minutes}, on test ({n}, mean over\n{where}; "
        f"in brackets the change against unsteered and its paired 95% interval over concepts):\n\n"
        f"{table}\n{aside}\nThe plans were chosen on dev. {' '.join(study.found())}\n"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "results/demo")
