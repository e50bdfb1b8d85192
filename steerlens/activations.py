"""Residual streams of many prompts at many layers, with a table of these prompts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import SupportsIndex

import pandas as pd
import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from steerlens.data import Prompt, PromptPairs
from steerlens.errors import PromptError, VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.numeric import Layers, float_tensor, layer_of, layers_of
from steerlens.storage import load_tensors, restored, save_tensors

_KIND = "residual stack"
_EMBEDDING = -1


@dataclass(frozen=True, eq=False)
class ResidualStack:
    """The residual stream after each block, at one position of each prompt. A stack is immutable. Methods that select layers or
    prompts return a new stack."""

    residuals: Float[Tensor, "layer prompt d_model"]
    """The residuals ``hook_resid_post`` of each layer, ``[layer, prompt, d_model]``, as float32 on the CPU without a gradient."""
    layers: tuple[int, ...]
    """The block index of each entry of the first axis, in ascending order. The index -1 is the input of the first block."""
    prompts: tuple[Prompt, ...]
    """The prompt from which each entry of the second axis was read."""
    positions: str
    """The position at which residuals were read: ``last``, ``mean`` or ``token N``. ``mean`` is the mean over the prompt's
    tokens. Special tokens in front of the prompt, such as BOS, are left out."""
    fingerprint: Fingerprint
    """The fingerprint of the model from which the residuals were read."""

    def __post_init__(self) -> None:
        residuals = float_tensor(self.residuals, "this stack")
        layers = layers_of(self.layers, range(_EMBEDDING, self.fingerprint.n_layers), self.fingerprint.name or "the model")
        if list(layers) != list(self.layers):
            raise VectorError(f"a stack of layers {list(self.layers)} given: expected each layer once, in ascending order.")
        expected = (len(layers), len(self.prompts), self.fingerprint.d_model)
        if tuple(residuals.shape) != expected:
            raise VectorError(f"residuals have shape {tuple(residuals.shape)}: expected [layer, prompt, d_model] = {expected}.")
        for name, own in {"residuals": residuals, "layers": layers}.items():
            object.__setattr__(self, name, own)

    def __repr__(self) -> str:
        return (
            f"ResidualStack({len(self.layers)} layers × {len(self.prompts)} prompts × {self.fingerprint.d_model}, "
            f"positions={self.positions!r}, model={self.fingerprint.name!r})"
        )

    def at(self, layer: SupportsIndex) -> Float[Tensor, "prompt d_model"]:
        """Returns the residuals after one block, ``[prompt, d_model]``.

        Args:
            layer: a block index that the stack contains.

        Raises:
            LayerError: the stack does not contain this layer.
        """
        return self.residuals[self.layers.index(layer_of(layer, self.layers, "this stack"))]

    def at_layers(self, layers: Layers) -> "ResidualStack":
        """Returns the stack with only the given layers, in ascending order.

        Args:
            layers: one block index or several block indices.

        Raises:
            LayerError: the stack does not contain one of the layers.
        """
        wanted = layers_of(layers, self.layers, "this stack")
        chosen = torch.stack([self.at(layer) for layer in wanted])
        return ResidualStack(chosen, wanted, self.prompts, self.positions, self.fingerprint)

    def where(self, keep: Callable[[Prompt], bool]) -> "ResidualStack":
        """Returns a stack with only the prompts for which ``keep`` returns true. Example: ``stack.where(lambda p: p.kind ==
        "factual")``.

        Raises:
            PromptError: ``keep`` returns true for no prompt.
        """
        rows = [row for row, prompt in enumerate(self.prompts) if keep(prompt)]
        if not rows:
            raise PromptError(
                f"no prompt of {self!r} satisfies this condition. Use a less strict condition, or capture more prompts."
            )
        return self._rows(rows)

    def of(self, prompts: Sequence[Prompt]) -> "ResidualStack":
        """Returns the stack of exactly these ``prompts``, in this order.

        Raises:
            PromptError: a prompt was not captured.
        """
        index = {prompt: row for row, prompt in enumerate(self.prompts)}
        missing = [prompt for prompt in prompts if prompt not in index]
        if missing:
            raise PromptError(
                f"{len(missing)} of {len(prompts)} prompts are not in this stack; the first one is {missing[0].text!r}. "
                "Capture these prompts with model.residuals(...), or pass the model instead of the stack."
            )
        return self._rows([index[prompt] for prompt in prompts])

    def mean_difference(self, pairs: PromptPairs) -> Float[Tensor, "layer d_model"]:
        """Returns the mean over the pairs of (positive residual - negative residual), at each layer. The mean is computed in
        float64.

        Args:
            pairs: the pairs of prompts. The stack must contain both prompts of each pair.

        Returns:
            A float32 tensor ``[layer, d_model]`` in the units of the residual stream.

        Raises:
            PromptError: a prompt of the pairs was not captured.
        """
        positive, negative = self.of(pairs.positive).residuals, self.of(pairs.negative).residuals
        return reduce(positive.double() - negative.double(), "layer prompt d_model -> layer d_model", "mean").float()

    def table(self) -> pd.DataFrame:
        """Returns the prompts as a table: concept, locale, kind, form (explicit or implicit) and text."""
        columns = ["concept", "locale", "kind", "form", "text"]
        return pd.DataFrame([asdict(prompt) for prompt in self.prompts], columns=columns)

    def save(self, path: str | Path) -> Path:
        """Writes the residuals, the table of prompts and the model's fingerprint to one safetensors file.

        Args:
            path: the file that is written.

        Returns:
            The path.

        Raises:
            FileError: the file cannot be written.
        """
        header = {
            "layers": list(self.layers),
            "prompts": [asdict(prompt) for prompt in self.prompts],
            "positions": self.positions,
            "fingerprint": self.fingerprint.to_dict(),
        }
        return save_tensors(path, _KIND, {"residuals": self.residuals}, header)

    @classmethod
    def load(cls, path: str | Path) -> "ResidualStack":
        """Reads a stack that ``save`` wrote.

        Args:
            path: the safetensors file.

        Raises:
            FileError: the file is missing or truncated, does not contain a residual stack, or was written in another version of
                the file format.
        """
        tensors, header = load_tensors(path, _KIND)
        return restored(cls, header, str(path), every=True, **tensors)

    def _rows(self, rows: list[int]) -> "ResidualStack":
        prompts = tuple(self.prompts[row] for row in rows)
        return ResidualStack(self.residuals[:, rows], self.layers, prompts, self.positions, self.fingerprint)
