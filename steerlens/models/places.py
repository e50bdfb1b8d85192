"""Finds where a model is: the device that receives its tokens, the devices that run its blocks, and the size of their memory."""

from functools import cached_property
from typing import Any

import torch

from steerlens.models.backends import Backend
from steerlens.models.budget import memory_of, token_budget
from steerlens.models.devices import number_of
from steerlens.models.spec import LoadSpec


class ModelPlaces:
    """The part of ``LensModel`` that knows where the model is."""

    backend: Backend
    n_layers: int
    _made_from: LoadSpec | None

    @property
    def device(self) -> torch.device:
        """The device of the weights. For weights on several devices, this is the device of the embedding, which receives the
        tokens."""
        own: torch.device | None = getattr(self.backend, "device", None)
        return next(iter(self.backend.parameters())).device if own is None else own

    @property
    def block_devices(self) -> tuple[torch.device, ...]:
        """The device on which each block runs. Offloaded weights are kept elsewhere until the block runs."""
        own: tuple[torch.device, ...] | None = getattr(self.backend, "block_devices", None)
        return (self.device,) * self.n_layers if own is None else own

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices of the embedding, the blocks and the unembedding. Each device is listed once."""
        own: tuple[torch.device, ...] | None = getattr(self.backend, "devices", None)
        return tuple(dict.fromkeys((self.device, *self.block_devices))) if own is None else own

    @property
    def dtype(self) -> torch.dtype:
        """The number type of the weights that are not quantized."""
        return number_of(self.backend.parameters())

    @property
    def placing(self) -> dict[str, Any]:
        """The arguments of ``load`` that put another model on the same devices as this model."""
        made = self._made_from
        if made is None or made.device_map is None:
            return {"device": self.device}
        return {"device_map": made.device_map, "max_memory": made.max_memory, "offload_folder": made.offload_folder}

    @cached_property
    def token_budget(self) -> int:
        """The largest number of tokens in a batch, including padding.

        On a CPU, the number is constant. On a GPU, the number follows from the memory per token, which is measured once for this
        kind of model and stored in the cache folder. With several GPUs, the smallest number counts. The number is halved if a
        batch does not fit into the memory.
        """
        model: Any = self
        return min(token_budget(model, memory_of(device)) for device in self.devices)

    @property
    def _whereabouts(self) -> str:
        """A text with the devices, which also says whether some weights are offloaded."""
        waits = getattr(self.backend, "offloaded", False)
        return " and ".join(map(str, self.devices)) + (", some weights offloaded" if waits else "")
