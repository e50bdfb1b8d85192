"""The tables that the documentation draws its figures from: ``python experiments/docs_tables.py results/demo``.

Takes sweep and plane from a finished study (``steerlens demo``); the rest needs about three minutes on the model.
"""

import sys
from pathlib import Path
from typing import Any

import steerlens as sl

TABLES = Path(__file__).parent.parent / "docs" / "tables"
LOCALES = ("es-ES", "ko-KR")
SHOWN = "ko-KR"
LAYER, STRENGTH = 14, 2.0
"""Of the LOC plan under the logit lens."""


def main(folder: str) -> None:
    """Writes every table."""
    keep("sweep", sl.evaluation.Sweep.load(Path(folder) / "sweep.parquet"))
    keep("plane", sl.evaluation.Plane.load(Path(folder) / "plane.parquet"))

    model, items = sl.load("gemma-3-270m"), sl.data.atlas(LOCALES)
    split = items.split(seed=0)
    train = split.train.sample(64)
    stack = model.residuals(train.prompts())
    keep("geometry", sl.probing.geometry(stack))

    probed = model.residuals(sl.probing.matched(items).prompts(explicit=False))
    words = sl.probing.token_embeddings(model, probed.prompts)
    keep("separability", sl.probing.separability(probed, embeddings=words, vectors_from=stack))

    loc = sl.steering.take(stack, train, [sl.steering.LOC], locales=[SHOWN])["LOC"]
    dev = split.dev.of(locale=SHOWN).sample(24)
    keep("lens", sl.probing.logit_lens(model, dev, loc.at(LAYER, STRENGTH)))
    keep("response", sl.evaluation.response(model, dev, loc, LAYER))


def keep(name: str, table: Any) -> None:
    """Writes one table and says where."""
    print(table.save(TABLES / f"{name}.parquet"))


if __name__ == "__main__":
    main(sys.argv[1])
