"""What can be done to the residual stream at one layer: one class for each operation, each a pure function of tensors."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from types import FrameType
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from steerlens.errors import FileError, SettingsError, UnknownNameError
from steerlens.storage import restored

EDITS: dict[str, type["Edit"]] = {}
"""Every operation by its name: those of this module, and those of the user's own that were imported."""


class Edit(ABC):
    """An edit of the residual stream at one layer.

    A subclass is a frozen dataclass. Its tensors, of any type of number, are saved as tensors, its other fields as JSON.
    A new operation is one such class with an ``operation`` of its own, also where it is made from another operation: it can then
    be put into plans, swept, chosen, searched, explored, saved and placed on the plane.

    Raises:
        SettingsError: a class that can be used has no ``operation`` of its own, or one that another class has. This is said
            where the class is defined. The same class may be defined again, as in a notebook's cell.
    """

    operation: ClassVar[str]
    """The name of the operation in files and in ``EDITS``."""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "operation" in cls.__dict__:
            _register(cls)
        elif not _is_abstract(cls) and not _is_sent():
            raise SettingsError(
                f"operation {cls.__qualname__} has no name of its own: expected operation = {cls.__name__.lower()!r} in "
                "the class, by which files and EDITS know it."
            )

    @property
    @abstractmethod
    def d_model(self) -> int:
        """The width of the residual stream that the edit is for."""

    @abstractmethod
    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns the edited residual stream and leaves the argument as it was.

        Args:
            residual: the residual stream after a block.
            strength: how much of the edit is made; 1 makes it, 0 returns the residual unchanged, bit for bit.
            steered: where it is made.
        """

    @abstractmethod
    def described(self, name: str, strength: float) -> str:
        """Returns the edit in words, as ``2 × EN``.

        Args:
            name: what the vector or map is called.
            strength: how much of the edit is made.
        """

    @abstractmethod
    def random_like(self, generator: torch.Generator) -> "Edit":
        """Returns the edit's control: the same operation and size, with a direction or map drawn at random.

        Args:
            generator: where the numbers come from.
        """

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The edit's tensors by field, for a file: on the CPU, and without the gradients' graph."""
        return {name: value.detach().cpu() for name, value in self._fields().items() if isinstance(value, Tensor)}

    @property
    def header(self) -> dict[str, Any]:
        """The edit's other fields, for a file."""
        return {name: value for name, value in self._fields().items() if not isinstance(value, Tensor)}

    def _fields(self) -> dict[str, Any]:
        return {own.name: getattr(self, own.name) for own in fields(self)}  # type: ignore[arg-type]


def _register(cls: type[Edit]) -> None:
    """Makes an operation known by its name.

    Raises:
        SettingsError: another class has the name.
    """
    known = EDITS.get(cls.operation, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise SettingsError(
            f"operation {cls.operation!r} of {cls.__qualname__} is the name of {known.__module__}.{known.__qualname__} already: "
            "expected a name that no other operation has. Give it another one."
        )
    EDITS[cls.operation] = cls


def _is_abstract(cls: type[Edit]) -> bool:
    """Says whether methods are left to be written; Python itself knows that only after the class was made."""
    names = {name for base in cls.__mro__ for name, own in vars(base).items() if getattr(own, "__isabstractmethod__", False)}
    return any(getattr(getattr(cls, name), "__isabstractmethod__", False) for name in names)


def _is_sent() -> bool:
    """Says whether a class is being made again of what another process sent, a script or notebook: it is empty at first, and its
    ``operation`` is set after that."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_make_skeleton_class":
        frame = frame.f_back
    return frame is not None


def restored_edit(operation: str, header: Mapping[str, Any], tensors: Mapping[str, Tensor], whose: str) -> Edit:
    """Returns the edit that a file describes.

    Args:
        operation: its name.
        header: the fields that are no tensors.
        tensors: the fields that are.
        whose: the file and the place in it, for errors.

    Raises:
        FileError: no such operation, or fields that it does not take.
    """
    if operation not in EDITS:
        error = UnknownNameError("operation", operation, EDITS, "If it is one of your own, import its class first.")
        raise FileError(f"{whose} cannot be used: {error}")
    held: dict[str, Any] = dict(tensors)
    return restored(EDITS[operation], header, whose, **held)
