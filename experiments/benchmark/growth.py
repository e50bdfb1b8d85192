"""How time and memory of an exact sweep grow when items, choices, layers and strengths are doubled in turn."""

from dataclasses import replace
from statistics import median

from timing import peak

import steerlens as sl
from steerlens.data import Item
from steerlens.evaluation import sweep
from steerlens.steering import SteeringVector
from steerlens.tables import markdown_table

_START = {"items": 8, "choices": 2, "layers": 4, "strengths": 2}
_BATCH = 8
"""Items at once: fixed, so that more items are more batches."""


def growth(model: sl.LensModel, items: sl.data.Items, vector: SteeringVector, runs: int) -> list[dict]:
    """A row per size: which was doubled and how often, time and peak memory, and their ratios to the start's."""
    sizes: list[tuple[str, int, dict[str, int]]] = [("start", 1, _START)]
    sizes += [
        (what, times, {**_START, what: _START[what] * times})
        for what in _START
        for times in ((2, 4) if what == "items" else (2,))
    ]
    seconds: dict[int, list[float]] = {at: [] for at in range(len(sizes))}
    memory: dict[int, list[float]] = {at: [] for at in range(len(sizes))}
    for run in range(runs + 1):  # the first does not count
        for at, (_, _, size) in enumerate(sizes):
            spent, grown = peak(lambda size=size: _sweep(model, items, vector, size))
            if run:
                seconds[at].append(spent)
                memory[at].append(grown)
    rows = []
    for at, (what, times, size) in enumerate(sizes):
        ratio = median(now / start for now, start in zip(seconds[at], seconds[0], strict=True))
        row = {
            "doubled": what,
            "times": times,
            **size,
            "seconds": median(seconds[at]),
            "ratio": ratio,
            "peak_mib": median(memory[at]),
        }
        rows.append(row)
        print(row)
    return rows


def _sweep(model: sl.LensModel, items: sl.data.Items, vector: SteeringVector, size: dict[str, int]) -> None:
    some = [_cut(item, size["choices"]) for item in list(items)[: size["items"]]]
    layers = [model.n_layers * at // size["layers"] for at in range(size["layers"])]
    strengths = [0.25 * 2**at for at in range(size["strengths"])]
    sweep(model, sl.data.Items(some), [vector], layers, strengths, tokens="last_onward", batch_size=_BATCH)


def _cut(item: Item, choices: int) -> Item:
    """The item with its answer first and only so many choices, those it has given again where they are too few."""
    kept = [item.choices[item.answer], *(choice for at, choice in enumerate(item.choices) if at != item.answer)]
    return replace(item, choices=tuple((kept * choices)[:choices]), answer=0)


def growth_table(rows: list[dict]) -> str:
    """Markdown."""
    sizes, lines = ["items", "choices", "layers", "strengths"], []
    for r in rows:
        what = r["doubled"] if r["times"] == 1 else f"{r['doubled']} × {r['times']}"
        numbers = [f"{r['seconds']:.2f}", f"{r['ratio']:.2f}", f"{r['peak_mib']:.0f}"]
        lines.append([what, *(r[size] for size in sizes), *numbers])
    return markdown_table(["doubled", *sizes, "seconds", "time, start = 1", "peak, MiB"], lines) + "\n"
