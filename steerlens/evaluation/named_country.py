"""Whether a model answers for the country that a question names, or for the country of the question's language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from steerlens.data import Items
from steerlens.errors import SettingsError
from steerlens.evaluation.answering import answered
from steerlens.evaluation.given_methods import GivenMethod, locales_of, methods_of
from steerlens.evaluation.item_scores import by_concept
from steerlens.evaluation.running import Executor, Running
from steerlens.models.lens import LensModel
from steerlens.settings import Scoring
from steerlens.statistics import bootstrap_interval
from steerlens.tables import ResultTable

_SCORES = ("localization", "own_answer", "english_centric")
"""The scores on items that name another country. The three scores measure whether the answer of the named country, of the
question's locale, or of the English locale wins."""


@dataclass(frozen=True, eq=False)
class NamedCountry(ResultTable):
    """The answers to questions that name another country than the country of their language.

    Columns: method, locale (of the question), country (the locale whose country is named), n (concepts), named, low, high,
    own, english_centric. ``named`` is the share of items for which the named country's answer wins. ``low`` and ``high`` are
    the ends of its 95% interval over concepts. ``own`` is the share of items for which the answer of the question's locale
    wins. ``english_centric`` is the share of items for which the English locale's answer wins, if the English locale's country
    is not named.
    """

    columns: ClassVar[tuple[str, ...]] = ("method", "locale", "country", "n", "named", "low", "high", "own", "english_centric")


def named_country(
    model: LensModel,
    items: Items,
    methods: Mapping[str, GivenMethod],
    *,
    countries: Sequence[str] | None = None,
    locales: Sequence[str] | None = None,
    scoring: Scoring | None = None,
    batch_size: int | None = None,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
    seed: int = 0,
) -> NamedCountry:
    """Asks cultural items that name another country, with the unsteered model and under each method. The items are asked in
    the language of their locale.

    If a LOC vector represents the locale's country, steering should favour the locale's own answer although another country
    is named. If a LOC vector only represents "a country is named", steering should not favour the locale's own answer. The
    rows ``unsteered`` show how often the unsteered model follows the named country.

    Args:
        model: the base model on which methods are compared.
        items: the items, usually the test part of a split. Only cultural items with a template are used.
        methods: the methods by name (see ``answered``).
        countries: the codes of the locales whose countries are named; ``None`` takes all locales that have answers in the
            items.
        locales: the locales in which questions are asked; ``None`` takes the methods' locales.
        scoring: how choices are presented and scored; ``None`` takes the defaults.
        batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
        executor: the executor that runs the tasks (see ``sweep``).
        resume: a folder in which the result of every finished task is kept (see ``sweep``).
        seed: the seed of the bootstrap.

    Raises:
        SettingsError: no country is given, or the items do not contain answers of other locales.
        DataError: no item can be changed so that it names a requested country.
    """
    import pandas as pd

    cultural = items.of(kind="cultural")
    named = countries if countries is not None else tuple(dict.fromkeys(code for item in cultural for code in item.answers))
    if isinstance(named, str) or not named:
        raise SettingsError(
            f"countries={countries!r} given: expected a list of locale codes. The items must contain the answers of the "
            "given locales."
        )
    rows, codes = [], locales_of(items, methods_of(methods), locales)
    for country in named:
        others = [code for code in codes if code != country]
        asked = cultural.where(lambda item, others=others: item.locale in others).about(country)  # type: ignore[misc]
        wanted = [code for code in others if code in asked.locales]
        common = {"scoring": scoring, "batch_size": batch_size, "executor": executor, "resume": resume}
        given = answered(model, asked, methods, scores=_SCORES, locales=wanted, explicit=False, **common)  # type: ignore[arg-type]
        for (method, locale), own in given.frame.groupby(["method", "locale"], sort=False):
            by = {name: part.groupby(by_concept(part), sort=False)["value"].mean() for name, part in own.groupby("score")}
            share = bootstrap_interval(by["localization"].to_numpy(), seed=seed)
            rows.append(
                {
                    **{"method": method, "locale": locale, "country": country, "n": share.n},
                    **{"named": share.mean, "low": share.low, "high": share.high},
                    **{"own": by["own_answer"].mean(), "english_centric": by["english_centric"].mean()},
                }
            )
    return NamedCountry(pd.DataFrame(rows, columns=list(NamedCountry.columns)))
