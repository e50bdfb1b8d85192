"""Takes the vectors of several contrasts in several locales."""

from collections.abc import Sequence
from dataclasses import replace

from steerlens.activations import ResidualStack
from steerlens.data import Items, PromptPairs
from steerlens.errors import SettingsError
from steerlens.models.lens import LensModel
from steerlens.models.pooling import Positions
from steerlens.numeric import Layers
from steerlens.steering.contrasts import EN, LOC, Contrast, contrasts_of, locales_of_items
from steerlens.steering.means import differences_of_means
from steerlens.steering.vector_sets import VectorSet
from steerlens.steering.vectors import CONCEPTS


def take(
    model: LensModel | ResidualStack,
    items: Items | None = None,
    contrasts: Contrast | Sequence[Contrast] = (EN, LOC),
    *,
    locales: str | Sequence[str] | None = None,
    layers: Layers | None = None,
    positions: Positions = "last",
    batch_size: int | None = None,
) -> VectorSet:
    """Takes the vector of each contrast in each locale. The vector is the difference of means over the pairs of the
    contrast.

    Every prompt is run once. The residuals of a batch are not kept after the batch.

    Args:
        model: the model, or a stack that already contains every prompt of the pairs.
        items: the items from which pairs are made, usually the train part of a split. Contrasts that are made from given
            prompts do not need items.
        contrasts: one or more contrasts. The default is EN and LOC, and ``Contrast.of`` makes a contrast from pairs of
            texts.
        locales: one or more locales; ``None`` takes all locales of the items except English.
        layers: the block indices; ``None`` takes all layers of the model or the stack.
        positions: the position at which residuals are read, if a model is given: ``last``, ``mean`` or a token's index.
        batch_size: the number of prompts in a batch, if a model is given; ``None`` takes a number that suits the device.

    Returns:
        A vector for each contrast and locale. A contrast whose pairs are the same for all locales gives one vector without a
        locale. The ``notes`` of a vector contain the concepts from which the vector was taken, if the prompts have concepts.

    Raises:
        PairsError: no pairs can be made from a locale's items for a contrast, or a contrast's function does not return pairs
            of the locale.
        PromptError: the stack lacks some of the prompts.
        LayerError: the model or the stack does not have one of the layers.
        SettingsError: there are no items or no locales, but a contrast makes its pairs from items; two contrasts have the
            same name; or there are no contrasts.
        VectorError: residuals are not finite.
    """
    where = locales_of_items(items) if locales is None else (locales,) if isinstance(locales, str) else tuple(locales)
    given = contrasts_of(contrasts)
    if items is not None and not where and any(contrast.needs_items for contrast in given):
        names = ", ".join(contrast.name for contrast in given)
        raise SettingsError(f"no locales given for the vectors {names}: expected at least one locale that the items contain.")
    wanted = [(contrast, pairs) for contrast in given for pairs in contrast.pairs_of(items, where)]
    found = differences_of_means(model, [pairs for _, pairs in wanted], layers, positions, batch_size=batch_size)
    return VectorSet(
        contrast.made(replace(vector, name=contrast.name, score=contrast.score, notes=_concepts(pairs))).called(contrast.name)
        for (contrast, pairs), vector in zip(wanted, found, strict=True)
    )


def _concepts(pairs: PromptPairs) -> dict[str, list[str]]:
    """Returns the concepts of pairs as a note of the vector. A sweep uses this note to warn if it scores concepts from which
    the vector was taken."""
    seen = sorted({prompt.concept for prompt in (*pairs.positive, *pairs.negative) if prompt.concept})
    return {CONCEPTS: seen} if seen else {}
