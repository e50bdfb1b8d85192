"""Counts how often judges find the planted directions, and how often they make claims when nothing is planted."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.evaluation.running import Executor
from steerlens.progress import progress
from steerlens.provenance import provenance
from steerlens.tables import ResultTable
from steerlens.testbed.judging import JUDGES, Judge
from steerlens.testbed.planted import Planted, planted

if TYPE_CHECKING:
    import pandas as pd

PLANTED, NOTHING = "planted", "nothing planted"


@dataclass(frozen=True, eq=False)
class Rates(ResultTable):
    """The claims of judges about planted models and about twin models in which nothing is planted, with one row for each
    model and judge.

    Columns: seed, model (``planted`` or ``nothing planted``), en_layer and loc_layer (the planted layers; empty if nothing is
    planted), judge, claims (joined by semicolons), found (empty if nothing is planted).
    """

    seen: "pd.DataFrame | None" = field(default=None, repr=False)
    """The measurements of the judges by layer, which are not saved. The columns are seed, model, en_layer, loc_layer, judge,
    measure, layer, value."""

    columns: ClassVar[tuple[str, ...]] = ("seed", "model", "en_layer", "loc_layer", "judge", "claims", "found")

    def summary(self) -> "pd.DataFrame":
        """Returns the number of models about which each judge was right.

        Returns:
            A table with the columns judge, found (the number of planted models in which the judge found the planted
            directions), planted (the number of planted models), silent (the number of twins about which the judge made no
            claim), nothing (the number of twins).
        """
        import pandas as pd

        return pd.DataFrame([_right(judge, own) for judge, own in self.frame.groupby("judge", sort=False)])


def rates(
    seeds: Iterable[int],
    judges: Mapping[str, Judge] = JUDGES,
    *,
    locale: str = "es-ES",
    concepts: int = 80,
    executor: Executor | None = None,
) -> Rates:
    """Runs judges on the planted model of each seed, and on a twin model in which nothing is planted.

    Args:
        seeds: the seeds of the models. Each seed makes a model and its twin. The judges of this package take about five
            seconds for one seed on one processor core.
        judges: the judges by name. Your own judge is a function that gets a ``Planted`` and returns a ``Judgement``.
        locale: the locale of the models in addition to English.
        concepts: the number of concepts of each kind.
        executor: the executor that runs the seeds (see ``evaluation.sweep``). Workers in other processes must be able to
            import the judges.
    """
    import pandas as pd

    given = list(seeds)
    work = partial(_of_seed, dict(judges), locale, concepts)
    found: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    with progress(len(given), "Planted models", "seed") as bar:
        for rows, layers in map(work, given) if executor is None else executor.map(work, given):
            found += rows
            seen += layers
            bar.update()
    layered = ["seed", "model", "en_layer", "loc_layer"]
    kinds = dict.fromkeys(("en_layer", "loc_layer"), "Int64")
    frame = pd.DataFrame(found, columns=list(Rates.columns)).astype({**kinds, "found": "boolean"})
    by_layer = pd.DataFrame(seen, columns=[*layered, "judge", "measure", "layer", "value"]).astype(kinds)
    return Rates(frame, provenance(seeds=given, judges=list(judges), locale=locale, concepts=concepts), by_layer)


def _of_seed(judges: Mapping[str, Judge], locale: str, concepts: int, seed: int) -> tuple[list[dict], list[dict]]:
    """Returns the rows of the two models of a seed, and the measurements by layer."""
    found: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    for nothing in (False, True):
        bed = planted(seed, nothing=nothing, locales=(locale,), concepts=concepts)
        truth = {name: own.layer for name, own in bed.truth.get(locale, {}).items()}
        label = {"seed": seed, "model": NOTHING if nothing else PLANTED}
        label |= {"en_layer": truth.get("EN"), "loc_layer": truth.get("LOC")}
        for name, judge in judges.items():
            row, layers = _judged(judge, bed)
            found.append({**label, "judge": name, **row})
            seen += [{**label, "judge": name, **layer} for layer in layers]
    return found, seen


def _judged(judge: Judge, bed: Planted) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    own = judge(bed)
    layers = (
        {"measure": measure, "layer": layer, "value": value}
        for measure, values in own.seen.items()
        for layer, value in enumerate(values)
    )
    return {"claims": "; ".join(own.claims), "found": own.found}, layers


def _right(judge: str, own: "pd.DataFrame") -> dict[str, Any]:
    there, nothing = (own[own["model"] == model] for model in (PLANTED, NOTHING))
    silent = int((nothing["claims"] == "").sum())
    return {
        "judge": judge, "found": int(there["found"].sum()), "planted": len(there), "silent": silent, "nothing": len(nothing),
    }  # fmt: skip
