"""Steering plans: what is done to the residual stream, where, how strongly and at which tokens; and the hooks that do it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.columns import padded, width
from steerlens.errors import FileError, UnknownNameError, VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.models.batches import Row
from steerlens.models.forward import Hook, residual_hook
from steerlens.models.lens import LensModel
from steerlens.models.passes import ModelState, running_roles, state_of, steered_here
from steerlens.models.roles import FRONT, GENERATED, LAST, PAD, PROMPT
from steerlens.models.tokens import Text, Tokens
from steerlens.steering.edits import (
    OPERATIONS,
    WHICH,
    Operation,
    Which,
    add_direction,
    leaves_prompt,
    set_component,
    steered_tokens,
)
from steerlens.storage import load_tensors, save_tensors

KIND = "steering plan"
_ROLE_NAMES = {PAD: "padding", FRONT: "in front", PROMPT: "prompt", LAST: "last of prompt", GENERATED: "generated"}


@dataclass(frozen=True, eq=False)
class Step:
    """One edit along one direction after one block."""

    direction: Float[Tensor, " d_model"]
    layer: int
    strength: float
    """Factor on the direction that is added; share of an ablated or projected component that is replaced."""
    tokens: Which = "all"
    label: str = ""
    operation: Operation = "add"
    value: float = 0.0
    """What ``project`` sets the component along the unit direction to, in the residual stream's units."""

    def __post_init__(self) -> None:
        if self.tokens not in WHICH:
            raise UnknownNameError("choice of tokens", self.tokens, WHICH)
        if self.operation not in OPERATIONS:
            raise UnknownNameError("operation", self.operation, OPERATIONS)
        for what, given in (("strength", self.strength), ("value", self.value)):
            if isinstance(given, str) or not math.isfinite(given):
                raise VectorError(f"{what} {given!r} given for {self.label or 'a vector'}: expected a finite number.")

    def __str__(self) -> str:
        where = "" if self.tokens == "all" else f" at {self.tokens} tokens"
        name, times = self.label or "vector", "" if self.strength == 1 else f"{self.strength:g} × "
        what = {
            "add": f"{self.strength:g} × {name}",
            "ablate": f"{times}{name} ablated",
            "project": f"{times}{name} set to {self.value:g}",
        }[self.operation]
        return f"{what} at layer {self.layer}{where}"

    def edit(
        self, residual: Float[Tensor, "batch pos d_model"], roles: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream as this step leaves it: a pure function."""
        steered = steered_tokens(roles, self.tokens)
        if self.operation == "add":
            return add_direction(residual, self.direction, self.strength, steered)
        value = self.value if self.operation == "project" else 0.0
        return set_component(residual, self.direction, value, self.strength, steered)


@dataclass(frozen=True)
class ShownToken:
    """What a plan does at one token of a prompt."""

    text: str
    role: str
    steered_at: tuple[int, ...]
    """Layers at which it is steered."""


class Shown(tuple[ShownToken, ...]):
    """The tokens of a prompt, with what a plan does at each; prints as a table."""

    def __str__(self) -> str:
        rows = [(repr(t.text), t.role, ", ".join(map(str, t.steered_at)) or "-") for t in self]
        rows.insert(0, ("token", "read as", "steered at layers"))
        first, second = (max(width(row[column]) for row in rows) for column in range(2))
        return "\n".join(f"{padded(a, first)}  {padded(b, second)}  {c}" for a, b, c in rows)

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class SteeringPlan:
    """Steps taken in every forward pass, those at one layer in their order. Plans add with ``+``."""

    steps: tuple[Step, ...]
    fingerprint: Fingerprint
    """The model whose residual stream the steps belong to."""

    def __str__(self) -> str:
        return " + ".join(map(str, self.steps)) or "unsteered"

    def __repr__(self) -> str:
        return f"SteeringPlan({self})"

    def __add__(self, other: "SteeringPlan") -> "SteeringPlan":
        """Both plans at once.

        Raises:
            FingerprintError: they belong to different models.
        """
        other.fingerprint.check(self.fingerprint, f"plan ({other})")
        return SteeringPlan((*self.steps, *other.steps), self.fingerprint)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that are steered, ascending."""
        return tuple(sorted({step.layer for step in self.steps}))

    @property
    def leaves_prompt(self) -> bool:
        """No token before the prompt's last one is steered."""
        return all(leaves_prompt(step.tokens) for step in self.steps)

    def hooks(self, model: LensModel) -> list[Hook]:
        """``[(hook_name, fn)]`` for TransformerLens' ``run_with_hooks`` and ``hooks``.

        Which tokens stand in front of the prompt, are padding, belong to the prompt or were generated follows from their
        columns in the pass, from its attention mask and its key-value cache. A pass that begins a text counts as prompt as a
        whole, and a token that goes on from a cache as generated; ``generate`` of the model, of ``model.tl`` and of Hugging
        Face says where the prompt ends, and ``steerlens.models.prompt_of`` does in a loop of your own.

        Args:
            model: the one that they are for.

        Raises:
            FingerprintError: the vectors were taken from another model.
        """
        self.check(model)
        return [(residual_hook(layer), self._hook(layer, state_of(model.tl))) for layer in self.layers]

    def edit(
        self, layer: int, residual: Float[Tensor, "batch pos d_model"], roles: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after block ``layer`` as this plan leaves it: a pure function."""
        for step in self.steps:
            if step.layer == layer:
                residual = step.edit(residual, roles)
        return residual

    @contextmanager
    def applied(self, model: LensModel) -> Iterator[LensModel]:
        """Steers every pass inside the block, generation with its key-value cache too, and nothing after it.

        Gradients are left as they are. Passes of other threads are refused inside the block.

        Raises:
            FingerprintError: the vectors were taken from another model.
            SettingsError: a plan is applied to this model in another thread.
            ModelError: the model is in training mode.
        """
        with steered_here(model.tl), model.tl.hooks(fwd_hooks=self.hooks(model)):
            yield model

    def check(self, model: LensModel) -> None:
        """Refuses a model that the vectors were not taken from.

        Raises:
            FingerprintError: saying in what the models differ.
        """
        self.fingerprint.check(model.fingerprint, f"plan ({self})")

    def show(self, model: LensModel, prompt: Text) -> Shown:
        """Which tokens of a prompt are read as what, and at which layers each is steered.

        Raises:
            FingerprintError: the vectors were taken from another model.
            PromptError: the prompt is empty.
        """
        self.check(model)
        tokens = model.tokens(prompt)
        return shown(self, tokens)

    def save(self, path: str | Path) -> Path:
        """Writes the plan with its vectors as one safetensors file.

        Raises:
            FileError: the file cannot be written.
        """
        steps = [{k: v for k, v in asdict(step).items() if k != "direction"} for step in self.steps]
        tensors = {f"step{i}": step.direction for i, step in enumerate(self.steps)}
        return save_tensors(path, KIND, tensors, {"steps": steps, "fingerprint": self.fingerprint.to_dict()})

    @classmethod
    def load(cls, path: str | Path) -> "SteeringPlan":
        """Reads a plan that ``save`` wrote.

        Raises:
            FileError: missing, truncated, or no steering plan.
            VectorError: a vector holds NaN.
        """
        tensors, header = load_tensors(path, KIND)
        if len(tensors) != len(header["steps"]):
            raise FileError(f"{path} holds {len(tensors)} vectors for {len(header['steps'])} steps. Write it again.")
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise VectorError(f"{name} of {path} holds NaN or infinity: expected finite numbers. Take the vector again.")
        steps = tuple(Step(tensors[f"step{i}"], **step) for i, step in enumerate(header["steps"]))
        return cls(steps, Fingerprint.from_dict(header["fingerprint"]))

    def _hook(self, layer: int, state: ModelState) -> Any:
        known = self.fingerprint

        def steer(residual: Tensor, hook: Any) -> Tensor:  # noqa: ARG001 (TransformerLens passes the hook point)
            shape = (residual.shape[0], residual.shape[1])
            return self.edit(layer, residual, running_roles(state, shape, known.front, known.bos_id, known.pad_id))

        return steer


def no_steering(fingerprint: Fingerprint) -> SteeringPlan:
    """The plan that does nothing, to compare with."""
    return SteeringPlan((), fingerprint)


def shown(plan: SteeringPlan, tokens: Tokens) -> Shown:
    """What a plan does at each of a prompt's tokens."""
    roles = torch.tensor([Row(tokens.ids, front=tokens.n_front).roles])
    steered = {step: steered_tokens(roles, step.tokens)[0] for step in plan.steps}
    return Shown(
        ShownToken(text, _ROLE_NAMES[int(role)], tuple(sorted({s.layer for s, mask in steered.items() if mask[i]})))
        for i, (text, role) in enumerate(zip(tokens.texts, roles[0], strict=True))
    )
