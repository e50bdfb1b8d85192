"""Computes the digest of a Hugging Face model without a bridge. The digest equals the digest of the same weights in a bridge."""

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from steerlens.errors import ModelError
from steerlens.models.backends.offloading import kept_elsewhere, state_of
from steerlens.models.devices import number_of, weights_digest
from steerlens.models.quiet import quiet_transformers
from steerlens.models.untouched import untouched

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
"""The attributes in which a module keeps its hooks. Hooks may contain objects that cannot be copied, such as locks."""


def unbridged_digest(model: Any) -> str:
    """Returns the digest that a Hugging Face model's weights have in a fingerprint. The model is not changed.

    For some weights, a bridge has its own names in addition to Hugging Face's names. A bridge also adds a few weights. So a
    bridge is put around a copy of the modules. The copy shares all tensors with the model, but has no hooks.

    Args:
        model: a ``PreTrainedModel``.

    Raises:
        ModelError: TransformerLens cannot make a bridge for this model.
    """
    from transformer_lens.model_bridge import TransformerBridge

    shared: dict[int, Any] = {id(own): nn.Parameter(own.detach(), requires_grad=False) for own in model.parameters()}
    shared |= {id(own): own for own in (*model.buffers(), *kept_elsewhere(model)) if isinstance(own, Tensor)}
    shared |= {
        id(vars(part)[kind]): OrderedDict() for part in model.modules() for kind in _HOOKS
    }  # hooks may contain objects that cannot be copied
    try:
        with quiet_transformers(), untouched(), torch.no_grad():
            shadow = copy.deepcopy(model, shared)
            vars(shadow).pop("hf_device_map", None)  # TransformerLens 4.3 refuses a map of GPUs and the CPU
            kind = number_of(model.parameters())
            name = str(getattr(model, "name_or_path", "")) or type(model).__name__
            bridge = TransformerBridge.boot_transformers(
                name, hf_model=shadow, tokenizer=_any_tokenizer(), device=model.device, dtype=kind
            )
            state = state_of(bridge.original_model)
    except Exception as error:  # TransformerLens raises errors of many types
        raise ModelError(
            f"the weights of {type(model).__name__} cannot be compared with the weights of a model in TransformerLens "
            f"({type(error).__name__}: {error}). If you know that the weights are the same, give same_weights=False."
        ) from error
    return weights_digest({name.replace("._original_component", ""): tensor for name, tensor in state.items()})


def _any_tokenizer() -> Any:
    """Returns a tokenizer of one word. A bridge with this tokenizer does not look for another tokenizer."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    own = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    return PreTrainedTokenizerFast(tokenizer_object=own, unk_token="a", eos_token="a", pad_token="a")
