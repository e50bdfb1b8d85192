"""Layer sweeps: every vector at every layer and strength, measured by any scores."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from steerlens.data import ENGLISH, KINDS, Items, Kind
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.depths import Depths, depths
from steerlens.evaluation.finite import advice, finite
from steerlens.evaluation.grid import Grid, parts_of
from steerlens.evaluation.item_scores import ITEM_COLUMNS, English, not_finite, rows_of_score
from steerlens.evaluation.running import Executor, Running
from steerlens.evaluation.scores import SWEPT, scores_of, without_companions
from steerlens.evaluation.tasks import ScoringTask
from steerlens.models.engine import MEMORY
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.provenance import provenance
from steerlens.scores import GivenScore, Score, score_of
from steerlens.settings import MODES, STRENGTHS, Mode, Scoring
from steerlens.statistics import bootstrap_means, percentile_interval
from steerlens.steering import Intervention, SteeredTokens, StepSpec, VectorSet, vector_set
from steerlens.steering.contrasts import builtin_aim
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.evaluation.choosing import Choices
    from steerlens.plotting import Figure

log = logging.getLogger("steerlens")

CELL = ["vector", "layer", "strength", "tokens"]
"""The columns that name a cell."""
_NAMED = 3
"""The locales that a heatmap of half a page has room to name."""
_DRAWS = 2000
"""The resamples of concepts behind the intervals of a heatmap's cells."""


@dataclass(frozen=True, eq=False)
class SweptFrom:
    """What a sweep was made from: what choosing needs to run combinations of its cells. It is not saved."""

    model: LensModel
    items: Items
    vectors: VectorSet
    scoring: Scoring
    batch_size: int | None
    running: Running


