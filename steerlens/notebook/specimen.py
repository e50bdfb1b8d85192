"""What an explorer looks at: items with their vectors, residuals and scores by layer, all made with public functions."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from steerlens.activations import ResidualStack
from steerlens.data import ENGLISH, Item, Items, Split
from steerlens.errors import SettingsError
from steerlens.evaluation import Sweep, sweep
from steerlens.evaluation.scores import AXES, SWEPT
from steerlens.models import LensModel
from steerlens.probing import Separability, separability
from steerlens.settings import Mode
from steerlens.steering import Intervention, SteeredTokens, SteeringVector, VectorSet, take, vector_set

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


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
    vectors: VectorSet
    code: str
    """Code that makes ``vectors`` from ``train``, or of what was given."""
    stack: ResidualStack
    """The items' implicit prompts' residuals, at the layers that all vectors have."""
    separated: Separability
    swept: Sweep
    """Every vector at strength 1; predicted, or run where one of them adds no fixed direction."""
    mode: Mode
    """How it was swept."""
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
            *(HeatScore(f"{v} → {s}", s, v) for v, s in product(names, AXES)),
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


def specimen(
    model: LensModel,
    items: Items | Split,
    vectors: VectorSet | Intervention | Iterable[Intervention] | None = None,
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
    own = take(model, train, locales=looked.locales) if vectors is None else vector_set(vectors)
    there = set(own.locales_in(looked))
    looked = looked.where(lambda item: item.locale in there)
    layers = sorted(set.intersection(*(set(vector.layers) for vector in own.values())))
    if not layers:
        raise SettingsError("the vectors have no layer in common: take them at the same layers.")
    stack = model.residuals(looked.prompts(explicit=False), layers)
    mode: Mode = "attribution" if all(isinstance(vector, SteeringVector) for vector in own.values()) else "exact"
    return Specimen(
        model,
        looked,
        own,
        "vectors = sl.steering.vector_set(vectors)\n"
        if vectors is not None
        else f"vectors = sl.steering.take(model, train, locales={list(looked.locales)!r})\n",
        stack,
        separability(stack, probes=("difference of means",), seed=seed),
        sweep(model, looked, own, layers, [1.0], scores=SWEPT, mode=mode, tokens=tokens),
        mode,
        tokens,
        seed,
        _begin(items, vectors is not None, train_concepts, concepts, seed, looked.locales),
    )


def _begin(
    items: Items | Split, given: bool, train: int | None, concepts: int | None, seed: int, locales: tuple[str, ...]
) -> str:
    names = ["model", "items" if isinstance(items, Items) else "split", *(["vectors"] if given else [])]
    return (
        f"# {', '.join(names)}: what sl.explore was given\n"
        "import steerlens as sl\n\n"
        + (f"split = items.split(seed={seed})\n" if isinstance(items, Items) else "")
        + f"train = split.train.sample({train}, seed={seed})\n"
        + f"dev = split.dev.sample({concepts}, seed={seed}).where(lambda item: item.locale in {locales!r})\n"
    )
