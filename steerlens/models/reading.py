"""Reads Hugging Face's own model if TransformerLens cannot load it itself: a model with an adapter, image inputs, a device map or
quantized weights."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from weakref import finalize

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.errors import ModelError, SteerlensError
from steerlens.models.adapters import adapter_folder, is_for_whole, merged
from steerlens.models.backends.offloading import device_of, is_offloaded, misplaced
from steerlens.models.multimodal import is_bridged, takes_images, text_model, whole_model
from steerlens.models.placing import Placing
from steerlens.scratch import remove_abandoned, scratch_folder

TRIED = (1, 2, 3)
"""The token ids with which a model is tested."""
_ALIKE = {torch.float32: 1e-3, torch.float64: 1e-3}
"""The largest relative difference between the logits before and after a model is wrapped that counts as a rounding error. In half
precision, the limit is 0.05."""


def hugging_face(source: str, name: str, adapter: str | None, placing: Placing | None, **settings: Any) -> Any:
    """Returns the Hugging Face model if TransformerLens cannot load it itself, otherwise ``None``.

    Args:
        source: a folder, or an id on the hub.
        name: the user's name for the model, for errors.
        adapter: an adapter that is merged into the model's weights; ``None`` if there is none.
        placing: the device map, which quantized weights need too; ``None`` for a model on one device.
        settings: arguments of ``from_pretrained``: ``dtype``, ``revision``, ``trust_remote_code``.

    Raises:
        ModelError: the weights, a map or an adapter cannot be used.
    """
    images = takes_images(source, settings["revision"], settings["trust_remote_code"])
    given = settings if placing is None else {**settings, **placing.settings}
    if adapter is None and not images and placing is None:
        return None
    with ExitStack() as left:
        if "offload_folder" in given:
            given["offload_folder"] = left.enter_context(_own_folder(Path(given["offload_folder"])))
        model = _placed(source, name, adapter, images, placing, **given)
        finalize(model, left.pop_all().close)
    return model.requires_grad_(False) if is_offloaded(model) else model


@contextmanager
def _own_folder(parent: Path) -> Iterator[str]:
    """Makes a new folder inside ``parent``. If two models used one folder, their weights would overwrite each other, because the
    names of the weights are the same."""
    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(parent, "weights")
    with scratch_folder(parent, "weights") as (folder, _):
        yield str(folder)


def _placed(source: str, name: str, adapter: str | None, images: bool, placing: Placing | None, **settings: Any) -> Any:
    """Returns the model on the devices of the device map. If the device map is wrong, the error says what is wrong."""
    try:
        return _read(source, name, adapter, images, **settings)
    except ImportError as error:
        raise ModelError(
            f"reading {name} needs a package that is not installed ({reason(error)}). Install this package, and load the model "
            "again."
        ) from error
    except ValueError as error:
        if placing is None or "device_map" not in str(error):
            raise
        if "offload_folder" in str(error):
            raise ModelError(
                f"some weights of {name} are to be kept on disk, but the checkpoint stores these weights in another form than "
                "the model uses: expected a folder with enough free space to write these weights. Give this folder as "
                "offload_folder=..."
            ) from error
        raise ModelError(
            f"{name} cannot be placed on the devices in this way ({reason(error)}). Expected device_map='auto', or a dict with "
            "a place for every part of the model. The dict uses the names of the parts in the Hugging Face model, such as "
            "'model.layers.0'."
        ) from error


def _read(source: str, name: str, adapter: str | None, images: bool, **settings: Any) -> Any:
    from transformers import AutoModelForCausalLM

    if adapter is not None:
        return _merged(source, name, adapter, images, **settings)
    if not images:
        return _checked(AutoModelForCausalLM.from_pretrained(source, use_safetensors=True, **settings), name).eval()
    whole = _checked(whole_model(source, **settings), name)
    return text_model(whole, name) if is_bridged(whole) else whole


def _merged(source: str, name: str, adapter: str, images: bool, **settings: Any) -> Any:
    """Returns the Hugging Face model with an adapter's weights added to the model's own weights."""
    from transformers import AutoModelForCausalLM

    try:
        folder = adapter_folder(adapter)
        if not images:
            base = _checked(AutoModelForCausalLM.from_pretrained(source, use_safetensors=True, **settings), name)
            _check_is_here(base, name, adapter)
            return merged(base, folder)
        whole = _checked(whole_model(source, **settings), name)
        _check_is_here(whole, name, adapter)
        return text_model(merged(whole, folder), name) if is_for_whole(folder) else merged(text_model(whole, name), folder)
    except SteerlensError:
        raise
    except Exception as error:  # peft, the hub and safetensors raise errors of many types
        raise ModelError(
            f"adapter {adapter} cannot be merged into {name} ({reason(error)}). Expected a PEFT adapter that was made for this "
            "model (adapter_config.json and adapter_model.safetensors), of a kind that can be merged, such as LoRA."
        ) from error


def _checked(model: Any, name: str) -> Any:
    """Returns the model. Raises an error if a weight is not on the device that uses it."""
    if wrong := misplaced(model):
        raise ModelError(
            f"{name} cannot be placed in this way: {wrong}. Two parts that share weights, such as an embedding and an "
            "unembedding, must be in one place. Give both parts the same device in device_map, or use device_map='auto'."
        )
    return model


def _check_is_here(base: Any, name: str, adapter: str) -> None:
    if is_offloaded(base):
        raise ModelError(
            f"adapter {adapter} cannot be merged into {name}, because some weights of the model are kept in the CPU's memory "
            "or on disk: expected a device_map that keeps all weights on the devices. Or merge the adapter on a CPU with peft "
            "(merge_and_unload), save the model with save_pretrained, and load that folder with the same device_map."
        )


@contextmanager
def unmapped(model: Any) -> Iterator[None]:
    """Hides the device map of a model while TransformerLens wraps the model.

    TransformerLens 4.3 refuses a map of GPUs and the CPU, because TransformerLens was never tested with such a map. Later,
    ``check_same`` tests whether the wrapped model is correct.

    Args:
        model: Hugging Face's model; ``None`` for a model that TransformerLens reads itself.
    """
    own = vars(model).pop("hf_device_map", None) if model is not None else None
    try:
        yield
    finally:
        if own is not None:
            model.hf_device_map = own


@torch.no_grad()
def logits_alone(model: Any) -> Float[Tensor, "pos d_vocab"]:
    """Returns a Hugging Face model's logits for ``TRIED`` before it is wrapped, in float32 on the CPU.

    Args:
        model: the model.
    """
    ids = torch.tensor([TRIED], device=device_of(model.get_input_embeddings()))
    found: Tensor = model(input_ids=ids, use_cache=False).logits[0].float().cpu()
    return found


def check_same(
    name: str, found: Float[Tensor, "pos d_vocab"], expected: Float[Tensor, "pos d_vocab"], number: torch.dtype
) -> None:
    """Checks that a model with a device map or quantized weights gives the same logits in TransformerLens as in Transformers
    alone.

    Args:
        name: the user's name for the model.
        found: the model's logits for ``TRIED`` in TransformerLens.
        expected: the result of ``logits_alone``.
        number: the number type in which the model computes.

    Raises:
        ModelError: the logits differ by more than rounding.
    """
    difference = (found.float().cpu() - expected).norm() / expected.norm()
    if not difference <= _ALIKE.get(number, 0.05):
        raise ModelError(
            f"{name} gives other logits in TransformerLens than in Hugging Face's Transformers alone (the difference is "
            f"{difference:.2g} of their norm), so nothing that steerlens reads from the model would be correct. Load the model "
            "on one device or without quantization. Or make a TransformerBridge yourself and give it to steerlens.load."
        )


def reason(error: Exception) -> str:
    """Returns the class of an error, and the first line of its message.

    Args:
        error: an error that another library raised.
    """
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
