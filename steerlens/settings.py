"""The settings of the library and of the command line, defined once.

This module does not import PyTorch, so the command line can read names, defaults and explanations from these classes quickly. The
docstring below a field is its explanation in the documentation and in ``--help``.
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
"""The choices of tokens that are steered. ``all``: all tokens except the tokens in front of the text, such as BOS. ``prompt``:
the tokens of the prompt. ``last_onward``: the prompt's last token and all tokens after it. ``generated``: only tokens that are
generated after the prompt."""

STEERED_TOKENS: tuple[SteeredTokens, ...] = get_args(SteeredTokens)

Mode = Literal["exact", "attribution", "screened", "halving"]
"""How a sweep measures its cells. A cell is a layer with a strength. ``exact`` scores the model at all cells. ``attribution``
predicts the scores at all cells from one backward pass. ``screened`` predicts all cells and then scores the model at the
promising cells. ``halving`` scores the model at all cells on a few concepts, and at the better cells on more concepts."""

MODES: tuple[Mode, ...] = get_args(Mode)

StudyMode = Literal["exact", "screened", "halving"]
"""The modes of a study. The mode ``attribution`` is left out, because it predicts all cells, and a study chooses plans only from
cells that were run."""

Normalisation = Literal["token", "character", "none"]
Style = Literal["open", "letters"]

ObjectiveName = Literal["lesser gain", "sum of gains", "transfer", "localization"]
"""The objectives of ``steerlens search``. Functions of the library also take the name of any score or a function as the
objective."""
LESSER_GAIN: ObjectiveName = "lesser gain"

STRENGTHS = (0.5, 1.0, 2.0)
"""The default strengths."""

_READ = 6
"""The number of concepts of each kind on which a study measures side effects."""
_STRIDED = 6
"""The number of layers of a strided sweep. The layers are evenly spaced and include the last layer."""


@dataclass(frozen=True)
class Scoring:
    """How the answer choices of an item are scored. The choice with the best score counts as the model's answer."""

    normalisation: Normalisation = "token"
    """The divisor of the sum of a choice's log probabilities: the number of the choice's tokens, the number of its characters, or
    no divisor."""
    style: Style = "open"
    """``open``: the choice's text follows the prompt. ``letters``: the prompt lists the choices and the answer is a letter, for
    instruction-tuned models."""
    chat: bool = False
    """Whether the question goes through the model's chat template."""
    examples: tuple[Item, ...] = ()
    """Solved items (few-shot examples) that are put before every question of their locale. Take solved items from train. If all
    questions of a scorer begin with the same solved items, the solved items are run only once."""
    form: Form = "implicit"
    """The form of the prompt of a cultural item: without the country's name (``implicit``) or with it (``explicit``)."""
    seed: int = 0
    """The seed of the order in which the letter format lists the choices. The order of a concept's choices is the same in every
    locale."""
    aliases: bool = True
    """Whether other names of a choice (``item.aliases``) are also scored. The name with the best score counts. The letter format
    does not use other names."""

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
            values: the result of ``asdict`` for a scoring, or ``None`` for the default scoring.

        Raises:
            FileError: a field is unknown or has another type, or the answer of an example is not one of its choices.
        """
        made = cls() if values is None else restored(cls, values, "the scoring")
        if wrong := [item.concept for item in made.examples if not 0 <= item.answer < len(item.choices)]:
            raise FileError(
                f"the scoring has solved examples whose answer is not one of the choices (the first one is {wrong[0]!r:.80}). "
                "Correct these examples."
            )
        return made


class Costs(Protocol):
    """The effects of a plan on dev items. ``Limits`` describes which effects are allowed."""

    def get(self, score: str, other: float, /) -> float:
        """Returns the change of a ``score``, or the ``other`` number if the score was not measured."""

    @property
    def valid(self) -> bool:
        """Whether all of the plan's scores are finite."""

    @property
    def perplexity(self) -> float | None:
        """The perplexity of the right answers' text under the plan, divided by the perplexity without steering. ``None`` means
        that the perplexity was not measured."""


@dataclass(frozen=True)
class TextLimits:
    """The limits on the harm that a plan may do to texts of dev concepts. A limit of ``None`` is not applied."""

    perplexity: float | None = 2.0
    """The largest allowed perplexity of held-out text under the plan, divided by the perplexity without steering. The texts are
    the questions with their right answers. Every token except the first is steered like a generated token."""
    repetition: float | None = 0.2
    """The largest allowed rise of the repetition in generated texts, compared with the unsteered texts. Repetition is the share
    of a text's four-token sequences that occurred earlier in the text."""
    concepts: int = 4
    """The number of concepts of each kind, in every locale, for which held-out texts are scored and texts are generated."""
    max_new_tokens: int = 16
    """The number of tokens of a generated text."""

    def __post_init__(self) -> None:
        limits = ((self.perplexity, 1), (self.repetition, 0), (self.concepts, 1), (self.max_new_tokens, 1))
        if any(limit is not None and not limit >= least for limit, least in limits):
            raise SettingsError(
                f"{self} given: expected a perplexity of 1 or more and a repetition of 0 or more, or None; and at least one "
                "concept and one token."
            )


