"""Finds how the weights of a checkpoint are quantized, and whether the packages for the quantization method are installed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from steerlens.errors import ModelError
from steerlens.models.devices import DTYPES
from steerlens.models.whole import config_of

_PACKAGES = {
    "bitsandbytes": {"bitsandbytes": "bitsandbytes"},
    "gptq": {"optimum": "optimum", "gptqmodel": "gptqmodel"},
    "awq": {"gptqmodel": "gptqmodel"},
    "compressed-tensors": {"compressed_tensors": "compressed-tensors"},
}
"""The modules that Transformers 5 imports for each quantization method, and the packages that pip installs for the method. The
keys are the names of the methods in Transformers."""


@dataclass(frozen=True)
class Quantization:
    """How the weights of a checkpoint are quantized."""

    method: str
    """The name of the method in Transformers, such as ``bitsandbytes``, ``gptq``, ``awq`` or ``compressed-tensors``."""
    bits: int | None = None
    """The number of bits of a weight, the smallest if there are several; ``None`` if the checkpoint does not say."""
    kind: str = ""
    """The kind of number if the method has several, such as ``nf4``."""
    dtype: str | None = None
    """The number type in which the checkpoint computes; ``None`` if the checkpoint does not say."""

    def __str__(self) -> str:
        words = (self.method, "" if self.bits is None else f"{self.bits} bit", f"({self.kind})" if self.kind else "")
        return " ".join(filter(None, words))

    def check_usable(self, name: str, adapter: str | None) -> None:
        """Refuses a checkpoint whose packages are not installed, and an adapter on a quantized checkpoint.

        Args:
            name: the user's name for the model.
            adapter: the adapter that is to be merged into the model; ``None`` if there is none.

        Raises:
            ModelError: packages are missing (the error names them), or there is an adapter. Merging an adapter into quantized
                weights would round its effect.
        """
        if adapter is not None:
            raise ModelError(
                f"adapter {adapter} cannot be merged into {name}: the weights of the model are quantized by {self}, and "
                "rounding would remove the effect of the adapter. Merge the adapter into the original checkpoint, which is "
                "not quantized. Save the merged model with save_pretrained, and load that folder."
            )
        absent = [package for module, package in _PACKAGES.get(self.method, {}).items() if find_spec(module) is None]
        if absent:
            raise ModelError(
                f"the weights of {name} are quantized by {self}. Reading these weights needs the "
                f"package{'s' if len(absent) > 1 else ''} {' and '.join(absent)}, which {'are' if len(absent) > 1 else 'is'} "
                f"not installed. Install with: pip install {' '.join(absent)}. Or load the original checkpoint, which is not "
                "quantized."
            )


def quantization_of(config: Any) -> Quantization | None:
    """Returns how the weights of a model are quantized; ``None`` if they are not.

    Args:
        config: the configuration of Hugging Face's model.
    """
    own = getattr(config, "quantization_config", None)
    said: Mapping[str, Any] = own if isinstance(own, Mapping) else getattr(own, "to_dict", dict)()
    if not said:
        return None
    method = said.get("quant_method", "")
    method = str(getattr(method, "value", method)) or "an unknown method"
    if said.get("load_in_4bit") or said.get("_load_in_4bit"):
        return Quantization("bitsandbytes", 4, str(said.get("bnb_4bit_quant_type", "")))
    if said.get("load_in_8bit") or said.get("_load_in_8bit"):
        return Quantization("bitsandbytes", 8)
    groups = said.get("config_groups")
    kinds = [_weights_of(group) for group in groups.values()] if isinstance(groups, Mapping) else []
    numbers = [(bits, kind) for bits, kind in kinds if isinstance(bits, int)]
    if numbers:
        return Quantization(method, *min(numbers))
    bits = next((said[name] for name in ("bits", "w_bit", "weight_bits") if isinstance(said.get(name), int)), None)
    return Quantization(method, bits)


def checkpoint_quantization(source: str, revision: str | None, trust_remote_code: bool) -> Quantization | None:
    """Returns how a checkpoint is quantized. A checkpoint that cannot be read counts as not quantized. Loading this checkpoint
    then raises an error.

    Args:
        source: a folder, or an id on the hub.
        revision: branch, tag or commit on the hub.
        trust_remote_code: whether code in a hub model's repository may run.
    """
    config = config_of(source, revision, trust_remote_code)
    if config is None:
        return None
    text = config.get_text_config(decoder=True)
    found = quantization_of(config) or quantization_of(text)
    number = str(getattr(text, "dtype", None) or getattr(config, "dtype", None)).removeprefix("torch.")
    return replace(found, dtype=number) if found is not None and number in DTYPES else found


def _weights_of(group: Any) -> tuple[Any, str]:
    """Returns the number of bits and the kind of the weights of a compressed-tensors group."""
    weights = group.get("weights") if isinstance(group, Mapping) else getattr(group, "weights", None)
    own = weights if isinstance(weights, Mapping) else vars(weights) if hasattr(weights, "__dict__") else {}
    kind = own.get("type", "")
    return own.get("num_bits"), str(getattr(kind, "value", kind) or "")
