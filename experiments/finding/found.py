"""What the finding's tables say, in words."""

import pandas as pd

from experiments.common import Results
from experiments.measures import mean_rows
from experiments.words import Row, interval, marked, one, rows_of, score_word, steps_word, table, third, verdict

_PAPER = "as the paper says"
_AXES = ("transfer", "localization")
_SIDE = {"log_perplexity": "log-perplexity (nats)", "right_language": "right language", "repetition": "repetition"}


def found(results: Results) -> str:
    """Markdown of one model's tables; the first paragraph is the finding in a line."""
    names = ("depth", "cosines", "against", "plane", "controls")
    depth, cosines, against, plane, controls = map(results.table, names)
    line = " ".join((_depth_line(depth), _cosine_line(cosines), _both_line(against)))
    parts = [
        _depth(depth),
        _cosines(cosines),
        _plane(results, plane),
        _against(against),
        _controls(controls),
        _side_effects(plane),
    ]
    return "\n\n".join((line, *parts)) + "\n"


def _depth_line(depth: pd.DataFrame) -> str:
    en, loc, by_score = (one(depth, by="score", measure="peak", vector=name) for name in ("EN", "LOC", "LOC - EN"))
    by_margin = one(depth, by="margin", measure="peak", vector="LOC - EN")
    score, margin = (verdict(row, "deeper", "shallower", "no deeper, as far as can be told,") for row in (by_score, by_margin))
    said = f"{score} by both the score and the margin" if score == margin else f"{score} by the score, {margin} by the margin"
    best = (f"layer {row['layer']:.0f} [{row['low']:.0f}, {row['high']:.0f}]" for row in (en, loc))
    return (
        f"**Depth:** of {en['layers']} layers, facts are steered best at {next(best)} and culture at {next(best)} (95% of "
        f"resamples); culture's best layer is {said}; the paper says deeper."
    )


def _cosine_line(cosines: pd.DataFrame) -> str:
    size, near = cosines[cosines["measure"] == "cosine"]["value"].abs(), cosines["near"].iloc[0]
    share = float((size <= near).mean())
    word = "near perpendicular, as the paper says" if share >= 0.9 else "not near perpendicular everywhere"
    return (
        f"**Angle:** EN and LOC are {word}: their cosine lies within ±{near:g} in {share:.0%} of layers and locales (median "
        f"size {size.median():.2f})."
    )


def _both_line(against: pd.DataFrame) -> str:
    def where(side: str, other: str) -> list[str]:
        rows = [one(against, method="surgical", against=other, score=score) for score in _AXES]
        return [row["score"] for row in rows if verdict(row) == side]

    more = {other: where("more", other) for other in ("EN", "LOC")}
    less = [f"{other} alone on {' and '.join(scores)}" for other in more if (scores := where("less", other))]
    if all(len(scores) == 2 for scores in more.values()):
        return f"**Both axes:** surgical steering beats EN and LOC alone on both, {_PAPER}."
    beats = [f"{other} alone on {' and '.join(scores)}" for other, scores in more.items() if scores]
    worse = f", and does worse than {' and '.join(less)}" if less else ""
    shown = " and ".join(beats) or "neither EN nor LOC alone on any axis"
    return f"**Both axes:** surgical steering is shown to beat {shown}{worse}; the paper says both, on both."


def _depth(depth: pd.DataFrame) -> str:
    rows = [
        [
            row["vector"],
            row["by"],
            row["measure"],
            f"{row['layer']:.1f} [{row['low']:.1f}, {row['high']:.1f}]",
            round(row["gain"], 3),
            row["deeper"] if row["deeper"] != row["deeper"] else f"{row['deeper']:.0%}",
        ]
        for row in depth.to_dict("records")
    ]
    header = ["vector", "by", "measure", "layer [95% of resamples]", "gain at the peak", "deeper in"]
    peaks = [one(depth, vector=name, by="score", measure="peak") for name in ("EN", "LOC")]
    n = " and ".join(f"{row['n']:.0f} concepts for {row['vector']}" for row in peaks)
    return (
        f"**Where each vector works** (dev; {n}; a layer counts with its best strength; the gain is the best of many, so it is "
        f"too large):\n\n{table(header, rows)}\n\n{' '.join(map(_third, peaks))}\n\n![Change of scores by layer](depth.png)"
    )


def _third(row: Row) -> str:
    """In which third of the model a peak and its interval lie."""
    peak, low, high = (third(row[key], row["layers"]) for key in ("layer", "low", "high"))
    spread = "its whole interval too" if low == high else f"its interval goes from the {low} to the {high} third"
    return f"{row['vector']}'s best layer is in the {peak} third of the model; {spread}."


