"""The gain of the best of many noisy cells on concepts on which it was not chosen (cross-fitting)."""

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
    """Chooses repeatedly without one fold of the concepts, and returns the choice for each concept that was made without it.

    The mean of a concept's change under the cells that were chosen without it has no winner's curse: it estimates the gain, on
    new concepts, of a choice made with one fold fewer (Stone 1974, on cross-validatory choice). Folds are drawn again in each
    repeat.

    Args:
        groups: The stratum of each concept, such as its kind. Each fold gets its share of every stratum.
        choose: A function of the indices of some concepts. It returns the index of the cell that is chosen on them.
        folds: The number of folds, or the number of concepts in the smallest stratum if that is smaller.
        repeats: How often the concepts are divided into folds.
        seed: The seed of the divisions.

    Returns:
        For each repeat, the index of the cell that was chosen for each concept, ``[concept]``.

    Raises:
        SettingsError: A stratum has fewer than two concepts.
    """
    strata = {group: [at for at, own in enumerate(groups) if own == group] for group in dict.fromkeys(groups)}
    least = min(map(len, strata.values()), default=0)
    if least < 2:
        raise SettingsError(
            f"{least} concepts of a kind given: expected two or more, at least one to choose with and one to judge with."
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
