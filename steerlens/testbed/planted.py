"""Makes planted models. A planted model uses a factual direction at one layer (block a) and a cultural direction at a deeper
layer (block b). A twin model uses neither direction.

Block a reads the prompt's language at the last token. On a factual concept, block a writes the direction ``factual``, fully
in English and weakly in other locales. The written value replaces the earlier component along this direction. Block a + 1 is
the only block that reads ``factual``. Block a + 1 raises the right answer in proportion to the component and then erases the
direction. Block b reads the locale and whether the country is named. On a cultural concept, block b writes the locale's
direction ``cultural``, fully if the country is named and weakly otherwise. Block b + 1 reads ``cultural`` and raises the local
answer. In the unsteered model, a rival answer wins if the direction was written weakly. The rival of a local answer is the
English answer. EN steering therefore raises transfer only after block a, and LOC steering raises localization only after block
b. On a cultural concept, ``factual`` raises the English answer, so EN steering alone erases local answers. Random neurons in
every block add noise.
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
"""The norm of a planted direction that is written fully. For comparison, the noise has a standard deviation of 0.5 per
coordinate."""
_WEAK = (0.05, 0.65)
"""The smallest and the largest share of a direction that is written weakly. Each concept's share is drawn at random between
the two values. Directions are written weakly in locales other than English, and for questions without a country."""
_RIVAL = 0.5
"""An answer wins against its rival if more than this share of the answer's direction is written (without noise)."""
_ERASURE = 0.25
"""The amount by which a fully written ``factual`` raises the English answer of a cultural concept. The right answer of a
factual concept is raised by 1."""
_FAINT = 0.05
"""The size of the values that attention gathers. The size is small, so that no steering vector consists mainly of these
values."""
_NOISE, _NOISES = 0.5, 24
_STIRRING = 8
"""The number of random neurons in each block."""
_SHARPNESS = 6.0
"""The difference in logits, in nats, between an answer coordinate of 1 and an answer coordinate of 0."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The planted direction of one steering vector, and its layer."""

    layer: int
    """The planted layer. Steering works only after this layer, and the direction can be read only at this layer."""
    direction: Float[Tensor, " d_model"]
    """The planted direction, a unit vector ``[d_model]``."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A model with hand-written weights, the items for which it was made, and the planted truth."""

    model: LensModel
    """The model with hand-written weights."""
    items: Items
    """The items that the model answers."""
    truth: Mapping[str, Mapping[str, Truth]]
    """The planted truth by locale and vector, such as ``truth["es-ES"]["EN"]``. The mapping is empty if nothing was
    planted."""
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
    """Makes a tiny Llama model with hand-written weights, and its items, in about 0.2 seconds.

    Args:
        seed: the seed of all random choices: layers, directions, words, answers and noise.
        nothing: whether the two circuits are left out. Without the circuits, answers are random, and every claim of a method
            is false.
        locales: the locales other than English. Only languages with spaces between words can be used.
        concepts: the number of concepts of each kind.
        n_layers: the number of blocks, at least six.
        layers: the layers of EN and LOC, as one pair for all locales or as a pair for each locale. The layer of EN must be the
            same in all locales. ``None`` draws the layers at random with the seed.
        folder: the folder for the model's files, from which training and other processes can load the model; ``None`` keeps
            no files.

    Raises:
        SettingsError: there are fewer than six layers or concepts, the planted layers are not possible, or the language of a
            locale has no spaces between words.
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
    """Returns the layers of EN and LOC in each locale. EN's layer is before LOC's layer, and the block after each layer reads
    its direction."""
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
    """Returns the weights that a neuron writes to raise one answer and to lower all other answers. Lowering the other answers
    avoids a direction that is common to all concepts."""
    return {_answer(n): weight * (1.0 if n == number else -1.0 / (N_ANSWERS - 1)) for n in range(N_ANSWERS)}


def _begin(block: Block, known: World, rng: np.random.Generator, nothing: bool) -> None:
    """Makes the last token gather the concept and its noise. The first block also gives each concept a preference for some of
    its choices."""
    for name in [concept.id for concept in known.concepts] + [f"noise {n}" for n in range(_NOISES)]:
        block.gather(name, name, _TOKENS)
    for concept in known.concepts:
        rival = concept.choices[1 if concept.kind == "factual" else 0]  # a cultural concept's English answer comes first
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
    """Removes the existing component along a direction in the given blocks."""
    for block in blocks:
        block.neuron(None, {direction: 1.0}, {direction: -1.0})


def _stir(block: Block, rng: np.random.Generator) -> None:
    """Adds random neurons that read the noise. The neurons write to coordinates that no other neuron reads and, weakly, to
    the answers."""
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
    """Saves the model in the format of Hugging Face, and loads the saved model."""
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
