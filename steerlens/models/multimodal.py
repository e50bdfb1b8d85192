"""Loads the text model of checkpoints that also take images (Gemma 3 from 4B up, Llama 4, Mistral 3, …)."""

from typing import Any

import torch

from steerlens.errors import ModelError
from steerlens.models.backends.offloading import device_of, lacks_numbers
from steerlens.models.whole import config_of

_TRIED = (1, 2, 3, 4)
"""The token ids on which the text model is compared with the whole model."""


def takes_images(source: str, revision: str | None, trust_remote_code: bool) -> bool:
    """Returns whether a checkpoint takes images. A checkpoint that cannot be read counts as not taking images. Loading this
    checkpoint then raises an error.

    Args:
        source: a folder, or an id on the hub.
        revision: branch, tag or commit on the hub.
        trust_remote_code: whether code in a hub model's repository may run.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    config = config_of(source, revision, trust_remote_code)
    if config is None:
        return False
    composed = config.get_text_config(decoder=True) is not config and not config.is_encoder_decoder
    return composed and type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING


def whole_model(source: str, **settings: Any) -> Any:
    """Loads a checkpoint that takes images with Hugging Face, and checks that the files contain every weight.

    Args:
        source: a folder, or an id on the hub.
        settings: arguments of ``from_pretrained``: ``dtype``, ``revision``, ``trust_remote_code``.

    Raises:
        ModelError: weights are missing from the files. Transformers would set these weights at random.
    """
    from transformers import AutoModelForImageTextToText

    model, said = AutoModelForImageTextToText.from_pretrained(source, use_safetensors=True, output_loading_info=True, **settings)
    if absent := sorted([*map(str, said["missing_keys"]), *map(str, said["mismatched_keys"])]):
        raise ModelError(
            f"{source} lacks {len(absent)} of the weights of a {type(model).__name__} (the first one is {absent[0]}), which "
            "would be random numbers. Expected a complete checkpoint. Download it again, or correct `architectures` in its "
            "config.json."
        )
    return model.eval()


def is_bridged(whole: Any) -> bool:
    """Returns whether TransformerLens can run a checkpoint's text model alone. For Gemma 3n, TransformerLens can only run the
    whole model, so steerlens runs the whole model on text."""
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    text = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(whole.config.get_text_config(decoder=True)), None)
    return text is None or text.__name__ in SUPPORTED_ARCHITECTURES or type(whole).__name__ not in SUPPORTED_ARCHITECTURES


def text_model(whole: Any, name: str) -> Any:
    """Returns the text model of a checkpoint that takes images. The text model shares its modules with the whole model, so both
    models compute the same numbers.

    Args:
        whole: the whole model, as Hugging Face loads it.
        name: the user's name for the model, for errors.

    Raises:
        ModelError: Transformers has no text model of this kind, or the text model and the whole model compute different results
            on text.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    decoder, head, config = whole.get_decoder(), whole.get_output_embeddings(), whole.config.get_text_config(decoder=True)
    kind = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if kind is None or config.is_encoder_decoder:
        raise _refused(whole, name, "Transformers has no text model of this kind")
    if isinstance(decoder, kind):
        text = decoder
    else:
        with torch.device("meta"):
            text = kind(config)
        if type(text.get_decoder()) is not type(decoder):
            raise _refused(whole, name, f"the text part is a {type(decoder).__name__}, not a {type(text.get_decoder()).__name__}")
        for own, real in ((text.get_decoder(), decoder), (text.get_output_embeddings(), head)):
            setattr(text, _called(text, own), real)
    if text.base_model is text:  # Llama 4's prefix describes a part of the whole model
        text.base_model_prefix = _called(text, text.model)
    text.generation_config = whole.generation_config
    if (quantized := getattr(whole.config, "quantization_config", None)) is not None:
        text.config.quantization_config = quantized
    text.config.architectures = [kind.__name__]
    text.config.tie_word_embeddings = head.weight is text.get_input_embeddings().weight
    _place(whole, text)
    _check(whole, text.eval(), name)
    return text


def _called(model: Any, part: Any) -> str:
    """Returns the name of a part within a model."""
    return next(name for name, module in model.named_children() if module is part)


def _place(whole: Any, text: Any) -> None:
    """Gives the text model the device map of the whole model. The map uses the names that the parts have in the text model. A
    hook of accelerate is also put on the text model."""
    own = getattr(whole, "hf_device_map", None)
    if own is None or text is whole:
        return
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    before = {module: name for name, module in whole.named_modules()}
    text.hf_device_map = {
        name: _nearest(own, before[module]) for name, module in text.named_modules() if module in before and module._parameters
    }
    if not hasattr(text, "_hf_hook"):  # the output is on the device of the input
        add_hook_to_module(text, AlignDevicesHook(io_same_device=True, skip_keys=text._skip_keys_device_placement))


def _nearest(places: dict[str, Any], name: str) -> Any:
    """Returns the place of a part in the device map. If the map does not contain the part, returns the place of the smallest part
    that contains the given part."""
    around = [part for part in places if part in ("", name) or name.startswith(f"{part}.")]
    return places[max(around, key=len)]


@torch.no_grad()
def _check(whole: Any, text: Any, name: str) -> None:
    if lacks_numbers(text):
        raise _refused(whole, name, "the text model has weights that the checkpoint lacks")
    ids = torch.tensor([_TRIED], device=device_of(text.get_input_embeddings()))
    expected, found = (model(input_ids=ids, use_cache=False).logits.float() for model in (whole, text))
    if not (found - expected).norm() <= 1e-3 * expected.norm():
        raise _refused(whole, name, "on text, the text model alone gives other logits than the whole model")


def _refused(whole: Any, name: str, why: str) -> ModelError:
    return ModelError(
        f"{name} is a {type(whole).__name__}, which also takes images. Of such a model, steerlens runs only the text model, "
        f"but this is not possible here: {why}. Load a text-only checkpoint of this family, or make a TransformerBridge "
        "yourself and give it to steerlens.load."
    )