TEXT_LIMITS = TextLimits()
"""The default limits on the harm to texts."""


@dataclass(frozen=True)
class Limits:
    """The limits on the harm that a plan may do on dev. A limit of ``None`` is not applied.

    The limit on the English-centric rate applies only to combinations of EN and LOC. It does not apply to a plan with only EN or
    only LOC, because the results should show how much EN alone erases culture. The other limits apply to all plans.
    """

    english_centric: float | None = 0.05
    """The largest allowed rise of the English-centric rate, as a share of items."""
    perplexity: float | None = 1.25
    """The largest allowed value of the perplexity of the right answers' text under the plan, divided by the perplexity without
    steering."""
    text: TextLimits | None = None
    """The limits on the harm that a chosen plan may do to texts. ``None`` means that the harm to texts is not measured. This
    saves time, because a search chooses many plans."""

    def __post_init__(self) -> None:
        if any(limit is not None and not limit >= least for limit, least in ((self.english_centric, 0), (self.perplexity, 1))):
            raise SettingsError(f"{self} given: expected english_centric of 0 or more and perplexity of 1 or more, or None.")

    @property
    def of_text(self) -> "Limits":
        """These limits without the limit on the English-centric rate."""
        return replace(self, english_centric=None)

    def allow(self, gains: Costs) -> bool:
        """Returns whether a plan with the changes ``gains`` on dev is within the limits. A plan with a score that is not finite
        is never within the limits."""
        rise = math.inf if self.english_centric is None else self.english_centric
        ratio = math.inf if self.perplexity is None or gains.perplexity is None else self.perplexity
        return gains.valid and gains.get("english_centric", 0.0) <= rise and (gains.perplexity or 1.0) <= ratio


class Layered(Protocol):
    """The properties of a model that are needed to choose the layers of a sweep."""

    @property
    def n_layers(self) -> int:
        """The number of the model's blocks."""

    def layers(self, layers: Sequence[int] | None, /) -> tuple[int, ...]:
        """Returns the given ``layers`` if the model has these block indices. ``None`` gives all block indices of the model."""


@dataclass(frozen=True)
class StudySettings:
    """The settings of a study. The defaults are the defaults of ``steerlens demo``. A study captures and probes the residuals of
    every layer."""

    locales: tuple[str, ...] = ("es-ES", "id-ID", "ko-KR")
    """The locales for which vectors are computed and plans are chosen."""
    layers: tuple[int, ...] | Literal["all", "half", "strided"] = "half"
    """The layers that are swept. ``half``: every second layer. ``strided``: six evenly spaced layers. The last layer is always
    included."""
    strengths: tuple[float, ...] = STRENGTHS
    """The strengths that are swept. A strength is a factor on the difference of means."""
    mode: StudyMode = "screened"
    """How sweeps run. ``exact`` runs every cell. ``screened`` runs the few cells that a prediction finds promising. ``halving``
    runs all cells on a few concepts, then the better half of the cells on twice as many concepts, and repeats this step."""
    budget: str | None = None
    """The time limit of a sweep in mode ``halving``, for example ``5m`` or ``90s``. By default there is no limit."""
    shares: tuple[float, float, float] = (0.3, 0.25, 0.45)
    """The shares of train, dev and test. Test is the largest part, because small changes can be distinguished from zero only with
    many concepts. The train part of a study is contained in the train part of ``Items.split`` with its default shares. The test
    part of ``Items.split`` with its default shares is contained in the test part of a study."""
    train_concepts: int | None = 96
    """The number of concepts of each kind that are drawn from train to compute vectors, or ``None`` for all."""
    dev_concepts: int | tuple[int, int] | None = (8, 32)
    """The number of concepts that are drawn from dev for the sweeps and choices in every locale. Give one number for both kinds,
    or two numbers for factual and cultural concepts, or ``None`` for all."""
    test_concepts: int | tuple[int, int] | None = (48, 128)
    """The number of concepts that are drawn from test to score plans. Give one number for both kinds, or two numbers for factual
    and cultural concepts, or ``None`` for all."""
    tokens: SteeredTokens = "last_onward"
    """The tokens that are steered. By default, vectors are read at the last prompt token, and they are added at this token and at
    all later tokens."""
    positions: Literal["last", "mean"] | int = "last"
    """The position at which residuals are read: the prompt's last token, the mean over its tokens, or the token with the given
    index."""
    controls: bool = False
    """Whether controls are scored for every plan on test: 20 random directions with the norm of the plan's vector, and another
    locale's plan. Controls are slow."""
    side_effects: bool = True
    """Whether side effects of every plan are also measured on test: the perplexity of held-out text, and the language and
    repetition of generated text."""
    limits: TextLimits | None = TEXT_LIMITS
    """The limits on the harm that a chosen plan may do to texts. Without limits, a plan that breaks texts can be chosen."""
    seed: int = 0
    """The seed of the split, the samples, the folds and the bootstrap."""
    scoring: Scoring = field(default_factory=Scoring)
    """How the answer choices of an item are scored."""
    examples: int = 2
    """The number of test concepts of each kind and locale for which the unsteered and steered texts are stored."""
    max_new_tokens: int = 16
    """The largest number of tokens in the text of an example."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "strengths", finite_numbers(self.strengths, "strength", "a study"))
        for name in ("shares", "train_concepts", "dev_concepts", "test_concepts"):
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

    def beside(self) -> dict[str, Any]:
        """Returns the arguments of ``plane`` for controls, side effects and the seed."""
        return {"controls": self.controls, "side_effects": self.side_effects and _READ, "seed": self.seed}

    def parts(self, items: Items) -> Split:
        """Returns the train, dev and test parts of ``items``. Each part is reduced to the number of concepts in these
        settings."""
        split = items.split(seed=self.seed, shares=self.shares)
        return replace(
            split,
            train=split.train.sample(self.train_concepts, seed=self.seed),
            dev=split.dev.sample(_by_kind(self.dev_concepts), seed=self.seed),
            test=split.test.sample(_by_kind(self.test_concepts), seed=self.seed),
        )

    def swept(self, model: Layered, *, least: int = 2) -> tuple[int, ...]:
        """Returns the block indices that are swept, in ascending order.

        Args:
            model: the model whose layers are chosen.
            least: the smallest number of layers that is allowed. Surgical steering needs two layers, because it adds two vectors
                at two layers.

        Raises:
            LayerError: the model does not have one of the layers.
            SettingsError: ``layers`` is a word other than ``all``, ``half`` and ``strided``, or there are fewer layers than
                ``least``.
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
            why = ", because surgical steering adds two vectors at two layers" if least > 1 else ""
            raise SettingsError(f"layers {layers} given: expected at least {least}{why}.")
        return layers


