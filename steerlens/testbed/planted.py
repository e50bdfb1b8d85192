"""A model that reads a factual direction at one layer and a cultural direction at a deeper layer, and a model that reads
neither.

At block a, the last token sees the prompt's language. On a factual concept it writes the direction ``factual``: fully in
English, weakly in the other locales. This replaces what came in along that direction. Only block a + 1 reads the direction; it
writes the right answer in proportion and erases the direction. At block b, the last token sees the locale and whether its
country is named. On a cultural concept it writes that locale's direction ``cultural``: fully if the country is named, weakly if
not. Block b + 1 reads the direction and writes the local answer. In the unsteered model, a rival answer (for a cultural
concept: the English one) wins if the direction was written weakly. So EN steering raises transfer after block a and nowhere
else, and LOC steering raises localization after block b. On a cultural concept, ``factual`` feeds the English answer, so that
EN steering alone erases local answers. Random neurons in every block add noise to all of this.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.data import ENGLISH, Items, locale
from steerlens.errors import SettingsError
from steerlens.models import LensModel, load
from steerlens.models.quiet import quiet_transformers
from steerlens.testbed.circuits import Block, Reading, Space, llama_weights
from steerlens.testbed.world import N_ANSWERS, SPECIAL, World, world

_TOKENS = 5
"""The number of tokens of every prompt: BOS, cue, concept, filler or country, cue."""
_SIZE = 5.0
"""The norm of a planted direction that is written fully. Noise has 0.5 per coordinate."""
_WEAK = (0.05, 0.65)
"""The range of the share of the direction that is written in a locale other than English, or for a question without its
country. The share is drawn for each concept."""
_RIVAL = 0.5
"""The share above which the answer beats its rival, before noise is added."""
_ERASURE = 0.25
"""The amount by which ``factual`` feeds the English answer of a cultural concept. The right answer of a factual concept gets
1."""
_FAINT = 0.05
"""The size of what attention gathers. It is small, so that no vector consists mainly of it."""
_NOISE, _NOISES = 0.5, 24
_STIRRING = 8
"""The number of random neurons in each block."""
_SHARPNESS = 6.0
"""The number of nats by which an answer at 1 is above an answer at 0."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The direction that was planted for one vector, and its layer."""

    layer: int
    """The only layer after which steering works, and at which the direction can be read."""
    direction: Float[Tensor, " d_model"]
    """The direction, a unit vector ``[d_model]``."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A model with the items that it was made for, and the truth about it."""

    model: LensModel
    """The model with hand-written weights."""
    items: Items
    """The items that the model answers."""
    truth: Mapping[str, Mapping[str, Truth]]
    """The planted truth, as ``truth["es-ES"]["EN"]`` and ``["LOC"]``; empty if nothing was planted."""
    seed: int
    """The seed of all random draws."""

    @property
    def layers(self) -> tuple[int, ...]:
        """The planted layers, in ascending order."""
        return tuple(sorted({truth.layer for own in self.truth.values() for truth in own.values()}))


def planted(
    seed: int = 0,
    *,
    nothing: bool = False,
    locales: Sequence[str] = ("es-ES", "ko-KR"),
    concepts: int = 60,
    n_layers: int = 8,
    layers: Mapping[str, tuple[int, int]] | tuple[int, int] | None = None,
    folder: str | Path | None = None,
) -> Planted:
    """Makes a tiny Llama with hand-written weights, and its items, in about 0.2 seconds.

    Args:
        seed: the seed of everything: layers, directions, words, answers, noise.
        nothing: leaves the two circuits out. Answers are then chance with noise, and a method that claims something is wrong.
        locales: the locales other than English; only languages with spaces between words.
        concepts: the number of concepts of each kind.
        n_layers: the number of blocks, six or more.
        layers: the layers of EN and LOC, for all locales or by locale. EN's layer must be the same for all. ``None`` draws the
            layers by the seed.
        folder: the folder for the model's files, so that training and other processes can load it again; ``None`` keeps no
            files.

    Raises:
        SettingsError: there are fewer than six layers or concepts, the layers do not fit, or a locale writes no spaces.
    """
    rng = np.random.default_rng(seed)
    known = world(locales, concepts, rng)
    places = _places(known.locales[1:], n_layers, layers, rng)
    space = _space(known)
    blocks = [Block(space) for _ in range(n_layers)]
    _begin(blocks[0], known, rng, nothing)
    if not nothing:
        _plant_factual(blocks, known, next(iter(places.values()))[0], rng)
        for code, (_, layer) in places.items():
            _plant_cultural(blocks, known, code, layer, rng)
    for block in blocks:
        _stir(block, rng)
    rotation = np.linalg.qr(rng.standard_normal((space.d, space.d)))[0]
    vocabulary = known.vocabulary()
    unembedding = np.array(
        [_SHARPNESS * space.vector({_answer(known.answers.index(w)): 1.0} if w in known.answers else {}) for w in vocabulary]
    )
    weights = llama_weights(space, blocks, _embeddings(known, vocabulary, space, rng), unembedding, rotation)
    truth: dict[str, dict[str, Truth]] = {}
    for code, (en, loc) in ({} if nothing else places).items():
        named = {"EN": (en, "factual"), "LOC": (loc, f"cultural {code}")}
        truth[code] = {
            name: Truth(layer, torch.tensor(rotation @ space.vector({what: 1.0}), dtype=torch.float32))
            for name, (layer, what) in named.items()
        }
    model = _booted(weights, vocabulary, f"planted-{seed}", folder)
    return Planted(model, known.items(), truth, seed)


