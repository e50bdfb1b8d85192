"""Where a model's weights are placed: on several devices, and in the CPU's memory or on disk where these are full."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from steerlens.errors import SettingsError, UnknownNameError
from steerlens.models.devices import choose_device

DIRECTIVES = ("auto", "balanced", "balanced_low_0", "sequential")
"""The ways in which accelerate can choose a map itself."""
OFFLOADED = ("cpu", "disk")
"""Where weights may be kept until a block on another device needs them. A model without a GPU runs on the CPU itself."""

DeviceMap = str | Mapping[str, str | int]
"""One of ``DIRECTIVES``, or the place of each part of the model, by the part's name in Hugging Face's model."""
MaxMemory = Mapping[str | int, str | int]
"""A number of bytes, or a text such as ``20GiB``, by the number of a GPU, or ``cpu``."""


@dataclass(frozen=True)
class Placing:
    """A map of devices, checked, as accelerate takes it."""

    device_map: str | dict[str, str | int]
    """One of ``DIRECTIVES``, or the place of each part, where a CUDA GPU is its number."""
    max_memory: dict[str | int, str | int] | None = None
    """The most memory to use on each device, where the map is chosen; for ``None`` all free memory."""
    offload_folder: str | None = None
    """Where each model has a folder for weights that are kept on disk and that the checkpoint stores in another form."""

    @property
    def settings(self) -> dict[str, Any]:
        """What Hugging Face's ``from_pretrained`` is given; copies, since it writes into them."""
        own = {"device_map": _copied(self.device_map), "max_memory": _copied(self.max_memory)}
        return {**own, "offload_folder": self.offload_folder} if self.offload_folder else own

    @property
    def device(self) -> torch.device:
        """A device that blocks run on: the first that is named, or the one that is chosen where none is."""
        named = self.max_memory if isinstance(self.device_map, str) else self.device_map.values()
        gpus = [place for place in named or () if place not in OFFLOADED]
        if not gpus:
            return choose_device(None) if named is None else torch.device("cpu")
        return choose_device(torch.device(gpus[0]))


def placing_of(
    device: Any, device_map: DeviceMap | None, max_memory: MaxMemory | None, offload_folder: object = None
) -> Placing | None:
    """Returns the map that was asked for, checked; ``None`` for a model on one device.

    Args:
        device: the one device asked for; it cannot be combined with a map.
        device_map, max_memory, offload_folder: as ``load`` takes them.

    Raises:
        SettingsError: settings that do not go together, a size that is none, or a device that this machine does not have.
        UnknownNameError: no such way of choosing a map.
    """
    if device_map is None:
        if max_memory is not None or offload_folder is not None:
            raise SettingsError(
                "max_memory or offload_folder was given without device_map: expected these arguments only with device_map, "
                "for a model that does not fit on one device. Add device_map='auto', or remove the argument."
            )
        return None
    if device is not None:
        raise SettingsError(
            f"device {str(device)!r} and a device_map were given: expected only one of them, because a device_map already says "
            "where the weights are. Remove one of the two arguments."
        )
    folder = None if offload_folder is None else str(Path(str(offload_folder)).expanduser())
    if isinstance(device_map, str):
        if device_map not in DIRECTIVES:
            advice = (
                "To put the model on one device, give device=. To choose a place for each part, give a dict with the names of "
                "the parts."
            )
            raise UnknownNameError("device map", device_map, DIRECTIVES, advice)
        return Placing(device_map, None if max_memory is None else _checked_memory(max_memory), folder)
    if max_memory is not None:
        raise SettingsError(
            "max_memory was given with a device_map that already places each part: expected only one of them. Remove one of "
            "the two arguments."
        )
    return Placing(_checked_map(device_map), None, folder)


def _checked_map(device_map: Mapping[str, str | int]) -> dict[str, str | int]:
    """The map, whose devices are there."""
    if not device_map:
        raise SettingsError("an empty device_map was given: expected the place of each part, or 'auto'.")
    return {name: _checked_place(name, place) for name, place in device_map.items()}


def _checked_place(name: str, place: Any) -> str | int:
    """A place as PyTorch itself writes it, since accelerate takes ``cuda`` and ``cuda:0`` for two devices; a CUDA GPU by its
    number, since of devices by name it takes the first in an order that changes from process to process."""
    if place in OFFLOADED:
        return str(place)
    if str(place) == "meta":
        raise SettingsError(f"device_map puts {name!r} on 'meta', which contains no weights. Expected a device, 'cpu' or 'disk'.")
    found = choose_device(torch.device(place) if isinstance(place, int) else place)
    if found.type == "cuda" and found.index is not None:
        return found.index
    return "cpu" if found.type == "cpu" else str(found)


def _checked_memory(max_memory: MaxMemory) -> dict[str | int, str | int]:
    """The sizes, which can be read."""
    from accelerate.utils import convert_file_size_to_int

    for place, size in max_memory.items():
        if not isinstance(place, int) and place not in (*OFFLOADED, "mps"):
            raise SettingsError(
                f"max_memory has a size for {place!r}: expected the number of a GPU, such as 0, or 'cpu'. Write, for example, "
                f"max_memory={{0: '20GiB', 'cpu': '60GiB'}}."
            )
        try:
            convert_file_size_to_int(size)
        except (ValueError, AttributeError, TypeError) as error:
            raise SettingsError(
                f"max_memory of {place!r} is {size!r}: expected a number of bytes, or a text such as '20GiB' or '800MB'."
            ) from error
    return dict(max_memory)


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
