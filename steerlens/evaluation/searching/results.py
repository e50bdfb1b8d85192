"""The results of a search: the choices, all plans that were tried, the results on test, and the regret. The results can be
saved, loaded and drawn."""

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
    """The results on dev of every plan that was run, in each locale and over all locales.

    Columns: locale (``all``: over all locales), plan, method, one column for each score, perplexity, objective, allowed,
    front. The column of a score contains its change. For EN and LOC, the scores are transfer, localization and
    english_centric. ``perplexity`` is the perplexity of the right answers' text, divided by the unsteered perplexity.
    ``allowed`` says whether the plan is within the limits on the English-centric rate and on this perplexity. The limits on
    text (``Limits.text``) are checked only for plans that are about to be chosen, so an allowed plan may still break texts.
    ``front`` says whether the plan is on the Pareto front of the allowed plans in the scores of the contrasts.
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "plan", "method", "perplexity", "objective", "allowed", "front")

    def front(self, locale: str = ALL) -> "ResultTable":
        """Returns the Pareto front of one locale, or of all locales together, sorted by ascending change of the first score
        (usually transfer).

        Args:
            locale: one of the searched locales, or ``all``.

        Raises:
            UnknownNameError: the locale was not searched.
        """
        part = self.frame[(self.frame["locale"] == self.having("locale", locale)) & self.frame["front"]]
        return Tried(part.sort_values(self.frame.columns[3], kind="stable").reset_index(drop=True))

    def scatter(self, locale: str = ALL, chosen: Mapping[str, str] | None = None) -> "Figure":
        """Draws the first two gains of every plan, for one locale or for all locales together, with the Pareto front.

        Args:
            chosen: for each method, the plan that is drawn with a large marker. The plan of the choice ``best`` is drawn with
                a ring.
            locale: one of the searched locales, or ``all``.

        Raises:
            UnknownNameError: the locale was not searched.
        """
        from steerlens.plotting import front_figure

        return front_figure(self.frame[self.frame["locale"] == self.having("locale", locale)], chosen or {}, locale)


@dataclass(frozen=True, eq=False)
class Tested(ResultTable):
    """The results of the choices on test. Each choice is compared with the unsteered model, with a paired 95% interval over
    concepts.

    Columns: choice, method (a contrast's name, surgical or best), locale (``mean``: over locales), plan, score, n (concepts),
    value, change, low and high (the change's 95% interval), p. ``choice`` is ``own`` for each locale's own choice and ``all``
    for the choice for all locales. The scores are the scores of the contrasts and english_centric. ``p`` is the two-sided
    p-value for the hypothesis of no change. Correct ``p`` for multiple comparisons if you make claims about several plans.
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
        """Draws the changes under the choices with their intervals. There is one panel per score.

        Args:
            locale: one of the searched locales; ``None`` takes ``mean`` or, if only one locale was searched, this locale.
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
    """The regret of a locale: how much less the locale gains under another locale's best plan than under its own best plan.
    The best plan for all locales is also included.

    Columns: locale, choice_of (a locale or ``all``), score (objective, transfer, localization), part (``test`` or ``dev``),
    regret, low and high (the regret's paired 95% interval), n (concepts of both kinds). On ``dev``, a locale's own choice is
    the best by construction. Tables of earlier versions have no column ``n``.
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "choice_of", "score", "part", "regret", "low", "high")

    def heatmap(self, score: str = "objective") -> "Figure":
        """Draws a heatmap of the regret, centred at zero. The rows are locales, and the columns are the locales whose choices
        are used.

        Args:
            score: ``objective``, or a score that the contrasts are meant to raise.

        Raises:
            UnknownNameError: there is no such score.
        """
        from steerlens.plotting import regret_heatmap

        aims = [name for name in dict.fromkeys(self.frame["score"]) if name != "objective"]
        return regret_heatmap(self.frame[self.frame["score"] == self.having("score", score)], score, aims)


_TABLES: dict[str, type[ResultTable]] = {"tried": Tried, "tested": Tested, "regret": Regret}


@dataclass(frozen=True, eq=False)
class Search:
    """The results of a search for steering plans."""

    manifest: dict[str, Any]
    """The description of the search: objective, settings, locales, layers, the model's fingerprint, digests of the items,
    test items and vectors, the number of passes, and the time in seconds."""
    choices: ChoicesByLocale
    """The choices by locale and method, such as ``choices["es-ES"]["surgical"]``. The methods are every contrast,
    ``surgical`` and ``best``. ``choices["all"]`` contains the choices for all locales together."""
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
            choice_of: the locale whose choice is used, or ``all``; ``None`` takes the steered locale's own choice. The
                vectors are always the vectors of the steered locale.

        Raises:
            UnknownNameError: there is no such locale or method.
        """
        return self.chosen(choice_of or locale, method).plan(locale)

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales that were searched."""
        return tuple(locale for locale in self.choices if locale != ALL)

    def methods(self, choice_of: str | None = None) -> dict[str, dict[str, SteeringPlan]]:
        """Returns the plans of every contrast and the surgical plans for every locale, in the format of the argument
        ``methods`` of ``plane``.

        Args:
            choice_of: the locale whose choice is used, or ``all``; ``None`` takes each locale's own choice.
        """
        return {
            method: {locale: self.plan(locale, method, choice_of) for locale in self.locales}
            for method in self.choices[ALL]
            if method != BEST
        }

    def plot(self, locale: str = ALL) -> "Figure":
        """Draws the first two gains of every plan that was tried on dev, with the Pareto front and the choices.

        Args:
            locale: one of the searched locales, or ``all``.

        Raises:
            UnknownNameError: the locale was not searched.
        """
        self.chosen(locale)
        return self.tried.scatter(locale, {method: str(choice) for method, choice in self.choices[locale].items()})

    def save(self, folder: str | Path) -> Path:
        """Writes the search to a folder: JSON files, a Parquet file for each table, and safetensors files for the vectors and
        for each locale's best plan.

        Args:
            folder: the path of the folder that is written. The folder is made if it does not exist.

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
