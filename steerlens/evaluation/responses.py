"""Strength-response curves: how each item's score changes with the strength, and which items change in the wrong
direction."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from steerlens.data import Items
from steerlens.errors import SettingsError, VectorError
from steerlens.evaluation.comparing import MEAN
from steerlens.evaluation.evidence import MAX_NEW_TOKENS
from steerlens.evaluation.finite import advice
from steerlens.evaluation.item_scores import beside, by_concept, rows_of_score
from steerlens.evaluation.running import Executor, Running
from steerlens.evaluation.scores import AXES, asked_for, finer_of
from steerlens.evaluation.sweeping import sweep
from steerlens.evaluation.sweeps import Sweep
from steerlens.models.lens import LensModel
from steerlens.numeric import finite_numbers
from steerlens.scores import GivenScore, Score
from steerlens.settings import STRENGTHS, Scoring
from steerlens.statistics import bootstrap_interval
from steerlens.steering import Intervention, SteeredTokens, VectorSet, vector_set
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

BOTH_WAYS = (*(-strength for strength in reversed(STRENGTHS)), *STRENGTHS)
"""The default strengths, which are positive and negative."""


@dataclass(frozen=True, eq=False)
class Response(ResultTable):
    """The response to one vector at one layer, with one row per strength, item and score. The table has the columns of a
    sweep, and the column ``base`` contains the score at strength 0.

    Curves and slopes are computed from the companions of the scores, such as margins. For a score without a companion, the
    score itself is used.
    """

    columns: ClassVar[tuple[str, ...]] = Sweep.columns

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the requested scores. Each requested score has a curve."""
        return asked_for(self.meta, self.frame["score"])

    def _finer(self, score: str) -> Score:
        return finer_of(score, self.frame["score"])

    def slopes(self) -> "pd.DataFrame":
        """Returns the steerability of each item. The steerability is the least-squares slope of the item's margin over the
        strengths, including strength 0.

        The unit of a slope is nats per token (or the score's unit) per unit of strength. Tan et al. (arXiv 2407.12404) call
        items with a slope below zero anti-steerable. An item has no slope if the score cannot be measured at every strength.

        Returns:
            A table with the columns vector, score, locale, kind, concept, slope.

        Raises:
            SettingsError: no score can be measured on an item at every strength.
        """
        import pandas as pd

        keys = ["vector", "locale", "kind", "concept"]
        found = []
        for score in self.scores:
            rows = rows_of_score(self.frame, self._finer(score))
            rows = rows[~rows.groupby(keys)["change"].transform(lambda changes: changes.isna().any()).astype(bool)]
            if rows.empty:
                continue
            margins = rows.pivot_table(index=keys, columns="strength", values="value", sort=False)
            base = rows.groupby(keys, sort=False)["base"].first().reindex(margins.index)
            values = np.column_stack([base.to_numpy(), margins.to_numpy()])
            strengths = np.array([0.0, *margins.columns])
            centred = strengths - strengths.mean()
            slope = values @ centred / (centred @ centred)  # the strengths are centred, so the margins need not be
            found.append(pd.DataFrame({"slope": slope}, index=margins.index).reset_index().assign(score=score))
        if not found:
            raise SettingsError(
                f"none of the scores {self.scores} could be measured on any item at every strength. Give more items, or "
                "other items."
            )
        return pd.concat(found, ignore_index=True)[["vector", "score", "locale", "kind", "concept", "slope"]]

    def summary(self, *, seed: int = 0) -> "pd.DataFrame":
        """Returns mean slopes and shares of anti-steerable items, per vector, score, kind and locale. In the locale ``mean``,
        each concept counts once.

        Args:
            seed: the seed of the bootstrap.

        Returns:
            A table with the columns vector, score, locale, kind, n (concepts), slope, low and high (the slope's 95% interval
            over concepts), against, against_low and against_high (the 95% interval of ``against``). ``against`` is the share
            of anti-steerable items, whose slope has the wrong sign.
        """
        import pandas as pd

        table, rows = self.slopes(), []
        worse = table["score"].map(lambda name: -1.0 if self._finer(name).higher_is_better else 1.0)
        table["below"] = (worse * table["slope"] > 0).astype(float)
        for (vector, score, kind), own in table.groupby(["vector", "score", "kind"], sort=False):
            for locale, part in _by_locale(own):
                concepts = part.groupby(by_concept(part), sort=False)[["slope", "below"]].mean()
                slope, below = (bootstrap_interval(concepts[name].to_numpy(), seed=seed) for name in ("slope", "below"))
                found: dict[str, Any] = {"vector": vector, "score": score, "locale": locale, "kind": kind, "n": slope.n}
                found |= {"slope": slope.mean, "low": slope.low, "high": slope.high}
                rows.append({**found, "against": below.mean, "against_low": below.low, "against_high": below.high})
        return pd.DataFrame(rows)

    def curve(self, *, seed: int = 0) -> "pd.DataFrame":
        """Returns the mean change of each score and of its companion (such as the margin) by strength, including strength 0.

        Args:
            seed: the seed of the bootstrap.

        Returns:
            A table with the columns vector, score, finer, locale, kind, strength, n (concepts), margin, low and high (the 95%
            interval of ``margin`` over concepts), change (the change of the score). ``finer`` is the name of the score's
            companion or, without a companion, of the score itself. ``margin`` is the change of the score that ``finer`` names,
            in the unit of this score.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for score in self.scores:
            own, finer = rows_of_score(self.frame, score), self._finer(score)
            changes = own.assign(coarse=own["change"], change=beside(own, rows_of_score(self.frame, finer), "change"))
            changes = changes[changes["change"].notna()]
            for (vector, kind), both in changes.groupby(["vector", "kind"], sort=False):
                for locale, part in _by_locale(both):
                    label = {"vector": vector, "score": score, "finer": finer.name, "locale": locale, "kind": kind}
                    rows += [{**label, **numbers} for numbers in _curve(part, seed)]
        by = ["vector", "kind", "score", "locale", "strength"]
        return pd.DataFrame(rows).sort_values(by, kind="stable", ignore_index=True)

    def plot(self) -> "Figure":
        """Draws the mean change of the margin by strength, with one panel per score and kind of items. Each panel has one
        line per locale and one line for the mean over locales."""
        from steerlens.plotting import response_lines

        return response_lines(self.curve(), self.summary(), int(self.frame["layer"].iloc[0]))


def _curve(part: "pd.DataFrame", seed: int) -> Iterator[dict[str, Any]]:
    """Yields the numbers of one curve for each strength. The row of strength 0 comes last."""
    n = 0
    for strength, at in part.groupby("strength"):
        concepts = at.groupby(by_concept(at), sort=False)[["change", "coarse"]].mean()
        change = bootstrap_interval(concepts["change"].to_numpy(), seed=seed)
        n, numbers = change.n, {"margin": change.mean, "low": change.low, "high": change.high}
        yield {"strength": strength, "n": n, **numbers, "change": float(concepts["coarse"].mean())}
    yield {"strength": 0.0, "n": n, **dict.fromkeys(("margin", "low", "high", "change"), 0.0)}


def _by_locale(rows: "pd.DataFrame") -> Iterator[tuple[str, "pd.DataFrame"]]:
    """Yields the rows of each locale, and all rows together as ``mean``."""
    yield from ((str(locale), part) for locale, part in rows.groupby("locale", sort=False))
    yield MEAN, rows


def response(
    model: LensModel,
    items: Items,
    vectors: VectorSet | Intervention | Iterable[Intervention],
    layer: int,
    strengths: Sequence[float] = BOTH_WAYS,
    *,
    scores: Sequence[GivenScore] = AXES,
    tokens: SteeredTokens = "last_onward",
    scoring: Scoring | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    batch_size: int | None = None,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
) -> Response:
    """Measures one vector (for one or more locales) at one layer over a range of strengths.

    Args:
        model: the model that is steered.
        items: the items that are scored, usually the dev part of a split. A vector is used on the items of its own locale.
        vectors: vectors with one common name: one vector per locale, or one vector without a locale.
        layer: a block's index.
        strengths: the strengths. Strength 0 is always included.
        scores: names of scores, or your own scores. The companions of these scores (continuous scores, such as margins) are
            measured too, and the curves are computed from the companions.
        tokens: which tokens are steered.
        scoring: how choices are presented and scored; ``None`` takes the defaults.
        max_new_tokens: the largest number of tokens of each generated text (only for scores of generated text).
        batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
        executor: the executor that runs the tasks (see ``sweep``).
        resume: a folder in which the result of every finished task is kept (see ``sweep``).

    Raises:
        SettingsError: the vectors have several names, or there are fewer than two strengths other than 0.
        LayerError: a vector has no direction at the layer.
        FingerprintError: a vector belongs to another model.
        UnknownNameError: a vector's locale has no items.
        VectorError: scores are not finite at one of the strengths.
    """
    given = vector_set(vectors)
    wanted = [strength for strength in finite_numbers(strengths, "strength", "a response") if strength]
    if len(wanted) < 2 or len(given.names) != 1:
        raise SettingsError(
            f"strengths {strengths} and vectors {[vector.label for vector in given.values()]} given: expected two or more "
            "strengths other than 0, and either one vector or vectors with one common name for several locales."
        )
    swept = sweep(
        model, items, given, [layer], wanted, scores=scores, tokens=tokens, scoring=scoring,
        max_new_tokens=max_new_tokens, batch_size=batch_size, executor=executor, resume=resume,
    )  # fmt: skip
    frame, dtype = swept.frame, model.fingerprint.dtype
    bad = sorted(set(frame.loc[~frame["valid"], "strength"]))
    if bad:
        raise VectorError(
            f"{given.names[0]} at layer {layer} gives NaN or infinite scores at the strengths {bad} in {dtype}. Leave these "
            f"strengths out, or {advice(dtype)}."
        )
    return Response(frame, swept.meta)