@dataclass(frozen=True, eq=False)
class Sweep(ResultTable):
    """A row for each cell (vector, layer, strength, tokens), item and score.

    Columns: vector, layer, strength, tokens, exact (run, not predicted), locale, kind, concept, score, value, and base: the
    item's score unsteered. Where steering takes the model's scores out of its numbers (NaN, infinity), the value is NaN.
    """

    source: SweptFrom | None = field(default=None, repr=False)
    """What it was made from; ``None`` for a sweep that was loaded from a file."""

    columns: ClassVar[tuple[str, ...]] = (*CELL, "exact", *ITEM_COLUMNS, "base")

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the scores that were measured, without companions."""
        return without_companions(self.frame["score"])

    def cells(self, score: GivenScore = "transfer", locale: str | None = None) -> "pd.DataFrame":
        """Returns a row for each cell: the score steered, unsteered, its change, that of its companion, n, and ``invalid``.

        Args:
            score: one of those that were measured.
            locale: one locale; all of them pooled for ``None``.

        Returns:
            Columns vector, layer, strength, tokens, value, base, change, margin (the mean change of the score's companion, as the
            margin of transfer; NaN for a score without one), invalid (the share of items whose scores are not finite; where there
            are any, value, change and margin are NaN), exact, n (concepts), items.

        Raises:
            UnknownNameError: no such score or locale.
        """
        return cell_means(self.frame, CELL, score, locale)

    def heatmap(self, vector: str = "EN", score: GivenScore = "transfer", locale: str | None = None) -> "Figure":
        """Draws layer by strength, coloured by the score's change against unsteered, centred at zero.

        A dot marks cells that were run and whose paired 95% interval over concepts, taken by itself, excludes zero.

        Args:
            vector: the name of the vector.
            score: one of those that were measured.
            locale: one locale; all of them pooled for ``None``.

        Raises:
            UnknownNameError: no such vector, score or locale.
        """
        from steerlens.plotting import sweep_heatmap

        own, known = self._of(vector), score_of(score)
        locales = tuple(dict.fromkeys(self.frame["locale"]))
        where = locale or (", ".join(locales) if len(locales) <= _NAMED else f"{len(locales)} locales")
        rows = cell_means(own, CELL, known, locale)
        if (rows["exact"] & rows["change"].notna()).any():
            rows = rows.merge(_intervals(rows_of_score(own, known, locale)), on=CELL, how="left")
        return sweep_heatmap(rows, vector, known, where)

    def by_locale(self, vector: str = "EN", score: GivenScore = "transfer", strength: float | None = None) -> "Figure":
        """Draws layers by locales, coloured by the mean change of the score's companion (its margin), centred at zero.

        Args:
            vector: the name of the vector.
            score: a score with a companion, as transfer and localization have their margins.
            strength: one of those swept; the one nearest to 1 for ``None``.

        Raises:
            UnknownNameError: no such vector, score or strength.
            SettingsError: the score has no companion.
        """
        from steerlens.plotting import sweep_by_locale

        known = score_of(score)
        if not known.companion:
            raise SettingsError(
                f"score {known.name!r} has no finer companion to colour by: expected one that has, as 'transfer'."
            )
        own = rows_of_score(self._of(vector), score_of(known.companion))
        strengths = sorted(set(own["strength"]))
        chosen = min(strengths, key=lambda one: abs(one - 1)) if strength is None else float(strength)
        if chosen not in strengths:
            raise UnknownNameError("strength", chosen, strengths)
        return sweep_by_locale(_by_locale(own[own["strength"] == chosen]), vector, known, chosen)

    def choose(self, model: LensModel | None = None, items: Items | None = None, vectors: VectorSet | None = None) -> "Choices":
        """Chooses the best cell of each contrast, by the score that it is meant to raise, and the best combination of all.

        Combinations of the best cells at different layers are run on the items that were swept. Ties go to the larger change of
        the score's companion, then to the smaller strength. A contrast that raises its score nowhere is left out (unsteered).

        Args:
            model, items, vectors: what the sweep was made from, if it was loaded from a file; checked against what it remembers.

        Raises:
            SettingsError: a sweep of one contrast or layer alone, or of other items, vectors, tokens or another model than given.
            FingerprintError: another model.
        """
        from steerlens.evaluation.choosing import choose

        return choose(self, self._source(model, items, vectors))

    @property
    def aims(self) -> dict[str, str]:
        """The score that each swept vector is meant to raise, as far as somebody said so."""
        known: dict[str, str] = self.meta.get("aims", {})
        found = {name: known.get(name) or builtin_aim(name) for name in dict.fromkeys(self.frame["vector"])}
        return {name: score for name, score in found.items() if score}

    def depth(self, scores: Mapping[str, GivenScore] | None = None, *, draws: int = 2000, seed: int = 0) -> Depths:
        """Says at which depth each vector works, with intervals over concepts, and how much deeper one works than another.

        A layer counts with the strength that is best for it. Each vector has its own resamples of concepts.

        Args:
            scores: by the vector's name, the score that it is measured by; for ``None`` those that vectors are meant to raise.
            draws: the number of resamples of concepts.
            seed: of the resamples.

        Raises:
            UnknownNameError: the sweep has no such vector or score.
            SettingsError: no score is named, or no concept has a finite score in all cells.
        """
        named = self.aims if scores is None else {name: score_of(score).name for name, score in scores.items()}
        return depths(self.frame, named, draws=draws, seed=seed)

    def _source(self, model: LensModel | None, items: Items | None, vectors: VectorSet | None) -> SweptFrom:
        """Returns what the sweep was made from."""
        if self.source is not None and model is None and items is None and vectors is None:
            return self.source
        kept = self.source
        own = (model or (kept and kept.model), items or (kept and kept.items), vectors or (kept and kept.vectors))
        if not (own[0] and own[1] and own[2]):
            raise SettingsError("this sweep was loaded from a file: give the model, items and vectors that it was made from.")
        self.check(model=own[0].fingerprint.to_dict(), items=own[1].digest(), vectors=own[2].digest())
        scoring = kept.scoring if kept else Scoring.from_dict(self.meta.get("scoring"))
        running = kept.running if kept else Running()
        return SweptFrom(own[0], own[1], own[2], scoring, kept.batch_size if kept else None, running)

    def _of(self, vector: str) -> "pd.DataFrame":
        """Returns the rows of one vector."""
        return self.frame[self.frame["vector"] == self.having("vector", vector)]


def cell_means(frame: "pd.DataFrame", by: Sequence[str], score: GivenScore, locale: str | None = None) -> "pd.DataFrame":
    """Returns means of one score over items, for each combination of the columns ``by``. ``Sweep.cells`` names the columns.

    Raises:
        UnknownNameError: a score or locale without rows.
    """
    part = rows_of_score(frame, score, locale)
    part = part.assign(invalid=not_finite(part))
    part = part[part["change"].notna() | part["invalid"]]  # the others could not be told
    grouped = part.groupby(list(by), sort=False)
    means = grouped[["value", "base", "change", "invalid"]].mean()
    companion = score_of(score).companion
    if companion in set(frame["score"]):
        finer = rows_of_score(frame, companion, locale)
        means["margin"] = finer.groupby(list(by), sort=False)["change"].mean()
    else:
        means["margin"] = math.nan
    means.loc[means["invalid"] > 0, ["value", "change", "margin"]] = math.nan
    return means.assign(exact=grouped["exact"].all(), n=grouped["concept"].nunique(), items=grouped.size()).reset_index()


def _by_locale(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Returns, by locale and layer, the mean change as value, its interval over concepts as low and high, n, and exact."""
    import pandas as pd

    found = []
    for locale, own in rows.groupby("locale", sort=False):
        table = own.pivot(index="concept", columns="layer", values="change")  # one NaN makes its layer's mean NaN
        low, high = percentile_interval(bootstrap_means(table.to_numpy(), draws=_DRAWS))
        means = {"locale": locale, "layer": table.columns, "value": table.mean(skipna=False).to_numpy(), "low": low, "high": high}
        found.append(pd.DataFrame({**means, "n": len(table), "exact": bool(own["exact"].all())}))
    return pd.concat(found)


