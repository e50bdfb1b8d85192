"""Do vectors and plans of one source work on the other: the atlas's on public data, and the reverse."""

from itertools import product
from typing import Any

import pandas as pd

from experiments.common import Context, Results, label, main, settings
from experiments.steps import CLAIMED, MARGINS, Plans, Source, chosen_by, differences, mean_rows, prepared, public_folder
from experiments.words import interval, one, rows_of, score_word, wide
from steerlens.evaluation import answered, placed
from steerlens.plotting import forest_figure
from steerlens.probing import geometry
from steerlens.tables import markdown_table

SCORES = (*CLAIMED.values(), *MARGINS.values())


def run(context: Context) -> None:
    """Scores the plans of each source on the test items of both."""
    public_folder()  # before anything is computed
    chosen_in = context.config["from"]
    own = {
        experiment: settings(experiment, model=label(context.source), smoke=context.smoke) for experiment in chosen_in.values()
    }
    both = [code for code in own[chosen_in["atlas"]]["locales"] if all(code in config["locales"] for config in own.values())]
    sources = {
        name: _source(context, experiment, {**own[experiment], "locales": both, "test": context.config["test"][name]})
        for name, experiment in chosen_in.items()
    }
    plans = {
        f"{method} of {name}": choice.plans()
        for name, source in sources.items()
        for method, choice in chosen_by(context, chosen_in[name], source).items()
    }
    _directions(context, sources)
    tables = [_tested(context, name, source, plans, list(sources)) for name, source in sources.items()]
    for at, name in enumerate(("plane", "differences")):
        context.results.write(name, pd.concat([pair[at] for pair in tables], ignore_index=True))
    _draw(context)


def _source(context: Context, experiment: str, config: dict[str, Any]) -> Source:
    """Takes vectors as the other experiment did, in the locales of both; by its split, so that its test items saw neither
    vectors nor choices."""
    context.notes.setdefault("settings of", {})[experiment] = config
    return prepared(context, config)


def _directions(context: Context, sources: dict[str, Source]) -> None:
    """Writes the cosine of both sources' vectors by layer, and the largest that the noise of both leaves possible."""
    (one, first), (two, second) = sources.items()
    sure, rows = {}, []
    with context.timed("geometry"):
        for name, source in sources.items():
            frame = geometry(source.stack, draws=context.config["draws"], seed=source.config["seed"]).frame
            reliable = frame[frame["measure"] == "reliability"]
            sure[name] = reliable.set_index(["locale", "layer", "of"])["value"].clip(lower=0)
    for code, name in product(first.locales, CLAIMED):
        own = first.vectors[name, code]
        for layer, value in zip(own.layers, own.cosine(second.vectors[name, code]).tolist(), strict=True):
            ceiling = (sure[one][code, layer, name] * sure[two][code, layer, name]) ** 0.5
            rows.append({"vector": name, "locale": code, "layer": layer, "cosine": value, "ceiling": ceiling})
    context.results.write("cosines", pd.DataFrame(rows))


def _tested(context: Context, target: str, source: Source, plans: Plans, names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns every plan on one source's test items: the means of the plane, and foreign plans minus the source's own."""
    seed = source.config["seed"]
    with context.timed(f"test on {target}"):
        answers = answered(context.model, source.part("test"), plans, resume=context.running)
    other = next(name for name in names if name != target)
    pairs = [(f"{method} of {other}", f"{method} of {target}") for method in (*CLAIMED, "surgical")]
    compared = differences(answers, [*pairs, *((name, "unsteered") for name in plans)], SCORES, seed)
    return mean_rows(placed(answers, seed=seed).frame).assign(target=target), compared.assign(target=target)


def _draw(context: Context) -> None:
    rows = context.results.table("differences").query("against == 'unsteered'")
    for target, own in rows.groupby("target", sort=False):
        words = "vectors and plans of each source against unsteered; bars: paired 95% intervals over concepts"
        groups = own.assign(group=own["method"].str.rpartition(" of ")[0])
        context.results.figure(f"on-{target}", forest_figure(groups, f"Tested on {target}", words, SCORES), ["differences"], 1300)


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    rows, cosines = results.table("differences"), results.table("cosines")
    own = dict(list(rows.groupby("target", sort=False)))
    header = ["vector", "locale", "median cosine over layers", "smallest", "largest", "ceiling (median)"]
    spreads = [[*names, *_spread(part)] for names, part in cosines.groupby(["vector", "locale"], sort=False)]
    return {
        "cosines": markdown_table(header, spreads),
        "targets": {target: {"table": _compared(part), "n": _sizes(part)} for target, part in own.items()},
        "change": lambda vector, of, on: interval(
            one(own[on], method=f"{vector} of {of}", against="unsteered", score=CLAIMED[vector])
        ),
        "alike": {vector: part["cosine"].median() for vector, part in cosines.groupby("vector")},
    }


def _spread(part: pd.DataFrame) -> list[str]:
    cosine = part["cosine"]
    return [f"{number:.2f}" for number in (cosine.median(), cosine.min(), cosine.max(), part["ceiling"].median())]


def _compared(part: pd.DataFrame) -> str:
    scores = list(dict.fromkeys(part["score"]))
    return markdown_table(["methods", *map(score_word, scores)], wide(part, ["method", "against"], scores))


def _sizes(part: pd.DataFrame) -> dict[str, int]:
    return {row["score"]: row["n"] for row in rows_of(part, against="unsteered")}


if __name__ == "__main__":
    main("across", run, shown)
