"""What alignment by training changes inside the model: languages, kinds of prompts and vectors by layer, before and after."""

from typing import Any

import steerlens as sl
from experiments.alignment.trained import MIDALIGN, corpora, trained
from experiments.common import Context, main
from experiments.inside.shown import shown
from experiments.steps import prepared

_DRAWN = (("centred cosine", "cultural"), ("moved", "LOC"))


def run(context: Context) -> None:
    """Trains every method with the first seed, and MidAlign in thirds of the layers, and measures them all."""
    config: dict[str, Any] = context.config
    source, first = prepared(context), config["seeds"][0]
    texts = corpora(context, source)
    methods = {name: trained(context, source, texts, name, first) for name in config["methods"]}
    methods |= {_third(span): trained(context, source, texts, MIDALIGN, first, tuple(span)) for span in config["thirds"]}
    items = source.split.test.sample(config["inside"]["concepts"], seed=config["seed"])
    layers = sl.settings.spaced(context.model.layers(), config["inside"]["layers"])
    with context.timed("inside"):
        found = sl.alignment.inside(context.model, methods, items, layers=layers)
    context.results.write("inside", found.frame)
    for measure, of in _DRAWN:
        context.results.figure(f"{measure.replace(' ', '-')}-{of}", found.plot(measure, of), ["inside"], 560)


def _third(span: tuple[int, int]) -> str:
    return f"{MIDALIGN} in layers {span[0]} to {span[1]}"


if __name__ == "__main__":
    main("inside", run, shown)
