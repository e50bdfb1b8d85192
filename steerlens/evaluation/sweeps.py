"""Layer sweeps: every vector at every layer and strength, scored for transfer and for localization."""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np

from steerlens.data import KINDS, Items, Kind
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.finite import advice
from steerlens.evaluation.grid import Cell, Grid, exams_of
from steerlens.evaluation.intervals import paired_intervals
from steerlens.evaluation.questions import Scoring
from steerlens.models.engine import MEMORY
from steerlens.models.lens import LensModel
from steerlens.steering import SteeringVector, Which
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

log = logging.getLogger("steerlens")

_CELL = ["vector", "layer", "strength"]
_NAMED = 3
"""Locales that a heatmap of half a page has room to name."""
STRENGTHS = (0.5, 1.0, 2.0, 4.0)
Mode = Literal["exact", "attribution", "screened"]
MODES: tuple[Mode, ...] = get_args(Mode)
SCORES = ("transfer", "localization", "english_centric")
"""T: factual items answered right. L: cultural items whose local answer wins. English-centric: whose English one wins."""
_WITH_MARGIN = ("transfer", "localization")
"""Scores that are won by a margin."""


@dataclass(frozen=True, eq=False)
class Sweep(ResultTable):
    """One row per vector, layer, strength and item.

    Columns: vector, layer, strength, exact (run, not predicted), locale, kind, concept, hit, english_centric, margin, and
    the last three with ``base_`` in front: the item unsteered. Where steering takes the scores out of the model's numbers (NaN,
    infinity), the margin is NaN and nothing is hit.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "vector", "layer", "strength", "exact", "locale", "kind", "concept", "hit", "english_centric", "margin", "base_hit",
        "base_english_centric", "base_margin",
    )  # fmt: skip

    def cells(self, score: str = "transfer", locale: str | None = None) -> "pd.DataFrame":
        """One row per vector, layer and strength: the score steered, unsteered, its change, the margin's, n, and ``invalid``.

        ``invalid`` is the share of items whose scores are not finite. Where there are any, value, change and margin are NaN.

        Args:
            score: ``transfer``, ``localization`` or ``english_centric``.
            locale: one locale; all of them pooled for ``None``.

        Raises:
            UnknownNameError: no such score or locale.
        """
        return cells(self.frame, _CELL, score, locale)

    def heatmap(self, vector: str = "EN", score: str = "transfer", locale: str | None = None) -> "Figure":
        """Layer by strength, coloured by the score's change against unsteered, centred at zero; a dot marks cells that were run
        and whose paired 95% interval over concepts, taken by itself, excludes zero.

        Raises:
            UnknownNameError: no such vector, score or locale.
            SettingsError: no items of the kind that the score is measured on.
        """
        from steerlens.plotting import sweep_heatmap

        own = self._of(vector, score)
        locales = tuple(dict.fromkeys(self.frame["locale"]))
        where = locale or (", ".join(locales) if len(locales) <= _NAMED else f"{len(locales)} locales")
        rows = cells(own, _CELL, score, locale)
        if (rows["exact"] & rows["change"].notna()).any():
            rows = rows.merge(_intervals(scored(own, score, locale)), on=_CELL, how="left")
        return sweep_heatmap(rows, vector, score, where)

    def by_locale(self, vector: str = "EN", score: str = "transfer", strength: float | None = None) -> "Figure":
        """Layers by locales, coloured by the mean change of the answer's margin (nats per token), centred at zero.

        Args:
            score: ``transfer``: of right answers; ``localization``: of the locale's own.
            strength: one of those swept; the one nearest to 1 for ``None``.

        Raises:
            UnknownNameError: no such vector, score or strength.
            SettingsError: no items of the kind that the score is measured on.
        """
        from steerlens.plotting import sweep_by_locale

        if score not in _WITH_MARGIN:
            raise UnknownNameError("score with a margin", score, _WITH_MARGIN)
        own = self._of(vector, score)
        own = own[own["kind"] == kind_of(score)]
        known = sorted(set(own["strength"]))
        chosen = min(known, key=lambda one: abs(one - 1)) if strength is None else float(strength)
        if chosen not in known:
            raise UnknownNameError("strength", chosen, known)
        return sweep_by_locale(_margins(own[own["strength"] == chosen]), vector, score, chosen)

    def _of(self, vector: str, score: str) -> "pd.DataFrame":
        """The rows of one vector, if there are items that the score is measured on."""
        own = self.frame[self.frame["vector"] == self.having("vector", vector)]
        if not (own["kind"] == kind_of(score)).any():
            raise SettingsError(f"this sweep has no {kind_of(score)} items, which {score} is measured on. Sweep both kinds.")
        return own


def _margins(rows: "pd.DataFrame") -> "pd.DataFrame":
    """By locale and layer, the mean change of the margin as value, its interval over concepts as low and high, n, exact."""
    import pandas as pd

    found = []
    for locale, own in rows.assign(change=rows["margin"] - rows["base_margin"]).groupby("locale", sort=False):
        table = own.pivot(index="concept", columns="layer", values="change")  # one NaN makes its layer's mean NaN
        low, high = paired_intervals(table.to_numpy())
        means = {"locale": locale, "layer": table.columns, "value": table.mean(skipna=False).to_numpy(), "low": low, "high": high}
        found.append(pd.DataFrame({**means, "n": len(table), "exact": bool(own["exact"].all())}))
    return pd.concat(found)


def _intervals(changes: "pd.DataFrame") -> "pd.DataFrame":
    """Low and high of the mean change over concepts of each cell that was run."""
    import pandas as pd

    run = changes[changes["exact"]].astype({"change": float})
    run = run[~run.groupby(_CELL)["invalid"].transform("any")]
    table = run.pivot_table(index="concept", columns=_CELL, values="change").dropna(axis=1)
    low, high = paired_intervals(table.to_numpy())
    return pd.DataFrame({"low": low, "high": high}, index=table.columns).reset_index()


def kind_of(score: str) -> Kind:
    """The kind of item that a score is measured on.

    Raises:
        UnknownNameError: no such score.
    """
    if score not in SCORES:
        raise UnknownNameError("score", score, SCORES)
    return "factual" if score == "transfer" else "cultural"


def cells(frame: "pd.DataFrame", by: Sequence[str], score: str, locale: str | None = None) -> "pd.DataFrame":
    """Means of one score over items, for each combination of the columns ``by``: value, base, change, margin, invalid, exact, n.

    ``margin`` is the mean change of the answer's margin over the best other choice, in nats per token; ``invalid`` the share of
    items whose scores are not finite. If there are any, value, change and margin are NaN.

    Raises:
        UnknownNameError: no such score, or a locale without rows.
    """
    part = scored(frame, score, locale)
    grouped = part.groupby(list(by), sort=False)
    means = grouped[["value", "base", "change", "margin", "invalid"]].mean()
    means.loc[means["invalid"] > 0, ["value", "change", "margin"]] = math.nan
    return means.assign(exact=grouped["exact"].all(), n=grouped["concept"].nunique(), items=grouped.size()).reset_index()


def scored(frame: "pd.DataFrame", score: str, locale: str | None = None) -> "pd.DataFrame":
    """The rows that one score is measured on, with value, base and change of the score, in ``margin`` the margin's change, and
    ``invalid``.

    Raises:
        UnknownNameError: no such score, or a locale without rows.
    """
    part = frame[frame["kind"] == kind_of(score)]
    if locale is not None:
        known = tuple(dict.fromkeys(frame["locale"]))
        if locale not in known:
            raise UnknownNameError("locale", locale, known)
        part = part[part["locale"] == locale]
    column = "english_centric" if score == "english_centric" else "hit"
    part = part.assign(value=part[column].astype(float), base=part[f"base_{column}"].astype(float))
    change, margin = part["value"] - part["base"], part["margin"] - part["base_margin"]
    return part.assign(change=change, margin=margin, invalid=~np.isfinite(part["margin"].astype(float)))


def sweep(
    model: LensModel,
    items: Items,
    vectors: Iterable[SteeringVector],
    layers: Sequence[int] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    *,
    mode: Mode = "exact",
    tokens: Which = "all",
    kinds: Sequence[Kind] = KINDS,
    scoring: Scoring | None = None,
    batch_size: int | None = None,
    memory: int = MEMORY,
) -> Sweep:
    """Scores every vector of a locale on that locale's items, at every layer and strength.

    Blocks below the steered layer run once for all strengths and vectors, and logits are computed at the choices'
    tokens only.

    Args:
        items: what is scored, usually the dev part of a split. Vectors are used on items of their own locale.
        vectors: EN and LOC vectors, or any others with a locale.
        layers: the vectors' own layers for ``None``.
        strengths: factors on the raw difference of means.
        mode: ``exact`` runs every cell. ``attribution`` predicts all of them to first order from one pass forward and one
            backward (good where the vector is short against the residual; it does not know when a text breaks). ``screened``
            runs one strength of each vector and layer, predicts the others from that and the derivative, and runs the most
            promising. Column ``exact`` says which cells were run.
        tokens: which tokens are steered.
        kinds: score transfer (``factual``), localization (``cultural``) or both.
        memory: bytes that may be kept of a batch's residuals; what does not fit is computed again.

    Raises:
        LayerError: a layer that a vector was not taken at.
        FingerprintError: a vector of another model.
        UnknownNameError: a vector's locale has no items, or no such mode.
        SettingsError: no vectors or no strengths; a screened sweep of strength 0 alone.
        ModelError: the unsteered model gives scores that are not finite.
    """
    import pandas as pd

    vectors, strengths = list(vectors), sorted(dict.fromkeys(map(float, strengths)))
    if not vectors or not strengths:
        raise SettingsError(f"{len(vectors)} vectors and {len(strengths)} strengths given: expected at least one of each.")
    if mode not in MODES:
        raise UnknownNameError("mode", mode, MODES)
    exams = exams_of(model, items, [vector.locale for vector in vectors], kinds, scoring, batch_size, memory)
    if not exams:
        raise SettingsError(f"{items!r} holds no {' or '.join(kinds)} items of the vectors' locales: there is nothing to score.")
    cells = [
        Cell(vector.name, layer, strength)
        for vector in vectors
        for layer in (vector.layers if layers is None else model.layers(layers))
        for strength in strengths
    ]
    grid = Grid(exams, vectors, list(dict.fromkeys(cells)), tokens)
    rows = grid.run() if mode == "exact" else grid.predict() if mode == "attribution" else grid.screen()
    found = Sweep(pd.DataFrame(rows))
    _warn(found, model.fingerprint.dtype)
    return found


def _warn(swept: Sweep, dtype: str) -> None:
    """Says once how many cells hold scores that are not finite."""
    bad = swept.frame["margin"].isna()
    if bad.any():
        counts = bad.groupby([swept.frame[name] for name in _CELL], sort=False).sum()
        worst = ", ".join(f"{Cell(*cell)}: {n} items" for cell, n in counts[counts > 0].head(_NAMED).items())
        log.warning(
            "%d of %d cells give NaN or infinite scores in %s (%s%s). They are no answers: these cells are NaN and are never "
            "chosen. To have them, %s.",
            *((counts > 0).sum(), len(counts), dtype, worst, ", …" if (counts > 0).sum() > _NAMED else "", advice(dtype)),
        )
