"""``load``: one door for every kind of model."""

import difflib
import logging
import threading
from pathlib import Path
from typing import Any

import torch

from steerlens.errors import ModelError, SteerlensError, UnknownNameError
from steerlens.models.adapters import adapter_folder, is_for_whole, merged
from steerlens.models.devices import choose_device, choose_dtype
from steerlens.models.embedded import EMBEDDED
from steerlens.models.gguf import converted_embedded, converted_file
from steerlens.models.lens import LensModel
from steerlens.models.multimodal import is_bridged, takes_images, text_model, whole_model
from steerlens.models.quiet import quiet_transformers
from steerlens.models.spec import LoadSpec
from steerlens.models.tokens import Tokenizer, for_a_bridge, own_tokenizer, tokenizer_of_bridge
from steerlens.models.untouched import untouched

_log = logging.getLogger(__name__)
_HELP = "Other names are taken as a Hugging Face model id, a local folder, or a .gguf file."


_one_at_a_time = threading.RLock()
"""Held while a model is read: Transformers changes its classes meanwhile, and of two threads at once the last would put back what
the first had changed, so that no later model had its output weights tied to its embedding."""


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
    """Loads a model, ready for capture, steering and scoring.

    Nothing changes on the machine but the caches: no package is installed, and weights are read from safetensors only. Of a
    checkpoint that takes images too, the text model is loaded.

    Args:
        name: an embedded model's name (``gemma-3-270m``), a Hugging Face model id, a folder in Hugging Face's layout, a GGUF
            file, or a ``TransformerBridge`` of the user's own, which is wrapped as it is: the other arguments must not say
            otherwise.
        device: a device of PyTorch, such as ``cuda:0``; for ``None`` a CUDA GPU where there is one, else the CPU.
        dtype: ``float32``, ``bfloat16`` or ``float16``; for ``None`` float32 on a CPU, bfloat16 on a GPU that computes in it.
        adapter: a PEFT adapter of this model, a folder or a Hugging Face id, merged into its weights (extra ``peft``).
        revision: the branch, tag or commit on the hub; pin it for results that shall last.
        trust_remote_code: whether code that comes with a hub model may run.
        prepend_bos: ``True`` puts the declared BOS in front of every prompt and chat, ``False`` puts nothing there. For ``None``
            the model's own tokenizer and chat template decide, as they did in training: ``model.tokens(prompt)`` shows it.

    Raises:
        UnknownNameError: there is no such model (the nearest names are offered), or no such dtype.
        ModelError: the model cannot be read, verified or run; the adapter does not fit it, or peft is not installed; a bridge
            does not have a setting that was given.
        SettingsError: this machine does not have the device.
    """
    if not isinstance(name, str | Path):
        bridge = _own_bridge(name, device, dtype, adapter, revision)
        return LensModel(bridge, tokenizer=tokenizer_of_bridge(bridge, prepend_bos))
    place, chosen = choose_device(device), str(name)
    kind, asked = choose_dtype(dtype, place), None if device is None else str(place)
    spec = LoadSpec(
        chosen,
        asked,
        str(kind).removeprefix("torch."),
        revision,
        None if adapter is None else str(adapter),
        prepend_bos,
        trust_remote_code,
    )
    wanted = {"dtype": kind, "revision": revision, "trust_remote_code": trust_remote_code}
    with _one_at_a_time:
        bridge, own = _boot(_source(chosen), chosen, place, spec.adapter, **wanted)
    tokenizer = Tokenizer(own, prepend_bos)
    bridge.cfg.default_prepend_bos = tokenizer.front == (tokenizer.bos_id,)  # so that bridge.to_tokens gives the same
    named = chosen if adapter is None else f"{chosen} + {Path(str(adapter)).name}"
    return _tried(LensModel(bridge, named, tokenizer, made_from=spec))


def hugging_face_of(spec: LoadSpec) -> Any:
    """Returns the Hugging Face model that ``load`` would wrap, read anew, as training needs it.

    Args:
        spec: how the model was loaded.

    Raises:
        ModelError: it has an adapter, or it cannot be read.
    """
    from transformers import AutoModelForCausalLM

    if spec.adapter is not None:
        raise ModelError(
            f"{spec.name} has adapter {spec.adapter} already: expected a model without one. Merge it into the weights, save that "
            "model and load it as the base."
        )
    source, wanted = _source(spec.name), {"revision": spec.revision, "trust_remote_code": spec.trust_remote_code}
    settings = {"dtype": choose_dtype(spec.dtype, choose_device(spec.device)), **wanted}
    try:
        with _one_at_a_time, quiet_transformers(), untouched():
            found = _hugging_face(source, spec.name, None, **settings)
            return AutoModelForCausalLM.from_pretrained(source, use_safetensors=True, **settings) if found is None else found
    except SteerlensError:
        raise
    except Exception as error:  # hub, config and weights each raise their own
        raise ModelError(
            f"{spec.name} was loaded and cannot be read again ({_reason(error)}). Expected the same files as before, all of them "
            "whole."
        ) from error


