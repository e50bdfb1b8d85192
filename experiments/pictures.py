"""The README's pictures, drawn from a finished study: ``python experiments/pictures.py results/demo``.

Needs Chrome or Chromium, which plotly's static export (kaleido) draws with.
"""

import sys
from pathlib import Path

import steerlens as sl

IMAGES = Path(__file__).parent.parent / "docs" / "images"


def main(folder: str) -> None:
    study = sl.Study.load(folder)
    figures = {
        "en-transfer": study.sweep.heatmap("EN", "transfer"),
        "loc-localization": study.sweep.heatmap("LOC", "localization"),
        "plane": study.plane.plot(),
        "separability": study.separability.plot(),
    }
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        width = 560 if "-" in name else 820
        figure.write_image(IMAGES / f"{name}.png", width=width, height=figure.layout.height, scale=1.5)
        print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "results/demo")
