"""Makes layer sweeps. Every vector is measured at every layer and strength: cells are run, predicted, or both."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from steerlens.data import ENGLISH, Items
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.english import english_outcomes, kinds_of
from steerlens.evaluation.evidence import MAX_NEW_TOKENS, are_written, check_of_items
from steerlens.evaluation.extending import check_extend, extended
from steerlens.evaluation.finite import advice
from steerlens.evaluation.grid import Found, Grid, Place, parts_of
from steerlens.evaluation.halving import halved
from steerlens.evaluation.running import Executor, Running
from steerlens.evaluation.scores import SWEPT, is_of_english, scores_of
from steerlens.evaluation.sweeps import CELL, Sweep, SweptFrom
from steerlens.models.engine import MEMORY
from steerlens.models.lens import LensModel
from steerlens.numeric import Layers, finite_numbers, seconds_of
from steerlens.provenance import provenance
from steerlens.scores import GivenScore, Score, score_of
from steerlens.settings import MODES, STRENGTHS, Mode, Scoring
from steerlens.steering import Intervention, SteeredTokens, StepSpec, VectorSet, vector_set
from steerlens.steering.contrasts import builtin_aim
from steerlens.steering.vectors import CONCEPTS

log = logging.getLogger("steerlens")

_NAMED = 3
"""The largest number of cells that are listed in a warning."""


def sweep(
    model: LensModel,
    items: Items,
    vectors: VectorSet | Intervention | Iterable[Intervention],
    layers: Layers | None = None,
    strengths: Iterable[float] | float = STRENGTHS,
    *,
    scores: Sequence[GivenScore] | None = None,
    mode: Mode = "exact",
    budget: str | float | None = None,
    extend: int = 0,
    tokens: SteeredTokens = "last_onward",
    scoring: Scoring | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    batch_size: int | None = None,
    memory: int = MEMORY,
    seed: int = 0,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
) -> Sweep:
    """Measures every vector of a locale on that locale's items, at every layer and strength.

    Blocks below the steered layer are run once for all strengths and vectors. Logits are computed only for the tokens of the
    choices.

    Args:
        model: the model that is steered.
        items: the items that are scored, usually the dev part of a split. Each vector is used on items of its own locale.
        vectors: a ``VectorSet``, a vector, or several vectors or other interventions. A vector without a locale is used on
            all items. If there are items of several locales, English items are measured only by scores that do not compare
            other locales with English.
        layers: one block index or several block indices; ``None`` takes the vectors' own layers.
        strengths: one or more strengths. A strength is the factor by which the raw difference of means is multiplied.
        scores: names of scores, or your own scores, that are measured for every vector. The companions of these scores
            (continuous scores, such as margins) are measured too. ``None`` measures for each vector the score that the vector
            is meant to raise, on this score's kind of items (factual items for EN, cultural items for LOC). For most cells,
            ``choose`` needs no other score. For a vector that names no score, ``None`` measures transfer, localization and the
            English-centric rate. For scores of generated text, the model generates a text after every prompt in every cell
            that is run.
        mode: ``exact`` runs every cell. ``attribution`` predicts all cells to first order from one forward and one backward
            pass. A first-order prediction is good only if the vector is short compared with the residual. The prediction does
            not show whether a strong vector breaks the text. ``screened`` first runs one strength of each vector and layer,
            with logits for only a part of the vocabulary. ``screened`` then predicts all other strengths from the first
            results and the derivative. Finally, ``screened`` runs 7% of each vector's cells in full: the cells with the
            largest predicted gains in the score that the vector is meant to raise. The column ``exact`` shows which cells were
            run in full. ``halving`` runs all cells on a few concepts, and then the better half of each vector's cells on twice
            as many concepts. The halving is repeated until the last few cells are run on all concepts. ``choose`` uses only
            the cells that were run on all concepts.
        budget: the time that ``halving`` may use, in seconds or as a text such as ``"5m"``. When the time is used up, the
            best cells have results only on the concepts on which they were already run. ``None`` sets no limit.
        extend: the largest number of times that the largest strength is doubled, in mode ``exact``. If a vector's best cell
            (in the order of ``choose``) is at the largest strength, twice the largest strength is also run, because a larger
            strength may gain more. The doubled strength is run only at the layers of the vector's three best cells with the
            largest strength. The doubling is repeated while the best cell is at the largest strength.
        tokens: which tokens are steered.
        scoring: how choices are presented and scored; ``None`` takes the defaults.
        max_new_tokens: the largest number of tokens of each generated text (only for scores of generated text).
        batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
        memory: the largest number of bytes for the cached residuals of a batch. Residuals that do not fit are computed
            again.
        seed: the seed of the order in which ``halving`` uses concepts.
        executor: the executor that runs the tasks: ``sl.ray()``, or any object with ``map``, such as
            ``concurrent.futures.ProcessPoolExecutor``. Each worker of the executor loads the model. ``None`` runs the tasks in
            this process with the given model.
        resume: a folder in which the result of every finished task is kept. If the call is repeated after an interruption,
            the stored results are used.

    Raises:
        LayerError: a vector has no direction at one of the layers.
        FingerprintError: a vector belongs to another model.
        UnknownNameError: a vector's locale has no items, or there is no such mode or score.
        SettingsError: there are no vectors, strengths or scores; a screened sweep has only strength 0; a score of held-out
            text is given; a score of generated text is given in mode ``attribution`` or ``halving``; a budget is given in a
            mode other than ``halving``; ``extend`` is less than 0; or ``extend`` is given in a mode other than ``exact`` or
            with a largest strength of 0 or less.
        VectorError: a strength is not a finite number.
        ModelError: scores of the unsteered model are not finite.
    """
    import pandas as pd

    given = vector_set(vectors)
    by_vector = _scores(given, scores)
    measured = tuple(dict.fromkeys(score for own in by_vector.values() for score in own))
    _check(measured, mode)
    limit = None if budget is None else seconds_of(budget)
    if limit is not None and mode != "halving":
        raise SettingsError(
            f"budget {budget!r} given for mode {mode!r}: only mode 'halving' has a budget. Remove the argument budget, or use "
            "mode 'halving'."
        )
    cells = _cells(model, given, layers, strengths, tokens)
    check_extend(extend, mode, {cell.strength for cell in cells})
    source = SweptFrom(model, items, given, scoring or Scoring(), batch_size, Running.of(executor, resume), max_new_tokens)
    _warn_of_seen(given, items)
    grid = Grid(model, _parts(source, measured), given, cells, source.scoring, batch_size, memory, source.running, by_vector)
    found = halved(grid, limit, seed) if mode == "halving" else _found(grid, mode)
    english = english_outcomes(model, items, grid.locales, measured, source.scoring, batch_size, source.running)

    def rows(of: Found) -> pd.DataFrame:
        return pd.DataFrame(list(grid.rows(of, english, max_new_tokens)), columns=list(Sweep.columns))

    own = {name: grid.own_score(name) for name in by_vector}
    frame = extended(rows(found), extend, own, lambda more, title: rows(grid.run(more, title)))
    made = Sweep(frame, {**_meta(source, _asked(given, scores), tokens, mode), "extend": extend}, source)
    _warn(made, model.fingerprint.dtype)
    return made


def _found(grid: Grid, mode: Mode) -> Found:
    return grid.run() if mode == "exact" else grid.predict() if mode == "attribution" else grid.screen()


def _asked(vectors: VectorSet, scores: Sequence[GivenScore] | None) -> list[str]:
    """Returns the names of the requested scores, without companions."""
    if scores is not None:
        return [score_of(score).name for score in scores]
    return list(dict.fromkeys(name for vector in vectors.values() for name in _asked_of(vector)))


def _asked_of(vector: Intervention) -> tuple[str, ...]:
    """Returns the score that a vector is meant to raise, or the default scores if no such score is known."""
    aim = vector.score or builtin_aim(vector.name)
    return (aim,) if aim else SWEPT


def _scores(vectors: VectorSet, scores: Sequence[GivenScore] | None) -> dict[str, tuple[Score, ...]]:
    """Returns the scores that are measured for each vector, by the vector's name. The scores of other vectors on the same
    kinds of items are included."""
    if scores is not None:
        return dict.fromkeys(vectors.names, scores_of(scores))
    asked = {name: scores_of(_asked(vectors.named(name), None)) for name in vectors.names}
    kinds = {name: {kind for score in own for kind in score.kinds} for name, own in asked.items()}
    every = dict.fromkeys(score for own in asked.values() for score in own)  # scores on the same items cost nothing
    return {name: tuple(score for score in every if set(score.kinds) <= kinds[name]) for name in asked}


def _check(scores: Sequence[Score], mode: Mode) -> None:
    """Raises an error if the mode is unknown, or if the mode cannot measure one of the scores."""
    if mode not in MODES:
        raise UnknownNameError("mode", mode, MODES)
    check_of_items(scores, "a sweep")
    if mode in ("attribution", "halving") and are_written(scores):
        bad = [score.name for score in scores if score.evidence == "writing"]
        why = "does not run any cell" if mode == "attribution" else "compares cells by scores of choices"
        raise SettingsError(
            f"scores {bad} given for mode {mode!r}: these scores are measured on generated texts, but mode {mode!r} {why}. "
            "Use mode 'exact' or 'screened'."
        )


def _cells(
    model: LensModel, vectors: VectorSet, layers: Layers | None, strengths: Iterable[float] | float, tokens: SteeredTokens
) -> list[StepSpec]:
    """Returns the cells of a sweep: every vector at every layer and strength."""
    sizes, wanted = sorted(finite_numbers(strengths, "strength", "a sweep")), None if layers is None else model.layers(layers)
    if not sizes:
        raise SettingsError("no strengths given: expected at least one strength.")
    cells = (
        StepSpec(vector.name, layer, strength, tokens)
        for vector in vectors.values()
        for layer in (vector.layers if wanted is None else wanted)
        for strength in sizes
    )
    return list(dict.fromkeys(cells))


def _parts(source: SweptFrom, scores: Sequence[Score]) -> dict[Place, Items]:
    """Returns the items of each locale and kind on which the scores are measured."""
    kinds = kinds_of(scores)
    parts = parts_of(source.items, source.vectors.locales_in(source.items), kinds)
    if any(not locale for _, locale in source.vectors) and ENGLISH in source.items.locales:
        of_english = [score for score in scores if is_of_english(score)]
        parts |= parts_of(source.items, [ENGLISH], kinds_of(of_english) if of_english else ()) if parts else {}
    if not parts:
        raise SettingsError(
            f"{source.items!r} contains no {' or '.join(kinds)} items in the locales of the vectors, so there is nothing to "
            "score."
        )
    return parts


def _meta(source: SweptFrom, scores: Sequence[str], tokens: SteeredTokens, mode: Mode) -> dict[str, Any]:
    """Returns a description of how a sweep was made."""
    return provenance(
        model=source.model.fingerprint.to_dict(),
        items=source.items.digest(),
        vectors=source.vectors.digest(),
        tokens=tokens,
        mode=mode,
        scoring=asdict(source.scoring),
        max_new_tokens=source.max_new_tokens,
        scores=list(scores),
        aims={name: vector.score for (name, _), vector in source.vectors.items() if vector.score},
    )


def _warn_of_seen(vectors: VectorSet, items: Items) -> None:
    """Logs a warning if vectors are measured on concepts from which the vectors were taken."""
    swept = set(items.concepts)
    for name in vectors.names:
        noted = [vector.notes.get(CONCEPTS) for vector in vectors.named(name).values()]
        seen = swept & {str(concept) for own in noted if isinstance(own, list | tuple) for concept in own}  # or a user's own note
        if seen:
            log.warning(
                "%s was taken from %d of the %d concepts that are swept, so the gain of this vector on these concepts is "
                "overestimated. Take vectors from one part of a split and sweep another part: split = items.split(), "
                "take(model, split.train), sweep(model, split.dev, …).",
                *(name, len(seen), len(swept)),
            )


def _warn(swept: Sweep, dtype: str) -> None:
    """Logs one warning with the number of cells that have scores that are not finite."""
    run = swept.frame
    bad = ~run["valid"] & run["score"].isin(swept.scores)
    if bad.any():
        counts = bad.groupby([run[name] for name in CELL], sort=False).sum()
        worst = ", ".join(f"{StepSpec(*cell)}: {n} values" for cell, n in counts[counts > 0].head(_NAMED).items())
        log.warning(
            "%d of %d cells give NaN or infinite scores in %s (%s%s). The results of cells "
            "with NaN or infinite scores are NaN, and choose never takes these cells. To measure these cells, %s.",
            *((counts > 0).sum(), len(counts), dtype, worst, ", …" if (counts > 0).sum() > _NAMED else "", advice(dtype)),
        )