@torch.no_grad()
def _tried(model: LensModel) -> LensModel:
    """The model, after a pass of a few tokens.

    Raises:
        ModelError: the pass fails, as it does where TransformerLens knows an architecture and does not run it.
    """
    try:
        batch = model.batch([model.row([*model.tokenizer.front, 1, 2, 3])])
        model.backend.final(batch)
        silent = set(model.layers()) - set(model.backend.residuals_after(batch, model.layers(), torch.Tensor.clone))
        if silent:
            raise RuntimeError(f"no residual stream is shown after blocks {sorted(silent)}")
    except Exception as error:  # an architecture raises what it likes
        kind = type(model.tl.original_model).__name__
        raise ModelError(
            f"{model.name} is a {kind} and was loaded, but a pass of it fails ({_reason(error)}). Expected an architecture that "
            "these versions of TransformerLens and Transformers run: another one, or other versions."
        ) from error
    return model


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
        if not list(path.glob("*.safetensors")):
            raise ModelError(
                f"folder {path} has no weights in safetensors: expected *.safetensors. Weights in another format are not read, "
                "as that can run code hidden in them. Convert them, where you trust them, with "
                "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)."
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


def _boot(source: str, name: str, place: torch.device, adapter: str | None, **settings: Any) -> tuple[Any, Any]:
    """The bridge, and the model's own tokenizer."""
    from transformer_lens.model_bridge import TransformerBridge

    try:
        with quiet_transformers(), untouched():
            own = own_tokenizer(source, **{key: settings[key] for key in ("revision", "trust_remote_code")})
            model = _hugging_face(source, name, adapter, **settings)
            given = {} if model is None else {"hf_model": model.to(place)}
            bridge = TransformerBridge.boot_transformers(source, device=place, tokenizer=for_a_bridge(own), **given, **settings)
            return bridge, own
    except SteerlensError:
        raise
    except Exception as error:  # hub, config, weights and bridge each raise their own
        reason = _reason(error)
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


def _hugging_face(source: str, name: str, adapter: str | None, **settings: Any) -> Any:
    """The Hugging Face model where TransformerLens cannot load it itself: with an adapter, or within a model with images."""
    images = takes_images(source, settings["revision"], settings["trust_remote_code"])
    if adapter is not None:
        return _merged(source, name, adapter, images, **settings)
    if not images:
        return None
    whole = whole_model(source, **settings)
    return text_model(whole, name) if is_bridged(whole) else whole


def _merged(source: str, name: str, adapter: str, images: bool, **settings: Any) -> Any:
    """The Hugging Face model with an adapter's weights added to its own."""
    from transformers import AutoModelForCausalLM

    try:
        folder = adapter_folder(adapter)
        if not images:
            return merged(AutoModelForCausalLM.from_pretrained(source, use_safetensors=True, **settings), folder)
        whole = whole_model(source, **settings)
        return text_model(merged(whole, folder), name) if is_for_whole(folder) else merged(text_model(whole, name), folder)
    except SteerlensError:
        raise
    except Exception as error:  # peft, hub and safetensors each raise their own
        raise ModelError(
            f"adapter {adapter} cannot be merged into {name} ({_reason(error)}). Expected a PEFT adapter made for this model: "
            "adapter_config.json and adapter_model.safetensors, of a kind whose weights can be merged, as LoRA."
        ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"


def _own_bridge(model: Any, device: Any, dtype: Any, adapter: Any, revision: str | None) -> Any:
    """The bridge itself, which is never moved, cast or read again."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = model.tl if isinstance(model, LensModel) else model
    if not isinstance(bridge, TransformerBridge):
        raise ModelError(
            f"{type(model).__name__} given: expected a model's name, a path, or a TransformerBridge "
            "(TransformerBridge.boot_transformers(...); HookedTransformer left TransformerLens in version 4)."
        )
    if adapter is not None:
        raise ModelError("an adapter was given with a bridge: give the model's name or path, or merge it before the bridge.")
    weights = next(bridge.original_model.parameters())
    if revision is not None:
        raise ModelError(
            f"revision {revision!r} was given with a bridge, whose weights are read already: boot it from that revision."
        )
    if device is not None and (wanted := choose_device(device)) != weights.device:
        raise ModelError(f"device {wanted} was given with a bridge on {weights.device}: boot it there, or leave the device out.")
    if dtype is not None and (kind := choose_dtype(dtype, weights.device)) != weights.dtype:
        raise ModelError(f"dtype {kind} was given with a bridge of {weights.dtype}: boot it in that, or leave the dtype out.")
    return bridge
