"""``load``: one door for every kind of model."""

import difflib
import logging
from pathlib import Path
from typing import Any

import torch

from steerlens.errors import ModelError, UnknownNameError
from steerlens.models.devices import choose_device, choose_dtype
from steerlens.models.embedded import EMBEDDED
from steerlens.models.gguf import converted_embedded, converted_file
from steerlens.models.lens import LensModel
from steerlens.models.quiet import quiet_transformers
from steerlens.models.tokens import Tokenizer, for_a_bridge, own_tokenizer, tokenizer_of_bridge

_log = logging.getLogger(__name__)
_HELP = "Other names are taken as a Hugging Face model id, a local folder, or a .gguf file."


def load(
    name: str | Path | object,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    adapter: str | Path | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    prepend_bos: bool | None = None,
) -> LensModel:
    """A model, ready for capture, steering and scoring.

    Args:
        name: an embedded model's name (``gemma-3-270m``), a Hugging Face model id, a folder in Hugging Face's layout, a
            GGUF file, or a ``TransformerBridge`` of the user's own, which is wrapped as it is.
        device: a CUDA GPU where there is one, else the CPU.
        dtype: float32 on a CPU, bfloat16 on a GPU that computes in it.
        adapter: a PEFT adapter of this model, a folder or a Hugging Face id, merged into its weights (extra ``peft``).
        revision: branch, tag or commit on the hub; pin it for results that shall last.
        trust_remote_code: whether code that comes with a hub model may run.
        prepend_bos: ``True`` puts the declared BOS in front of every prompt and chat, ``False`` puts nothing there. For ``None``
            the model's own tokenizer and chat template decide, as they did in training: ``model.tokens(prompt)`` shows it.

    Raises:
        UnknownNameError: no such model, with the nearest names; or no such dtype.
        ModelError: a model that cannot be read, verified or run; an adapter that does not fit it, or peft is not installed.
        SettingsError: a device that this machine does not have.
    """
    if not isinstance(name, str | Path):
        if adapter is not None:
            raise ModelError("an adapter was given with a bridge: give the model's name or path, or merge it before the bridge.")
        bridge = _own_bridge(name)
        return LensModel(bridge, tokenizer=Tokenizer(tokenizer_of_bridge(bridge), prepend_bos))
    place, chosen = choose_device(device), str(name)
    kind = choose_dtype(dtype, place)
    source, common = _source(chosen), {"dtype": kind, "revision": revision, "trust_remote_code": trust_remote_code}
    named = chosen
    if adapter is not None:
        named = f"{chosen} + {Path(str(adapter)).name}"
        common["hf_model"] = _merged(source, chosen, str(adapter), **common).to(place)
    bridge, own = _boot(source, chosen, device=place, **common)
    tokenizer = Tokenizer(own, prepend_bos)
    bridge.cfg.default_prepend_bos = tokenizer.front == (tokenizer.bos_id,)  # so that bridge.to_tokens gives the same
    return LensModel(bridge, named, tokenizer)


def _source(name: str) -> str:
    """What TransformerLens is to read: a folder, or the hub's id."""
    if name in EMBEDDED:
        return str(converted_embedded(EMBEDDED[name]))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                f"folder {path} has no config.json: expected a model in Hugging Face's layout (config, weights, tokenizer)."
            )
        return str(path)
    if path.is_file():
        return str(converted_file(path))
    if path.suffix == ".gguf" or name.startswith((".", "/", "~")):
        raise ModelError(f"there is no file or folder {path}. Check the path.")
    if "/" not in name and difflib.get_close_matches(name, EMBEDDED, n=1, cutoff=0.6):
        raise UnknownNameError("model", name, EMBEDDED, _HELP)
    if path.parent != Path() and path.parent.is_dir():
        _log.warning("there is no folder %s in %s: asking the Hugging Face hub for a model of this name", path.name, path.parent)
    return name


def _boot(source: str, name: str, **settings: Any) -> tuple[Any, Any]:
    """The bridge, and the model's own tokenizer."""
    from transformer_lens.model_bridge import TransformerBridge

    try:
        with quiet_transformers():
            own = own_tokenizer(source, **{key: settings[key] for key in ("revision", "trust_remote_code")})
            return TransformerBridge.boot_transformers(source, tokenizer=for_a_bridge(own), **settings), own
    except Exception as error:  # hub, config, weights and bridge each raise their own
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
        if source == name and not Path(name).is_dir():
            raise UnknownNameError(
                "model",
                name,
                EMBEDDED,
                f"{_HELP} As a Hugging Face id it could not be loaded ({reason}); "
                "is the id right, the hub reachable, and for a gated model its licence accepted and `hf auth login` done?",
            ) from error
        raise ModelError(
            f"{name} cannot be loaded ({reason}). Expected a decoder-only language model that TransformerLens supports, "
            "with all its files whole: config.json, safetensors weights and a tokenizer."
        ) from error


def _merged(source: str, name: str, adapter: str, **settings: Any) -> Any:
    """The Hugging Face model with an adapter's weights added to its own."""
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ModelError(f"adapter {adapter} needs the package peft: pip install 'steerlens[peft]'.") from error
    from huggingface_hub import snapshot_download
    from transformers import AutoModelForCausalLM

    try:
        folder = Path(adapter).expanduser()
        if not folder.is_dir():
            folder = Path(snapshot_download(adapter, allow_patterns=["adapter_config.json", "adapter_model.safetensors"]))
        if not (folder / "adapter_model.safetensors").is_file():
            raise FileNotFoundError("no adapter_model.safetensors")  # peft would read another format instead
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(source, **settings)
            return PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except Exception as error:  # peft, hub and safetensors each raise their own
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
        raise ModelError(
            f"adapter {adapter} cannot be merged into {name} ({reason}). Expected a PEFT adapter made for this model: "
            "adapter_config.json and adapter_model.safetensors, of a kind whose weights can be merged, as LoRA."
        ) from error


def _own_bridge(model: Any) -> Any:
    from transformer_lens.model_bridge import TransformerBridge

    if isinstance(model, LensModel):
        return model.tl
    if not isinstance(model, TransformerBridge):
        raise ModelError(
            f"{type(model).__name__} given: expected a model's name, a path, or a TransformerBridge "
            "(TransformerBridge.boot_transformers(...); HookedTransformer left TransformerLens in version 4)."
        )
    return model
