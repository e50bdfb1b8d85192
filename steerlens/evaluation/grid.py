"""The grid of cells of a sweep. A cell is one vector at one layer with one strength. Cells are run, predicted, or first
predicted and then run if they are promising."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest

import numpy as np

from steerlens.data import ENGLISH, Items, Kind
from steerlens.errors import SettingsError
from steerlens.evaluation.attribution import Attribution
from steerlens.evaluation.evidence import are_written, written_by
from steerlens.evaluation.finite import finite
from steerlens.evaluation.item_scores import English, Row, choice_rows
from steerlens.evaluation.outcomes import Outcome, Writing
from steerlens.evaluation.running import Running
from steerlens.evaluation.scores import is_of_english, without_companions
from steerlens.evaluation.slopes import SlopePart, Slopes, slopes_of
from steerlens.evaluation.tasks import ScoringTask
from steerlens.evaluation.text_tasks import WritingTask
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.scores import Score
from steerlens.settings import Scoring
from steerlens.steering import Intervention, SteeringPlan, SteeringVector, StepSpec, VectorSet
from steerlens.steering.contrasts import builtin_aim

Place = tuple[str, Kind]
"""The key of one part of the items: a locale and a kind of items."""
PLANS = 96
"""The largest number of plans of one task. If tasks were larger, more results would be lost at an interruption. If tasks were
smaller, more passes of the unsteered model would be repeated."""
_PROMISING = 0.07
"""The share of each vector's cells that a screened sweep runs."""
LEAST, _LAYERS = 6, 3
"""The smallest number of cells that a screened sweep runs for each vector, and the smallest number of different layers of the
cells. Several layers are needed because contrasts are combined at different layers."""


@dataclass(frozen=True, eq=False)
class Cell:
    """The results of one cell on the items of one locale and kind."""

    outcomes: Sequence[Outcome]
    exact: bool
    """Whether the cell was run and not predicted."""
    items: tuple[int, ...] | None = None
    """The indices of the items on which the cell was run; ``None`` means all items."""


