"""Cross-fitting: measures the gain of the best of many settings on concepts that were not used to choose this setting."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from steerlens.errors import SettingsError

_FOLDS, _REPEATS = 5, 20


def cross_fitted(
    groups: Sequence[str],
    choose: Callable[[Int[ndarray, " concept"]], int],
    *,
    folds: int = _FOLDS,
    repeats: int = _REPEATS,
    seed: int = 0,
) -> list[Int[ndarray, " concept"]]:
    """Repeats the choice of a cell (one setting of a grid), each time without one fold of the concepts. Returns for each
    concept the cell that was chosen without this concept.

    Each concept is measured under cells that were chosen without this concept, so the mean change has no winner's curse. The
    mean change estimates the gain on new concepts of a cell that is chosen with one fold fewer (Stone 1974, on cross-validatory
    choice). New folds are drawn in each repeat.

    Args:
        groups: The stratum of each concept, such as its kind. The concepts of each stratum are divided evenly over the
            folds.
        choose: A function that gets the indices of some concepts, and returns the index of the cell that is chosen on these
            concepts.
        folds: The number of folds. If the smallest stratum has fewer concepts, there are as many folds as concepts in this
            stratum.
        repeats: The number of times that the concepts are divided into folds.
        seed: The seed of the divisions into folds.

    Returns:
        For each repeat, the index of the cell that was chosen for each concept, ``[concept]``.

    Raises:
        SettingsError: A stratum has fewer than two concepts.
    """
    strata = {group: [at for at, own in enumerate(groups) if own == group] for group in dict.fromkeys(groups)}
    least = min(map(len, strata.values()), default=0)
    if least < 2:
        raise SettingsError(
            f"{least} concepts of a kind given: expected two or more, at least one for the choice and one for the test."
        )
    rng, k = np.random.default_rng(seed), min(folds, least)
    every, found = np.arange(len(groups)), []
    for _ in range(repeats if k < len(groups) else 1):
        fold = np.empty(len(groups), dtype=int)
        for members in strata.values():
            fold[rng.permutation(members)] = np.arange(len(members)) % k
        judged = np.empty(len(groups), dtype=int)
        for at in range(k):
            judged[fold == at] = choose(every[fold != at])
        found.append(judged)
    return found
