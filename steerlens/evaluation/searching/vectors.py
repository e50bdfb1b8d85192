"""Cross-fitting of vectors: each concept is scored under vectors that were taken from other folds of the concepts."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from steerlens.data import Items
from steerlens.evaluation.running import Running
from steerlens.evaluation.searching.measured import Part
from steerlens.evaluation.text_tasks import captured
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.settings import SearchSettings
from steerlens.steering import Contrast, Intervention, SteeringVector, VectorSet, differences_of_means, take


def summed(pieces: Sequence[SteeringVector]) -> SteeringVector:
    """Returns the vector that is taken from the pairs of all given vectors together. The result is the mean of the vectors,
    weighted by their numbers of pairs.

    The field ``positive`` of the result is empty, because the component of the positive prompts' mean is not known.
    """
    n = sum(piece.n for piece in pieces)
    directions = torch.stack([piece.directions.double() * (piece.n / n) for piece in pieces]).sum(dim=0).float()
    return replace(pieces[0], directions=directions, n=n, prompts_sha256="", positive=None)


class CrossFit:
    """The vectors of some contrasts and locales for cross-fitting. For each fold, there is a set of vectors from all other
    folds. There is also a set of vectors from all folds."""

    def __init__(
        self,
        model: LensModel,
        items: Items,
        locales: Sequence[str],
        contrasts: Sequence[Contrast],
        layers: Sequence[int],
        settings: SearchSettings,
        batch_size: int | None = None,
        running: Running | None = None,
    ) -> None:
        """Reads the residuals of all prompts and takes the vectors, fold by fold.

        Args:
            model: the model from which vectors are taken.
            items: the items for pairs and for scoring.
            locales: the locales that are searched.
            contrasts: the contrasts from which vectors are taken.
            layers: the block indices of the layers at which vectors are taken.
            settings: the settings with the number of folds, and with the numbers of concepts for vectors and for scoring.
            batch_size: the number of prompts or items in a batch.
            running: the executor that runs tasks, and the folder for results. ``None`` reads the prompts in this process and
                stores no results.

        Raises:
            DataError: a kind of items has fewer concepts than there are folds.
            PairsError: a locale has no pairs in a fold.
        """
        self.model, self.locales, self.settings, self.batch_size = model, tuple(locales), settings, batch_size
        by_items = [contrast for contrast in contrasts if contrast.needs_items]
        self.contrasts = {contrast.name: contrast for contrast in by_items}
        self.folds = items.folds(settings.n_folds, seed=settings.seed)
        read = [self._spread(fold, settings.vector_concepts) for fold in self.folds]
        every = Items(tuple(item for fold in read for item in fold))
        self._digests = {(c.name, p.locale): p.digest() for c in by_items for p in c.pairs_of(every, self.locales)}
        self._given = VectorSet()
        if given := [contrast for contrast in contrasts if not contrast.needs_items]:
            self._given = take(model, None, given, layers=layers, positions=settings.positions, batch_size=batch_size)
        self._pieces: dict[tuple[str, str], list[SteeringVector]] = {}
        with progress(len(read), "Vectors", "fold") as bar:
            for fold in read if by_items else ():
                wanted = [(contrast, pairs) for contrast in by_items for pairs in contrast.pairs_of(fold, self.locales)]
                prompts = dict.fromkeys(prompt for _, pairs in wanted for prompt in (*pairs.positive, *pairs.negative))
                stack = captured(model, tuple(prompts), settings.positions, batch_size, (running or Running()).results)
                taken = differences_of_means(stack, [pairs for _, pairs in wanted], layers)
                for (contrast, pairs), vector in zip(wanted, taken, strict=True):
                    self._pieces.setdefault((contrast.name, pairs.locale), []).append(vector)
                bar.update()

    def vectors(self, without: int | None = None) -> VectorSet:
        """Returns the vectors of every contrast and locale, from all folds or from all folds except ``without``. Contrasts
        with given pairs always use all pairs."""
        made = (self._made(name, locale, pieces, without) for (name, locale), pieces in self._pieces.items())
        return VectorSet([*made, *self._given.values()])

    def _made(self, name: str, locale: str, pieces: Sequence[SteeringVector], without: int | None) -> Intervention:
        contrast = self.contrasts[name]
        vector = summed([piece for at, piece in enumerate(pieces) if at != without])
        digest = "" if without is not None else self._digests[name, locale]
        return contrast.made(replace(vector, name=name, score=contrast.score, prompts_sha256=digest)).called(name)

    def parts(self) -> list[Part]:
        """Returns the parts on which each locale is scored. Each part contains dev concepts of one fold, and the vectors from
        the other folds."""
        dev = [self._spread(fold, self.settings.dev_concepts) for fold in self.folds]
        fitted = [self.vectors(without=at) for at in range(len(self.folds))]
        return [
            Part(locale, fold.of(locale=locale), fitted[at].of(locale)) for locale in self.locales for at, fold in enumerate(dev)
        ]

    def _spread(self, fold: Items, concepts: int | None) -> Items:
        """Returns a sample of a fold. The samples of all folds together have about ``concepts`` concepts of each kind."""
        return fold.sample(None if concepts is None else -(-concepts // len(self.folds)), seed=self.settings.seed)
