"""The table of a layer sweep: the scores of every vector at every layer and strength."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from steerlens.data import Items
from steerlens.data.splits import group_of
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.depths import Depths, depths
from steerlens.evaluation.evidence import MAX_NEW_TOKENS
from steerlens.evaluation.item_scores import ITEM_COLUMNS, by_concept, rows_of_score
from steerlens.evaluation.running import Running
from steerlens.evaluation.scores import asked_for, finer_of, without_companions
from steerlens.models.lens import LensModel
from steerlens.scores import GivenScore, score_of
from steerlens.settings import TEXT_LIMITS, Scoring, TextLimits
from steerlens.statistics import bootstrap_means, percentile_interval
from steerlens.steering import Intervention, VectorSet, vector_set
from steerlens.steering.contrasts import builtin_aim
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.evaluation.choosing import Choices
    from steerlens.plotting import Figure

log = logging.getLogger("steerlens")

CELL = ["vector", "layer", "strength", "tokens"]
"""The columns that identify a cell of a sweep."""
_NAMED = 3
"""The largest number of locales whose names are listed above a heatmap."""
_DRAWS = 2000
"""The number of resamples of concepts for the intervals of a heatmap's cells."""


@dataclass(frozen=True, eq=False)
class SweptFrom:
    """The objects from which a sweep was made. ``choose`` needs the objects to run combinations of cells. The objects are not
    saved with the sweep."""

    model: LensModel
    items: Items
    vectors: VectorSet
    scoring: Scoring
    batch_size: int | None
    running: Running
    max_new_tokens: int = MAX_NEW_TOKENS


