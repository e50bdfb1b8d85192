"""The difference between the two residuals of each pair of a contrast. Vectors of smaller numbers of pairs are computed from
these differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import Items
from steerlens.errors import PairsError
from steerlens.fingerprint import Fingerprint
from steerlens.models.lens import LensModel
from steerlens.models.pooling import Positions
from steerlens.steering.contrasts import Contrast, locales_of_items
from steerlens.steering.interventions import Intervention
from steerlens.steering.vectors import SteeringVector

PAIRS = (1, 2, 4, 8, 16, 32, 64)
"""The numbers of pairs that are tried by default."""


@dataclass(frozen=True, eq=False)
class PairDifferences:
    """The positive minus the negative residual of each pair of a contrast, at one layer, in each locale."""

    contrast: Contrast
    """The contrast that made the pairs."""
    layer: int
    """The index of the block after which the residuals were read."""
    by_locale: Mapping[str, Float[Tensor, "pair d_model"]]
    """The differences ``[pair, d_model]`` in float64, by locale. For a contrast without locales, the key is ``""``."""
    fingerprint: Fingerprint
    """The fingerprint of the model from which the residuals were read."""
    positions: str = "last"
    """The token position at which the residuals were read."""

    @property
    def fewest(self) -> int:
        """The number of pairs of the locale with the fewest pairs."""
        return min(map(len, self.by_locale.values()))

    def sizes(self, pairs: Sequence[int], most: int) -> list[int]:
        """Returns the numbers of pairs that are at most ``most``, in ascending order. If all numbers are larger, only
        ``most`` is returned.

        Args:
            pairs: the requested numbers of pairs.
            most: the largest number that is kept.

        Raises:
            PairsError: a number is less than 1, or a locale has too few pairs.
        """
        if most < 1 or min(pairs, default=1) < 1:
            raise PairsError(
                f"numbers of pairs {list(pairs)} given for contrast {self.contrast.name!r}, which has {self.fewest} pairs: "
                "expected whole numbers of at least 1, and a contrast with at least two pairs in every locale. Give more "
                "items, or fewer locales."
            )
        return sorted({n for n in pairs if n <= most}) or [most]

    def means(self, locale: str, n: int, draws: int, seed: int) -> list[Float[Tensor, " d_model"]]:
        """Returns the mean difference of ``n`` random pairs, ``[d_model]`` in float64, for each of ``draws`` draws.

        Args:
            locale: a locale in ``by_locale``.
            n: the number of pairs. If ``n`` equals ``fewest``, there is one draw, which is the mean over all pairs of the
                locale.
            draws: the number of draws. Each draw takes pairs without replacement.
            seed: the seed of the draws.
        """
        own = self.by_locale[locale]
        if n == self.fewest:
            return [own.mean(dim=0)]
        generator = torch.Generator().manual_seed(seed)
        return [own[torch.randperm(len(own), generator=generator)[:n]].mean(dim=0) for _ in range(draws)]

    def vectors(self, locale: str, n: int, draws: int, seed: int) -> list[Intervention]:
        """Returns one vector for each draw of ``n`` random pairs. The contrast's function ``made`` is applied to the vectors.

        Args:
            locale, n, draws, seed: the arguments of ``means``.
        """
        return [
            self.contrast.made(self._vector(mean, locale, n)).called(self.contrast.name)
            for mean in self.means(locale, n, draws, seed)
        ]

    def _vector(self, mean: Float[Tensor, " d_model"], locale: str, n: int) -> SteeringVector:
        return SteeringVector(
            mean[None].float(), (self.layer,), self.fingerprint, self.contrast.name, locale, n, self.positions,
            score=self.contrast.score,
        )  # fmt: skip


def pair_differences(
    model: LensModel | ResidualStack,
    contrast: Contrast,
    layer: int,
    items: Items | None = None,
    *,
    locales: Sequence[str] | None = None,
    positions: Positions = "last",
    batch_size: int | None = None,
) -> PairDifferences:
    """Computes the positive minus the negative residual of each pair of a contrast. The mean of the differences is the
    contrast's vector.

    Args:
        model: the model, or a stack that already contains every prompt of the pairs.
        contrast: the contrast that makes the pairs.
        layer: the index of a block.
        items: the items from which pairs are made (see ``take``).
        locales: the locales; ``None`` takes all locales of the items except English.
        positions: the position at which residuals are read, if a model is given: ``last``, ``mean`` or a token's index.
        batch_size: the number of prompts in a batch, if a model is given; ``None`` takes a number that suits the device.

    Raises:
        PairsError: no pairs can be made from a locale's items.
        PromptError: the stack lacks some of the prompts.
        LayerError: the model or the stack does not have the layer.
        SettingsError: no items are given, but the contrast makes its pairs from items.
    """
    sets = contrast.pairs_of(items, locales_of_items(items) if locales is None else tuple(locales))
    if isinstance(model, LensModel):
        prompts = tuple(dict.fromkeys(prompt for both in sets for prompt in (*both.positive, *both.negative)))
        model = model.residuals(prompts, [layer], positions, batch_size=batch_size)
    by_locale = {
        both.locale: model.of(both.positive).at(layer).double() - model.of(both.negative).at(layer).double() for both in sets
    }
    return PairDifferences(contrast, layer, by_locale, model.fingerprint, model.positions)
