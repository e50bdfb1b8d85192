"""What an explorer looks at: items with their vectors, residuals and scores by layer, all made with public functions."""

import keyword
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from steerlens.activations import ResidualStack
from steerlens.data import ENGLISH, Item, Items, Split
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import Sweep, sweep
from steerlens.models import LensModel
from steerlens.probing import Separability, separability
from steerlens.steering import SteeringVector, SteeredTokens, difference_of_means

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Vectors = Mapping[str, Mapping[str, SteeringVector]]
"""By locale and name."""
_TAKEN = {"EN": "english_pairs", "LOC": "localized_pairs"}


@dataclass(frozen=True)
class HeatScore:
    """Something that has a value at every layer and locale: separability's, or of one vector on one score."""

    name: str
    score: str
    vector: str = ""

    @property
    def call(self) -> str:
        """The code that draws it, from ``separated`` or ``swept``."""
        return f"swept.by_locale({self.vector!r}, {self.score!r})" if self.vector else f"separated.heatmap({self.score!r})"


@dataclass(frozen=True, eq=False)
class Specimen:
    """Vectors are taken from train; what is looked at and steered by hand comes from dev."""

    model: LensModel
    looked: Items
    """Dev items of the locales."""
    vectors: Vectors
    unplaced: frozenset[str]
    """Names of vectors that were given without a locale."""
    taken: bool
    """The vectors were taken here, not given."""
    stack: ResidualStack
    """The items' implicit prompts' residuals, at the layers that all vectors have."""
    separated: Separability
    swept: Sweep
    """Every vector at strength 1, predicted."""
    tokens: SteeredTokens
    """Steered there."""
    seed: int
    begin: str
    """Code that makes ``train`` and ``looked`` (as ``dev``) from ``items``."""

    @property
    def locales(self) -> tuple[str, ...]:
        """Of the items."""
        return self.looked.locales

    @property
    def layers(self) -> tuple[int, ...]:
        """That can be chosen."""
        return self.stack.layers

    @property
    def scores(self) -> tuple[HeatScore, ...]:
        """What the heatmap can show."""
        names = dict.fromkeys(self.swept.frame["vector"])
        return (
            HeatScore("separability", "auroc"),
            HeatScore("separability above the baselines", "above"),
            *(HeatScore(f"{v} → {s}", s, v) for v, s in product(names, ("transfer", "localization"))),
        )

    def drawn(self, of: HeatScore) -> "Figure":
        """The heatmap of one score."""
        return self.swept.by_locale(of.vector, of.score) if of.vector else self.separated.heatmap(of.score)

    def of(self, locale: str) -> Items:
        """The items of one locale that are looked at."""
        return self.looked.of(locale=locale)

    def concepts(self, locale: str) -> tuple[str, ...]:
        """Of its items."""
        return self.of(locale).concepts

    def item(self, locale: str, concept: str) -> Item:
        """One of them."""
        return next(item for item in self.of(locale) if item.concept == concept)

    def variable(self, name: str) -> str:
        """What code calls a vector: ``en`` and ``loc``, or the given name made one that Python takes."""
        if self.taken:
            return name.lower()
        bare = "v_" + "".join(letter if letter.isalnum() else "_" for letter in name)
        return bare if bare.isidentifier() and not keyword.iskeyword(bare) else f"v_{abs(hash(name))}"

    def lines(self, locale: str) -> Iterator[str]:
        """Code that makes the vectors of one locale."""
        for name in self.vectors[locale]:
            if self.taken:
                made = f"sl.steering.difference_of_means(model, train.{_TAKEN[name]}({locale!r}))"
            elif name in self.unplaced:
                made = f"replace(next(v for v in vectors if v.name == {name!r}), locale={locale!r})"
            else:
                made = f"next(v for v in vectors if (v.name, v.locale) == {(name, locale)!r})"
            yield f"{self.variable(name)} = {made}"


