"""What steering costs besides: fluency, the language of what is written, and repetition."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from steerlens.data import Items, locale
from steerlens.errors import UnknownNameError
from steerlens.evaluation.answering import Method, locales_of
from steerlens.evaluation.comparing import COLUMNS, UNSTEERED, compared
from steerlens.evaluation.languages import in_language
from steerlens.evaluation.texts import nats_per_token, repetition
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.steering import SteeringPlan
from steerlens.tables import ResultTable

_AT_ONCE = 32
"""Prompts that are continued together, if not told otherwise."""
_SCORES = ("log_perplexity", "right_language", "repetition")


@dataclass(frozen=True, eq=False)
class SideEffects(ResultTable):
    """Every method in every locale, and their mean, in the columns of the plane.

    Scores: log_perplexity (nats per token of held-out text; +0.1 is a perplexity 1.105 times as high), right_language (share
    of generations in the locale's language), repetition (share of a generation's four-token sequences that came before in it).
    """

    columns: ClassVar[tuple[str, ...]] = COLUMNS


def side_effects(
    model: LensModel,
    items: Items,
    methods: Mapping[str, Method],
    *,
    texts: Mapping[str, Sequence[str]] | None = None,
    concepts: int | None = 24,
    max_new_tokens: int = 32,
    locales: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
) -> SideEffects:
    """Perplexity of held-out text, language and repetition of what is written, under each method against unsteered.

    Changes are paired by text and by prompt. In held-out text every token but the first is steered as if it had been generated.

    Args:
        items: their questions are continued; usually the test part of a split.
        methods: as for ``plane``: per name, the plan of each locale, or another checkpoint of the same model.
        texts: held-out text of each locale; for ``None`` the questions with their right answers.
        concepts: of each kind, drawn from the items by ``seed``; all for ``None``.
        max_new_tokens: length of what is written, greedily.

    Raises:
        SettingsError: no methods, or plans for different locales.
        UnknownNameError: a locale without items, or without texts where texts are given.
        FingerprintError: a plan of another model.
    """
    import pandas as pd

    codes, drawn = locales_of(items, methods, locales), items.sample(concepts, seed=seed)
    rows: list[dict[str, Any]] = []
    with progress(len(codes) * (1 + len(methods)), "Side effects", "method and locale") as bar:
        for code in codes:
            own = drawn.of(locale=code)
            held_out = _texts(own, code, texts)
            for name, method in {UNSTEERED: None, **methods}.items():
                bar.set_postfix_str(f"{name}, {code}")
                writer = _Writer(method if isinstance(method, LensModel) else model, batch_size)
                plan = method[code] if isinstance(method, Mapping) else None
                label = {"method": name, "of": "", "control": "", "draw": 0, "locale": code}
                rows += [{**label, **row} for row in writer.rows(own, code, held_out, plan, max_new_tokens)]
                bar.update()
    frame = pd.DataFrame(rows)
    table = [row for score in _SCORES for row in compared(frame, score, score, seed)]
    order = {UNSTEERED: -1, **{name: at for at, name in enumerate(methods)}}
    compared_rows = pd.DataFrame(table, columns=COLUMNS)
    return SideEffects(compared_rows.sort_values("method", key=lambda names: names.map(order), kind="stable", ignore_index=True))


@dataclass(frozen=True)
class _Writer:
    """A model that texts are put to and that continues prompts."""

    model: LensModel
    batch_size: int | None

    def rows(
        self, items: Items, code: str, texts: Mapping[str, str], plan: SteeringPlan | None, max_new_tokens: int
    ) -> list[dict[str, Any]]:
        """A row per text with its log perplexity, and one per prompt with what was written to it."""
        nats = nats_per_token(self.model, list(texts.values()), plan, batch_size=self.batch_size)
        found: list[dict[str, Any]] = [
            {"concept": name, "log_perplexity": value} for name, value in zip(texts, nats, strict=True)
        ]
        for item, text in zip(items, self.written(items, plan, max_new_tokens), strict=True):
            language = in_language(text, code)
            marks = {"right_language": None if language is None else float(language), "repetition": repetition(self.model, text)}
            found.append({"concept": item.concept, **marks})
        return found

    def written(self, items: Items, plan: SteeringPlan | None, max_new_tokens: int) -> list[str]:
        """What the model writes after each item's prompt."""
        prompts = [item.prompt().text for item in items]
        size = self.batch_size or _AT_ONCE
        with plan.applied(self.model) if plan is not None else nullcontext():
            parts = [self.model.generate(prompts[at : at + size], max_new_tokens) for at in range(0, len(prompts), size)]
        return [text for part in parts for text in part]


def _texts(items: Items, code: str, given: Mapping[str, Sequence[str]] | None) -> dict[str, str]:
    """Held-out texts of a locale, by the concept that each counts as."""
    if given is None:
        return {item.concept: f"{item.prompt().text}{locale(code).space}{item.choices[item.answer]}" for item in items}
    if code not in given:
        raise UnknownNameError("locale of texts", code, given)
    return {f"{code}/{number}": text for number, text in enumerate(given[code])}
