"""Which control explains what: every control and variant of EN and of LOC at the same layer, strength and length."""

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd
import torch

from experiments.common import Context, main
from experiments.controls.found import found
from experiments.measures import CLAIMED, differences, mean_rows
from experiments.steps import TOKENS, Plans, Source, captured, chosen_by, drawn, prepared
from steerlens.data import Items, PromptPairs
from steerlens.evaluation import UNSTEERED, Answers, Cell, answered, placed
from steerlens.plotting import forest_figure
from steerlens.steering import Controls, SteeringVector, difference_of_means, pooled

SCORES = ("transfer", "localization", "factual margin", "cultural margin")
Vectors = dict[str, SteeringVector]
"""A vector of each locale."""


def run(context: Context) -> None:
    """Both vectors at the cells that the finding chose on dev."""
    config, experiment = context.config, context.config["from"]
    source = prepared(context)
    cells = {choice.method: choice.cells[0] for choice in chosen_by(context, experiment) if choice.method in CLAIMED}
    context.notes["cells"] = list(map(str, cells.values()))
    own = {name: {code: vectors[name] for code, vectors in source.vectors.items()} for name in cells}
    others = {name: _others(context, source, name, own[name]) for name in cells}
    context.results.write("directions", _directions(own, others, cells))
    plans = {name: _at(vectors, cells[name]) for name, vectors in own.items()}
    variants: Plans = {}
    for name, found_by in others.items():
        alike = {variant: _as_long_as(vectors, own[name]) for variant, vectors in found_by.items()}
        variants |= {f"{name}: {variant}": _at(vectors, cells[name]) for variant, vectors in alike.items()}
        variants |= _replaced(name, own[name], cells[name])
    answers = _answers(context, source, plans, variants)
    context.results.write("plane", mean_rows(placed(Answers(answers), seed=config["seed"]).frame))
    methods = [method for method in dict.fromkeys(answers["method"]) if ": " in method]
    pairs = [(name, UNSTEERED) for name in plans]
    pairs += [(method, against) for method in methods for against in (UNSTEERED, method.partition(":")[0])]
    context.results.write("differences", differences(Answers(answers), pairs, SCORES, config["seed"]))
    _draw(context)


def _others(context: Context, source: Source, name: str, own: Vectors) -> dict[str, Vectors]:
    """The same contrast from prompts that should not carry it, and from other locales."""
    train = drawn(source.split.train, source.config["train"], source.config["seed"])
    pairs = {variant: {code: _pairs(train, variant, code) for code in source.locales} for variant in _FROM[name]}
    with context.timed(f"residuals for {name}"):
        stack = captured(context.model, [both for of in pairs.values() for both in of.values()])
    found_by = {variant: {code: difference_of_means(stack, both) for code, both in of.items()} for variant, of in pairs.items()}
    found_by["pooled over locales"] = {code: pooled(own.values(), code) for code in own}
    found_by["pooled without its own"] = {code: pooled(_without(own, code), code) for code in own}
    return found_by


_FROM = {
    "EN": ("from cultural prompts",),
    "LOC": ("country put before factual prompts", "country put before cultural prompts"),
}


def _pairs(train: Items, variant: str, code: str) -> PromptPairs:
    if variant == "from cultural prompts":
        return train.english_pairs(code, kind="cultural")
    return train.named_pairs(code, kind="factual" if "factual" in variant else "cultural")


def _without(own: Vectors, code: str) -> Iterable[SteeringVector]:
    return [vector for other, vector in own.items() if other != code]


def _as_long_as(vectors: Vectors, own: Vectors) -> Vectors:
    """The vectors with the length of the others at every layer, so that they differ in direction alone."""
    lengths = {code: vector.directions.norm(dim=1, keepdim=True) for code, vector in own.items()}
    units = {code: torch.nn.functional.normalize(vector.directions, dim=1) for code, vector in vectors.items()}
    return {code: replace(vector, directions=units[code] * lengths[code], positive=None) for code, vector in vectors.items()}


def _at(vectors: Vectors, cell: Cell) -> dict:
    return {code: vector.at(cell.layer, cell.strength, TOKENS) for code, vector in vectors.items()}


def _replaced(name: str, own: Vectors, cell: Cell) -> Plans:
    """The vector's direction taken out of the residual, and set to what it is in the positive prompts' mean."""
    return {
        f"{name}: ablated": {code: vector.ablated(cell.layer, tokens=TOKENS) for code, vector in own.items()},
        f"{name}: set to the positive mean": {code: vector.projected(cell.layer, tokens=TOKENS) for code, vector in own.items()},
    }


def _directions(own: dict[str, Vectors], others: dict[str, dict[str, Vectors]], cells: dict[str, Cell]) -> pd.DataFrame:
    """How each variant lies to its vector at the cell's layer, and how long it was before it was made as long."""
    rows = []
    for name, found_by in others.items():
        layer = cells[name].layer
        for variant, vectors in found_by.items():
            for code, vector in vectors.items():
                one, two = own[name][code].direction(layer), vector.direction(layer)
                cosine, length = torch.cosine_similarity(one, two, dim=0), two.norm() / one.norm()
                rows.append({"method": f"{name}: {variant}", "locale": code, "cosine": float(cosine), "length": float(length)})
    return pd.DataFrame(rows)


def _answers(context: Context, source: Source, plans: Plans, variants: Plans) -> pd.DataFrame:
    config, test = context.config, source.part("test")
    controls = Controls(config["random"], config["seed"], source.shuffled(config["shuffled"]))
    with context.timed("controls"):
        first = answered(context.model, test, plans, controls=controls).frame
    with context.timed("variants"):
        second = answered(context.model, test, variants).frame
    return pd.concat([first, second[second["method"].isin(list(variants))]], ignore_index=True)


def _draw(context: Context) -> None:
    rows = context.results.table("differences")
    rows = rows[rows["against"] == UNSTEERED]
    rows = rows.assign(group=rows["method"].str.partition(":")[0]).sort_values("group", kind="stable")
    words = "against unsteered; bars: paired 95% intervals over concepts, of the mean over draws where there are draws"
    context.results.figure("controls", forest_figure(rows, "EN, LOC and their controls", words, SCORES), ["differences"], 1400)


if __name__ == "__main__":
    main("controls", run, found)