def _places(
    locales: Sequence[str],
    n_layers: int,
    layers: Mapping[str, tuple[int, int]] | tuple[int, int] | None,
    rng: np.random.Generator,
) -> dict[str, tuple[int, int]]:
    """The layers of EN and LOC in each locale: a before b, each with a block above it that reads the direction."""
    drawn = (
        int(rng.integers(1, max(2, n_layers // 2))),
        int(rng.integers(n_layers // 2 + 1, max(n_layers - 1, n_layers // 2 + 2))),
    )
    given = layers if isinstance(layers, Mapping) else dict.fromkeys(locales, drawn if layers is None else layers)
    fit = all(0 < a < b < n_layers - 1 for a, b in given.values())
    if n_layers < 6 or set(given) != set(locales) or len({a for a, _ in given.values()}) != 1 or not fit:
        raise SettingsError(
            f"{n_layers} layers and planted layers {layers} given for {tuple(locales)}: expected six layers or more, and for "
            "each locale a pair (EN layer, LOC layer). The EN layer must be above 0 and the same for all locales. The LOC "
            "layer must be above the EN layer and below the last layer."
        )
    return {code: given[code] for code in locales}


def _space(known: World) -> Space:
    every = known.locales
    return Space(
        [
            *(concept.id for concept in known.concepts),
            *(f"{what} {n}" for what in ("noise", "stirred") for n in range(_NOISES)),
            *(_answer(n) for n in range(N_ANSWERS)),
            *(
                f"{what} {code}"
                for what in ("language", "country", "language at a", "language at b", "country at b")
                for code in every
            ),
            "factual",
            *(f"cultural {code}" for code in every[1:]),
        ]
    )


def _answer(number: int) -> str:
    return f"answer {number}"


def _towards(number: int, weight: float = 1.0) -> dict[str, float]:
    """Raises one answer and lowers the others, so that no direction is common to all concepts."""
    return {_answer(n): weight * (1.0 if n == number else -1.0 / (N_ANSWERS - 1)) for n in range(N_ANSWERS)}


def _begin(block: Block, known: World, rng: np.random.Generator, nothing: bool) -> None:
    """Makes the last token gather the concept and its noise. Each concept favours some of its choices from the start."""
    for name in [concept.id for concept in known.concepts] + [f"noise {n}" for n in range(_NOISES)]:
        block.gather(name, name, _TOKENS)
    for concept in known.concepts:
        rival = concept.choices[1 if concept.kind == "factual" else 0]  # the English answer comes first
        favour = rng.normal(0.0, 0.3 if nothing else 0.05, len(concept.choices))
        if not nothing:
            favour[concept.choices.index(rival)] += _RIVAL
        total = np.zeros(N_ANSWERS)
        for number, weight in zip(concept.choices, favour, strict=True):
            total += [_towards(number, float(weight))[_answer(n)] for n in range(N_ANSWERS)]
        block.neuron(concept.id, {"constant": 1.0}, {_answer(n): float(value) for n, value in enumerate(total)})


def _of(known: World, kind: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    return ((concept.id, concept.choices) for concept in known.concepts if concept.kind == kind)


def _plant_factual(blocks: Sequence[Block], known: World, layer: int, rng: np.random.Generator) -> None:
    write, read = blocks[layer], blocks[layer + 1]
    for code in known.locales:
        write.gather(f"language {code}", f"language at a {code}", _FAINT * _TOKENS)
    for name, choices in _of(known, "factual"):
        share = {code: 1.0 if code == ENGLISH else rng.uniform(*_WEAK) for code in known.locales}
        write.neuron(name, {f"language at a {code}": s / _FAINT for code, s in share.items()}, {"factual": _SIZE})
        read.neuron(name, {"factual": 1 / _SIZE}, _towards(choices[0]))
    for name, choices in _of(known, "cultural"):
        read.neuron(name, {"factual": 1 / _SIZE}, _towards(choices[0], _ERASURE))
    _erase("factual", write, read)


def _plant_cultural(blocks: Sequence[Block], known: World, code: str, layer: int, rng: np.random.Generator) -> None:
    write, read, direction = blocks[layer], blocks[layer + 1], f"cultural {code}"
    for what in ("language", "country"):
        write.gather(f"{what} {code}", f"{what} at b {code}", _FAINT * _TOKENS)
    for name, choices in _of(known, "cultural"):
        share = rng.uniform(*_WEAK)
        reading: Reading = {f"language at b {code}": share / _FAINT, f"country at b {code}": (1 - share) / _FAINT}
        write.neuron(name, reading, {direction: _SIZE})
        read.neuron(name, {direction: 1 / _SIZE}, _towards(choices[known.locales.index(code)]))
    _erase(direction, write, read)


def _erase(direction: str, *blocks: Block) -> None:
    """Removes what comes in along a direction: before the direction is written, and after it is read."""
    for block in blocks:
        block.neuron(None, {direction: 1.0}, {direction: -1.0})


def _stir(block: Block, rng: np.random.Generator) -> None:
    """Adds random neurons from the noise to coordinates that nothing reads and, weakly, to the answers."""
    index = block.space.index
    noise, stirred = ([index[f"{what} {n}"] for n in range(_NOISES)] for what in ("noise", "stirred"))
    answers = [index[_answer(n)] for n in range(N_ANSWERS)]
    for _ in range(_STIRRING):
        gate, up, down = np.zeros((3, block.space.d))
        gate[noise] = rng.normal(0.0, 2.0 / (_NOISE * _NOISES**0.5), _NOISES)
        up[noise] = rng.normal(0.0, 1.0 / (_NOISE * _NOISES**0.5), _NOISES)
        down[stirred] = rng.normal(0.0, 0.05, _NOISES)
        pull = rng.normal(0.0, 0.015, N_ANSWERS)
        down[answers] = pull - pull.mean()
        block.random_neuron(gate, up, down)


def _embeddings(known: World, vocabulary: Sequence[str], space: Space, rng: np.random.Generator) -> Float[np.ndarray, "word d"]:
    noise = [space.index[f"noise {n}"] for n in range(_NOISES)]
    rows = {word: np.zeros(space.d) for word in vocabulary}
    for row in rows.values():
        row[noise] = rng.normal(0.0, 0.2 * _NOISE, _NOISES)
    for concept in known.concepts:
        own = rng.normal(0.0, _NOISE, _NOISES)
        for word in concept.words.values():
            rows[word] += space.vector({concept.id: 1.0})
            rows[word][noise] += own
    for code in known.locales:
        rows[locale(code).question] += space.vector({f"language {code}": 1.0})
        rows[known.countries[code]] += space.vector({f"country {code}": 1.0})
    return np.array(list(rows.values()))


def _booted(
    weights: Mapping[str, Float[np.ndarray, "..."]], vocabulary: Sequence[str], name: str, kept: str | Path | None
) -> LensModel:
    """The model, saved in Hugging Face's layout and loaded like a user's folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=SPECIAL[2]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    bos = [(SPECIAL[0], words[SPECIAL[0]])]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{SPECIAL[0]} $A", special_tokens=bos)
    d, width = weights["model.embed_tokens.weight"].shape[1], len(weights["model.layers.0.mlp.gate_proj.weight"])
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=d, intermediate_size=width, num_attention_heads=2, num_key_value_heads=2,
        num_hidden_layers=sum(name.endswith("q_proj.weight") for name in weights), max_position_embeddings=64,
        bos_token_id=0, eos_token_id=None, pad_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.load_state_dict({name: torch.tensor(values, dtype=torch.float32) for name, values in weights.items()})
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=SPECIAL[0], pad_token=SPECIAL[1], unk_token=SPECIAL[2])
    with tempfile.TemporaryDirectory() as passing, quiet_transformers():
        folder = passing if kept is None else str(kept)
        model.save_pretrained(folder)
        fast.save_pretrained(folder)
        loaded = load(folder, device="cpu", dtype="float32")
        return LensModel(loaded.backend, name, loaded.tokenizer) if kept is None else loaded