@dataclass(frozen=True, eq=False)
class Sweep(ResultTable):
    """One row for each cell (vector, layer, strength, tokens), item and score.

    Columns: vector, layer, strength, tokens, exact (whether the cell was run and not predicted), locale, kind, concept,
    score, value, base (the item's unsteered score), valid. ``valid`` says whether the model's scores of the item are finite
    under steering. If ``valid`` is false, the value is NaN. If a value is NaN and ``valid`` is true, the score could not be
    measured.
    """

    source: SweptFrom | None = field(default=None, repr=False)
    """The objects from which the sweep was made; ``None`` for a sweep that was loaded from a file."""

    columns: ClassVar[tuple[str, ...]] = (*CELL, "exact", *ITEM_COLUMNS, "base", "valid")

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the requested scores."""
        return asked_for(self.meta, self.frame["score"])

    def cells(self, score: GivenScore = "transfer", locale: str | None = None) -> "pd.DataFrame":
        """Returns one row for each cell, with the mean steered and unsteered score, the change, and the change of the
        companion.

        Args:
            score: one of the measured scores.
            locale: one locale; ``None`` pools all locales.

        Returns:
            A table with the columns vector, layer, strength, tokens, value, base, change, margin, invalid, exact, n
            (concepts) and items. ``margin`` is the mean change of the score's companion, such as the margin for transfer, or
            NaN if there is no companion. ``invalid`` is the share of items whose scores are not finite. If ``invalid`` is
            above 0, value, change and margin are NaN.

        Raises:
            UnknownNameError: there is no such score or locale.
        """
        return cell_means(self.frame, CELL, score, locale)

    def heatmap(self, vector: str = "EN", score: GivenScore = "transfer", locale: str | None = None) -> "Figure":
        """Draws a heatmap of layers and strengths, coloured by the score's change against the unsteered model. The colours
        are centred at zero.

        A dot marks a cell that was run and whose paired 95% interval over concepts excludes zero. Cells that are not in the
        sweep are empty, for example larger strengths that were run only at some layers.

        Args:
            vector: the name of the vector.
            score: one of the measured scores.
            locale: one locale; ``None`` pools all locales.

        Raises:
            UnknownNameError: there is no such vector, score or locale.
            SettingsError: the score could not be measured on any item, or the vector was swept with other scores.
        """
        from steerlens.plotting import sweep_heatmap

        own, known = self._of(vector), score_of(score)
        locales = tuple(dict.fromkeys(self.frame["locale"]))
        where = locale or (", ".join(locales) if len(locales) <= _NAMED else f"{len(locales)} locales")
        if known.name in set(self.frame["score"]) and known.name not in set(own["score"]):
            raise SettingsError(
                f"{vector} was swept only with the scores {', '.join(without_companions(own['score']))}. To see "
                f"{known.name!r}, sweep again and include this score, for example scores=['transfer', 'localization']."
            )
        rows = cell_means(own, CELL, known, locale)
        if rows.empty:
            raise SettingsError(
                f"{known.name} could not be measured on any of the swept items. Choose another score, or sweep more items."
            )
        if (rows["exact"] & rows["change"].notna()).any():
            rows = rows.merge(_intervals(rows_of_score(own, known, locale)), on=CELL, how="left")
        return sweep_heatmap(rows, vector, known, where)

    def by_locale(self, vector: str = "EN", score: GivenScore = "transfer", strength: float | None = None) -> "Figure":
        """Draws a heatmap of layers and locales, coloured by the mean change of the score's companion (such as the margin).
        The colours are centred at zero.

        Args:
            vector: the name of the vector.
            score: one of the measured scores. If the score has no companion, the colours show the change of the score itself.
            strength: one of the swept strengths; ``None`` takes the strength nearest to 1.

        Raises:
            UnknownNameError: there is no such vector, score or strength.
            SettingsError: the score could not be measured on any item.
        """
        from steerlens.plotting import sweep_by_locale

        known, finer = score_of(score), finer_of(score, self.frame["score"])
        own = rows_of_score(self._of(vector), finer)
        strengths = sorted(set(own["strength"]))
        chosen = min(strengths, key=lambda one: abs(one - 1)) if strength is None else float(strength)
        if chosen not in strengths:
            raise UnknownNameError("strength", chosen, strengths)
        return sweep_by_locale(_by_locale(own[own["strength"] == chosen]), vector, known, chosen, finer)

    def choose(
        self,
        model: LensModel | None = None,
        items: Items | None = None,
        vectors: VectorSet | Intervention | Iterable[Intervention] | None = None,
        *,
        limits: TextLimits | None = TEXT_LIMITS,
        seed: int = 0,
    ) -> "Choices":
        """Chooses a cell for each contrast, by the score that the contrast is meant to raise, and the best plan for all
        contrasts together.

        Cells are ordered by the graded form of the score (the preference for the right answer over the best other choice). The
        graded form is more precise than the score itself on few concepts. Ties are decided by the score itself, and then by
        the smaller strength. Strong plans have side effects, so a weaker strength at the best cell's layer is preferred. The
        chosen strength is the weakest strength whose score is at most one standard error below the best cell's score. The
        standard error is the standard error of the difference, paired by concept. The gain of the best of many cells is
        overestimated on the concepts of the choice. Therefore the choice is repeated with cross-fitting: a cell is chosen on
        four fifths of the concepts and measured on the remaining fifth. Each fifth is left out once, and the division into
        fifths is drawn several times. The mean effect on the concepts that were left out is the expected effect on new
        concepts (``chosen.expected``, in words ``chosen.explained()``). If no improvement over the unsteered model is
        expected, the unsteered model is chosen.

        A plan that makes texts much worse is not chosen. Before a plan is chosen, the model scores held-out texts and
        generates texts under the plan, for a few dev concepts. If the perplexity or the repetition of the texts rises above
        the ``limits``, the plan and all stronger plans are left out, and the next best plan is taken. ``chosen.explained()``
        names the plans that were left out.

        For every contrast, the best cells of three layers (of two layers after a screened sweep) are run on the items of the
        other contrasts. The best cells are then combined at different layers. The plan for all contrasts together is the best
        of the combinations, of the combined cells, and of the unsteered model. Plans are compared by the smallest gain of the
        scores that the contrasts are meant to raise. A contrast that does not help is left out.

        The cell of a contrast is chosen by the results in the locales of its vectors. The plan for all contrasts together is
        chosen by the results in the locales that all contrasts share. A warning is logged if a contrast also has other
        locales.

        Args:
            model, items, vectors: the objects from which the sweep was made, if the sweep was loaded from a file. The objects
                are compared with the sweep's description.
            limits: the limits on the perplexity and the repetition of texts under a chosen plan. With ``None``, no texts are
                measured, and a chosen plan may break texts.
            seed: the seed of the folds in which the choice is repeated, and of the draw of concepts whose texts are used.

        Raises:
            SettingsError: the contrasts of the sweep have cells at only one layer, or a contrast has no score; or the sweep
                was made with other items, other vectors or another model than the given objects.
            ModelError: the unsteered model gives NaN or infinity for texts of dev concepts.
        """
        from steerlens.evaluation.choosing import choose

        return choose(self, self._source(model, items, None if vectors is None else vector_set(vectors)), seed, limits)

    @property
    def aims(self) -> dict[str, str]:
        """The scores that the swept vectors are meant to raise, by the vector's name. Vectors without a known score are left
        out."""
        known: dict[str, str] = self.meta.get("aims", {})
        found = {name: known.get(name) or builtin_aim(name) for name in dict.fromkeys(self.frame["vector"])}
        return {name: score for name, score in found.items() if score}

    def depth(self, scores: Mapping[str, GivenScore] | None = None, *, draws: int = 2000, seed: int = 0) -> Depths:
        """Returns the depth of each vector (the layer where the vector raises its score most), and the difference in depth
        between vectors, with intervals over concepts.

        Each layer is represented by its best strength. Only strengths that were run at all layers are used. Larger strengths
        that ``extend`` added at some layers do not count. The concepts are resampled separately for each vector.

        Args:
            scores: the score of each vector, by the vector's name; ``None`` takes the scores that vectors are meant to raise.
            draws: the number of resamples of concepts.
            seed: the seed of the resamples.

        Raises:
            UnknownNameError: the sweep has no such vector or score.
            SettingsError: no scores are given, or no concept has a finite score in all cells.
        """
        named = self.aims if scores is None else {name: score_of(score).name for name, score in scores.items()}
        return Depths(depths(self.frame, named, draws=draws, seed=seed).frame, {**self.meta, "draws": draws, "seed": seed})

    def _source(self, model: LensModel | None, items: Items | None, vectors: VectorSet | None) -> SweptFrom:
        """Returns the objects from which the sweep was made."""
        if self.source is not None and model is None and items is None and vectors is None:
            return self.source
        kept = self.source
        own = (model or (kept and kept.model), items or (kept and kept.items), vectors or (kept and kept.vectors))
        if not (own[0] and own[1] and own[2]):
            raise SettingsError(
                "this sweep was loaded from a file, which does not contain the model, the items and the vectors: expected all "
                "three as arguments. Give the model, the items and the vectors with which the sweep was made."
            )
        self.check(model=own[0].fingerprint.to_dict(), items=own[1].digest(), vectors=own[2].digest())
        scoring = kept.scoring if kept else Scoring.from_dict(self.meta.get("scoring"))
        running = kept.running if kept else Running()
        length = kept.max_new_tokens if kept else self.meta.get("max_new_tokens", MAX_NEW_TOKENS)
        return SweptFrom(own[0], own[1], own[2], scoring, kept.batch_size if kept else None, running, length)

    def _of(self, vector: str) -> "pd.DataFrame":
        """Returns the rows of the table that belong to one vector."""
        return self.frame[self.frame["vector"] == self.having("vector", vector)]


def cell_means(frame: "pd.DataFrame", by: Sequence[str], score: GivenScore, locale: str | None = None) -> "pd.DataFrame":
    """Returns the means of one score over items, for each combination of the columns ``by``. The columns of the result are
    described in ``Sweep.cells``.

    Raises:
        UnknownNameError: there are no rows with the score or the locale.
    """
    part = rows_of_score(frame, score, locale)
    part = part.assign(invalid=~part["valid"])
    part = part[part["change"].notna() | part["invalid"]]  # the score could not be measured in the other rows
    part = part.assign(concept=by_concept(part))
    grouped = part.groupby(list(by), sort=False)
    means = grouped[["value", "base", "change", "invalid"]].mean()
    companion = score_of(score).companion
    if companion in set(frame["score"]):
        finer = rows_of_score(frame, companion, locale)
        means["margin"] = finer.groupby(list(by), sort=False)["change"].mean()
    else:
        means["margin"] = math.nan
    means.loc[means["invalid"] > 0, ["value", "change", "margin"]] = math.nan
    means = means[["value", "base", "change", "margin", "invalid"]]
    return means.assign(exact=grouped["exact"].all(), n=grouped["concept"].nunique(), items=grouped.size()).reset_index()


def _by_locale(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Returns one row for each locale and layer, with the columns value (the mean change), low and high (the interval of the
    mean change over concepts), n, and exact.

    Raises:
        SettingsError: the score could not be measured on any concept.
    """
    import pandas as pd

    if rows["change"].isna().all() and rows["valid"].all():
        raise SettingsError(
            f"{rows['score'].iloc[0]} could not be measured on any of the swept items. Choose another score, or sweep more items."
        )
    found = []
    for locale, own in rows.groupby("locale", sort=False):
        table = own.pivot(index="concept", columns="layer", values="change")
        table = table.groupby(table.index.map(group_of), sort=False).mean()
        broken = ~own.groupby("layer")["valid"].all().reindex(table.columns)
        table = table.mask(broken.to_numpy()[None, :].repeat(len(table), axis=0))  # one bad item makes its layer's mean NaN
        means = {"locale": locale, "layer": table.columns, "value": table.mean().to_numpy(), "n": len(table)}
        around = _around(table).reindex(table.columns).to_numpy()
        found.append(pd.DataFrame({**means, "low": around[:, 0], "high": around[:, 1], "exact": bool(own["exact"].all())}))
    return pd.concat(found)


def _intervals(changes: "pd.DataFrame") -> "pd.DataFrame":
    """Returns the interval (low and high) of the mean change over concepts, for each cell that was run."""
    run = changes[changes["exact"]]
    run = run[run.groupby(CELL)["valid"].transform("all").astype(bool)]
    return _around(run.assign(concept=by_concept(run)).pivot_table(index="concept", columns=CELL, values="change")).reset_index()


def _around(table: "pd.DataFrame") -> "pd.DataFrame":
    """Returns the interval (low and high) of the mean over concepts, for each column of the table ``[concept, column]``. Only
    concepts that have a value in the column are used.

    The same resamples are used for all columns without missing values. A column without any value has no interval.
    """
    import pandas as pd

    whole = table.dropna(axis=1)
    found = [pd.DataFrame({"low": [], "high": []}, index=table.columns[:0])]
    for part in (whole, *(table[[name]].dropna() for name in table.columns.difference(whole.columns))):
        if part.size:
            low, high = percentile_interval(bootstrap_means(part.to_numpy(), draws=_DRAWS))
            found.append(pd.DataFrame({"low": low, "high": high}, index=part.columns))
    return pd.concat(found)
