"""Choosing one plan each for EN, LOC and surgical steering, from dev alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from steerlens.data import KINDS, Items
from steerlens.errors import SettingsError
from steerlens.evaluation.grid import Cell, exams_of, scored_rows
from steerlens.evaluation.questions import Scoring
from steerlens.evaluation.sweeps import Sweep, cells
from steerlens.models.lens import LensModel
from steerlens.steering import SteeringPlan, SteeringVector, Which

if TYPE_CHECKING:
    import pandas as pd

VectorsByLocale = Mapping[str, Mapping[str, SteeringVector]]
"""``vectors["es-ES"]["EN"]``."""

_CANDIDATES = 3
"""Cells of each vector that surgical steering combines: their pairs are run for real on dev."""


@dataclass(frozen=True)
class Chosen:
    """One method's cells and what dev said of them."""

    method: str
    cells: tuple[Cell, ...]
    transfer: float
    """Change of T on dev, over all locales' items."""
    localization: float
    """Change of L on dev."""

    def __str__(self) -> str:
        return " + ".join(map(str, self.cells))

    def plan(self, vectors: Mapping[str, SteeringVector], tokens: Which = "all") -> SteeringPlan:
        """The plan for one locale's vectors."""
        first, *others = (vectors[cell.vector].at(cell.layer, cell.strength, tokens) for cell in self.cells)
        for plan in others:
            first = first + plan
        return first

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        steps = [{"vector": c.vector, "layer": c.layer, "strength": c.strength} for c in self.cells]
        return {"method": self.method, "steps": steps, "dev_transfer": self.transfer, "dev_localization": self.localization}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Chosen":
        """The inverse of ``to_dict``."""
        steps = tuple(Cell(**step) for step in values["steps"])
        return cls(values["method"], steps, values["dev_transfer"], values["dev_localization"])


def choose(
    model: LensModel,
    dev: Items,
    swept: Sweep,
    vectors: VectorsByLocale,
    *,
    tokens: Which = "all",
    scoring: Scoring | None = None,
    batch_size: int | None = None,
) -> tuple[tuple[Chosen, ...], Sweep]:
    """One plan each for EN, LOC and surgical steering, by what they did on dev over all locales.

    EN is the cell with the largest change of transfer, LOC the one with the largest change of localization; ties go to
    the larger change of margin, then to the smaller strength. Surgical combines the best cells of both, judged by their
    gain less what they cost the other score, at two different layers; each combination is run on dev, and the one whose
    lesser gain is largest is taken.

    Returns:
        The choices, and the surgical combinations' results as a table like the sweep's.

    Raises:
        SettingsError: the sweep lacks EN or LOC, or has only one layer.
    """
    table = _cells(swept.frame[swept.frame["exact"]], ["vector", "layer", "strength"])  # a prediction is no evidence
    en, loc = (table[table["vector"] == name] for name in ("EN", "LOC"))
    if en.empty or loc.empty or table["layer"].nunique() < 2:
        raise SettingsError(
            f"the sweep holds {len(en)} EN and {len(loc)} LOC cells that were run, at {table['layer'].nunique()} layers: "
            "choosing needs cells of both vectors that were run, not predicted, at two layers or more. Sweep both, with more "
            "layers, in mode 'exact' or 'screened'."
        )
    best_en = _best(en, "transfer")
    best_loc = _best(loc, "localization")
    pairs = [(a, b) for a, b in product(_candidates(en, "transfer"), _candidates(loc, "localization")) if a.layer != b.layer]
    if not pairs:
        pairs = [(_best(en, "transfer"), _best(loc[loc["layer"] != best_en.layer], "localization"))]
    combos = {f"{a} + {b}": (a, b) for a, b in pairs}
    plans = {
        locale: [({"method": name}, Chosen("surgical", pair, 0.0, 0.0).plan(own, tokens)) for name, pair in combos.items()]
        for locale, own in vectors.items()
    }
    exams = exams_of(model, dev, vectors, KINDS, scoring, batch_size)
    rows = scored_rows(exams, plans, "Surgical")
    import pandas as pd

    tried = pd.DataFrame(rows)
    joint = _cells(tried, ["method"])
    joint["lesser"] = joint[["transfer", "localization"]].min(axis=1)
    joint["sum"] = joint["transfer"] + joint["localization"]
    top = joint.sort_values(["lesser", "sum", "margin"], ascending=False).iloc[0]
    surgical = Chosen("surgical", combos[top["method"]], float(top["transfer"]), float(top["localization"]))
    chosen = (_chosen("EN", best_en, table), _chosen("LOC", best_loc, table), surgical)
    return chosen, Sweep(_as_sweep(tried, combos))


def _cells(frame: "pd.DataFrame", by: Sequence[str]) -> "pd.DataFrame":
    """Changes of T and L side by side, and the sum of both margins' changes."""
    scores = {score: cells(frame, by, score).set_index(list(by)) for score in ("transfer", "localization")}
    table = scores["transfer"][[]].copy()
    for score, part in scores.items():
        table[score], table[f"{score}_margin"] = part["change"], part["margin"]
    table["margin"] = table["transfer_margin"] + table["localization_margin"]
    return table.reset_index()


def _ranked(table: "pd.DataFrame", by: Sequence[str]) -> list[Cell]:
    ranked = table.assign(size=table["strength"].abs())
    ranked = ranked.sort_values([*by, "size"], ascending=[False] * len(by) + [True], kind="stable")
    return [Cell(row.vector, int(row.layer), float(row.strength)) for row in ranked.itertuples()]


def _best(table: "pd.DataFrame", score: str) -> Cell:
    return _ranked(table, [score, f"{score}_margin"])[0]


def _candidates(table: "pd.DataFrame", score: str) -> list[Cell]:
    other = "localization" if score == "transfer" else "transfer"
    net = table.assign(net=table[score] + table[other].clip(upper=0))
    return list(dict.fromkeys([_best(table, score), *_ranked(net, ["net", "margin"])]))[:_CANDIDATES]


def _chosen(method: str, cell: Cell, table: "pd.DataFrame") -> Chosen:
    row = table[(table["vector"] == cell.vector) & (table["layer"] == cell.layer) & (table["strength"] == cell.strength)].iloc[0]
    return Chosen(method, (cell,), float(row["transfer"]), float(row["localization"]))


def _as_sweep(tried: "pd.DataFrame", combos: Mapping[str, tuple[Cell, Cell]]) -> "pd.DataFrame":
    """The combinations in the sweep's columns: EN's layer and strength, and LOC's beside them."""
    en = {name: pair[0] for name, pair in combos.items()}
    loc = {name: pair[1] for name, pair in combos.items()}
    return tried.assign(
        vector="surgical",
        layer=tried["method"].map(lambda m: en[m].layer),
        strength=tried["method"].map(lambda m: en[m].strength),
        loc_layer=tried["method"].map(lambda m: loc[m].layer),
        loc_strength=tried["method"].map(lambda m: loc[m].strength),
    )
