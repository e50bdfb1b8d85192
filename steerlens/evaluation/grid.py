"""The grid of a sweep: cells that are run, predicted, or predicted and then run where it looks promising."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from steerlens.data import Items, Kind
from steerlens.errors import SettingsError
from steerlens.evaluation.attribution import Attribution, attributions
from steerlens.evaluation.finite import finite
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.questions import Scoring
from steerlens.evaluation.scorer import Scorer
from steerlens.models.engine import MEMORY
from steerlens.models.lens import LensModel
from steerlens.progress import advance, progress
from steerlens.steering import SteeringPlan, SteeringVector, Which

Rows = list[dict[str, Any]]
Exams = Mapping[tuple[str, Kind], Scorer]
"""By locale and kind."""
_PROMISING = 0.15
"""Share of each vector's cells that a screened sweep runs for each score, beside one strength of every layer."""


@dataclass(frozen=True)
class Cell:
    """Where and how strongly one vector is added, in every locale alike; the vector is each locale's own."""

    vector: str
    layer: int
    strength: float

    def __str__(self) -> str:
        return f"{self.strength:g} × {self.vector} at layer {self.layer}"


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells on exams. The rows of all three ways have the same columns, ``exact`` among them."""

    exams: Exams
    vectors: Sequence[SteeringVector]
    cells: Sequence[Cell]
    tokens: Which

    def run(self, cells: Iterable[Cell] | None = None, title: str = "Sweep") -> Rows:
        """A row per cell and item, each run for real."""
        wanted = list(self.cells if cells is None else cells)
        plans = {
            locale: [
                (asdict(cell), own[cell.vector].at(cell.layer, cell.strength, self.tokens))
                for cell in wanted
                if cell.vector in own
            ]
            for locale, own in self._by_locale().items()
        }
        return scored_rows(self.exams, plans, title)

    def predict(self, exact: Iterable[dict[str, Any]] = ()) -> Rows:
        """A row per cell and item, predicted, but for those that ``exact`` holds; which bend the prediction of others."""
        rows = list(exact)
        known = _by_exam(rows)
        with progress(len(self.exams), "Attribution", "locale and kind") as bar:
            for (locale, kind), exam in self.exams.items():
                for name, attribution in self._attributions(locale, exam).items():
                    run = known.get((locale, kind, name), {})
                    base = finite(exam.base, exam.model)
                    for cell, margins in run.items():
                        attribution = attribution.anchored(cell.layer, cell.strength, margins)
                    for cell in self.cells:
                        if cell.vector == name and cell not in run:
                            rows.extend(_predicted(cell, base, attribution.predict(cell.layer, cell.strength)))
                bar.update()
        return rows

    def screen(self) -> Rows:
        """One strength of every vector and layer run, the others predicted, the most promising of them run.

        Raises:
            SettingsError: no strength but 0.
        """
        strengths = sorted({cell.strength for cell in self.cells} - {0.0}, key=abs)
        if not strengths:
            raise SettingsError("a screened sweep of strength 0 alone was asked for: give strengths to predict from and to.")
        anchor = strengths[len(strengths) // 2]
        run = self.run([cell for cell in self.cells if cell.strength == anchor], "Sweep, one strength")
        predicted = self.predict(run)
        promising = _promising(predicted, [cell for cell in self.cells if cell.strength != anchor])
        more = self.run(promising, "Sweep, promising cells")
        return [row for row in predicted if row["exact"] or _cell(row) not in promising] + more

    def _by_locale(self) -> dict[str, dict[str, SteeringVector]]:
        own: dict[str, dict[str, SteeringVector]] = {}
        for vector in self.vectors:
            if vector.name in own.setdefault(vector.locale, {}):
                raise SettingsError(
                    f"two vectors called {vector.name!r} were given for {vector.locale or 'no locale'}: their cells could not be "
                    "told apart. Name them, as in dataclasses.replace(vector, name='mine')."
                )
            own[vector.locale][vector.name] = vector
        return own

    def _attributions(self, locale: str, exam: Scorer) -> dict[str, Attribution]:
        own = self._by_locale()[locale]
        layers = {name: sorted({cell.layer for cell in self.cells if cell.vector == name}) for name in own}
        return attributions(exam, [(own[name], layers[name]) for name in own], self.tokens)


def exams_of(
    model: LensModel,
    items: Items,
    locales: Iterable[str],
    kinds: Sequence[Kind],
    scoring: Scoring | None = None,
    batch_size: int | None = None,
    memory: int = MEMORY,
) -> Exams:
    """The items of each locale and kind, made batches.

    Raises:
        UnknownNameError: a locale without items.
    """
    return {
        (locale, kind): Scorer(model, part, scoring, batch_size=batch_size, memory=memory)
        for locale in dict.fromkeys(locales)
        for kind in kinds
        if len(part := items.of(kind=kind, locale=locale))
    }


def scored_rows(exams: Exams, plans: Mapping[str, Sequence[tuple[dict[str, Any], SteeringPlan]]], title: str) -> Rows:
    """A row per labelled plan and item of its locale: the label, the steered outcome and the unsteered one.

    Where scores are not finite, the margin is NaN and nothing is hit.

    Raises:
        ModelError: scores of the unsteered model that are not finite.
    """
    rows: Rows = []
    total = sum(len(exam) * len(plans[locale]) for (locale, _), exam in exams.items())
    with progress(total, title, "item") as bar:
        for (locale, _), exam in exams.items():
            bar.set_postfix_str(locale)
            share = len(exam) / exam.n_batches
            for index, outcomes in exam.sweep([plan for _, plan in plans[locale]]):
                advance(bar, share)
                if outcomes is not None:
                    rows.extend(
                        _row(plans[locale][index][0], steered.row(), base, exact=True)
                        for steered, base in zip(outcomes, finite(exam.base, exam.model), strict=True)
                    )
    return rows


def _row(label: Mapping[str, Any], steered: Mapping[str, Any], base: Outcome, *, exact: bool) -> dict[str, Any]:
    before = base.row()
    return {**label, "exact": exact, **steered, **{f"base_{name}": before[name] for name in ("hit", "english_centric", "margin")}}


def _predicted(cell: Cell, base: Sequence[Outcome], change: np.ndarray) -> Rows:
    """Rows of one cell: the answer wins where its margin is predicted to be above zero, else the best other choice unsteered."""
    rows = []
    for outcome, step in zip(base, change.tolist(), strict=True):
        margin = outcome.margin + (step if math.isfinite(step) else math.nan)
        english = margin <= 0 and outcome.runner_up == outcome.item.english_answer
        steered = {"hit": margin > 0, "english_centric": english, "margin": margin}
        rows.append(_row(asdict(cell), {**outcome.row(), **steered}, outcome, exact=False))
    return rows


def _by_exam(rows: Rows) -> dict[tuple[str, str, str], dict[Cell, np.ndarray]]:
    """Changes of margins of cells that were run, by locale, kind and vector, in the order of the items."""
    changes: dict[tuple[str, str, str], dict[Cell, list[float]]] = {}
    for row in rows:
        own = changes.setdefault((row["locale"], row["kind"], row["vector"]), {})
        own.setdefault(_cell(row), []).append(row["margin"] - row["base_margin"])
    return {key: {cell: np.array(values) for cell, values in own.items()} for key, own in changes.items()}


def _cell(row: Mapping[str, Any]) -> Cell:
    return Cell(row["vector"], row["layer"], row["strength"])


def _promising(rows: Rows, cells: Iterable[Cell]) -> list[Cell]:
    """Of each vector's cells, those with the largest predicted change of hits, then of margin, for each kind of item."""
    gains: dict[tuple[str, Cell], list[tuple[float, float]]] = {}
    for row in rows:
        gain = (float(row["hit"]) - float(row["base_hit"]), row["margin"] - row["base_margin"])
        gains.setdefault((row["kind"], _cell(row)), []).append(gain)
    means = {key: tuple(np.mean(values, axis=0)) for key, values in gains.items()}
    wanted, chosen = set(cells), []
    for kind, vector in dict.fromkeys((kind, cell.vector) for kind, cell in means):
        own = [
            cell for (k, cell), mean in means.items() if k == kind and cell.vector == vector and cell in wanted and _real(mean)
        ]
        own.sort(key=lambda cell: means[kind, cell], reverse=True)
        chosen += own[: max(1, round(_PROMISING * len(own)))]
    return list(dict.fromkeys(chosen))


def _real(gain: Sequence[float]) -> bool:
    return bool(np.isfinite(gain).all())
