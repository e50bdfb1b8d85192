"""Finds the devices on which accelerate runs the parts of a model, and the weights that accelerate keeps in the CPU's memory or
on disk.

accelerate puts a hook on each part of a model that has a device map. The hook moves the part's inputs to the part's device. An
offloaded part has weights on PyTorch's ``meta`` device, without values, and the hook loads the values for each call.
"""

from collections import ChainMap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steerlens.errors import ModelError
from steerlens.models.backends.watching import modules_of


def device_of(module: torch.nn.Module) -> torch.device:
    """Returns the device on which a part of a model runs: the device that accelerate chose, or otherwise the device of the part's
    first weight.

    Args:
        module: the part.

    Raises:
        ModelError: the part has no weights, or its weights have no values and no hook loads the values.
    """
    for each in modules_of(module):
        hook = _hook(each)
        if hook is not None and hook.execution_device is not None:
            return torch.device(hook.execution_device)
        for tensor in each._parameters.values():
            if tensor is not None and not tensor.is_meta:
                return tensor.device
    for each in modules_of(module):  # some kernels keep quantized weights as buffers
        for buffer in each._buffers.values():
            if buffer is not None and not buffer.is_meta:
                return buffer.device
    raise ModelError(
        f"a {type(module).__name__} has only weights without numbers (on the meta device). Load the model together with its "
        "weights."
    )


def is_offloaded(module: torch.nn.Module) -> bool:
    """Returns whether some weights of a module or its parts are offloaded until the module runs.

    Args:
        module: a model or a part of a model.
    """
    return any(True for _ in _offloaded(module))


def lacks_numbers(model: torch.nn.Module) -> bool:
    """Returns whether a model has weights or buffers without values, and no hook loads the values.

    Args:
        model: the model.
    """
    for module in modules_of(model):
        if any(tensor is not None and tensor.is_meta for tensor in (*module._parameters.values(), *module._buffers.values())):
            hook = _hook(module)
            if hook is None or not hook.offload:
                return True
    return False


def whole_tensor(module: torch.nn.Module, name: str) -> Tensor:
    """Returns a weight or a buffer with its values: the module's own tensor or, if the weight is offloaded, the stored tensor.

    Args:
        module: the module that has the weight.
        name: the name of the weight in the module, such as ``weight``.

    Raises:
        ModelError: the weight has no values, and no hook of accelerate loads the values.
    """
    own: Tensor = getattr(module, name)
    if not own.is_meta:
        return own.detach()
    hook = _hook(module)
    if hook is None or not hook.offload or hook.weights_map is None:
        raise ModelError(
            f"{name} of a {type(module).__name__} is on the meta device, so it contains no numbers, and no hook of accelerate "
            "loads the numbers. Load the model with steerlens.load(name, device_map=...)."
        )
    kept: Tensor = hook.weights_map[name]
    return kept.detach().to(own.dtype)  # accelerate also converts the weight for each call


def state_of(model: torch.nn.Module) -> dict[str, Tensor | Callable[[], Tensor]]:
    """Returns the weights and buffers of a model by name. An offloaded weight is given as a function that reads the tensor, and
    any other weight as a tensor.

    Args:
        model: the model.
    """

    def found(name: str, tensor: Tensor) -> Tensor | Callable[[], Tensor]:
        owner, _, own = name.rpartition(".")
        return (lambda: whole_tensor(model.get_submodule(owner), own)) if tensor.is_meta else tensor

    return {name: found(name, tensor) for name, tensor in model.state_dict().items()}


def kept_elsewhere(model: torch.nn.Module) -> list[Tensor | Path]:
    """Returns the places from which the offloaded weights of a model are read: tensors in the CPU's memory, and files. Each place
    is listed once.

    Args:
        model: the model.
    """
    found: dict[object, Tensor | Path] = {}
    for hook, name in _offloaded(model):
        source = _source(hook.weights_map, name)
        if source is not None:
            found[source if isinstance(source, Path) else id(source)] = source
    return list(found.values())


def stamp_of(kept: list[Tensor | Path]) -> tuple[object, ...]:
    """Returns values that change when offloaded weights change, without reading the weights.

    Args:
        kept: the tensors and files from which the weights are read.
    """
    return tuple(_file(each) if isinstance(each, Path) else stamp(each) for each in kept)


def stamp(weight: Tensor) -> tuple[object, ...]:
    """Returns the memory address, version and dtype of a weight. The returned values change when the weight is replaced or
    changed in place.

    Args:
        weight: a weight with values.
    """
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version, weight.dtype


def misplaced(model: torch.nn.Module) -> str:
    """Returns a description of a weight that is on another device than the part that uses it; ``""`` if there is none.

    If two parts share weights, such as an embedding and an unembedding, accelerate puts the weights on only one device.

    Args:
        model: the model.
    """
    for owner, module in model.named_modules():
        hook = _hook(module)
        if hook is None or hook.execution_device is None:
            continue
        expected = torch.device(hook.execution_device)
        for name, tensor in module._parameters.items():
            if tensor is not None and not tensor.is_meta and tensor.device != expected:
                return f"{owner}.{name} is on {tensor.device}, but {owner} runs on {expected}"
    return ""


def _offloaded(model: torch.nn.Module) -> Iterator[tuple[Any, str]]:
    """Yields the hooks of the modules whose weights are kept elsewhere, and the names of these weights."""
    for module in modules_of(model):
        hook = _hook(module)
        if hook is not None and hook.offload:
            yield from ((hook, name) for name, tensor in module._parameters.items() if tensor is not None and tensor.is_meta)


def _hook(module: torch.nn.Module) -> Any:
    """Returns accelerate's hook that knows the device of a module; ``None`` if there is no such hook. If a module has several
    such hooks, a hook that offloads weights is preferred."""
    left, found = [module.__dict__.get("_hf_hook")], None
    while left:
        hook = left.pop()
        left += getattr(hook, "hooks", ())  # several hooks on one module
        if hasattr(hook, "execution_device") and (found is None or getattr(hook, "offload", False)):
            found = hook
    return found


def _source(weights: Any, name: str) -> Tensor | Path | None:
    """Returns the tensor or file from which a weight is read, without reading the weight; ``None`` if the place is unknown."""
    if isinstance(weights, ChainMap):
        own = next((each for each in weights.maps if type(each) is dict and name in each), weights.maps[-1])
        return _source(own, name)
    if hasattr(weights, "prefix"):  # accelerate's PrefixedDataset
        return _source(weights.dataset, f"{weights.prefix}{name}")
    if hasattr(weights, "state_dict") and name in weights.state_dict:  # accelerate's OffloadedWeightsLoader
        return _source(weights.state_dict, name)
    if hasattr(weights, "index") and name in weights.index:
        file = weights.index[name].get("safetensors_file")
        return Path(file) if file else Path(weights.save_folder, f"{name}.dat")
    found = weights.get(name) if type(weights) is dict else None
    return found if isinstance(found, Tensor) else None


def _file(path: Path) -> tuple[object, ...]:
    try:
        said = path.stat()
    except OSError:  # reading the file raises the error later
        return (str(path),)
    return (str(path), said.st_mtime_ns, said.st_size)
