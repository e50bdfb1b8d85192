"""The settings of the library and of the command line, defined once.

Nothing here imports PyTorch, so that the command line can read names, defaults and explanations from these classes and still
answer at once. The text below a field is its explanation in the documentation and in ``--help``.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol, get_args

from steerlens.data import KINDS, Form, Item, Items, Kind, Split
from steerlens.errors import FileError, SettingsError, UnknownNameError
from steerlens.numeric import finite_numbers, seconds_of
from steerlens.storage import restored

SteeredTokens = Literal["all", "prompt", "last_onward", "generated"]
"""The tokens that are steered. ``all``: all tokens except those in front of the text, such as BOS. ``prompt``: the tokens of the
prompt. ``last_onward``: the prompt's last token and all tokens after it. ``generated``: only tokens generated after the
prompt."""

STEERED_TOKENS: tuple[SteeredTokens, ...] = get_args(SteeredTokens)

Mode = Literal["exact", "attribution", "screened", "halving"]
"""How the cells of a sweep are measured. ``exact`` runs all cells. ``attribution`` predicts all cells from one backward pass.
``screened`` runs the promising cells. ``halving`` runs all cells on a few concepts, and the better cells on more concepts."""

MODES: tuple[Mode, ...] = get_args(Mode)

StudyMode = Literal["exact", "screened", "halving"]
"""The modes of a study. It chooses plans from cells that were run, so a mode that predicts all cells is not among them."""

Normalisation = Literal["token", "character", "none"]
Style = Literal["open", "letters"]

ObjectiveName = Literal["lesser gain", "sum of gains", "transfer", "localization"]
"""The objectives of ``steerlens search``. The library also takes the name of any score, or a function."""
LESSER_GAIN: ObjectiveName = "lesser gain"

STRENGTHS = (1.0, 2.0, 4.0)
"""The default strengths."""

_STRIDED = 6
"""The number of layers of a strided sweep. They are evenly spaced and include the last one."""


@dataclass(frozen=True)
class Scoring:
    """How the answer choices of an item are scored. The best score counts as the model's answer."""

    normalisation: Normalisation = "token"
    """The divisor of the sum of a choice's log probabilities: the number of its tokens, the number of its characters, or none."""
    style: Style = "open"
    """``open``: the choice's text follows the prompt. ``letters``: the prompt lists the choices and the answer is a letter, for
    instruction-tuned models."""
    chat: bool = False
    """Whether the question goes through the model's chat template."""
    examples: tuple[Item, ...] = ()
    """Solved items (few shots) that are put before every question of their locale. Take them from train. Where all questions of a
    scorer begin with the same solved items, these are run only once."""
    form: Form = "implicit"
    """The prompt of a cultural item that is asked: without its country (``implicit``) or with its country (``explicit``)."""
    seed: int = 0
    """The seed of the order in which the letter format lists the choices, the same for a concept in every locale."""
    aliases: bool = True
    """Whether other names of a choice (``item.aliases``) are scored too. The name with the best score counts. The letter format
    has no other names."""

    def __post_init__(self) -> None:
        for what, given, known in (
            ("normalisation", self.normalisation, get_args(Normalisation)),
            ("style", self.style, get_args(Style)),
            ("form", self.form, get_args(Form)),
        ):
            if given not in known:
                raise UnknownNameError(what, given, known)

    @classmethod
    def from_dict(cls, values: Any) -> "Scoring":
        """Returns the scoring that JSON values describe.

        Args:
            values: the result of ``asdict`` for a scoring; ``None`` gives the defaults.

        Raises:
            FileError: a field is unknown or has another type, or an example's answer is none of its choices.
        """
        made = cls() if values is None else restored(cls, values, "the scoring")
        if wrong := [item.concept for item in made.examples if not 0 <= item.answer < len(item.choices)]:
            raise FileError(
                f"the scoring has solved examples whose answer is not one of the choices (the first one is {wrong[0]!r:.80}). "
                "Correct these examples."
            )
        return made


class Costs(Protocol):
    """The effects of a plan on dev items on which limits can be set."""

    def get(self, score: str, other: float, /) -> float:
        """Returns the change of a ``score``, or the ``other`` number if it was not measured."""

    @property
    def valid(self) -> bool:
        """Whether all of the plan's scores are finite."""

    @property
    def perplexity(self) -> float | None:
        """The perplexity of the right answers' text divided by its unsteered value, or ``None`` if it was not measured."""


