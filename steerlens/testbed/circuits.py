"""Turns hand-written circuits into the weights of a Llama model.

A circuit is written in named coordinates of the residual stream. One coordinate contains a large constant in every token, so
that every norm divides by nearly the same number. Attention gives the same weight to all tokens, because its queries are zero.
In an MLP neuron, ``silu(gate) * up``, the gate is a switch, and ``up`` is a linear reading of the residual stream. Finally, a
random rotation hides the coordinates. The weights of all norms are one, so the rotation does not change the outputs of the
model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_CONSTANT = 200.0
"""The value of the constant coordinate. All other written vectors have a norm below 10, so the norm of the residual varies by
only about a thousandth."""
_SWITCH = 15.0
"""The input of a gate that is switched on. The output of a gate that is switched off is less than a millionth of this
value."""

Reading = Mapping[str, float]
"""A linear reading: the weight of each coordinate, by the coordinate's name."""


class Space:
    """The named coordinates of the residual stream."""

    def __init__(self, names: Sequence[str], multiple: int = 4) -> None:
        """Numbers the coordinates. The width is rounded up to a multiple of ``multiple``."""
        self.index = {name: at for at, name in enumerate(("constant", *names))}
        self.d = -(-len(self.index) // multiple) * multiple

    def vector(self, reading: Reading) -> Float[ndarray, " d"]:
        """Returns the weights of named coordinates as a vector ``[d]``. Such a vector reads from the residual stream, or is
        written to the residual stream."""
        out = np.zeros(self.d)
        for name, weight in reading.items():
            out[self.index[name]] = weight
        return out

    @property
    def unit(self) -> float:
        """The approximate number by which every norm layer divides the residual stream."""
        return _CONSTANT / float(np.sqrt(self.d))


@dataclass
class Block:
    """One block of the model, written in named coordinates."""

    space: Space
    mixed: Float[ndarray, "d d"] = field(init=False)
    """The matrix from the mean over tokens to the output of attention, ``[to, from]``."""
    gates: list[Float[ndarray, " d"]] = field(default_factory=list)
    ups: list[Float[ndarray, " d"]] = field(default_factory=list)
    downs: list[Float[ndarray, " d"]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mixed = np.zeros((self.space.d, self.space.d))

    def gather(self, source: str, target: str, weight: float) -> None:
        """Makes attention add ``weight`` times the mean of the coordinate ``source`` to the coordinate ``target``. The mean is
        over all tokens up to the current token."""
        self.mixed[self.space.index[target], self.space.index[source]] += weight * self.space.unit

    def neuron(self, gate: str | None, up: Reading, down: Reading) -> None:
        """Adds a neuron that writes ``down``, multiplied by the reading ``up``, at tokens where the coordinate ``gate`` is 1.
        At tokens where ``gate`` is 0, the neuron writes nothing. If ``gate`` is ``None``, the neuron writes at every token."""
        unit, constant = self.space.unit, self.space.vector({"constant": 1.0}) / _CONSTANT
        switch = constant if gate is None else 2 * self.space.vector({gate: 1.0}) - constant
        reading = self.space.vector({name: weight for name, weight in up.items() if name != "constant"})
        reading = reading + up.get("constant", 0.0) * constant
        self.gates.append(_SWITCH * unit * switch)
        self.ups.append(unit * reading)
        self.downs.append(self.space.vector(down) / _SWITCH)

    def random_neuron(self, gate: ndarray, up: ndarray, down: ndarray) -> None:
        """Adds a neuron with the given weights, for random neurons without a meaning."""
        self.gates.append(self.space.unit * gate)
        self.ups.append(self.space.unit * up)
        self.downs.append(down)


def llama_weights(
    space: Space,
    blocks: Sequence[Block],
    embeddings: Float[ndarray, "word d"],
    unembedding: Float[ndarray, "word d"],
    rotation: Float[ndarray, "d d"],
) -> dict[str, Float[ndarray, "..."]]:
    """Returns the weights by their names in Hugging Face's Llama. All weights are rotated, so the residual is ``x = rotation
    @ coordinates``."""
    width = max(len(block.gates) for block in blocks)
    constant = space.vector({"constant": _CONSTANT})
    weights = {
        "model.embed_tokens.weight": (embeddings + constant) @ rotation.T,
        "lm_head.weight": space.unit * unembedding @ rotation.T,
        "model.norm.weight": np.ones(space.d),
    }
    for at, block in enumerate(blocks):
        place = f"model.layers.{at}."
        idle = np.zeros((width - len(block.gates), space.d))
        gate, up, down = (np.vstack([*rows, idle]) for rows in (block.gates, block.ups, block.downs))
        weights |= {
            f"{place}self_attn.q_proj.weight": np.zeros((space.d, space.d)),
            f"{place}self_attn.k_proj.weight": np.zeros((space.d, space.d)),
            f"{place}self_attn.v_proj.weight": np.eye(space.d),
            f"{place}self_attn.o_proj.weight": rotation @ block.mixed @ rotation.T,
            f"{place}mlp.gate_proj.weight": gate @ rotation.T,
            f"{place}mlp.up_proj.weight": up @ rotation.T,
            f"{place}mlp.down_proj.weight": rotation @ down.T,
            f"{place}input_layernorm.weight": np.ones(space.d),
            f"{place}post_attention_layernorm.weight": np.ones(space.d),
        }
    return weights