def _intervals(changes: "pd.DataFrame") -> "pd.DataFrame":
    """Returns low and high of the mean change over concepts of each cell that was run."""
    import pandas as pd

    run = changes[changes["exact"]]
    run = run[~run.groupby(CELL)["value"].transform(lambda values: values.isna().any()).astype(bool)]
    table = run.pivot_table(index="concept", columns=CELL, values="change").dropna(axis=1)
    low, high = percentile_interval(bootstrap_means(table.to_numpy(), draws=_DRAWS))
    return pd.DataFrame({"low": low, "high": high}, index=table.columns).reset_index()


def sweep(
    model: LensModel,
    items: Items,
    vectors: VectorSet | Intervention | Iterable[Intervention],
    layers: Sequence[int] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    *,
    scores: Sequence[GivenScore] = SWEPT,
    mode: Mode = "exact",
    tokens: SteeredTokens = "last_onward",
    scoring: Scoring | None = None,
    max_new_tokens: int = 32,
    batch_size: int | None = None,
    memory: int = MEMORY,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
) -> Sweep:
    """Measures every vector of a locale on that locale's items, at every layer and strength.

    Blocks below the steered layer run once for all strengths and vectors, and logits are computed at the choices'
    tokens only.

    Args:
        model: the model.
        items: what is scored, usually the dev part of a split. Vectors are used on items of their own locale.
        vectors: a set, or vectors and other interventions. One without a locale goes with all items but the English ones.
        layers: the vectors' own layers for ``None``.
        strengths: factors on the raw difference of means.
        scores: by name, or scores of one's own; companions (as the margins) are measured with them. Scores of what is written
            have the model write after every prompt in every cell that is run.
        mode: ``exact`` runs every cell. ``attribution`` predicts all of them to first order from one pass forward and one
            backward (good where the vector is short against the residual; it does not know when a text breaks). ``screened``
            runs one strength of each vector and layer, predicts the others from that and the derivative, and runs the most
            promising. Column ``exact`` says which cells were run.
        tokens: which tokens are steered.
        scoring: how choices are put and compared; the defaults for ``None``.
        max_new_tokens: the length of what is written, for scores of that.
        batch_size: items at once; chosen for the device for ``None``.
        memory: bytes that may be kept of a batch's residuals; what does not fit is computed again.
        executor: who runs the tasks: anything with ``map``, as ``concurrent.futures.ProcessPoolExecutor``; each worker loads the
            model for itself. ``None``: this process, with the model as it is.
        resume: a folder where the result of every finished task is kept. The same call goes on from what it holds.

    Raises:
        LayerError: a layer that a vector was not taken at.
        FingerprintError: a vector of another model.
        UnknownNameError: a vector's locale has no items, or no such mode or score.
        SettingsError: no vectors, strengths or scores; a screened sweep of strength 0 alone.
        ModelError: the unsteered model gives scores that are not finite.
    """
    import pandas as pd

    given, sizes, measured = vector_set(vectors), sorted(dict.fromkeys(map(float, strengths))), scores_of(scores)
    if not sizes:
        raise SettingsError("no strengths given: expected at least one.")
    if mode not in MODES:
        raise UnknownNameError("mode", mode, MODES)
    codes, kinds = given.locales_in(items), _kinds(measured)
    parts = parts_of(items, codes, kinds)
    if not parts:
        raise SettingsError(f"{items!r} holds no {' or '.join(kinds)} items of the vectors' locales: there is nothing to score.")
    wanted = None if layers is None else model.layers(layers)
    cells = [
        StepSpec(vector.name, layer, strength, tokens)
        for vector in given.values()
        for layer in (vector.layers if wanted is None else wanted)
        for strength in sizes
    ]
    own, running = scoring or Scoring(), Running.of(executor, resume)
    grid = Grid(model, parts, given, list(dict.fromkeys(cells)), own, batch_size, memory, running)
    found = grid.run() if mode == "exact" else grid.predict() if mode == "attribution" else grid.screen(measured)
    english = english_outcomes(model, items, codes, measured, own, batch_size, running)
    frame = pd.DataFrame(list(grid.rows(found, measured, english, max_new_tokens)), columns=list(Sweep.columns))
    meta = provenance(
        model=model.fingerprint.to_dict(), items=items.digest(), vectors=given.digest(), tokens=tokens, mode=mode,
        scoring=asdict(own), scores=[score.name for score in measured],
        aims={name: vector.score for (name, _), vector in given.items() if vector.score},
    )  # fmt: skip
    made = Sweep(frame, meta, SweptFrom(model, items, given, own, batch_size, running))
    _warn(made, model.fingerprint.dtype)
    return made


