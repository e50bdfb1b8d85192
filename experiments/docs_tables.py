"""The tables that the documentation draws its figures from: ``python experiments/docs_tables.py results/demo``.

Needs a finished study (``steerlens demo``), whose sweep, plane and residuals it takes; about two minutes more on the model.
"""

import sys
from pathlib import Path

import steerlens as sl

TABLES = Path(__file__).parent.parent / "docs" / "tables"
LOCALES = ("es-ES", "ko-KR")
SHOWN = "ko-KR"
LAYER, STRENGTH = 14, 2.0
"""The demo's LOC plan."""


def main(folder: str) -> None:
    """Writes every table."""
    study = Path(folder)
    keep("sweep", sl.evaluation.Sweep.load(study / "sweep.parquet"))
    keep("plane", sl.evaluation.Plane.load(study / "plane.parquet"))
    train = sl.ResidualStack.load(study / "residuals.safetensors")
    keep("geometry", sl.probing.geometry(train))

    model, items = sl.load("gemma-3-270m"), sl.data.atlas(LOCALES)
    probed = model.residuals(sl.probing.matched(items).prompts())
    words = sl.probing.token_embeddings(model, probed.prompts)
    keep("separability", sl.probing.separability(probed, embeddings=words, vectors_from=train))

    split = items.split(seed=0)
    loc = sl.steering.difference_of_means(train, split.train.localized_pairs(SHOWN))
    dev = split.dev.of(locale=SHOWN).sample(24)
    keep("lens", sl.probing.logit_lens(model, dev, loc.at(LAYER, STRENGTH, tokens="last_onward")))
    keep("response", sl.evaluation.response(model, dev, [loc], LAYER, tokens="last_onward"))


def keep(name: str, table: sl.evaluation.Sweep) -> None:
    """Writes one table and says where."""
    print(table.save(TABLES / f"{name}.parquet"))


if __name__ == "__main__":
    main(sys.argv[1])
