"""Steering plans: what is done to the residual stream, where, how strongly and at which tokens; and the hooks that do it."""

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
from steerlens.models.capabilities import check_hooks
from steerlens.models.hooks import Hook, residual_hook
from steerlens.models.lens import LensModel
from steerlens.models.passes import ModelState, running_roles
from steerlens.models.roles import FRONT, GENERATED, LAST, PAD, PROMPT
from steerlens.models.tokens import Text, Tokens
from steerlens.numeric import check_finite, finite_number, float_tensor, layer_of, whole_number
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
from steerlens.storage import load_tensors, restored, save_tensors

KIND = "steering plan"
_ROLE_NAMES = {PAD: "padding", FRONT: "in front", PROMPT: "prompt", LAST: "last of prompt", GENERATED: "generated"}


@dataclass(frozen=True, eq=False)
class Step:
    """One edit along one direction after one block. Numbers and arrays of NumPy and PyTorch become Python's own and float32."""

    direction: Float[Tensor, " d_model"]
    """A constant, on the CPU: no gradient flows through it."""
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
        of = self.label or "a vector"
        layer, direction = whole_number(self.layer), float_tensor(self.direction, f"the direction of {of}")
        if layer is None or layer < 0:
            raise VectorError(f"layer {self.layer!r} given for {of}: expected the index of a block, a whole number.")
        if direction.ndim != 1:
            raise VectorError(f"the direction of {of} has shape {tuple(direction.shape)}: expected [d_model].")
        check_finite(direction, f"the direction of {of}")
        numbers = {what: finite_number(getattr(self, what), what, of) for what in ("strength", "value")}
        for name, own in {"layer": layer, "direction": direction, **numbers}.items():
            object.__setattr__(self, name, own)

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


@dataclass(frozen=True)
class _Header:
    """What a plan's file says beside the directions."""

    steps: tuple[dict[str, Any], ...]
    fingerprint: Fingerprint


@dataclass(frozen=True, eq=False)
class SteeringPlan:
    """Steps taken in every forward pass, those at one layer in their order. Plans add with ``+``."""

    steps: tuple[Step, ...]
    fingerprint: Fingerprint
    """The model whose residual stream the steps belong to."""

    def __post_init__(self) -> None:
        for step in self.steps:
            layer_of(step.layer, range(self.fingerprint.n_layers), f"{self.fingerprint.name or 'the model'} that {step} is for")
            if len(step.direction) != self.fingerprint.d_model:
                raise VectorError(
                    f"the direction of {step} has {len(step.direction)} numbers: expected the model's d_model, "
                    f"{self.fingerprint.d_model}. Give a vector of this model."
                )
        object.__setattr__(self, "steps", tuple(self.steps))

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
            ModelError: the model's backend takes no hooks.
        """
        self.check(model)
        check_hooks(model)
        return [(residual_hook(layer), self._hook(layer, model.backend.state)) for layer in self.layers]

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
        with model.backend.applied(self.hooks(model)):
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
            FileError: missing, truncated, no steering plan, of another version, or with NaN.
        """
        tensors, header = load_tensors(path, KIND)
        kept = restored(_Header, header, str(path))
        names = [f"step{i}" for i in range(len(kept.steps))]
        if set(tensors) != set(names):
            raise FileError(f"{path} holds {len(tensors)} vectors for {len(names)} steps. Write it again.")
        steps = tuple(
            restored(Step, values, f"{path}: {name}", direction=tensors[name])
            for name, values in zip(names, kept.steps, strict=True)
        )
        return restored(cls, {}, str(path), steps=steps, fingerprint=kept.fingerprint)

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
