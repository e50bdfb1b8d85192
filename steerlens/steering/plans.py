"""Steering plans: edits of the residual stream with their layers, strengths and tokens, and the hooks that apply these
edits."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, SupportsFloat

from jaxtyping import Float, Int
from torch import Tensor

from steerlens.errors import FileError, VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.models.capabilities import check_hooks
from steerlens.models.hooks import Hook, residual_hook
from steerlens.models.lens import LensModel
from steerlens.models.passes import ModelState, running_roles
from steerlens.models.tokens import Text
from steerlens.numeric import divisor_of, finite_number, layer_of
from steerlens.steering.exchanged import Exchanged
from steerlens.steering.on_hub import PLAN_FILE, OnHub
from steerlens.steering.showing import Shown, shown
from steerlens.steering.steps import SavedStep, Step, restored_step
from steerlens.steering.tokens import leaves_prompt
from steerlens.storage import load_tensors, restored, save_tensors, tensor_bytes, under

KIND = "steering plan"


@dataclass(frozen=True, eq=False)
class SteeringPlan(Exchanged, OnHub):
    """A steering plan: steps that are applied in every forward pass. Steps at the same layer are applied one after another,
    in the order of ``steps``.

    Plans are added with ``+`` and ``sum()``. Plans are scaled and negated with ``2 * plan``, ``plan / 2`` and ``-plan``,
    which multiplies every step's strength.
    """

    steps: tuple[Step, ...]
    fingerprint: Fingerprint
    """The fingerprint of the model for which the steps were made."""
    source: str = ""
    """The repository and commit on the hub from which the plan was read, as ``user/name@commit``; ``""`` for any other
    plan."""

    def __post_init__(self) -> None:
        for step in self.steps:
            layer_of(step.layer, range(self.fingerprint.n_layers), f"{self.fingerprint.name or 'the model'}, the model of {step}")
            if step.edit.d_model != self.fingerprint.d_model:
                raise VectorError(
                    f"the edit of {step} has {step.edit.d_model} numbers: expected the model's d_model, "
                    f"{self.fingerprint.d_model}. Give a vector of this model."
                )
        object.__setattr__(self, "steps", tuple(self.steps))

    def __str__(self) -> str:
        return " + ".join(map(str, self.steps)) or "unsteered"

    def __repr__(self) -> str:
        return f"SteeringPlan({self})"

    def __add__(self, other: "SteeringPlan | int") -> "SteeringPlan":
        """Returns the plan with the steps of both plans. ``0 + plan`` returns the plan, so that ``sum()`` works.

        Raises:
            FingerprintError: the two plans belong to different models.
        """
        if isinstance(other, int) and other == 0:
            return self
        if not isinstance(other, SteeringPlan):
            return NotImplemented
        other.fingerprint.check(self.fingerprint, f"plan ({other})")
        return SteeringPlan((*self.steps, *other.steps), self.fingerprint)

    __radd__ = __add__

    def __mul__(self, factor: SupportsFloat) -> "SteeringPlan":
        """Returns the plan with every step's strength multiplied by ``factor``.

        Raises:
            VectorError: the factor is not a finite number.
        """
        times = finite_number(factor, "factor", f"plan ({self})")
        steps = tuple(replace(step, strength=times * step.strength) for step in self.steps)
        return replace(self, steps=steps, source="")

    __rmul__ = __mul__

    def __truediv__(self, divisor: SupportsFloat) -> "SteeringPlan":
        """Returns the plan with every step's strength divided by ``divisor``.

        Raises:
            VectorError: the divisor is 0, or not a finite number.
        """
        return self * (1 / divisor_of(divisor, f"plan ({self})"))

    def __neg__(self) -> "SteeringPlan":
        """Returns the plan with every step's strength negated."""
        return self * -1

    def __sub__(self, other: "SteeringPlan") -> "SteeringPlan":
        """Returns the plan with the steps of both plans, where the strengths of the other plan are negated."""
        return self + -other

    @property
    def layers(self) -> tuple[int, ...]:
        """The steered layers, in ascending order."""
        return tuple(sorted({step.layer for step in self.steps}))

    @property
    def leaves_prompt(self) -> bool:
        """Whether the plan steers no token before the prompt's last token."""
        return all(leaves_prompt(step.tokens) for step in self.steps)

    def hooks(self, model: LensModel) -> list[Hook]:
        """Returns ``[(hook_name, fn)]`` for TransformerLens' ``run_with_hooks`` and ``hooks``.

        The hooks find the role of each token (in front of the prompt, padding, part of the prompt, generated). A role depends
        on the token's column in the pass, on the attention mask and on the key-value cache. All tokens of a pass that begins a
        text count as the prompt. Each token of a pass that continues from a cache counts as generated. The ``generate`` methods
        of the model, of ``model.tl`` and of Hugging Face tell the hooks where the prompt ends. In your own generation loop, use
        ``steerlens.models.prompt_of``.

        Args:
            model: the model on which the hooks are used.

        Raises:
            FingerprintError: the vectors were taken from another model.
            ModelError: the model's backend does not support hooks.
        """
        self.check(model)
        check_hooks(model)
        return [(residual_hook(layer), self._hook(layer, model.backend.state)) for layer in self.layers]

    def edit(
        self, layer: int, residual: Float[Tensor, "batch pos d_model"], roles: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns the residual stream after block ``layer`` with the steps of this plan applied. The arguments are not
        changed.

        Args:
            layer: a block's index.
            residual: the residual stream after block ``layer``.
            roles: the role of each token, as numbered in ``steerlens.models.roles``.
        """
        for step in self.steps:
            if step.layer == layer:
                residual = step(residual, roles)
        return residual

    @contextmanager
    def applied(self, model: LensModel) -> Iterator[LensModel]:
        """Steers every forward pass inside the ``with`` block, including generation with a key-value cache. Passes after the
        ``with`` block are not steered.

        Steering does not change whether gradients are computed. Inside the ``with`` block, passes of other threads raise an
        error.

        Args:
            model: the model that is steered.

        Raises:
            FingerprintError: the vectors were taken from another model.
            SettingsError: a plan is applied to this model in another thread.
            ModelError: the model is in training mode.
        """
        with model.steered(self):
            yield model

    def check(self, model: LensModel) -> None:
        """Raises an error if the model is not the model from which the vectors were taken.

        Args:
            model: the model that will be steered.

        Raises:
            FingerprintError: the models differ. The error message lists the differences.
        """
        self.fingerprint.check(model.fingerprint, f"plan ({self})")

    def moved_to(self, model: LensModel) -> "SteeringPlan":
        """Returns the plan for another model of the same shape, for example the original model with an adapter.

        It is not known whether vectors from one model have a meaning in another model. Use this method only if you want to
        use vectors in another model.

        Args:
            model: the other model.

        Raises:
            FingerprintError: the other model has another number of layers or another width.
        """
        own, other = self.fingerprint, model.fingerprint
        if (own.n_layers, own.d_model) != (other.n_layers, other.d_model):
            own.check(other, f"plan ({self})")
        return replace(self, fingerprint=other)

    def show(self, model: LensModel, prompt: Text) -> Shown:
        """Returns the role of each token of a prompt, and the layers at which the token is steered.

        Args:
            model: the model of the plan.
            prompt: a text or a chat.

        Raises:
            FingerprintError: the vectors were taken from another model.
            PromptError: the prompt is empty.
        """
        self.check(model)
        return shown(model.tokens(prompt), [(step.layer, step.tokens) for step in self.steps])

    def digest(self) -> str:
        """Returns the SHA-256 of the plan's steps and their tensors."""
        found = hashlib.sha256()
        for step in self.steps:
            found.update(json.dumps(step.to_dict(), sort_keys=True, ensure_ascii=False).encode())
            for _, tensor in sorted(step.edit.tensors.items()):
                found.update(tensor_bytes(tensor))
        return found.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Writes the plan with its vectors as one safetensors file.

        Args:
            path: the file, such as ``plan.safetensors``.

        Raises:
            FileError: the file cannot be written.
        """
        tensors = {f"step{i}.{name}": own for i, step in enumerate(self.steps) for name, own in step.edit.tensors.items()}
        header = {"steps": [step.to_dict() for step in self.steps], "fingerprint": self.fingerprint.to_dict()}
        return save_tensors(path, KIND, tensors, header)

    @classmethod
    def load(cls, path: str | Path, *, revision: str | None = None) -> "SteeringPlan":
        """Reads a plan that ``save``, ``save_for_hub`` or ``push_to_hub`` wrote.

        Args:
            path: the file, the folder that ``save_for_hub`` wrote, or a repository on the hub as ``user/name``.
            revision: the commit, branch or tag of the repository; ``None`` reads the newest commit and logs its name.

        Raises:
            FileError: the file is missing or truncated, is not a steering plan, has another format version, contains NaN, or
                cannot be read from the hub.
            SettingsError: a revision is given, but the path is not a repository.
        """
        from steerlens.hub import found

        place = found(path, PLAN_FILE, revision)
        path = place.path
        tensors, header = load_tensors(path, KIND)
        kept = restored(_Header, header, str(path))
        own = [under(f"step{i}.", tensors) for i in range(len(kept.steps))]
        if sum(map(len, own)) != len(tensors):
            raise FileError(
                f"{path} contains tensors {sorted(tensors)}, which do not match its {len(own)} steps. Write the file again."
            )
        steps = tuple(
            restored_step(saved, held, f"{path}: step {i}") for i, (saved, held) in enumerate(zip(kept.steps, own, strict=True))
        )
        return restored(cls, {}, str(path), steps=steps, fingerprint=kept.fingerprint, source=place.source)

    def _hook(self, layer: int, state: ModelState) -> Any:
        known = self.fingerprint

        def steer(residual: Tensor, hook: Any) -> Tensor:  # noqa: ARG001 (TransformerLens passes the hook point)
            shape = (residual.shape[0], residual.shape[1])
            roles = running_roles(state, shape, known.front, known.bos_id, known.pad_id)
            return self.edit(layer, residual, roles.to(residual.device))

        return steer


@dataclass(frozen=True)
class _Header:
    """The content of a plan's file without the tensors."""

    steps: tuple[SavedStep, ...]
    fingerprint: Fingerprint


def no_steering(fingerprint: Fingerprint) -> SteeringPlan:
    """Returns a plan without steps, which leaves the model unsteered. Use this plan for comparisons.

    Args:
        fingerprint: the fingerprint of the model on which the plan is used.
    """
    return SteeringPlan((), fingerprint)
