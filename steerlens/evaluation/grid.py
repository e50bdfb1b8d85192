"""The grid of a sweep: cells that are run, predicted, or predicted and then run where it looks promising."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from steerlens.data import Items, Kind
from steerlens.errors import SettingsError
from steerlens.evaluation.attribution import Attribution, attributions
from steerlens.evaluation.exam import MEMORY, Exam
from steerlens.evaluation.finite import finite
from steerlens.evaluation.item_scores import English, Row, choice_rows, writing_rows, written
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.questions import Scoring
from steerlens.evaluation.scores import without_companions
from steerlens.models.lens import LensModel
from steerlens.progress import advance, progress
from steerlens.scores import Score
from steerlens.steering import SteeringPlan, SteeringVector, StepSpec, VectorSet

Place = tuple[str, Kind]
"""A locale and a kind of items."""
Exams = Mapping[Place, Exam]
_PROMISING = 0.15
"""The share of each vector's cells that a screened sweep runs for each score, beside one strength of every layer."""


@dataclass(frozen=True, eq=False)
class Cell:
    """What one cell did to the items of one locale and kind."""

    outcomes: Sequence[Outcome]
    exact: bool
    """Whether it was run, not predicted."""


Found = dict[Place, dict[StepSpec, Cell]]


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of vectors, layers and strengths on items of some locales and kinds."""

    exams: Exams
    vectors: VectorSet
    cells: Sequence[StepSpec]

    def run(self, cells: Iterable[StepSpec] | None = None, title: str = "Sweep") -> Found:
        """Returns every cell's outcomes, each run for real; all cells for ``None``."""
        plans = {code: dict(self._plans(code, self.cells if cells is None else cells)) for code, _ in self.exams}
        found: Found = {place: {} for place in self.exams}
        with progress(sum(len(exam) * len(plans[code]) for (code, _), exam in self.exams.items()), title, "item") as bar:
            for (code, kind), exam in self.exams.items():
                bar.set_postfix_str(code)
                own = list(plans[code].items())
                for index, outcomes in exam.sweep([plan for _, plan in own]):
                    advance(bar, len(exam) / exam.n_batches)
                    if outcomes is not None:
                        found[code, kind][own[index][0]] = Cell(outcomes, exact=True)
        return found

    def _plans(self, locale: str, cells: Iterable[StepSpec]) -> Iterator[tuple[StepSpec, SteeringPlan]]:
        own = self.vectors.of(locale)
        for cell in cells:
            if cell.vector in own:
                yield cell, own[cell.vector].at(cell.layer, cell.strength, cell.tokens)

    def predict(self, run: Found | None = None) -> Found:
        """Returns every cell's outcomes, predicted, but for those that were run, which bend the prediction of the others.

        Raises:
            SettingsError: an intervention that is no addition, and none of its cells was run at a layer.
        """
        found: Found = {}
        with progress(len(self.exams), "Attribution", "locale and kind") as bar:
            for place, exam in self.exams.items():
                known = (run or {}).get(place, {})
                attributed, base = self._attributions(place[0], exam), finite(exam.base, exam.model)
                margins = np.array([outcome.margin for outcome in base])
                for cell, held in known.items():
                    change = np.array([outcome.margin for outcome in held.outcomes]) - margins
                    attributed[cell.vector] = attributed[cell.vector].anchored(cell.layer, cell.strength, change)
                found[place] = {}
                for cell in self.cells:
                    if cell in known:
                        found[place][cell] = known[cell]
                    elif cell.vector in attributed:
                        change = attributed[cell.vector].predict(cell.layer, cell.strength)
                        found[place][cell] = Cell(_moved(base, change), exact=False)
                bar.update()
        return found

    def _attributions(self, locale: str, exam: Exam) -> dict[str, Attribution]:
        """Returns how each vector's margins answer; of other interventions than additions nothing is known but what was run."""
        layers: dict[str, set[int]] = {}
        for cell in self.cells:
            layers.setdefault(cell.vector, set()).add(cell.layer)
        own = {name: vector for name, vector in self.vectors.of(locale).items() if name in layers}
        added = [(vector, sorted(layers[name])) for name, vector in own.items() if isinstance(vector, SteeringVector)]
        found = attributions(exam, added, self.cells[0].tokens) if added else {}
        return {name: found.get(name) or Attribution.unknown(name) for name in own}

    def screen(self, scores: Sequence[Score]) -> Found:
        """Returns one strength of every vector and layer run, the others predicted, and the most promising of them run.

        Raises:
            SettingsError: no strength but 0.
        """
        strengths = sorted({cell.strength for cell in self.cells} - {0.0}, key=abs)
        if not strengths:
            raise SettingsError("a screened sweep of strength 0 alone was asked for: give strengths to predict from and to.")
        anchor = strengths[len(strengths) // 2]
        run = self.run([cell for cell in self.cells if cell.strength == anchor], "Sweep, one strength")
        predicted = self.predict(run)
        promising = _promising(predicted, self.bases(), scores)
        more = self.run(promising, "Sweep, promising cells")
        return {place: {**predicted[place], **more[place]} for place in self.exams}

    def bases(self) -> dict[Place, Sequence[Outcome]]:
        """Returns the unsteered outcomes by locale and kind.

        Raises:
            ModelError: scores of the unsteered model that are not finite.
        """
        return {place: finite(exam.base, exam.model) for place, exam in self.exams.items()}

    def rows(self, found: Found, scores: Sequence[Score], english: English, max_new_tokens: int) -> Iterator[Row]:
        """Yields a row for each cell, item and score, with the score unsteered as ``base``.

        Scores of what is written are taken of cells that were run.
        """
        written_of = any(score.evidence == "writing" for score in scores)
        for (code, kind), base in self.bases().items():
            before = list(choice_rows(base, scores, english))
            model, items = self.exams[code, kind].model, Items(tuple(outcome.item for outcome in base))
            said = list(writing_rows(written(model, items, None, max_new_tokens), scores)) if written_of else []
            plans = dict(self._plans(code, found[code, kind]))
            for cell, held in found[code, kind].items():
                label = {**asdict(cell), "exact": held.exact}
                yield from _paired(label, choice_rows(held.outcomes, scores, english), before)
                if written_of and held.exact:
                    yield from _paired(label, writing_rows(written(model, items, plans[cell], max_new_tokens), scores), said)


def _paired(label: Mapping[str, object], steered: Iterable[Row], before: Iterable[Row]) -> Iterator[Row]:
    for after, base in zip(steered, before, strict=True):
        yield {**label, **after, "base": base["value"]}


def _moved(base: Sequence[Outcome], change: np.ndarray) -> list[Outcome]:
    """Returns the unsteered outcomes with their margins changed as predicted."""
    return [outcome.moved(step if math.isfinite(step) else math.nan) for outcome, step in zip(base, change.tolist(), strict=True)]


def exams_of(
    model: LensModel,
    items: Items,
    locales: Iterable[str],
    kinds: Sequence[Kind],
    scoring: Scoring | None = None,
    batch_size: int | None = None,
    memory: int = MEMORY,
) -> Exams:
    """Returns the items of each locale and kind, made batches.

    Raises:
        UnknownNameError: a locale without items.
    """
    return {
        (locale, kind): Exam(model, part, scoring, batch_size=batch_size, memory=memory)
        for locale in dict.fromkeys(locales)
        for kind in kinds
        if len(part := items.of(kind=kind, locale=locale))
    }


def _promising(found: Found, bases: Mapping[Place, Sequence[Outcome]], scores: Sequence[Score]) -> list[StepSpec]:
    """Returns the cells that were not run with the largest predicted gains of each vector, for each score of choices."""
    chosen: dict[StepSpec, None] = {}
    by_name = {score.name: score for score in scores}
    wanted = [by_name[name] for name in without_companions(list(by_name)) if by_name[name].evidence == "choices"]
    for score in wanted:
        if score.higher_is_better:
            gains = _gains(found, bases, score, by_name.get(score.companion))
            for vector in dict.fromkeys(cell.vector for cell in gains):
                own = sorted((cell for cell in gains if cell.vector == vector), key=gains.__getitem__, reverse=True)
                chosen |= dict.fromkeys(own[: max(1, round(_PROMISING * len(own)))])
    return list(chosen)


def _gains(
    found: Found, bases: Mapping[Place, Sequence[Outcome]], score: Score, finer: Score | None
) -> dict[StepSpec, tuple[float, ...]]:
    """Returns the mean predicted change of a score, and of a finer one, of each cell that was not run and is finite."""
    changes: dict[StepSpec, list[list[float]]] = {}
    measured = [score, *([finer] if finer else [])]
    for (code, kind), cells in found.items():
        if kind in score.kinds:
            before = bases[code, kind]
            for cell, held in cells.items():
                if not held.exact:
                    own = changes.setdefault(cell, [[] for _ in measured])
                    for values, each in zip(own, measured, strict=True):
                        values += [each.value(a) - each.value(b) for a, b in zip(held.outcomes, before, strict=True)]
    means = {cell: tuple(float(np.mean(values)) for values in own) for cell, own in changes.items()}
    return {cell: gain for cell, gain in means.items() if np.isfinite(gain).all()}