@dataclass(frozen=True)
class Limits:
    """The limits on what a plan may cost on dev. ``None`` removes a limit.

    For EN and LOC alone, only the limit on perplexity applies: it should be visible that EN alone erases culture, and in
    combination EN must not.
    """

    english_centric: float | None = 0.05
    """The largest rise of the English-centric rate that is allowed."""
    perplexity: float | None = 1.25
    """The largest allowed ratio of the perplexity of the right answers' text to that without steering."""

    def __post_init__(self) -> None:
        if any(limit is not None and not limit >= least for limit, least in ((self.english_centric, 0), (self.perplexity, 1))):
            raise SettingsError(f"{self} given: expected english_centric of 0 or more and perplexity of 1 or more, or None.")

    @property
    def of_text(self) -> "Limits":
        """Only the limit on perplexity."""
        return replace(self, english_centric=None)

    def allow(self, gains: Costs) -> bool:
        """Returns whether a plan with the changes ``gains`` on dev is within the limits. A plan with a score that is not finite
        never is."""
        rise = math.inf if self.english_centric is None else self.english_centric
        ratio = math.inf if self.perplexity is None or gains.perplexity is None else self.perplexity
        return gains.valid and gains.get("english_centric", 0.0) <= rise and (gains.perplexity or 1.0) <= ratio


class Layered(Protocol):
    """The properties of a model that are needed to choose the layers of a sweep."""

    @property
    def n_layers(self) -> int:
        """The number of the model's blocks."""

    def layers(self, layers: Sequence[int] | None, /) -> tuple[int, ...]:
        """Returns block indices that the model has: the given ``layers``, or all of them for ``None``."""


