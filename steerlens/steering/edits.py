"""Edits of the residual stream at one layer. Each operation is one class, and each edit is a pure function of tensors."""

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
"""The classes of all operations by name. Your own operations are included as soon as their module is imported."""


class Edit(ABC):
    """An edit of the residual stream at one layer.

    A subclass is a frozen dataclass. Fields with tensors (of any number type) are saved as tensors, and all other fields are
    saved as JSON. A new operation is a subclass with its own name in ``operation``, even if the subclass is derived from
    another operation. The new operation can be used in plans, sweeps, choices, searches, the explorer and the
    transfer-localization plane, and can be saved.

    Raises:
        SettingsError: a class that is not abstract has no ``operation``, or has the ``operation`` of another class. The error
            is raised when the class is defined. The same class may be defined again, for example in a notebook cell.
    """

    operation: ClassVar[str]
    """The name of the operation in files and in ``EDITS``."""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "operation" in cls.__dict__:
            _register(cls)
        elif not _is_abstract(cls) and not _is_sent():
            raise SettingsError(
                f"operation {cls.__qualname__} has no name: expected operation = {cls.__name__.lower()!r} in the class. Files "
                "and EDITS use this name."
            )

    @property
    @abstractmethod
    def d_model(self) -> int:
        """The width of the residual stream for which the edit is made."""

    @abstractmethod
    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns the edited residual stream. The argument ``residual`` is not changed.

        Args:
            residual: the residual stream after a block.
            strength: the strength of the edit. Strength 1 makes the full edit, and strength 0 returns exactly the given
                residual.
            steered: a mask of the tokens at which the edit is made.
        """

    @abstractmethod
    def described(self, name: str, strength: float) -> str:
        """Returns a description of the edit in words, for example ``2 × EN``.

        Args:
            name: the name of the vector or map.
            strength: the strength of the edit.
        """

    @abstractmethod
    def random_like(self, generator: torch.Generator) -> "Edit":
        """Returns a control of the edit: the same operation with a random direction or map of the same size.

        Args:
            generator: the random number generator.
        """

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The edit's tensors by field, for saving to a file. The tensors are on the CPU and have no gradients."""
        return {name: value.detach().cpu() for name, value in self._fields().items() if isinstance(value, Tensor)}

    @property
    def header(self) -> dict[str, Any]:
        """The edit's fields that are not tensors, for saving to a file."""
        return {name: value for name, value in self._fields().items() if not isinstance(value, Tensor)}

    def _fields(self) -> dict[str, Any]:
        return {own.name: getattr(self, own.name) for own in fields(self)}  # type: ignore[arg-type]


def _register(cls: type[Edit]) -> None:
    """Registers an operation under its name in ``EDITS``.

    Raises:
        SettingsError: another class already has the name.
    """
    known = EDITS.get(cls.operation, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise SettingsError(
            f"operation {cls.operation!r} of {cls.__qualname__} is already the name of {known.__module__}.{known.__qualname__}: "
            "expected a name that no other operation has. Give the operation another name."
        )
    EDITS[cls.operation] = cls


def _is_abstract(cls: type[Edit]) -> bool:
    """Returns whether a class has abstract methods. Python sets ``__abstractmethods__`` only after the class was made."""
    names = {name for base in cls.__mro__ for name, own in vars(base).items() if getattr(own, "__isabstractmethod__", False)}
    return any(getattr(getattr(cls, name), "__isabstractmethod__", False) for name in names)


def _is_sent() -> bool:
    """Returns whether a class is being rebuilt from data that another process sent. A rebuilt class is empty at first, and
    gets its ``operation`` later."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_make_skeleton_class":
        frame = frame.f_back
    return frame is not None


def restored_edit(operation: str, header: Mapping[str, Any], tensors: Mapping[str, Tensor], whose: str) -> Edit:
    """Returns the edit that a file describes.

    Args:
        operation: the name of the edit's operation.
        header: the fields that are not tensors.
        tensors: the fields that are tensors.
        whose: the file and the place in the file, for error messages.

    Raises:
        FileError: there is no such operation, or the fields do not match the operation.
    """
    if operation not in EDITS:
        error = UnknownNameError("operation", operation, EDITS, "If you defined this operation, import its class first.")
        raise FileError(f"{whose} cannot be used: {error}")
    held: dict[str, Any] = dict(tensors)
    return restored(EDITS[operation], header, whose, **held)