def _by_kind(count: int | tuple[int, int] | None) -> int | dict[Kind, int | None] | None:
    """Returns a number of concepts in the form that ``Items.sample`` takes."""
    return dict(zip(KINDS, count, strict=True)) if isinstance(count, tuple) else count


QUICK = StudySettings(
    locales=("es-ES",),
    layers="strided",
    strengths=(1.0, 2.0),
    train_concepts=48,
    dev_concepts=(4, 24),
    test_concepts=(12, 96),
    side_effects=False,
    limits=TextLimits(concepts=2),
    examples=1,
)
"""The settings of ``steerlens demo --quick``: a short run of two to six minutes on two cores."""


@dataclass(frozen=True)
class SearchSettings:
    """The grid and the budget of a search. With the defaults, a search over six locales with Gemma 3 270M takes about twenty
    minutes on two cores."""

    layers: tuple[int, ...] | None = None
    """The layers that are tried, or ``None`` for all."""
    first_layers: int = 9
    """The number of layers at which the search measures vectors first. These layers are evenly spaced and include the last layer.
    The search then goes from the best layer to neighbouring layers."""
    strengths: tuple[float, ...] = STRENGTHS
    """The strengths that are tried. The first layers are tried at the middle strength. If there are two strengths, the first
    layers are tried at the weaker strength."""
    tokens: tuple[SteeredTokens, ...] = ("last_onward", "all")
    """The choices of steered tokens that are tried. The first layers are tried with the first choice of tokens."""
    vector_concepts: int | None = 120
    """The number of concepts of each kind that are used to compute vectors, or ``None`` for all."""
    dev_concepts: int | None = 15
    """The number of dev concepts of each kind that are used to choose the plans of a locale, or ``None`` for all. Each cell costs
    one pass per concept."""
    test_concepts: int | None = 50
    """The number of test concepts of each kind that are used to test the choices, or ``None`` for all."""
    singles: int = 4
    """The number of cells of each vector that are measured after the first layers. The number applies to the search in each
    locale, and to the search over all locales together."""
    combinations: int = 12
    """The number of combinations of EN and LOC that are measured. The number applies to the search in each locale, and to the
    search over all locales together."""
    n_folds: int = 3
    """The number of folds. Each concept is scored under vectors that are computed from the concepts of the other folds."""
    limits: Limits = field(default_factory=Limits)
    """The limits on the harm that a plan may do on dev."""
    positions: Literal["last", "mean"] | int = "last"
    """The position at which vectors are read: the prompt's last token, the mean over its tokens, or the token with the given
    index."""
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
                f"{self} given: expected strengths other than 0, at least one choice of tokens, and numbers of at least 2 for "
                "first_layers and n_folds and of at least 1 for concepts, singles and combinations."
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as plain JSON values."""
        return asdict(self)


def spaced(layers: Sequence[int], n: int) -> list[int]:
    """Returns ``n`` evenly spaced ``layers`` that include the last layer. If there are fewer than ``n`` layers, returns all of
    them."""
    return list(layers) if len(layers) <= n else [layers[len(layers) * (k + 1) // n - 1] for k in range(n)]
