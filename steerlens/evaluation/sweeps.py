"""Layer sweeps: every vector at every layer and strength, scored for transfer and for localization."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.data import KINDS, Items, Kind
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.exam import Exam, Outcome
from steerlens.evaluation.questions import Scoring
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.steering import SteeringPlan, SteeringVector, Which
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

STRENGTHS = (0.5, 1.0, 2.0, 4.0)
SCORES = ("transfer", "localization", "english_centric")
"""T: factual items answered right. L: cultural items whose local answer wins. English-centric: whose English one wins."""


@dataclass(frozen=True, eq=False)
class Sweep(ResultTable):
    """One row per vector, layer, strength and item.

    Columns: vector, layer, strength, locale, kind, concept, hit, english_centric, margin, and the same three with
    ``base_`` in front: the item unsteered.
    """

    columns: ClassVar[tuple[str, ...]] = ("vector", "layer", "strength", "locale", "kind", "concept", "hit", "base_hit")

    def cells(self, score: str = "transfer", locale: str | None = None) -> "pd.DataFrame":
        """One row per vector, layer and strength: the score steered, unsteered, its change, the margin's, and n.

        Args:
            score: ``transfer``, ``localization`` or ``english_centric``.
            locale: one locale; all of them pooled for ``None``.

        Raises:
            UnknownNameError: no such score or locale.
        """
        return cells(self.frame, ("vector", "layer", "strength"), score, locale)

    def heatmap(self, vector: str = "EN", score: str = "transfer", locale: str | None = None) -> "Figure":
        """Layer by strength, coloured by the score's change against unsteered, centred at zero.

        Raises:
            UnknownNameError: no such vector, score or locale.
        """
        from steerlens.plotting import sweep_heatmap

        known = tuple(dict.fromkeys(self.frame["vector"]))
        if vector not in known:
            raise UnknownNameError("vector", vector, known)
        frame, where = self.cells(score, locale), locale or ", ".join(dict.fromkeys(self.frame["locale"]))
        return sweep_heatmap(frame[frame["vector"] == vector], vector, score, where)


def cells(frame: "pd.DataFrame", by: Sequence[str], score: str, locale: str | None = None) -> "pd.DataFrame":
    """Means of one score over items, for each combination of the columns ``by``: value, base, change, margin, n.

    ``margin`` is the mean change of the answer's margin over the best other choice, in nats per token.

    Raises:
        UnknownNameError: no such score, or a locale without rows.
    """
    if score not in SCORES:
        raise UnknownNameError("score", score, SCORES)
    part = frame[frame["kind"] == ("factual" if score == "transfer" else "cultural")]
    if locale is not None:
        known = tuple(dict.fromkeys(frame["locale"]))
        if locale not in known:
            raise UnknownNameError("locale", locale, known)
        part = part[part["locale"] == locale]
    column = "english_centric" if score == "english_centric" else "hit"
    part = part.assign(value=part[column].astype(float), base=part[f"base_{column}"].astype(float))
    part = part.assign(change=part["value"] - part["base"], margin=part["margin"] - part["base_margin"])
    grouped = part.groupby(list(by), sort=False)
    means = grouped[["value", "base", "change", "margin"]].mean()
    return means.assign(n=grouped["concept"].nunique(), items=grouped.size()).reset_index()


def sweep(
    model: LensModel,
    items: Items,
    vectors: Iterable[SteeringVector],
    layers: Sequence[int] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    *,
    tokens: Which = "all",
    kinds: Sequence[Kind] = KINDS,
    scoring: Scoring | None = None,
    batch_size: int | None = None,
) -> Sweep:
    """Scores every vector of a locale on that locale's items, at every layer and strength, each run for real.

    Blocks below the steered layer run once for all strengths and vectors, and logits are computed at the choices'
    tokens only.

    Args:
        items: what is scored, usually the dev part of a split. Vectors are used on items of their own locale.
        vectors: EN and LOC vectors, or any others with a locale.
        layers: the vectors' own layers for ``None``.
        strengths: factors on the raw difference of means.
        tokens: which tokens are steered.
        kinds: score transfer (``factual``), localization (``cultural``) or both.

    Raises:
        LayerError: a layer that a vector was not taken at.
        FingerprintError: a vector of another model.
        UnknownNameError: a vector's locale has no items.
        SettingsError: no vectors or no strengths.
    """
    vectors, strengths = list(vectors), list(strengths)
    if not vectors or not strengths:
        raise SettingsError(f"{len(vectors)} vectors and {len(strengths)} strengths given: expected at least one of each.")
    by_locale: dict[str, list[tuple[dict[str, Any], SteeringPlan]]] = {}
    for vector in vectors:
        for layer in vector.layers if layers is None else model.layers(layers):
            for strength in strengths:
                cell = {"vector": vector.name, "layer": layer, "strength": float(strength)}
                by_locale.setdefault(vector.locale, []).append((cell, vector.at(layer, strength, tokens)))
    rows = scored_rows(model, items, by_locale, kinds=kinds, scoring=scoring, batch_size=batch_size, title="Sweep")
    import pandas as pd

    return Sweep(pd.DataFrame(rows))


def scored_rows(
    model: LensModel,
    items: Items,
    plans: Mapping[str, Sequence[tuple[dict[str, Any], SteeringPlan]]],
    *,
    kinds: Sequence[Kind] = KINDS,
    scoring: Scoring | None = None,
    batch_size: int | None = None,
    title: str,
) -> list[dict[str, Any]]:
    """A row per labelled plan and item of its locale: the label, the steered outcome and the unsteered one."""
    exams = {
        (locale, kind): Exam(model, part, scoring, batch_size=batch_size)
        for locale in plans
        for kind in kinds
        if len(part := items.of(kind=kind, locale=locale))
    }
    rows: list[dict[str, Any]] = []
    total = sum(len(exam) * len(plans[locale]) for (locale, _), exam in exams.items())
    with progress(total, title, "item") as bar:
        for (locale, _), exam in exams.items():
            bar.set_postfix_str(locale)
            base = exam.score()
            share = len(exam) / exam.n_batches
            for index, outcomes in exam.sweep([plan for _, plan in plans[locale]]):
                bar.update(share)
                if outcomes is not None:
                    rows.extend(_rows(plans[locale][index][0], outcomes, base))
    return rows


def _rows(label: dict[str, Any], outcomes: Sequence[Outcome], base: Sequence[Outcome]) -> Iterable[dict[str, Any]]:
    for steered, unsteered in zip(outcomes, base, strict=True):
        before = unsteered.row()
        yield {**label, **steered.row(), **{f"base_{name}": before[name] for name in ("hit", "english_centric", "margin")}}