Found = dict[Place, dict[StepSpec, Cell]]


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells of a sweep: every vector, layer and strength, on the items of some locales and kinds."""

    model: LensModel
    parts: Mapping[Place, Items]
    vectors: VectorSet
    cells: Sequence[StepSpec]
    scoring: Scoring
    batch_size: int | None
    memory: int
    running: Running
    scores: Mapping[str, tuple[Score, ...]]
    """The scores of each vector, by the vector's name. The cells of a vector are run on the kinds of items on which its
    scores are measured."""
    _bases: dict[Place, Sequence[Outcome]] = field(default_factory=dict)

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales of the items."""
        return tuple(dict.fromkeys(code for code, _ in self.parts))

    def measured(self, place: Place, vector: str) -> list[Score]:
        """Returns the scores of a vector on one part of the items (the items of a locale and kind). If English is the only
        locale or has its own vectors, all scores are included for English items. Otherwise, scores that compare other locales
        with English are left out for English items."""
        every = place[0] != ENGLISH or ENGLISH in self.vectors.locales or self.locales == (ENGLISH,)
        return [score for score in self.scores[vector] if place[1] in score.kinds and (every or is_of_english(score))]

    def run(
        self,
        cells: Iterable[StepSpec] | None = None,
        title: str = "Sweep",
        *,
        short: bool = False,
        is_wanted: Callable[[StepSpec, Place], bool] = lambda _cell, _place: True,
    ) -> Found:
        """Runs cells and returns their outcomes on the items on which each vector is measured. ``None`` runs all cells.

        With ``short``, logits are computed for only a part of the vocabulary, and the cells count as predicted.
        """
        wanted = list(self.cells if cells is None else cells)
        found: Found = {place: {} for place in self.parts}
        labels, tasks = [], []
        for place, part in self.parts.items():
            own = list(self._plans(place, [cell for cell in wanted if is_wanted(cell, place)]))
            for at in range(0, len(own), PLANS):
                some = own[at : at + PLANS]
                labels.append((place, [cell for cell, _ in some]))
                tasks.append(self._task(part, [plan for _, plan in some], short=short))
        with progress(sum(task.size for task in tasks), title, "item") as bar:
            for task, (place, own_cells), result in zip(tasks, labels, self.running.results(tasks, self.model, bar), strict=True):
                bar.set_postfix_str(place[0])
                base, *steered = task.outcomes(result)
                self._bases.setdefault(place, finite(base, self.model))
                found[place] |= {cell: Cell(own, exact=not short) for cell, own in zip(own_cells, steered, strict=True)}
        return found

    def _task(self, part: Items, plans: Sequence[SteeringPlan], *, short: bool = False) -> ScoringTask:
        return ScoringTask(tuple(part), tuple(plans), self.scoring, self.batch_size, self.memory, short)

    def _plans(self, place: Place, cells: Iterable[StepSpec]) -> Iterator[tuple[StepSpec, SteeringPlan]]:
        own = self._vectors_at(place)
        for cell in cells:
            if cell.vector in own:
                yield cell, own[cell.vector].at(cell.layer, cell.strength, cell.tokens)

    def _vectors_at(self, place: Place) -> Mapping[str, Intervention]:
        """Returns the vectors that are measured on one part of the items, by name."""
        return {name: vector for name, vector in self.vectors.of(place[0]).items() if self.measured(place, name)}

    def predict(self, run: Found | None = None) -> Found:
        """Returns every cell's outcomes. Cells in ``run`` keep their outcomes, and all other cells are predicted. The
        prediction for a layer passes through the cells that were run at this layer.

        Raises:
            SettingsError: an intervention does not add a vector, and none of its cells was run at some layer.
        """
        slopes = self._slopes()
        bases, found = self.bases(), {}
        for place, base in bases.items():
            known = (run or {}).get(place, {})
            margins = np.array([outcome.margin for outcome in base])
            own = slopes[place].of if place in slopes else {}
            attributed = {name: own.get(name) or Attribution.unknown(name) for name in self._vectors_at(place)}
            for cell, held in known.items():
                change = np.array([outcome.margin for outcome in held.outcomes]) - margins
                attributed[cell.vector] = attributed[cell.vector].anchored(cell.layer, cell.strength, change)
            found[place] = {
                cell: known[cell] if cell in known else _predicted(attributed[cell.vector], cell, base)
                for cell in self.cells
                if cell.vector in attributed
            }
        return found

    def _slopes(self) -> dict[Place, Slopes]:
        """Returns the derivatives of margins for interventions that add a vector, and stores the unsteered outcomes. The
        effects of other interventions are known only in cells that were run."""
        layers: dict[str, set[int]] = {}
        for cell in self.cells:
            layers.setdefault(cell.vector, set()).add(cell.layer)
        parts: dict[Place, SlopePart] = {}
        for place, part in self.parts.items():
            own = {name: vector for name, vector in self._vectors_at(place).items() if name in layers}
            added = tuple((v, tuple(sorted(layers[name]))) for name, v in own.items() if isinstance(v, SteeringVector))
            if added:
                parts[place] = SlopePart(tuple(part), added)
        found = slopes_of(parts, self.model, self.running, self.cells[0].tokens, self.scoring, self.batch_size, self.memory)
        for place, slopes in found.items():
            self._bases.setdefault(place, finite(slopes.base, self.model))
        return found

    def screen(self) -> Found:
        """Runs the most promising cells and predicts all other cells from the derivative and from one strength at every
        layer.

        The one strength is run with logits for only a part of the vocabulary, and only on the items on which the vector's own
        score is measured. For all other items, the prediction uses only the derivative.

        Raises:
            SettingsError: the only strength is 0.
        """
        strengths = sorted({cell.strength for cell in self.cells} - {0.0}, key=abs)
        if not strengths:
            raise SettingsError(
                "only strength 0 given for a screened sweep: expected at least one other strength. Give other strengths."
            )
        anchor = strengths[len(strengths) // 2]
        cells = [cell for cell in self.cells if cell.strength == anchor]
        anchors = self.run(cells, "Sweep, one strength", short=True, is_wanted=self._is_meant)
        predicted = self.predict(anchors)
        more = self.run(self._promising(predicted), "Sweep, promising cells")
        return {place: {**predicted.get(place, {}), **more[place]} for place in self.parts}

    def _is_meant(self, cell: StepSpec, place: Place) -> bool:
        """Returns whether a screened sweep runs a cell on a kind of items before other strengths are predicted. A steering
        vector is run only on the items on which its own score is measured."""
        aims = [score for score in self.scores[cell.vector] if score.name == self.aim(cell.vector)]
        added = isinstance(self.vectors.of(place[0]).get(cell.vector), SteeringVector)
        return not added or not aims or place[1] in aims[0].kinds

    def aim(self, name: str) -> str:
        """Returns the name of the score that a vector is meant to raise, or an empty text if no score is known."""
        return next((v.score for v in self.vectors.named(name).values() if v.score), "") or builtin_aim(name)

    def own_score(self, name: str) -> Score:
        """Returns the score that a vector is meant to raise. If this score is not measured for the vector, the vector's first
        score is returned."""
        return next((score for score in self.scores[name] if score.name == self.aim(name)), self.scores[name][0])

    def _promising(self, found: Found) -> list[StepSpec]:
        """Returns the cells of each vector with the largest predicted gains in the score that the vector is meant to raise.
        If the score is not measured, the best cells of all measured scores are taken in turn."""
        chosen: list[StepSpec] = []
        for vector in dict.fromkeys(cell.vector for cell in self.cells):
            by_name = {score.name: score for score in self.scores[vector]}
            every = [score for name in without_companions(by_name) if (score := by_name[name]).evidence == "choices"]
            wanted = [score for score in every if score.higher_is_better]
            orders = []
            for score in [score for score in wanted if score.name == self.aim(vector)] or wanted:
                here = {place: cells for place, cells in found.items() if score in self.measured(place, vector)}
                gains = _gains(here, self.bases(), score, by_name.get(score.companion), vector)
                orders.append(sorted(gains, key=gains.__getitem__, reverse=True))
            share = round(_PROMISING * sum(cell.vector == vector for cell in self.cells))
            chosen += first_of(orders, max(LEAST, share))
        return chosen

    def bases(self) -> dict[Place, Sequence[Outcome]]:
        """Returns the unsteered outcomes by locale and kind.

        Raises:
            ModelError: scores of the unsteered model are not finite.
        """
        missing = {place: self._task(part, ()) for place, part in self.parts.items() if place not in self._bases}
        with progress(sum(task.size for task in missing.values()), "Unsteered", "item", show=len(missing) > 1) as bar:
            results = self.running.results(list(missing.values()), self.model, bar)
            for (place, task), result in zip(missing.items(), results, strict=True):
                self._bases[place] = finite(task.outcomes(result)[0], self.model)
        return {place: self._bases[place] for place in self.parts}

    def rows(self, found: Found, english: English, max_new_tokens: int) -> Iterator[Row]:
        """Yields one row for each cell, item and score. The column ``base`` contains the unsteered score.

        Scores of generated text are measured only in cells that were run.
        """
        said = self._written(found, max_new_tokens)
        for place, base in self.bases().items():
            before: dict[tuple[str, bool, tuple[int, ...] | None], list[Row]] = {}
            for cell, held in found[place].items():
                own, kept = self.measured(place, cell.vector), (cell.vector, held.exact, held.items)
                at = range(len(base)) if held.items is None else held.items
                if kept not in before:
                    texts = said.get((place, None)) if held.exact else None
                    written = None if texts is None else [texts[index] for index in at]
                    before[kept] = list(choice_rows([base[index] for index in at], own, english, written))
                label = {**asdict(cell), "exact": held.exact}
                texts = said.get((place, cell))
                written = None if texts is None else [texts[index] for index in at]
                yield from _paired(label, choice_rows(held.outcomes, own, english, written), before[kept])

    def _written(self, found: Found, max_new_tokens: int) -> dict[tuple[Place, StepSpec | None], list[Writing]]:
        """Returns the texts generated by the unsteered model (key ``None``) and in every cell that was run, for vectors with
        scores of generated text."""
        tasks: dict[tuple[Place, StepSpec | None], WritingTask] = {}
        for place, part in self.parts.items():
            run = [cell for cell, held in found[place].items() if held.exact and are_written(self.measured(place, cell.vector))]
            for cell, plan in ((None, None), *self._plans(place, run)) if run else ():
                tasks[place, cell] = WritingTask(tuple(part), plan, max_new_tokens, self.batch_size, self.scoring)
        return written_by(tasks, self.model, self.running)


def _predicted(attribution: Attribution, cell: StepSpec, base: Sequence[Outcome]) -> Cell:
    return Cell(_moved(base, attribution.predict(cell.layer, cell.strength)), exact=False)


def _paired(label: Mapping[str, object], steered: Iterable[Row], before: Iterable[Row]) -> Iterator[Row]:
    for after, base in zip(steered, before, strict=True):
        yield {**label, **after, "base": base["value"]}


def _moved(base: Sequence[Outcome], change: np.ndarray) -> list[Outcome]:
    """Returns the unsteered outcomes with the predicted changes added to their margins."""
    return [outcome.moved(step if math.isfinite(step) else math.nan) for outcome, step in zip(base, change.tolist(), strict=True)]


def parts_of(items: Items, locales: Iterable[str], kinds: Sequence[Kind]) -> dict[Place, Items]:
    """Returns the items of each locale and kind.

    Raises:
        UnknownNameError: a locale has no items.
    """
    return {
        (locale, kind): part
        for locale in dict.fromkeys(locales)
        for kind in kinds
        if len(part := items.of(kind=kind, locale=locale))
    }


def first_of(orders: Sequence[Sequence[StepSpec]], n: int) -> list[StepSpec]:
    """Returns ``n`` cells from the tops of several ordered lists, taken from the lists in turn. The best cells of several
    layers are always included."""
    merged = [cell for rank in zip_longest(*orders) for cell in rank if cell is not None]
    by_layer: dict[int, StepSpec] = {}
    for cell in merged:
        by_layer.setdefault(cell.layer, cell)
    return list(dict.fromkeys([*list(by_layer.values())[:_LAYERS], *merged]))[:n]


def _gains(
    found: Found, bases: Mapping[Place, Sequence[Outcome]], score: Score, finer: Score | None, vector: str
) -> dict[StepSpec, tuple[float, ...]]:
    """Returns the mean predicted change of a score and of its companion (the argument ``finer``), for each cell of a vector.
    Cells with changes that are not finite are left out."""
    changes: dict[StepSpec, list[list[float]]] = {}
    measured = [score, *([finer] if finer else [])]
    for (code, kind), cells in found.items():
        if kind in score.kinds:
            before = bases[code, kind]
            for cell, held in cells.items():
                if cell.vector == vector:
                    own = changes.setdefault(cell, [[] for _ in measured])
                    for values, each in zip(own, measured, strict=True):
                        values += [each.value(a) - each.value(b) for a, b in zip(held.outcomes, before, strict=True)]
    means = {cell: tuple(float(np.mean(values)) for values in own) for cell, own in changes.items()}
    return {cell: gain for cell, gain in means.items() if np.isfinite(gain).all()}
