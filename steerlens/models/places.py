"""Where a model is: the device that gets its tokens, the devices that its blocks run on, and what their memory holds."""

from functools import cached_property
from typing import Any

import torch

from steerlens.models.backends import Backend
from steerlens.models.budget import memory_of, token_budget
from steerlens.models.devices import number_of
from steerlens.models.spec import LoadSpec


class ModelPlaces:
    """The part of ``LensModel`` that says where the model is."""

    backend: Backend
    n_layers: int
    _made_from: LoadSpec | None

    @property
    def device(self) -> torch.device:
        """The device of the weights; that of the embedding, which is given the tokens, if they are on several devices."""
        own: torch.device | None = getattr(self.backend, "device", None)
        return next(iter(self.backend.parameters())).device if own is None else own

    @property
    def block_devices(self) -> tuple[torch.device, ...]:
        """The device that each block runs on. Weights that are offloaded are kept elsewhere until then."""
        own: tuple[torch.device, ...] | None = getattr(self.backend, "block_devices", None)
        return (self.device,) * self.n_layers if own is None else own

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices that the model runs on, each once: the embedding's, those of its blocks, and the unembedding's."""
        own: tuple[torch.device, ...] | None = getattr(self.backend, "devices", None)
        return tuple(dict.fromkeys((self.device, *self.block_devices))) if own is None else own

    @property
    def dtype(self) -> torch.dtype:
        """The type of number that the weights are held in, but for quantized ones."""
        return number_of(self.backend.parameters())

    @property
    def placing(self) -> dict[str, Any]:
        """The arguments of ``load`` that put another model on the same devices as this one."""
        made = self._made_from
        if made is None or made.device_map is None:
            return {"device": self.device}
        return {"device_map": made.device_map, "max_memory": made.max_memory, "offload_folder": made.offload_folder}

    @cached_property
    def token_budget(self) -> int:
        """The number of tokens of a batch, padding among them.

        It is a constant on a CPU, and on a GPU what its memory holds, which is measured once for this kind of model and kept in
        the cache folder; of several GPUs the least. It is halved when a batch does not fit after all.
        """
        model: Any = self
        return min(token_budget(model, memory_of(device)) for device in self.devices)

    @property
    def _whereabouts(self) -> str:
        """The devices in words, and whether weights wait elsewhere."""
        waits = getattr(self.backend, "offloaded", False)
        return " and ".join(map(str, self.devices)) + (", some weights offloaded" if waits else "")
