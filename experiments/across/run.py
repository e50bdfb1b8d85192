"""Whether vectors from one source work on the other: taken and chosen on the atlas, used on public data, and the reverse."""

from itertools import product

import pandas as pd

from experiments.across.found import found
from experiments.common import Context, main
from experiments.measures import cosines, differences, mean_rows
from experiments.steps import Plans, Source, chosen_by, plans_of, prepared, public_folder
from steerlens.evaluation import answered, placed
from steerlens.plotting import forest_figure
from steerlens.probing import geometry

SCORES = ("transfer", "localization", "factual margin", "cultural margin")


def run(context: Context) -> None:
    """The plans of each source on the test items of both."""
    public_folder(context.data)  # before anything is computed
    chosen_in = context.config["from"]
    sources = {name: _source(context, name, experiment) for name, experiment in chosen_in.items()}
    plans = {
        f"{method} of {name}": own
        for name, source in sources.items()
        for method, own in plans_of(chosen_by(context, chosen_in[name]), source).items()
    }
    _directions(context, sources)
    tables = [_tested(context, name, source, plans, list(sources)) for name, source in sources.items()]
    for at, name in enumerate(("plane", "differences")):
        context.results.write(name, pd.concat([pair[at] for pair in tables], ignore_index=True))
    _draw(context)


def _source(context: Context, name: str, experiment: str) -> Source:
    """Vectors as the other experiment took them; its split, so that its test items saw neither vectors nor choices."""
    config = {**context.settings_of(experiment), "test": context.config["test"][name]}
    context.notes.setdefault("settings of", {})[experiment] = config
    return prepared(context, config)


def _directions(context: Context, sources: dict[str, Source]) -> None:
    """Cosine of both sources' vectors by layer, and the largest that the noise of both leaves possible."""
    (one, first), (two, second) = sources.items()
    sure = {}
    with context.timed("geometry"):
        for name, source in sources.items():
            frame = geometry(source.stack, draws=context.config["draws"], seed=source.config["seed"]).frame
            rows = frame[frame["measure"] == "reliability"]
            sure[name] = rows.set_index(["locale", "layer", "of"])["value"].clip(lower=0)
    rows = []
    for code, vector in product(first.locales, ("EN", "LOC")):
        own = first.vectors[code][vector]
        values = cosines(own, second.vectors[code][vector])
        for layer, value in zip(own.layers, values.tolist(), strict=True):
            ceiling = (sure[one][code, layer, vector] * sure[two][code, layer, vector]) ** 0.5
            rows.append({"vector": vector, "locale": code, "layer": layer, "cosine": value, "ceiling": ceiling})
    context.results.write("cosines", pd.DataFrame(rows))


def _tested(context: Context, target: str, source: Source, plans: Plans, names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every plan on one source's test items: the means of the plane, and foreign plans less the source's own."""
    seed = source.config["seed"]
    with context.timed(f"test on {target}"):
        answers = answered(context.model, source.part("test"), plans)
    other = next(name for name in names if name != target)
    pairs = [(f"{method} of {other}", f"{method} of {target}") for method in ("EN", "LOC", "surgical")]
    against = [*pairs, *((name, "unsteered") for name in plans)]
    compared = differences(answers, against, SCORES, seed)
    return mean_rows(placed(answers, seed=seed).frame).assign(target=target), compared.assign(target=target)


def _draw(context: Context) -> None:
    rows = context.results.table("differences")
    rows = rows[rows["against"] == "unsteered"]
    for target in dict.fromkeys(rows["target"]):
        own = rows[rows["target"] == target]
        own = own.assign(group=own["method"].str.rpartition(" of ")[0])
        words = "vectors and plans of each source against unsteered; bars: paired 95% intervals over concepts"
        figure = forest_figure(own, f"Tested on {target}", words, SCORES)
        context.results.figure(f"on-{target}", figure, ["differences"], 1300)


if __name__ == "__main__":
    main("across", run, found)
