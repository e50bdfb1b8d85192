"""The results of a search, as a frozen object: choices, everything tried, test results and regret. They can be saved, loaded
and drawn."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.errors import UnknownNameError
from steerlens.evaluation.comparing import MEAN
from steerlens.evaluation.searching.chosen import Chosen
from steerlens.evaluation.searching.tested import ALL, BEST, ChoicesByLocale
from steerlens.steering import SteeringPlan, VectorSet
from steerlens.storage import field_of, parsed, read_json, write_text
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure


@dataclass(frozen=True, eq=False)
class Tried(ResultTable):
    """Every plan that was run on dev, in each locale and over all of them.

    Columns: locale (``all``: over all of them), plan, method, one column for each score (changes; transfer, localization and
    english_centric for EN and LOC), perplexity (of the right answers' text, as a ratio), objective, allowed (within the
    limits), front (allowed, and no other allowed plan gains as much on all scores of the contrasts and more on one of them).
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "plan", "method", "perplexity", "objective", "allowed", "front")

    def front(self, locale: str = ALL) -> "ResultTable":
        """Returns the Pareto front of one locale, or of all together, by ascending change of the first score (transfer).

        Args:
            locale: one of the searched locales, or ``all``.

        Raises:
            UnknownNameError: the locale was not searched.
        """
        part = self.frame[(self.frame["locale"] == self.having("locale", locale)) & self.frame["front"]]
        return Tried(part.sort_values(self.frame.columns[3], kind="stable").reset_index(drop=True))

    def scatter(self, locale: str = ALL, chosen: Mapping[str, str] | None = None) -> "Figure":
        """Draws every plan of one locale, or of all locales together, in the plane of the first two gains, with the Pareto
        front.

        Args:
            chosen: for each method, the plan that is drawn large; ``best`` gets a ring.
            locale: one of the searched locales, or ``all``.

        Raises:
            UnknownNameError: the locale was not searched.
        """
        from steerlens.plotting import front_figure

        return front_figure(self.frame[self.frame["locale"] == self.having("locale", locale)], chosen or {}, locale)


@dataclass(frozen=True, eq=False)
class Tested(ResultTable):
    """The choices on test, each compared with unsteered, with a paired 95% interval over concepts.

    Columns: choice (``own``: each locale's own, ``all``: the choice for all locales), method (a contrast's name, surgical,
    best), locale (``mean`` over them), plan, score (those of the contrasts, and english_centric), n (concepts), value, change,
    low, high, p (two-sided, for the hypothesis of no change; correct it if you make claims about several plans).
    """

    columns: ClassVar[tuple[str, ...]] = (
        "choice",
        "method",
        "locale",
        "plan",
        "score",
        "n",
        "value",
        "change",
        "low",
        "high",
        "p",
    )

    def plot(self, locale: str | None = None, choice: str = "own") -> "Figure":
        """Draws the choices' changes with their intervals, with one panel per score.

        Args:
            locale: one of the searched locales; ``None`` takes ``mean``, or the only locale.
            choice: ``own`` for each locale's own choice, or ``all`` for the choice for all locales.

        Raises:
            UnknownNameError: there is no such locale or choice.
        """
        from steerlens.plotting import forest_figure, forest_rows

        known = set(self.frame["locale"])
        locale = locale or (MEAN if MEAN in known else known.pop())
        where = (self.frame["locale"] == self.having("locale", locale)) & (self.frame["choice"] == self.having("choice", choice))
        whose = "each locale's own choice" if choice == "own" else "one choice for all locales"
        words = f"{'all locales' if locale == MEAN else locale}, {whose}; on test, against unsteered; bars: paired 95% intervals"
        return forest_figure(
            forest_rows(self.frame[where]), "The choices on test", words, list(dict.fromkeys(self.frame["score"]))
        )


