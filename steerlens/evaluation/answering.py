"""Measures every item under every method. The transfer-localization plane and the effects on single items are computed from
the measured answers."""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from steerlens.data import KINDS, Item, Items
from steerlens.errors import SettingsError
from steerlens.evaluation.comparing import Comparison, compare
from steerlens.evaluation.english import english_outcomes
from steerlens.evaluation.evidence import MAX_NEW_TOKENS
from steerlens.evaluation.finite import finite
from steerlens.evaluation.given_methods import GivenMethod, locales_of, methods_of
from steerlens.evaluation.grid import PLANS
from steerlens.evaluation.held_out import Texts, held_out_texts
from steerlens.evaluation.item_scores import (
    ITEM_COLUMNS,
    English,
    Row,
    by_concept,
    choice_rows,
    reading_rows,
    rows_of_score,
    writing_rows,
)
from steerlens.evaluation.methods import EXPLICIT, Method, Prepared
from steerlens.evaluation.outcomes import Outcome, Reading
from steerlens.evaluation.running import Executor, Running
from steerlens.evaluation.scored import ScoredTable
from steerlens.evaluation.scores import ANSWERED, asked_for, scores_of
from steerlens.evaluation.tasks import ScoringTask, Task
from steerlens.evaluation.text_tasks import ReadingTask, WritingTask
from steerlens.evaluation.variants import LABEL_COLUMNS, Label, asked_of, check_tokens, together, variants_of
from steerlens.evaluation.wordings import Wordings, wordings
from steerlens.evaluation.work import Work, run_all
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.provenance import provenance
from steerlens.scores import GivenScore, Score, score_of
from steerlens.settings import Scoring
from steerlens.steering import UNSTEERED, Controls

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

_OF_CHOICES = ("choices", "english")
"""The kinds of evidence (results of the model) from which scores of choices are computed."""


