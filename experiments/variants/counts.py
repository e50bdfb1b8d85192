"""How many items are scored under how many cells, before anything is run."""

from collections.abc import Sequence

from experiments.steps import Source
from experiments.variants.made import VARIANTS
from steerlens.data import ENGLISH, KINDS, Items, Kind
from steerlens.evaluation.searching.steps import CANDIDATES

FOR: dict[str, Kind] = {"EN": "factual", "LOC": "cultural"}
"""The kind of items that each vector is for."""
SPEED = 25
"""The item-cells a second that two cores do of the embedded model, roughly."""


def planned(source: Source, layers: Sequence[int]) -> dict[str, int]:
    """Returns the number of item-cells of each step: one is an item scored under one vector, layer and strength.

    Args:
        source: the items.
        layers: the swept layers.
    """
    config, dev = source.config, source.part("dev")
    on = {kind: _n(dev.of(kind=own)) for kind, own in FOR.items()}
    of = {kind: sum(variant.kind == kind for variant in VARIANTS) for kind in FOR}
    cells = [((len(layers) - one.layers_less) * len(one.swept(config)), on[one.kind]) for one in VARIANTS]
    tested = sum((of[kind] + 1) * _n(part_of_test(source, kind)) for kind in FOR)
    return {
        "unsteered": _n(dev) + len(source.train.of(kind="factual", locale=ENGLISH)),
        "sweep": sum(n * items for n, items in cells),
        "chosen together": (CANDIDATES + CANDIDATES**2) * _n(dev),
        "climb": (config["climb"] + 2) * _n(dev),
        "test": tested + 4 * _n(source.part("test")),
    }


def said(counts: dict[str, int]) -> str:
    """Writes the numbers in words.

    Args:
        counts: the item-cells of each step.
    """
    total = sum(counts.values())
    each = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    return f"{total:,} item-cells ({each}): {total / SPEED / 60:.0f} minutes at {SPEED} a second"


def part_of_test(source: Source, kind: str) -> Items:
    """Returns the test items of one kind of vectors: all concepts that it is for, and a few of the others.

    Args:
        source: the items.
        kind: ``EN`` or ``LOC``.
    """
    few = {own: None if own == FOR[kind] else int(source.config["other"]) for own in KINDS}
    return source.part("test").sample(few, seed=source.config["seed"])


def _n(items: Items) -> int:
    return sum(item.locale != ENGLISH for item in items)