@dataclass(frozen=True)
class StudySettings:
    """What a study does. The defaults are those of ``steerlens demo``. Every layer is captured and probed."""

    locales: tuple[str, ...] = ("es-ES", "id-ID", "ko-KR")
    """The locales for which vectors are computed and plans are chosen."""
    layers: tuple[int, ...] | Literal["all", "half", "strided"] = "half"
    """The layers that are swept. ``half``: every second layer. ``strided``: six evenly spaced layers. The last layer is always
    included."""
    strengths: tuple[float, ...] = STRENGTHS
    """The strengths that are swept: factors on the difference of means."""
    mode: StudyMode = "screened"
    """How sweeps run. ``exact`` runs every cell. ``screened`` runs the few cells that a prediction finds promising. ``halving``
    runs all cells on a few concepts, then repeatedly the better half on twice as many."""
    budget: str | None = None
    """The time limit of a sweep in mode ``halving``, as ``5m`` or ``90s``. By default there is no limit."""
    train_concepts: int | None = 96
    """The number of concepts of each kind, drawn from train, that vectors are computed from, or ``None`` for all."""
    dev_concepts: int | tuple[int, int] | None = (8, 16)
    """The number of concepts, drawn from dev, that sweeps and choices run on in every locale: of factual and of cultural ones, or
    one number for each kind, or ``None`` for all."""
    test_concepts: int | tuple[int, int] | None = (48, 96)
    """The number of concepts, drawn from test, that plans are scored on: of factual and of cultural ones, or one number for each
    kind, or ``None`` for all."""
    tokens: SteeredTokens = "last_onward"
    """The tokens that are steered. Vectors are read at the last prompt token, so by default they are added there and at all later
    tokens."""
    positions: Literal["last", "mean"] | int = "last"
    """Where residuals are read: at the prompt's last token, as the mean over its tokens, or at the token with this index."""
    controls: bool = False
    """For every plan on test, also score 20 random directions of its norm and another locale's plan (slow)."""
    side_effects: bool = False
    """Also measure the perplexity, language and repetition of the texts that are written under every plan."""
    seed: int = 0
    """The seed of the split, the samples, the folds and the bootstrap."""
    scoring: Scoring = field(default_factory=Scoring)
    """How the answer choices of an item are scored."""
    examples: int = 2
    """The number of test concepts of each kind and locale whose generated texts are kept, unsteered and steered."""
    max_new_tokens: int = 16
    """The largest number of tokens in an example's text."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "strengths", finite_numbers(self.strengths, "strength", "a study"))
        for name in ("train_concepts", "dev_concepts", "test_concepts"):
            if isinstance(count := getattr(self, name), list):  # as JSON gives it
                object.__setattr__(self, name, tuple(count))
        if self.tokens not in STEERED_TOKENS:
            raise UnknownNameError("choice of tokens", self.tokens, STEERED_TOKENS)
        if self.budget is not None and self.mode != "halving":
            raise SettingsError(
                f"budget {self.budget!r} given for mode {self.mode!r}: only mode 'halving' has a budget. Remove the budget, or "
                "use mode 'halving'."
            )
        if self.budget is not None:
            seconds_of(self.budget)
        if self.mode not in get_args(StudyMode):
            raise UnknownNameError(
                "mode of a study",
                self.mode,
                get_args(StudyMode),
                "Other modes are not possible here, because a plan is chosen from cells that were run.",
            )
        counts = (self.train_concepts, self.dev_concepts, self.test_concepts)
        pairs = [count if isinstance(count, tuple) else (count, count) for count in counts if count is not None]
        if not self.strengths or 0 in self.strengths or any(len(pair) != len(KINDS) or min(pair) < 1 for pair in pairs):
            raise SettingsError(
                f"strengths {self.strengths} and {counts} concepts of train, dev and test given: expected strengths other than "
                "0, and at least one concept of each kind. Give one number, two numbers (factual and cultural, such as 8,16), "
                "or None for all."
            )

    def parts(self, items: Items) -> Split:
        """Returns train, dev and test of ``items``, each with the number of concepts of each kind that is used."""
        split = items.split(seed=self.seed)
        return replace(
            split,
            train=split.train.sample(self.train_concepts, seed=self.seed),
            dev=split.dev.sample(_by_kind(self.dev_concepts), seed=self.seed),
            test=split.test.sample(_by_kind(self.test_concepts), seed=self.seed),
        )

    def swept(self, model: Layered, *, least: int = 2) -> tuple[int, ...]:
        """Returns the block indices that are swept, in ascending order.

        Args:
            model: the model with these layers.
            least: the number of layers that are needed; surgical steering adds two vectors at two layers.

        Raises:
            LayerError: the model does not have a layer.
            SettingsError: ``layers`` is a word other than ``all``, ``half`` and ``strided``, or there are fewer layers than are
                needed.
        """
        chosen: Sequence[int] | None = None
        if self.layers in ("half", "strided"):
            chosen = spaced(range(model.n_layers), _STRIDED if self.layers == "strided" else max(least, model.n_layers // 2))
        elif not isinstance(self.layers, str):
            chosen = self.layers
        elif self.layers != "all":
            raise SettingsError(f"layers {self.layers!r} given: expected 'all', 'half', 'strided' or block indices.")
        layers = model.layers(chosen)
        if len(layers) < least:
            raise SettingsError(
                f"layers {layers} given: expected two or more, because surgical steering adds two vectors at two layers."
            )
        return layers


def _by_kind(count: int | tuple[int, int] | None) -> int | dict[Kind, int | None] | None:
    """Returns a number of concepts in the form that ``Items.sample`` takes."""
    return dict(zip(KINDS, count, strict=True)) if isinstance(count, tuple) else count


QUICK = StudySettings(
    locales=("es-ES", "ko-KR"),
    layers="strided",
    strengths=(1.0, 2.0),
    train_concepts=48,
    dev_concepts=(4, 8),
    test_concepts=(12, 24),
)
"""The settings of ``steerlens demo --quick``: a short run of about three minutes on two cores."""


@dataclass(frozen=True)
class SearchSettings:
    """A search's grid and budget. The defaults are made for six locales of Gemma 3 270M in twenty minutes on two cores."""

    layers: tuple[int, ...] | None = None
    """The layers that are tried, or ``None`` for all."""
    first_layers: int = 9
    """The number of layers that are run first. They are evenly spaced and include the last one. Steps from the best layer reach
    the others."""
    strengths: tuple[float, ...] = STRENGTHS
    """The strengths that are tried. The first layers are run at the middle strength (of two, at the weaker one)."""
    tokens: tuple[SteeredTokens, ...] = ("last_onward", "all")
    """The choices of steered tokens that are tried. The first layers are run with the first choice."""
    vector_concepts: int | None = 120
    """The number of concepts of each kind that vectors are computed from, or ``None`` for all."""
    dev_concepts: int | None = 15
    """The number of concepts of each kind that a locale's choices are made on, or ``None`` for all. Each cell costs one pass per
    concept."""
    test_concepts: int | None = 50
    """The number of concepts of each kind that choices are tested on, or ``None`` for all that are given."""
    singles: int = 4
    """The number of cells of each vector that are run after the first layers, for each locale and for all locales together."""
    combinations: int = 12
    """The number of combinations of both vectors that are run, for each locale and for all locales together."""
    n_folds: int = 3
    """The number of folds. Each concept is scored under vectors computed from the other folds."""
    limits: Limits = field(default_factory=Limits)
    """The limits on what a plan may cost on dev."""
    positions: Literal["last", "mean"] | int = "last"
    """Where vectors are read: at the prompt's last token, as the mean over its tokens, or at the token with this index."""
    scoring: Scoring = field(default_factory=Scoring)
    """How the answer choices of an item are scored."""
    seed: int = 0
    """The seed of the folds, the sample of dev concepts and the bootstrap."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "strengths", finite_numbers(self.strengths, "strength", "a search"))
        for which in self.tokens:
            if which not in STEERED_TOKENS:
                raise UnknownNameError("choice of tokens", which, STEERED_TOKENS)
        concepts = (self.vector_concepts, self.dev_concepts, self.test_concepts)
        counts = (
            self.first_layers - 1,
            self.singles,
            self.combinations,
            self.n_folds - 1,
            *(1 if n is None else n for n in concepts),
        )
        if not self.strengths or 0 in self.strengths or not self.tokens or min(counts) < 1:
            raise SettingsError(
                f"{self} given: expected strengths other than 0, at least one choice of tokens, at least two first_layers and "
                "n_folds, and at least one concept, one of singles and one of combinations."
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as plain JSON values."""
        return asdict(self)


def spaced(layers: Sequence[int], n: int) -> list[int]:
    """Returns ``n`` of some ``layers``, evenly spaced and including the last one; all if there are fewer."""
    return list(layers) if len(layers) <= n else [layers[len(layers) * (k + 1) // n - 1] for k in range(n)]