def _kinds(scores: Iterable[Score]) -> list[Kind]:
    measured = {kind for score in scores for kind in score.kinds}
    return [kind for kind in KINDS if kind in measured]


def english_outcomes(
    model: LensModel,
    items: Items,
    locales: Sequence[str],
    scores: Iterable[Score],
    scoring: Scoring,
    batch_size: int | None,
    running: Running,
) -> English:
    """Returns the unsteered English outcome of each concept that one of the locales asks, if a score compares with it."""
    wanted = _kinds(score for score in scores if score.evidence == "english")
    asked = {item.concept for item in items if item.kind in wanted and item.locale in locales}
    part = items.where(lambda item: item.locale == ENGLISH and item.kind in wanted and item.concept in asked)
    if not len(part):
        return {}
    task = ScoringTask(tuple(part), (), scoring, batch_size)
    with progress(task.size, "English", "item") as bar:
        (result,) = running.results([task], model, bar)
    return {outcome.item.concept: outcome for outcome in finite(task.outcomes(result)[0], model)}


def _warn(swept: Sweep, dtype: str) -> None:
    """Says once how many cells hold scores that are not finite."""
    run = swept.frame
    bad = not_finite(run) & run["score"].isin(swept.scores)
    if bad.any():
        counts = bad.groupby([run[name] for name in CELL], sort=False).sum()
        worst = ", ".join(f"{StepSpec(*cell)}: {n} values" for cell, n in counts[counts > 0].head(_NAMED).items())
        log.warning(
            "%d of %d cells give NaN or infinite scores in %s (%s%s). They are no answers: these cells are NaN and are never "
            "chosen. To have them, %s.",
            *((counts > 0).sum(), len(counts), dtype, worst, ", …" if (counts > 0).sum() > _NAMED else "", advice(dtype)),
        )