def specimen(
    model: LensModel,
    items: Items | Split,
    vectors: Iterable[SteeringVector] | None = None,
    *,
    train_concepts: int | None = 60,
    concepts: int | None = 12,
    tokens: SteeredTokens = "last_onward",
    seed: int = 0,
) -> Specimen:
    """Takes vectors from train, and residuals, separability and predicted effects of dev items.

    Args:
        items: items that are split by concept here, or a split.
        vectors: EN and LOC of every locale, taken from train, for ``None``. One without a locale is offered in all of them;
            locales without a vector are left out.
        train_concepts: concepts of each kind that vectors are taken from.
        concepts: dev concepts of each kind that are looked at.
        tokens: steered tokens, for the predicted effects.

    Raises:
        SettingsError: no locale besides English, no vectors, two of one name and locale, or no layer that all of them have.
        UnknownNameError: a vector of a locale without items.
    """
    split = items if isinstance(items, Split) else items.split(seed=seed)
    train = split.train.sample(train_concepts, seed=seed)
    looked = split.dev.sample(concepts, seed=seed).where(lambda item: item.locale != ENGLISH)
    if not looked:
        raise SettingsError(f"{split.dev!r} holds no locale besides {ENGLISH}: give items of at least one.")
    given = None if vectors is None else tuple(vectors)
    own = _taken(model, train, looked.locales) if given is None else _given(given, looked.locales)
    looked = looked.where(lambda item: item.locale in own)
    flat = [vector for each in own.values() for vector in each.values()]
    layers = sorted(set.intersection(*(set(vector.layers) for vector in flat)))
    if not layers:
        raise SettingsError("the vectors have no layer in common: take them at the same layers.")
    stack = model.residuals(looked.prompts(explicit=False), layers)
    return Specimen(
        model,
        looked,
        own,
        frozenset(vector.name for vector in given or () if not vector.locale),
        given is None,
        stack,
        separability(stack, probes=("difference of means",), seed=seed),
        sweep(model, looked, flat, layers, [1.0], mode="attribution", tokens=tokens),
        tokens,
        seed,
        _begin(items, given is not None, train_concepts, concepts, seed, tuple(own)),
    )


def _taken(model: LensModel, train: Items, locales: Iterable[str]) -> Vectors:
    return {
        code: {name: difference_of_means(model, getattr(train, pairs)(code)) for name, pairs in _TAKEN.items()}
        for code in locales
    }


def _given(vectors: tuple[SteeringVector, ...], locales: tuple[str, ...]) -> Vectors:
    """By locale and name; locales without any are left out."""
    found: dict[str, dict[str, SteeringVector]] = {code: {} for code in locales}
    if not vectors:
        raise SettingsError("no vectors were given: expected at least one, or None to take EN and LOC from train.")
    for vector in vectors:
        if vector.locale and vector.locale not in found:
            raise UnknownNameError("locale of a vector", vector.locale, locales, "Give items of that locale too.")
        for code in [vector.locale] if vector.locale else locales:
            if vector.name in found[code]:
                raise SettingsError(f"two vectors {vector.name!r} of {code} given: tell them apart with replace(vector, name=…).")
            found[code][vector.name] = replace(vector, locale=code)
    return {code: own for code, own in found.items() if own}


def _begin(
    items: Items | Split, given: bool, train: int | None, concepts: int | None, seed: int, locales: tuple[str, ...]
) -> str:
    names = ["model", "items" if isinstance(items, Items) else "split", *(["vectors"] if given else [])]
    return (
        f"# {', '.join(names)}: what sl.explore was given\n"
        "from dataclasses import replace\n\nimport steerlens as sl\n\n"
        + (f"split = items.split(seed={seed})\n" if isinstance(items, Items) else "")
        + f"train = split.train.sample({train}, seed={seed})\n"
        + f"dev = split.dev.sample({concepts}, seed={seed}).where(lambda item: item.locale in {locales!r})\n"
    )