def _cosines(cosines: pd.DataFrame) -> str:
    keys, parts = ["locale", "layer"], dict(list(cosines.groupby("measure")))
    both = parts["cosine"].merge(parts["shuffled"], on=keys, suffixes=("", "_null"))
    both = both.merge(parts["ceiling"][[*keys, "value"]], on=keys, suffixes=("", "_ceiling"))
    thirds = both["layer"].map(lambda layer: third(layer, both["layer"].max() + 1))
    rows = []
    for name, part in both.groupby(thirds, sort=False):
        size, inside = part["value"].abs(), part["value"].between(part["low_null"], part["high_null"]).mean()
        null = part[["low_null", "high_null"]].abs().max(axis=1).median()
        numbers = (size.median(), size.max(), part["value_ceiling"].median(), null)
        rows.append([name, *(f"{number:.2f}" for number in numbers), f"{inside:.0%}"])
    header = [
        "third of the layers",
        "median size",
        "largest",
        "ceiling",
        "unrelated: 95% within ±",
        "cosines that are among these",
    ]
    return (
        "**How EN and LOC lie** (train; medians over layers and locales). The ceiling is what the noise of both leaves of the "
        "cosine of one direction with itself; unrelated: EN with LOC of shuffled labels.\n\n"
        f"{table(header, rows)}\n\n![Cosine of EN and LOC by layer](cosines.png)"
    )


def _plane(results: Results, plane: pd.DataFrame) -> str:
    means, scores = mean_rows(plane), (*_AXES, "english_centric", "consistency")
    rows = []
    for method, own in means.groupby("method", sort=False):
        by_score = {row["score"]: row for row in own.to_dict("records")}
        unsteered = method == "unsteered"
        cells = [f"{by_score[score]['value']:.2f}" if unsteered else marked(by_score.get(score)) for score in scores]
        rows.append([method, *cells])
    chosen = "; ".join(f"{choice['method']}: {steps_word(choice['steps'])}" for choice in results.json("chosen"))
    return (
        f"**The plane on test** ({_concepts(means)}; changes against unsteered, paired 95% intervals over concepts, bold where "
        f"they exclude zero). Chosen on dev: {chosen}.\n\n{table(['method', *map(score_word, scores)], rows)}\n\n"
        "![The transfer-localization plane](plane.png)\n\n![Items gained and lost](effects.png)"
    )


def _against(against: pd.DataFrame) -> str:
    scores, rows = list(dict.fromkeys(against["score"])), []
    for (method, other), own in against.groupby(["method", "against"], sort=False):
        by_score = {row["score"]: row for row in own.to_dict("records")}
        rows.append([f"{method} less {other}", *(marked(by_score.get(score)) for score in scores)])
    return (
        "**One method against another**, on the same items (bold: the interval excludes zero):\n\n"
        f"{table(['methods', *map(score_word, scores)], rows)}"
    )


def _controls(controls: pd.DataFrame) -> str:
    rows = [
        [row["method"], row["score"], interval(row), row["draws"] if row["draws"] > 1 else "", round(row["p"], 3)]
        for score in _AXES
        for row in rows_of(controls, score=score)
        if row["method"] != "unsteered"
    ]
    return (
        f"**Controls** (a part of test: {_concepts(controls)}; in brackets 95% of the draws where there are draws; p: share of "
        "draws that change the score at least as much as the plan does):\n\n"
        f"{table(['method', 'score', 'change', 'draws', 'p'], rows)}\n\n![The plane with controls](controls.png)"
    )


def _side_effects(plane: pd.DataFrame) -> str:
    means, rows = mean_rows(plane), []
    for method, own in means[means["score"].isin(list(_SIDE))].groupby("method", sort=False):
        by_score = {row["score"]: row for row in own.to_dict("records")}
        rows.append([method, *(_with_change(by_score[score]) if score in by_score else "" for score in _SIDE)])
    return f"**Side effects** (test questions; value and change):\n\n{table(['method', *_SIDE.values()], rows)}"


def _with_change(row: Row) -> str:
    change = f" ({row['change']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}])"
    return f"{row['value']:.2f}{'' if row['method'] == 'unsteered' else change}"


def _concepts(means: pd.DataFrame) -> str:
    n = {score: one(means, method="unsteered", score=score)["n"] for score in _AXES}
    return f"{n['transfer']} factual and {n['localization']} cultural concepts"
