"""Cross-fitting: each concept is scored under vectors that were taken from the others."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from steerlens.data import Items, PromptPairs
from steerlens.evaluation.scorer import Scorer
from steerlens.evaluation.searching.ledger import Part
from steerlens.evaluation.searching.settings import SearchSettings
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.steering import SteeringVector, difference_of_means


def pooled(pieces: Sequence[SteeringVector]) -> SteeringVector:
    """The vector of all pairs that some vectors were taken from: their mean, each weighed by its number of pairs."""
    n = sum(piece.n for piece in pieces)
    directions = torch.stack([piece.directions.double() * (piece.n / n) for piece in pieces]).sum(dim=0).float()
    return replace(pieces[0], directions=directions, n=n, prompts_sha256="")


class CrossFit:
    """EN and LOC vectors of some locales, taken from all folds but one, for each of them; and from all."""

    def __init__(
        self,
        model: LensModel,
        items: Items,
        locales: Sequence[str],
        layers: Sequence[int],
        settings: SearchSettings,
        batch_size: int | None = None,
    ) -> None:
        """Reads every prompt of a locale once.

        Raises:
            DataError: fewer concepts of a kind than folds.
            PairsError: a locale without pairs in a fold.
        """
        self.model, self.locales, self.settings, self.batch_size = model, tuple(locales), settings, batch_size
        self.folds = items.folds(settings.n_folds, seed=settings.seed)
        read = [self._spread(fold, settings.vector_concepts) for fold in self.folds]
        every = Items(tuple(item for fold in read for item in fold))
        self._digests = {key: pairs.digest() for x in locales for key, pairs in _pairs(every, x).items()}
        self._pieces: dict[tuple[str, str], list[SteeringVector]] = {}
        with progress(len(read) * len(locales), "Vectors", "fold") as bar:
            for locale in locales:
                bar.set_postfix_str(locale)
                for fold in read:
                    for key, pairs in _pairs(fold, locale).items():
                        vector = difference_of_means(model, pairs, layers, settings.positions, batch_size=batch_size)
                        self._pieces.setdefault(key, []).append(vector)
                    bar.update()

    def vectors(self, locale: str, without: int | None = None) -> dict[str, SteeringVector]:
        """A locale's vectors by name, from all folds, or all but one."""
        made = {}
        for (name, x), pieces in self._pieces.items():
            if x == locale:
                vector = pooled([piece for at, piece in enumerate(pieces) if at != without])
                made[name] = vector if without is not None else replace(vector, prompts_sha256=self._digests[name, x])
        return made

    def parts(self) -> list[Part]:
        """What each locale is scored on: dev concepts, spread over the folds, with the other folds' vectors."""
        scoring, dev = self.settings.scoring, [self._spread(fold, self.settings.dev_concepts) for fold in self.folds]
        return [
            Part(
                locale,
                Scorer(self.model, fold.of(locale=locale), scoring, batch_size=self.batch_size),
                self.vectors(locale, without=at),
            )
            for locale in self.locales
            for at, fold in enumerate(dev)
        ]

    def _spread(self, fold: Items, concepts: int | None) -> Items:
        """A fold's share of so many concepts of each kind."""
        return fold.sample(None if concepts is None else -(-concepts // len(self.folds)), seed=self.settings.seed)


def _pairs(items: Items, locale: str) -> dict[tuple[str, str], PromptPairs]:
    return {("EN", locale): items.english_pairs(locale), ("LOC", locale): items.localized_pairs(locale)}
