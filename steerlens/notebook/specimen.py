"""What an explorer looks at: items with their vectors, residuals and scores by layer, all made with public functions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from steerlens.activations import ResidualStack
from steerlens.data import ENGLISH, Item, Items, Split
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import Sweep, sweep
from steerlens.models import LensModel
from steerlens.probing import Separability, separability
from steerlens.steering import SteeringVector, Which, difference_of_means

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Vectors = Mapping[str, Mapping[str, SteeringVector]]
"""By locale and name."""
_SEPARABILITY = {
    "separability": ("auroc", "AUROC of the difference of means"),
    "above baselines": ("above", "AUROC less that of the best baseline"),
}


@dataclass(frozen=True)
class HeatScore:
    """Something that has a value at every layer and locale."""

    name: str
    draw: str
    """The call that draws it, on ``separated`` or ``swept``."""


@dataclass(frozen=True, eq=False)
class Specimen:
    """Vectors are taken from train; what is looked at and steered by hand comes from dev."""

    model: LensModel
    looked: Items
    """Dev items of the locales."""
    vectors: Vectors
    stack: ResidualStack
    """Their implicit prompts' residuals at every layer."""
    separated: Separability
    swept: Sweep
    """Every vector at strength 1, predicted."""
    code: str
    """What makes ``looked`` (as ``dev``) and ``train`` from ``items``, and the vectors if they were given."""

    @property
    def locales(self) -> tuple[str, ...]:
        """Of the items."""
        return self.looked.locales

    @property
    def scores(self) -> tuple[HeatScore, ...]:
        """What the heatmap can show."""
        own = [HeatScore(name, f"separated.heatmap({score!r})") for name, (score, _) in _SEPARABILITY.items()]
        pairs = product(dict.fromkeys(self.swept.frame["vector"]), ("transfer", "localization"))
        own += [HeatScore(f"{vector} → {score}", f"swept.by_locale({vector!r}, {score!r})") for vector, score in pairs]
        return tuple(own)

    def drawn(self, name: str) -> "Figure":
        """The heatmap of one score."""
        if name in _SEPARABILITY:
            return self.separated.heatmap(_SEPARABILITY[name][0])
        vector, score = name.split(" → ")
        return self.swept.by_locale(vector, score)

    def of(self, locale: str) -> list[Item]:
        """The items of one locale that are looked at."""
        return list(self.looked.of(locale=locale))

    def item(self, locale: str, concept: str) -> Item:
        """One of them."""
        return next(item for item in self.of(locale) if item.concept == concept)


def specimen(
    model: LensModel,
    items: Items | Split,
    vectors: Iterable[SteeringVector] | None = None,
    *,
    train_concepts: int | None = 60,
    concepts: int | None = 12,
    tokens: Which = "last_onward",
    seed: int = 0,
) -> Specimen:
    """Takes vectors from train, and residuals, separability and predicted effects of dev items.

    Args:
        items: items that are split by concept here, or a split.
        vectors: EN and LOC of every locale, taken from train, for ``None``. One without a locale is offered in all of them.
        train_concepts: concepts of each kind that vectors are taken from.
        concepts: dev concepts of each kind that are looked at.
        tokens: steered tokens, for the predicted effects.

    Raises:
        SettingsError: no locale besides English; no vectors.
    """
    split = items if isinstance(items, Split) else items.split(seed=seed)
    train = split.train.sample(train_concepts, seed=seed)
    looked = split.dev.sample(concepts, seed=seed).where(lambda item: item.locale != ENGLISH)
    if not looked:
        raise SettingsError(f"{split.dev!r} holds no locale besides {ENGLISH}: give items of at least one.")
    given = None if vectors is None else tuple(vectors)
    own = _taken(model, train, looked.locales) if given is None else _given(given, looked.locales)
    stack = model.residuals(looked.prompts(explicit=False))
    flat = list({id(vector): vector for each in own.values() for vector in each.values() if vector.locale}.values())
    return Specimen(
        model,
        looked,
        own,
        stack,
        separability(stack, probes=("difference of means",), seed=seed),
        sweep(model, looked, flat, strengths=[1.0], mode="attribution", tokens=tokens),
        _code(items, train_concepts, concepts, seed),
    )


def _taken(model: LensModel, train: Items, locales: Iterable[str]) -> Vectors:
    return {
        code: {
            "EN": difference_of_means(model, train.english_pairs(code)),
            "LOC": difference_of_means(model, train.localized_pairs(code)),
        }
        for code in locales
    }


def _given(vectors: tuple[SteeringVector, ...], locales: tuple[str, ...]) -> Vectors:
    """By locale and name.

    Raises:
        SettingsError: no vectors, or two of one name and locale.
        UnknownNameError: a vector of a locale without items.
    """
    found: dict[str, dict[str, SteeringVector]] = {code: {} for code in locales}
    if not vectors:
        raise SettingsError("no vectors were given: expected at least one, or None to take EN and LOC from train.")
    for vector in vectors:
        if vector.locale and vector.locale not in found:
            raise UnknownNameError("locale of a vector", vector.locale, locales, "Give items of that locale too.")
        for code in [vector.locale] if vector.locale else locales:
            if vector.name in found[code]:
                raise SettingsError(
                    f"two vectors {vector.name!r} of {code} were given: name them apart with replace(vector, name=…)."
                )
            found[code][vector.name] = vector
    return found


def _code(items: Items | Split, train_concepts: int | None, concepts: int | None, seed: int) -> str:
    return (
        "import steerlens as sl\n\n"
        + (f"split = items.split(seed={seed})\n" if isinstance(items, Items) else "split = items\n")
        + f"train = split.train.sample({train_concepts}, seed={seed})\n"
        + f"dev = split.dev.sample({concepts}, seed={seed}).where(lambda item: item.locale != {ENGLISH!r})\n"
    )


def lines_of(vectors: Vectors, locale: str, *, taken: bool) -> Iterator[str]:
    """Code that makes the vectors of one locale, as ``en`` and ``loc`` or by their names."""
    for name in vectors[locale]:
        if taken:
            pairs = "english_pairs" if name == "EN" else "localized_pairs"
            yield f"{variable(name)} = sl.steering.difference_of_means(model, train.{pairs}({locale!r}))"
        else:
            yield f"{variable(name)} = next(v for v in vectors if v.name == {name!r} and v.locale in ('', {locale!r}))"


def variable(name: str) -> str:
    """A vector's name as one that Python takes."""
    bare = "".join(letter if letter.isalnum() else "_" for letter in name.lower())
    return bare if bare.isidentifier() else f"vector_{bare}"
