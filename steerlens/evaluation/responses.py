"""Strength-response curves: how each item's margin answers to the strength, and where it answers the wrong way."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from steerlens.data import KINDS, Items, Kind
from steerlens.errors import SettingsError, VectorError
from steerlens.evaluation.comparing import MEAN
from steerlens.evaluation.finite import advice
from steerlens.evaluation.intervals import paired_interval
from steerlens.evaluation.sweeps import sweep
from steerlens.models.lens import LensModel
from steerlens.settings import Scoring
from steerlens.steering import SteeringVector, Which
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

STRENGTHS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)


@dataclass(frozen=True, eq=False)
class Response(ResultTable):
    """One vector at one layer, a row per strength and item, in the columns of a sweep; what strength 0 does is in ``base_``."""

    columns: ClassVar[tuple[str, ...]] = (
        "vector",
        "layer",
        "strength",
        "locale",
        "kind",
        "concept",
        "hit",
        "margin",
        "base_margin",
    )

    def slopes(self) -> "pd.DataFrame":
        """Steerability of each item: the least-squares slope of its margin over the strengths, strength 0 among them.

        In nats per token and unit of strength, as in Tan et al. (arXiv 2407.12404), who call items with a slope below zero
        anti-steerable.

        Returns:
            Columns vector, locale, kind, concept, slope.
        """
        import pandas as pd

        keys = ["vector", "locale", "kind", "concept"]
        margins = self.frame.pivot_table(index=keys, columns="strength", values="margin", sort=False)
        base = self.frame.groupby(keys, sort=False)["base_margin"].first().reindex(margins.index)
        values = np.column_stack([base.to_numpy(), margins.to_numpy()])
        strengths = np.array([0.0, *margins.columns])
        centred = strengths - strengths.mean()
        slope = values @ centred / (centred @ centred)  # the mean of the margins drops out, since the strengths are centred
        return pd.DataFrame({"slope": slope}, index=margins.index).reset_index()

    def summary(self, *, seed: int = 0) -> "pd.DataFrame":
        """Per vector, locale (``mean``: a concept counts once) and kind: the mean slope and the share of items below zero.

        Returns:
            Columns vector, locale, kind, n (concepts), slope, low, high, against (share of anti-steerable items), against_low,
            against_high; 95% intervals over concepts.
        """
        import pandas as pd

        table, rows = self.slopes(), []
        table["below"] = (table["slope"] < 0).astype(float)
        for (vector, kind), own in table.groupby(["vector", "kind"], sort=False):
            for locale, part in _by_locale(own):
                concepts = part.groupby("concept", sort=False)[["slope", "below"]].mean()
                slope, below = (paired_interval(concepts[name].to_numpy(), seed=seed) for name in ("slope", "below"))
                found: dict[str, Any] = {"vector": vector, "locale": locale, "kind": kind, "n": slope.n, "slope": slope.mean}
                found |= {"low": slope.low, "high": slope.high}
                rows.append({**found, "against": below.mean, "against_low": below.low, "against_high": below.high})
        return pd.DataFrame(rows)

    def curve(self, *, seed: int = 0) -> "pd.DataFrame":
        """Mean change of margin and of hits by strength, with strength 0.

        Returns:
            Columns vector, locale, kind, strength, n, margin (change, nats per token), low, high (95%, over concepts), hits
            (change of the share of right or local answers).
        """
        import pandas as pd

        frame = self.frame.assign(change=self.frame["margin"] - self.frame["base_margin"])
        frame["hits"] = frame["hit"].astype(float) - frame["base_hit"].astype(float)
        rows: list[dict[str, Any]] = []
        for (vector, kind), own in frame.groupby(["vector", "kind"], sort=False):
            for locale, part in _by_locale(own):
                label = {"vector": vector, "locale": locale, "kind": kind}
                for strength, at in part.groupby("strength"):
                    concepts = at.groupby("concept", sort=False)[["change", "hits"]].mean()
                    change = paired_interval(concepts["change"].to_numpy(), seed=seed)
                    numbers = {"n": change.n, "margin": change.mean, "low": change.low, "high": change.high}
                    rows.append({**label, "strength": strength, **numbers, "hits": float(concepts["hits"].mean())})
                rows.append(
                    {**label, "strength": 0.0, "n": rows[-1]["n"], **dict.fromkeys(("margin", "low", "high", "hits"), 0.0)}
                )
        return pd.DataFrame(rows).sort_values(["vector", "kind", "locale", "strength"], kind="stable", ignore_index=True)

    def plot(self) -> "Figure":
        """Mean change of margin by strength, a line per locale and their mean with its band; a panel per kind of item."""
        from steerlens.plotting import response_lines

        return response_lines(self.curve(), self.summary(), int(self.frame["layer"].iloc[0]))


def _by_locale(rows: "pd.DataFrame") -> Iterator[tuple[str, "pd.DataFrame"]]:
    """The rows of each locale, and all of them as ``mean``."""
    yield from ((str(locale), part) for locale, part in rows.groupby("locale", sort=False))
    yield MEAN, rows


def response(
    model: LensModel,
    items: Items,
    vectors: SteeringVector | Iterable[SteeringVector],
    layer: int,
    strengths: Sequence[float] = STRENGTHS,
    *,
    tokens: Which = "all",
    kinds: Sequence[Kind] = KINDS,
    scoring: Scoring | None = None,
    batch_size: int | None = None,
) -> Response:
    """Scores one vector (of one or more locales) at one layer over a range of strengths.

    Args:
        items: usually dev; vectors are used on items of their own locale.
        vectors: one name, a vector per locale.
        strengths: other than 0, which is always there.

    Raises:
        SettingsError: vectors of several names, or fewer than two strengths other than 0.
        LayerError: a layer that a vector was not taken at.
        FingerprintError: a vector of another model.
        UnknownNameError: a vector's locale has no items.
        VectorError: strengths under which scores are not finite.
    """
    given = [vectors] if isinstance(vectors, SteeringVector) else list(vectors)
    wanted = [strength for strength in dict.fromkeys(map(float, strengths)) if strength]
    if len(wanted) < 2 or len({vector.name for vector in given}) != 1:
        raise SettingsError(
            f"strengths {tuple(strengths)} and vectors {[vector.label for vector in given]} given: expected two or more "
            "strengths other than 0, and one vector, or that of several locales."
        )
    common: dict[str, Any] = {"tokens": tokens, "kinds": kinds, "scoring": scoring, "batch_size": batch_size}
    frame, dtype = sweep(model, items, given, [layer], wanted, **common).frame, model.fingerprint.dtype
    bad = sorted(set(frame.loc[frame["margin"].isna(), "strength"]))
    if bad:
        raise VectorError(
            f"{given[0].name} at layer {layer} gives NaN or infinite scores at strengths {bad} in {dtype}: leave them out, "
            f"or {advice(dtype)}."
        )
    return Response(frame)