@dataclass(frozen=True, eq=False)
class Answers(ScoredTable):
    """The scores of items under methods: one row for each method, item and score. A control that is drawn several times, such
    as a random direction, has a separate row for each draw.

    Columns: method, of (the method that a control belongs to), control (``random direction`` and so on), draw, locale, kind,
    concept, score, value.
    """

    columns: ClassVar[tuple[str, ...]] = (*LABEL_COLUMNS, *ITEM_COLUMNS)

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the requested scores."""
        return asked_for(self.meta, self.frame["score"])

    def heatmap(self, score: GivenScore = "transfer") -> "Figure":
        """Draws a heatmap of methods and locales, coloured by the mean of a score over items.

        Args:
            score: one of the measured scores.

        Raises:
            UnknownNameError: the table does not have the score.
        """
        from steerlens.plotting import answers_heatmap

        known = score_of(score)
        rows = rows_of_score(self.frame, known)
        means = rows.assign(concept=by_concept(rows)).groupby(["method", "locale"], sort=False)
        return answers_heatmap(means.agg(value=("value", "mean"), n=("concept", "nunique")).reset_index(), known)

    def wordings(self) -> Wordings:
        """Returns the mean of each score over the wordings of a question, and the spread between the wordings, by method and
        locale.

        Raises:
            DataError: no concept has two wordings. ``sl.data.atlas(wordings=3, cloze=True)`` contains concepts with several
                wordings.
        """
        return Wordings(wordings(self.frame).frame, self.meta)

    def compare(
        self, first: str, second: str, score: GivenScore | None = None, locale: str | None = None, *, seed: int = 0
    ) -> Comparison:
        """Returns the difference of two methods (first minus second), paired item by item, with an interval over concepts and
        a p-value from sign flips.

        Use ``compare`` to show that one method is better than another, for example that surgical steering is better than EN
        alone. A method whose interval excludes zero is not always better than a method whose interval includes zero.

        Args:
            first: the name of a method, or ``unsteered``, or ``explicit prompt``. If the method is a control, the scores of
                its draws are averaged.
            second: the name of the method whose scores are subtracted.
            score: a measured score; ``None`` takes all requested scores.
            locale: a locale; ``None`` takes all locales. With ``None``, each concept counts once, with the mean over its
                locales.
            seed: the random seed of the interval and of the sign flips.

        Raises:
            UnknownNameError: there is no such method, score or locale.
            SettingsError: the two methods were not scored on any common item.
        """
        names = self.scores if score is None else (score_of(score).name,)
        return Comparison(compare(self.frame, first, second, names, locale, seed).frame, {**self.meta, "seed": seed})


def answered(
    model: LensModel,
    items: Items,
    methods: Mapping[str, GivenMethod],
    *,
    scores: Sequence[GivenScore] = ANSWERED,
    controls: Controls | bool = False,
    locales: Sequence[str] | None = None,
    scoring: Scoring | None = None,
    texts: Texts | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    explicit: bool = True,
    batch_size: int | None = None,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
) -> Answers:
    """Measures every item with the unsteered model, with its explicit prompt, and under each method.

    The method ``explicit prompt`` is measured on the items that have an explicit prompt. A method that uses explicit prompts
    is measured on all items. For such a method, an item without an explicit prompt is asked with its implicit prompt.

    Args:
        model: the base model on which methods are compared.
        items: usually the test part of a split. Consistency is measured if English is among the locales.
        methods: the methods by name. A method can be a plan, a mapping from locales to plans, a choice from ``Sweep.choose``
            or ``search``, a ``Checkpoint``, another loaded model, hooks, or any ``Method``.
        scores: names of scores, or your own scores. The companions of these scores (continuous scores, such as margins) are
            measured too.
        controls: the controls of every plan; ``True`` takes 20 random directions and the plan of the next locale as controls.
        locales: the locales to score. ``None`` takes the plans' locales or, if there are no plans, all locales of the items
            except English.
        scoring: how choices are presented and scored; ``None`` takes the defaults.
        texts: held-out texts of each locale, for scores of held-out text; ``None`` takes the questions with their right
            answers.
        max_new_tokens: the largest number of tokens of each generated text (only for scores of generated text).
        explicit: whether the unsteered model also answers explicit prompts.
        batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
        executor: the executor that runs the tasks (see ``sweep``).
        resume: a folder in which the result of every finished task is kept (see ``sweep``). Results of methods with hooks are
            not kept.

    Raises:
        SettingsError: there are no methods; a method has the reserved name ``unsteered`` or ``explicit prompt``; plans are
            for different locales; a checkpoint tokenizes text differently; or a score cannot be measured on any of the items.
        FingerprintError: a plan belongs to another model.
        UnknownNameError: a score has an unknown name, or the texts lack one of the locales.
        ModelError: scores of an unsteered model are NaN or infinite.
        VectorError: scores under a plan are NaN or infinite.
    """
    import pandas as pd

    named, measured = methods_of(methods), scores_of(scores)
    codes = locales_of(items, named, locales)
    chosen = Controls() if controls is True else controls or None
    marker = _Marker(
        model, items, codes, measured, scoring or Scoring(), max_new_tokens, batch_size, Running.of(executor, resume)
    )
    rows: list[Row] = []
    described: dict[str, dict[str, str]] = {}
    with progress(marker.total * (1 + explicit + len(named)), "Answers", "item") as bar:
        for at, group in enumerate(_one_model_at_a_time(named)):
            own, said = marker.answered(group, chosen, texts, bar, explicit=explicit, beside=at > 0)
            rows += own
            described |= said
            if any(method.brings_model for method in group.values()):
                gc.collect()  # the parts of a released model refer to each other, so only the garbage collector frees them
    if not rows:
        raise SettingsError(
            f"{items!r} contains no items in {', '.join(codes)} that can be used to measure "
            f"{', '.join(score.name for score in measured)}. Give items of the right kind, or choose other scores."
        )
    meta = provenance(
        model=model.fingerprint.to_dict(), items=items.digest(), scoring=asdict(marker.scoring),
        methods={name: described[name] for name in named}, scores=[score_of(score).name for score in scores],
    )  # fmt: skip
    return Answers(_in_order(pd.DataFrame(rows, columns=list(Answers.columns)), codes, named), meta)


def _one_model_at_a_time(methods: Mapping[str, Method]) -> Iterator[dict[str, Method]]:
    """Yields groups of methods: first one group with all methods that run on an existing model, and then each other method
    alone.

    A model that a method loads is released before the next method runs. Therefore at most one loaded model is in memory in
    addition to the base model.
    """
    yield {name: method for name, method in methods.items() if not method.brings_model}
    for name, method in methods.items():
        if method.brings_model:
            yield {name: method}


def _in_order(rows: "pd.DataFrame", codes: Sequence[str], methods: Mapping[str, Method]) -> "pd.DataFrame":
    """Returns the rows ordered by locale, then by kind of item, then by method in the given order."""
    whose = rows["of"].where(rows["of"] != "", rows["method"])
    by = {"locale": (rows["locale"], codes), "kind": (rows["kind"], KINDS), "method": (whose, (UNSTEERED, EXPLICIT, *methods))}
    order = {f"_{name}": own.map({one: at for at, one in enumerate(known)}) for name, (own, known) in by.items()}
    keyed = rows.assign(**order).sort_values(list(order), kind="stable")
    return keyed.drop(columns=list(order)).reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class _Marker:
    """Runs items under methods, and makes rows from the results."""

    model: LensModel
    items: Items
    locales: Sequence[str]
    scores: Sequence[Score]
    scoring: Scoring
    max_new_tokens: int
    batch_size: int | None
    running: Running
    _kept: WeakKeyDictionary[LensModel, English] = field(default_factory=WeakKeyDictionary)

    @property
    def evidence(self) -> set[str]:
        """The kinds of evidence (results of the model) from which the scores are computed."""
        return {score.evidence for score in self.scores}

    @property
    def rounds(self) -> int:
        """The number of passes over the items. Choices, held-out text and generated text each need a separate pass."""
        return len({"choices" if own in _OF_CHOICES else own for own in self.evidence})

    @property
    def total(self) -> int:
        """The number of items of all locales, multiplied by the number of passes over the items."""
        return sum(len(self.items.of(locale=code)) for code in self.locales) * self.rounds

    def answered(
        self,
        group: Mapping[str, Method],
        controls: Controls | None,
        texts: Texts | None,
        bar: Any,
        *,
        explicit: bool,
        beside: bool,
    ) -> tuple[list[Row], dict[str, dict[str, str]]]:
        """Returns the rows of a group of methods, and a description of each method in each locale. Models that the methods
        loaded are released at the end.

        Args:
            group: the methods by name.
            controls: the controls of every plan.
            texts: held-out texts of each locale.
            bar: the progress bar.
            explicit: whether the unsteered model also answers explicit prompts.
            beside: whether the unsteered model and the explicit prompt have already been measured.
        """
        every = {code: variants_of(self.model, group, self.locales, code, controls, explicit=explicit) for code in self.locales}
        known = (UNSTEERED, EXPLICIT) if beside else ()
        variants = {code: [one for one in own if one[0]["method"] not in known] for code, own in every.items()}
        for label, prepared in (one for own in variants.values() for one in own):
            check_tokens(self.model, prepared.model, label["method"], self.items)
        expected = len(group) + (0 if beside else 1 + explicit)
        controlled = {code: len(own) - expected for code, own in variants.items()}  # this number is known only now
        bar.total += sum(len(self.items.of(locale=code)) * more for code, more in controlled.items()) * self.rounds
        parts = [part for code in self.locales for part in self._parts(code, variants[code], texts)]
        run_all([work for part in parts for work in part.works], self.running, bar)
        rows = [row for part in parts for row in part.rows()]
        described = {
            name: {code: method.prepared(self.model, code).described() for code in self.locales} for name, method in group.items()
        }
        return rows, described

    def _parts(self, code: str, variants: Sequence[tuple[Label, Prepared]], texts: Texts | None) -> Iterator["_Part"]:
        """Yields all tasks for one locale, for all variants: the tasks for choices, for held-out text and for generated
        text."""
        own = self.items.of(locale=code)
        for kind in KINDS:
            part = [item for item in own if item.kind == kind]
            if part and any(kind in score.kinds and score.evidence in _OF_CHOICES for score in self.scores):
                yield self._scored(code, part, variants)
        for label, prepared in variants:
            if "reading" in self.evidence and label["method"] != EXPLICIT:  # held-out text has no explicit form
                yield self._read(code, own, label, prepared, texts)
            if "writing" in self.evidence and (asked := asked_of(own, label)):
                yield self._written(code, asked, label, prepared)

    def _scored(self, code: str, part: Sequence[Item], variants: Sequence[tuple[Label, Prepared]]) -> "_Part":
        """Returns the tasks that score the answer choices of items of one locale and kind. The tasks score one method after
        another."""
        found: dict[int, Sequence[Outcome]] = {}
        works: list[Work] = []
        for numbers in together(variants):
            label, first = variants[numbers[0]]
            if asked := asked_of(part, label):
                works += self._scorings(code, asked, first, {number: variants[number][1] for number in numbers}, found)

        def rows() -> Iterator[Row]:
            for number, (label, prepared) in enumerate(variants):
                if number in found:
                    english = self._english(prepared.model)
                    yield from ({**label, **row} for row in choice_rows(found[number], self.scores, english))

        return _Part(works, rows)

    def _scorings(
        self,
        code: str,
        asked: Sequence[Item],
        first: Prepared,
        variants: Mapping[int, Prepared],
        found: dict[int, Sequence[Outcome]],
    ) -> Iterator[Work]:
        """Yields the tasks that score the variants. All variants have the same model, prompt form and hooks. The outcomes of
        the variants are put into ``found``."""
        steered = {number: own.plan for number, own in variants.items() if own.plan is not None}
        numbers = list(steered)
        scoring = self._put(first)

        def taking(task: ScoringTask, own: Sequence[int]) -> Callable[["pd.DataFrame"], None]:
            def take(result: "pd.DataFrame") -> None:
                base, *outcomes = task.outcomes(result)
                finite(base, first.model)  # the unsteered model is checked first; otherwise the error would name the plan
                found.update((n, finite(one, first.model, steered[n])) for n, one in zip(own, outcomes, strict=True))
                found.update(dict.fromkeys(variants.keys() - steered.keys(), base))

            return take

        for own in [numbers[at : at + PLANS] for at in range(0, len(numbers), PLANS)] or [[]]:
            task = ScoringTask(tuple(asked), tuple(steered[n] for n in own), scoring, self.batch_size)
            yield Work(code, task, first, taking(task, own))

    def _put(self, prepared: Prepared) -> Scoring:
        """Returns the scoring settings of a variant. If the variant uses explicit prompts, the returned settings have the form
        ``explicit``."""
        return replace(self.scoring, form="explicit") if prepared.form == "explicit" else self.scoring

    def _english(self, model: LensModel) -> English:
        """Returns the unsteered English outcomes of a model. The outcomes are computed once and then stored."""
        if model not in self._kept:
            common = (self.scores, self.scoring, self.batch_size, self.running)
            self._kept[model] = english_outcomes(model, self.items, self.locales, *common)
        return self._kept[model]

    def _read(self, code: str, items: Items, label: Label, prepared: Prepared, texts: Texts | None) -> "_Part":
        """Returns the task that measures the perplexity of a locale's held-out texts under one variant."""
        held_out = held_out_texts(items, code, texts)
        task = ReadingTask(tuple(held_out.values()), prepared.plan, self.batch_size)

        def made(result: "pd.DataFrame") -> Iterator[Row]:
            readings = {name: Reading(code, held_out[name], own) for name, own in zip(held_out, result["nats"], strict=True)}
            return reading_rows(readings, self.scores)

        return _Part.of_one(code, task, label, prepared, made)

    def _written(self, code: str, asked: Sequence[Item], label: Label, prepared: Prepared) -> "_Part":
        """Returns the task that generates answers to a locale's items under one variant."""
        task = WritingTask(tuple(asked), prepared.plan, self.max_new_tokens, self.batch_size, self._put(prepared))
        return _Part.of_one(code, task, label, prepared, lambda result: writing_rows(task.writings(result), self.scores))


@dataclass(frozen=True, eq=False)
class _Part:
    """Tasks, and a function that makes rows of the table from their results."""

    works: Sequence[Work]
    rows: Callable[[], Iterator[Row]]
    """A function that returns the rows after all tasks have run."""

    @classmethod
    def of_one(
        cls, code: str, task: Task, label: Label, prepared: Prepared, made: Callable[["pd.DataFrame"], Iterable[Row]]
    ) -> "_Part":
        """Returns a ``_Part`` with one task.

        Args:
            code: the code of the locale.
            task: the task that is run.
            label: the label of the variant (a method or a control), which is added to each row.
            prepared: the model that runs the task.
            made: a function that makes rows from the task's result.
        """
        results: list[pd.DataFrame] = []
        work = Work(code, task, prepared, results.append)
        return cls([work], lambda: ({**label, **row} for result in results for row in made(result)))
