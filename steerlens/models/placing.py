"""Places a model's weights on several devices, and in the CPU's memory or on disk if the devices are full."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from steerlens.errors import SettingsError, UnknownNameError
from steerlens.models.devices import choose_device

DIRECTIVES = ("auto", "balanced", "balanced_low_0", "sequential")
"""The methods with which accelerate can choose a device map itself."""
OFFLOADED = ("cpu", "disk")
"""Places where weights may be kept until a block on another device needs them. Without a GPU, the model runs on the CPU
itself."""

DeviceMap = str | Mapping[str, str | int]
"""A device map: one of ``DIRECTIVES``, or the place of each part of the model, by the part's name in Hugging Face's model."""
MaxMemory = Mapping[str | int, str | int]
"""The most memory to use on each device: a number of bytes, or a text such as ``20GiB``. The keys are GPU numbers or ``cpu``."""


@dataclass(frozen=True)
class Placing:
    """A checked device map in the form that accelerate takes."""

    device_map: str | dict[str, str | int]
    """The device map: one of ``DIRECTIVES``, or the place of each part. A CUDA GPU is written as its number alone,
    such as ``0``."""
    max_memory: dict[str | int, str | int] | None = None
    """The most memory to use on each device when the map is chosen; ``None`` allows all free memory."""
    offload_folder: str | None = None
    """The folder in which each model has its own folder for weights that are kept on disk and that the checkpoint stores in
    another form."""

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments for Hugging Face's ``from_pretrained``, copied because ``from_pretrained`` changes its arguments."""
        own = {"device_map": _copied(self.device_map), "max_memory": _copied(self.max_memory)}
        return {**own, "offload_folder": self.offload_folder} if self.offload_folder else own

    @property
    def device(self) -> torch.device:
        """A device on which blocks run: the first device in the map, or the automatically chosen device if the map names no
        device."""
        named = self.max_memory if isinstance(self.device_map, str) else self.device_map.values()
        gpus = [place for place in named or () if place not in OFFLOADED]
        if not gpus:
            return choose_device(None) if named is None else torch.device("cpu")
        return choose_device(torch.device(gpus[0]))


def placing_of(
    device: Any, device_map: DeviceMap | None, max_memory: MaxMemory | None, offload_folder: object = None
) -> Placing | None:
    """Returns the requested map, checked; ``None`` for a model on one device.

    Args:
        device: the requested single device. ``device`` and ``device_map`` cannot be combined.
        device_map, max_memory, offload_folder: see ``load``.

    Raises:
        SettingsError: settings conflict, a size is not valid, or this machine does not have a device.
        UnknownNameError: there is no such method of choosing a map.
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
    """Returns the map, after a check that this machine has every device in the map."""
    if not device_map:
        raise SettingsError("an empty device_map was given: expected the place of each part, or 'auto'.")
    return {name: _checked_place(name, place) for name, place in device_map.items()}


def _checked_place(name: str, place: Any) -> str | int:
    """Returns a place in PyTorch's own form, because accelerate treats ``cuda`` and ``cuda:0`` as two devices. A CUDA GPU is
    given by its number. If devices were given by name, accelerate would order them differently in each process."""
    if place in OFFLOADED:
        return str(place)
    if str(place) == "meta":
        raise SettingsError(f"device_map puts {name!r} on 'meta', which contains no weights. Expected a device, 'cpu' or 'disk'.")
    found = choose_device(torch.device(place) if isinstance(place, int) else place)
    if found.type == "cuda" and found.index is not None:
        return found.index
    return "cpu" if found.type == "cpu" else str(found)


def _checked_memory(max_memory: MaxMemory) -> dict[str | int, str | int]:
    """Returns the sizes after a check that each size can be read."""
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
