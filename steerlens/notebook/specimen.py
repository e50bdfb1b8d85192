"""Prepares the objects that an explorer shows: a model, the vectors that steer it, prompts, and items with their computed
results."""

from collections.abc import Iterable
from dataclasses import dataclass

from steerlens.data import ENGLISH, Item, Items, Split
from steerlens.errors import SettingsError
from steerlens.models import LensModel
from steerlens.notebook.given import Code, data_code, names_of, vectors_code
from steerlens.notebook.studied import Studied, studied
from steerlens.steering import Intervention, SteeredTokens, VectorSet, take, vector_set

FIRST = "The capital of France is"
"""The prompt that is shown if no prompt was given."""
Given = VectorSet | Intervention | Iterable[Intervention] | None


@dataclass(frozen=True, eq=False)
class Specimen:
    """The objects that an explorer shows: prompts, or prompts and items. With items, vectors come from train, and the items that
    are shown come from dev."""

    model: LensModel
    vectors: VectorSet
    """The vectors that can be chosen. The set may be empty if there are no items."""
    layers: tuple[int, ...]
    """The layers that all vectors have; all layers of the model if there are no vectors."""
    tokens: SteeredTokens
    """The tokens that are steered at the start, and in the predicted effects."""
    prompts: tuple[str, ...]
    """The free prompts. There is at least one free prompt if there are no items."""
    code: Code
    studied: Studied | None = None

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales of the items; ``""`` if there are no items."""
        return self.studied.looked.locales if self.studied else ("",)

    def offered(self, locale: str) -> dict[str, Intervention]:
        """Returns the vectors that can be chosen, by the names that the explorer shows. With items, only the vectors of the
        locale can be chosen."""
        if self.studied:
            return self.vectors.of(locale)
        return {vector.label: vector for vector in self.vectors.values()}

    def concepts(self, locale: str) -> tuple[str, ...]:
        """Returns the concepts of a locale's items; ``""`` if there are no items."""
        return self.studied.of(locale).concepts if self.studied else ("",)

    def item(self, locale: str, concept: str) -> Item:
        """Returns one of the items.

        Raises:
            SettingsError: there are no items.
        """
        if self.studied is None:
            raise SettingsError(
                "no items were given to sl.explore: expected items, because margins and choices are measured on items. Give "
                "items=…."
            )
        return self.studied.item(locale, concept)


def free_specimen(model: LensModel, prompts: tuple[str, ...], vectors: Given, *, tokens: SteeredTokens) -> Specimen:
    """Returns a ``Specimen`` with prompts and any vectors, but without items.

    Raises:
        SettingsError: two vectors have the same name and locale, or the vectors share no layer.
        FingerprintError: a vector belongs to another model.
    """
    own = VectorSet() if vectors is None else vector_set(vectors)
    names = names_of(model=model, vectors=vectors, prompts=None)
    layers = _common(model, own) if own else model.layers()
    return Specimen(model, own, layers, tokens, prompts or (FIRST,), Code(names, vectors=vectors_code(names, vectors)))


def item_specimen(
    model: LensModel,
    items: Items | Split,
    vectors: Given = None,
    prompts: tuple[str, ...] = (),
    *,
    train_concepts: int | None = 60,
    concepts: int | None = 12,
    tokens: SteeredTokens = "last_onward",
    seed: int = 0,
) -> Specimen:
    """Returns a ``Specimen`` with items. Vectors are computed from train items. Residuals, separability and predicted effects are
    computed from dev items.

    Args:
        items: a split, or items that this function splits by concept.
        vectors: the vectors; ``None`` computes EN and LOC of every locale from train. A vector without a locale is offered in all
            locales. Locales without a vector are left out.
        prompts: free prompts that are offered in addition to the prompts of the items.
        train_concepts: the number of concepts of each kind from which vectors are computed.
        concepts: the number of dev concepts of each kind that are shown.
        tokens: the tokens that are steered in the predicted effects.

    Raises:
        SettingsError: there is no locale besides English, there are no vectors, two vectors have the same name and locale, or the
            vectors share no layer.
        UnknownNameError: a vector's locale has no items.
        FingerprintError: a vector belongs to another model.
    """
    split = items if isinstance(items, Split) else items.split(seed=seed)
    given = None if vectors is None else vector_set(vectors)
    english = given is not None and ENGLISH in given.locales
    looked = split.dev.sample(concepts, seed=seed).where(lambda item: english or item.locale != ENGLISH)
    if not looked:
        raise SettingsError(
            f"{split.dev!r} contains no locale besides {ENGLISH}: expected at least one other locale. Give items of another "
            "locale."
        )
    own = take(model, split.train.sample(train_concepts, seed=seed), locales=looked.locales) if given is None else given
    there = set(own.locales_in(looked))
    looked = looked.where(lambda item: item.locale in there)
    layers = _common(model, own)
    names = names_of(model=model, items=items, vectors=vectors)
    return Specimen(
        model,
        own,
        layers,
        tokens,
        prompts,
        Code(
            names,
            *data_code(names, items, concepts, seed, looked.locales),
            vectors_code(names, vectors, train_concepts, seed, looked.locales),
        ),
        studied(model, looked, own, layers, tokens, seed),
    )


def _common(model: LensModel, vectors: VectorSet) -> tuple[int, ...]:
    model_of = vectors.fingerprint
    model_of.check(model.fingerprint, f"vectors {', '.join(vectors.names)}")
    layers = sorted(set.intersection(*(set(vector.layers) for vector in vectors.values())))
    if not layers:
        raise SettingsError(
            "the vectors have no layer in common: expected vectors at the same layers. Compute all vectors at the same layers."
        )
    return tuple(layers)