@dataclass(frozen=True, eq=False)
class Regret(ResultTable):
    """The loss of a locale under another locale's best plan, or under the plan for all, relative to its own best plan.

    Columns: locale, choice_of (a locale or ``all``), score (objective, transfer, localization), part (of the items: ``test``,
    or ``dev``, where a locale's own choice is the best by construction), regret, low and high of its paired 95% interval, n
    (concepts of both kinds; not in tables of earlier versions).
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "choice_of", "score", "part", "regret", "low", "high")

    def heatmap(self, score: str = "objective") -> "Figure":
        """Draws a heatmap of locales by the locale whose choice steers them, coloured by the loss, centred at zero.

        Args:
            score: ``objective``, or a score that the contrasts are meant to raise.

        Raises:
            UnknownNameError: no such score.
        """
        from steerlens.plotting import regret_heatmap

        aims = [name for name in dict.fromkeys(self.frame["score"]) if name != "objective"]
        return regret_heatmap(self.frame[self.frame["score"] == self.having("score", score)], score, aims)


_TABLES: dict[str, type[ResultTable]] = {"tried": Tried, "tested": Tested, "regret": Regret}


@dataclass(frozen=True, eq=False)
class Search:
    """The results of a search."""

    manifest: dict[str, Any]
    """Objective, settings, locales, layers, model's fingerprint, digests of items, test items and vectors, passes, seconds."""
    choices: ChoicesByLocale
    """``choices["es-ES"]["surgical"]``, and ``choices["all"]`` for all locales together; every contrast, surgical and best."""
    vectors: VectorSet
    """The vectors computed from all concepts of the search."""
    tried: Tried
    regret: Regret
    tested: Tested | None = None
    """The results on test; ``None`` if no test items were given."""

    def chosen(self, locale: str = ALL, method: str = BEST) -> Chosen:
        """Returns a locale's choice, or the choice for all locales.

        Args:
            locale: one of the searched locales, or ``all``.
            method: a contrast's name, ``surgical`` or ``best``.

        Raises:
            UnknownNameError: there is no such locale or method.
        """
        for what, given, known in (("locale", locale, self.choices), ("method", method, self.choices[ALL])):
            if given not in known:
                raise UnknownNameError(what, given, known)
        return self.choices[locale][method]

    def plan(self, locale: str, method: str = BEST, choice_of: str | None = None) -> SteeringPlan:
        """Returns the plan that steers one locale.

        Args:
            locale: the locale that is steered.
            method: a contrast's name, ``surgical`` or ``best``.
            choice_of: the locale whose choice is used, or ``all``; the locale's own for ``None``. The vectors are always the
                steered locale's own.

        Raises:
            UnknownNameError: there is no such locale or method.
        """
        return self.chosen(choice_of or locale, method).plan(locale)

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales that were searched."""
        return tuple(locale for locale in self.choices if locale != ALL)

    def methods(self, choice_of: str | None = None) -> dict[str, dict[str, SteeringPlan]]:
        """Returns the plans of every contrast and the surgical plans, for every locale, in the form that ``plane`` takes.

        Args:
            choice_of: the locale whose choice is used, or ``all``; each locale's own for ``None``.
        """
        return {
            method: {locale: self.plan(locale, method, choice_of) for locale in self.locales}
            for method in self.choices[ALL]
            if method != BEST
        }

    def plot(self, locale: str = ALL) -> "Figure":
        """Draws every plan tried on dev in the plane of the first two gains, with the Pareto front and the choices.

        Args:
            locale: one of the searched locales, or ``all``.

        Raises:
            UnknownNameError: the locale was not searched.
        """
        self.chosen(locale)
        return self.tried.scatter(locale, {method: str(choice) for method, choice in self.choices[locale].items()})

    def save(self, folder: str | Path) -> Path:
        """Writes a folder: JSON, a Parquet file per table, safetensors for all vectors and for each locale's best plan.

        Args:
            folder: the folder; it is made if it does not exist.

        Raises:
            FileError: the folder cannot be written.
        """
        path = Path(folder)
        content = {x: [choice.to_dict() for choice in own.values()] for x, own in self.choices.items()}
        for name, values in (("manifest", self.manifest), ("choices", content)):
            write_text(path / f"{name}.json", json.dumps(values, indent=2, ensure_ascii=False) + "\n")
        for name in _TABLES:
            table = getattr(self, name)
            if table is not None:
                table.save(path / f"{name}.parquet")
        self.vectors.save(path / "vectors.safetensors")
        for locale in self.locales:
            self.plan(locale).save(path / "plans" / f"{BEST}-{locale}.safetensors")
        return path

    @classmethod
    def load(cls, folder: str | Path) -> "Search":
        """Reads a search that ``save`` wrote.

        Args:
            folder: the folder given to ``save``.

        Raises:
            FileError: the folder lacks a file, or a file is damaged.
        """
        path = Path(folder)
        again = "Search again, or copy the whole folder."
        manifest, content = (read_json(path / f"{name}.json", again) for name in ("manifest", "choices"))
        listed = parsed(content, dict[str, tuple[dict[str, Any], ...]], str(path / "choices.json"))
        vectors = VectorSet.load(path / "vectors.safetensors")
        made = {x: [Chosen.from_dict(one, str(path / "choices.json"), vectors) for one in own] for x, own in listed.items()}
        choices = {x: {one.name: one for one in own} for x, own in made.items()}
        test = field_of(manifest, ["test_items"], str, str(path / "manifest.json"))
        tables = {name: kind.load(path / f"{name}.parquet") for name, kind in _TABLES.items() if name != "tested" or test}
        return cls(manifest, choices, vectors, **tables)  # type: ignore[arg-type]
