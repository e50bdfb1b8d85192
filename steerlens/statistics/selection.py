"""What is left of the best of many noisy cells: its gain on concepts that it was not chosen on (cross-fitting)."""

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
    """Chooses repeatedly without one fold of the concepts, and returns the choice that each concept is then judged by.

    The mean of a concept's change under the cells that were chosen without it has no winner's curse: it is what a choice made
    with a fold fewer concepts gives on new ones (Stone 1974, on cross-validatory choice). Folds are drawn again in each repeat.

    Args:
        groups: The stratum of each concept, as its kind; each fold gets its share of every one.
        choose: A function of the indices of some concepts. It returns the index of the cell that is chosen by them.
        folds: The number of folds; as many as concepts of the smallest stratum where there are fewer.
        repeats: How often the concepts are dealt into folds.
        seed: The seed of the deals.

    Returns:
        For each repeat the index of the cell that each concept is judged by, ``[concept]``.

    Raises:
        SettingsError: There are fewer than two concepts of a stratum.
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
