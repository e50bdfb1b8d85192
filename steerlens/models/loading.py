"""``load``: one function that loads every kind of model."""

import difflib
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from steerlens.errors import ModelError, SteerlensError, UnknownNameError
from steerlens.models.backends.hooked import is_hooked_transformer
from steerlens.models.backends.offloading import device_of
from steerlens.models.backends.versions import bridge_class
from steerlens.models.devices import choose_device, choose_dtype
from steerlens.models.embedded import EMBEDDED
from steerlens.models.gguf import converted_embedded, converted_file
from steerlens.models.lens import LensModel
from steerlens.models.placing import DeviceMap, MaxMemory, Placing, placing_of
from steerlens.models.quantized import checkpoint_quantization
from steerlens.models.quiet import quiet_transformers
from steerlens.models.reading import TRIED, check_same, hugging_face, logits_alone, reason, unmapped
from steerlens.models.spec import LoadSpec
from steerlens.models.tokens import Tokenizer, for_a_bridge, own_tokenizer, tokenizer_of_bridge
from steerlens.models.untouched import untouched
from steerlens.models.whole import check_config, nothing_missing

_log = logging.getLogger(__name__)
_PLACED = (
    " If the model can be loaded on one device, without device_map and quantization, then the device map or the quantized "
    "weights are the cause."
)
_HELP = "Any other name is read as a model id of the Hugging Face hub, a local folder, or a .gguf file."


_one_at_a_time = threading.RLock()
"""The lock that is held while a model is read. While a model is read, Transformers changes its classes. If two threads read
models at once, the second thread would treat the classes that the first thread changed as the original classes. In later models,
the output weights would then not be tied to the embedding."""


def load(
    name: str | Path | object,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    adapter: str | Path | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    prepend_bos: bool | None = None,
    device_map: DeviceMap | None = None,
    max_memory: MaxMemory | None = None,
    offload_folder: str | Path | None = None,
) -> LensModel:
    """Loads a model, ready for capture, steering and scoring.

    Loading changes only caches on the machine, and installs no package. Weights are read only from safetensors and GGUF files. If
    a checkpoint also takes images, its text model is loaded.

    Args:
        name: the name of an embedded model (``gemma-3-270m``), a Hugging Face model id, a folder in Hugging Face's layout, or a
            GGUF file. You can also give your own ``TransformerBridge`` or ``HookedTransformer`` (of TransformerLens 2 or 3). Your
            own model is wrapped unchanged. The other arguments must agree with your model.
        device: a PyTorch device, such as ``cuda:0``; ``None`` takes a CUDA GPU if there is one, and the CPU if not.
        dtype: ``float32``, ``bfloat16`` or ``float16``; ``None`` takes float32 on a CPU, and bfloat16 on a GPU that supports
            bfloat16.
        adapter: a PEFT adapter of this model, given as a folder or a Hugging Face id. The adapter is merged into the model's
            weights, which needs the extra ``peft``.
        revision: the branch, tag or commit on the hub. Give a commit if results must be reproducible.
        trust_remote_code: whether code in a hub model's repository may run.
        prepend_bos: ``True`` puts the declared BOS in front of every prompt and chat, ``False`` puts nothing there. With
            ``None``, the model's own tokenizer and chat template decide, as in training; ``model.tokens(prompt)`` shows the
            result.
        device_map: the devices of a model that does not fit on one device, in place of ``device``. ``auto`` spreads the model
            over all GPUs, then the CPU's memory, then the disk (accelerate). ``balanced``, ``balanced_low_0`` and ``sequential``
            fill GPUs in other ways. A dict maps the name of each part of Hugging Face's model to a GPU number, a device, ``cpu``
            or ``disk``.
        max_memory: the most memory to use on each device, for ``auto`` and similar maps. The keys are GPU numbers or ``cpu``, and
            the values are bytes or texts such as ``20GiB``.
        offload_folder: the folder for weights that are kept on disk and that the checkpoint stores in another form than the model
            needs. Each model has its own subfolder, which is removed when the model is deleted.

    Raises:
        UnknownNameError: there is no such model (the error offers the nearest names), or no such dtype.
        ModelError: the model cannot be read, verified or run, or the adapter does not fit the model. This error is also raised if
            peft or the package for quantized weights is not installed, or if your own model differs from a given argument.
        SettingsError: this machine does not have the device, or the settings of a device map conflict.
    """
    placing = placing_of(device, device_map, max_memory, offload_folder)
    if not isinstance(name, str | Path):
        if placing is not None:
            raise ModelError(
                "device_map was given with a model that is already on a device: expected the name or path of a model. Remove "
                "this argument, and choose the device where you make the model."
            )
        bridge = _own_bridge(name, device, dtype, adapter, revision)
        return LensModel(bridge, tokenizer=tokenizer_of_bridge(bridge, prepend_bos))
    bridge_class()  # an older TransformerLens is refused before anything is read
    chosen = str(name)
    place = choose_device(device) if placing is None else placing.device
    wanted: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    spec = LoadSpec(
        chosen,
        None if device is None else str(place),
        None,
        adapter=None if adapter is None else str(adapter),
        prepend_bos=prepend_bos,
        **wanted,
        **({} if placing is None else placing.settings),
    )
    with _one_at_a_time:
        source = source_of(chosen)
        if source == chosen and not Path(chosen).is_dir():
            _ask_hub(chosen, revision)
        quantized = checkpoint_quantization(source, **wanted)
        if quantized is not None:
            quantized.check_usable(chosen, spec.adapter)
            placing = placing or Placing({"": str(place)})
        kind = choose_dtype(dtype if quantized is None else dtype or quantized.dtype, place)
        spec = replace(spec, dtype=str(kind).removeprefix("torch."))
        bridge, own, expected = _boot(source, chosen, place, spec.adapter, placing, dtype=kind, **wanted)
    tokenizer = Tokenizer(own, prepend_bos)
    bridge.cfg.default_prepend_bos = tokenizer.front == (tokenizer.bos_id,)  # so that bridge.to_tokens gives the same tokens
    named = chosen if adapter is None else f"{chosen} + {Path(str(adapter)).name}"
    model = LensModel(bridge, named, tokenizer, made_from=spec)
    if (places := getattr(bridge.original_model, "hf_device_map", None)) is not None:  # this map was hidden from TransformerLens
        bridge.cfg.device, bridge.cfg.n_devices = str(model.device), len(set(places.values()))
    return _tried(model, expected)


def hugging_face_of(spec: LoadSpec) -> Any:
    """Reads a loaded model again, as a plain Hugging Face model that can be trained. TransformerLens does not wrap the new copy.

    Args:
        spec: the arguments with which the model was loaded.

    Raises:
        ModelError: the model has an adapter, a device map or quantized weights, or it cannot be read.
    """
    from transformers import AutoModelForCausalLM

    if spec.adapter is not None:
        raise ModelError(
            f"{spec.name} already has adapter {spec.adapter}: expected a model without an adapter. Merge the adapter into the "
            "weights, save the merged model, and load it as the base."
        )
    source = source_of(spec.name)
    wanted: dict[str, Any] = {"revision": spec.revision, "trust_remote_code": spec.trust_remote_code}
    if spec.device_map is not None or (quantized := checkpoint_quantization(source, **wanted)) is not None:
        lies = "several devices" if spec.device_map is not None else f"weights quantized by {quantized}"
        raise ModelError(
            f"{spec.name} was loaded with {lies}, but training needs a model on one device, with weights that are not "
            "quantized. Load the model with device= and without device_map, or load the original checkpoint, which is not "
            "quantized."
        )
    settings = {"dtype": choose_dtype(spec.dtype, choose_device(spec.device)), **wanted}
    try:
        with _one_at_a_time, quiet_transformers(), untouched(), nothing_missing(spec.name):
            found = hugging_face(source, spec.name, None, None, **settings)
            return AutoModelForCausalLM.from_pretrained(source, use_safetensors=True, **settings) if found is None else found
    except SteerlensError:
        raise
    except Exception as error:  # the hub, the config and the weights raise errors of many types
        raise ModelError(
            f"{spec.name} was loaded before and cannot be read again ({reason(error)}). Expected the same complete files as "
            "before."
        ) from error


@torch.no_grad()
def _tried(model: LensModel, expected: torch.Tensor | None) -> LensModel:
    """Returns the model after test passes of a few tokens. If ``expected`` is given, it is compared with the model's logits for
    ``TRIED``.

    Raises:
        ModelError: a pass fails, for example because TransformerLens knows the architecture but cannot run it, or the logits
            differ.
    """
    try:
        batch = model.batch([model.row([*model.tokenizer.front, 1, 2, 3])])
        model.backend.final(batch)
        silent = set(model.layers()) - set(model.backend.residuals_after(batch, model.layers(), torch.Tensor.clone))
        if silent:
            raise RuntimeError(f"no residual stream can be read after blocks {sorted(silent)}")
        found = None if expected is None else model.backend.logits(model.batch([model.row(TRIED)]))[0]
    except Exception as error:  # architectures raise errors of many types
        kind = type(model.tl.original_model).__name__
        raise ModelError(
            f"{model.name} is a {kind}. The model was loaded, but running it fails ({reason(error)}). Expected an architecture "
            "that these versions of TransformerLens and Transformers can run. Use another architecture, or other versions of "
            f"these packages.{'' if expected is None else _PLACED}"
        ) from error
    if found is not None and expected is not None:
        check_same(model.name, found, expected, model.dtype)
    return model


def source_of(name: str) -> str:
    """Returns the source of a model name: a folder, or an id on the hub.

    Args:
        name: an embedded model's name, a model id on the hub, a folder or a GGUF file.

    Raises:
        UnknownNameError: there is no such embedded model, and the name is not an id on the hub either.
        ModelError: there is no such file, or its format is not supported.
    """
    if name in EMBEDDED:
        return str(converted_embedded(EMBEDDED[name]))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                f"folder {path} has no config.json: expected a model in Hugging Face's layout (config, weights, tokenizer)."
            )
        if not (weights := list(path.glob("*.safetensors"))):
            raise ModelError(
                f"folder {path} has no weights in safetensors format: expected *.safetensors. steerlens does not read other "
                "formats, because code that is hidden in such files could run. If you trust the files, convert them with "
                "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)."
            )
        check_config(path / "config.json", name, sum(file.stat().st_size for file in weights))
        return str(path)
    if path.is_file():
        return str(converted_file(path))
    if path.suffix == ".gguf" or name.startswith((".", "/", "~")):
        raise ModelError(f"there is no file or folder {path}. Check the path.")
    if "/" not in name and difflib.get_close_matches(name, EMBEDDED, n=1, cutoff=0.6):
        raise UnknownNameError("model", name, EMBEDDED, _HELP)
    if path.parent != Path() and path.parent.is_dir():
        _log.warning("there is no folder %s in %s, so this name is looked up on the Hugging Face hub", path.name, path.parent)
    return name


def _ask_hub(name: str, revision: str | None) -> None:
    """Fetches the configuration of a model on the hub, or finds it in the cache. If the name is wrong, no further request is sent
    to the hub.

    Raises:
        UnknownNameError: the hub does not have the configuration.
    """
    from huggingface_hub import hf_hub_download

    try:
        config = hf_hub_download(name, "config.json", revision=revision)
    except Exception as error:  # the hub raises errors of many types
        raise UnknownNameError(
            "model",
            name,
            EMBEDDED,
            f"{_HELP} As a model id of the hub, this name could not be loaded ({reason(error)}). Check the id and the "
            "connection to the hub. For a gated model, accept its licence on the hub and run `hf auth login`.",
        ) from error
    check_config(Path(config), name)


def _boot(
    source: str, name: str, place: torch.device, adapter: str | None, placing: Placing | None = None, **settings: Any
) -> tuple[Any, Any, torch.Tensor | None]:
    """Returns the bridge, the model's own tokenizer, and logits. The logits are computed before the model is wrapped, and only if
    the model has a device map or quantized weights. Otherwise ``None`` is returned in place of the logits."""
    TransformerBridge = bridge_class()
    try:
        with quiet_transformers(), untouched(), nothing_missing(name):
            own = own_tokenizer(source, **{key: settings[key] for key in ("revision", "trust_remote_code")})
            model = hugging_face(source, name, adapter, placing, **settings)
            expected = logits_alone(model) if placing else None
            given = {} if model is None else {"hf_model": model if placing else model.to(place)}
            wrapped = {"tokenizer": for_a_bridge(own), **given, **settings}
            with unmapped(model):
                bridge = TransformerBridge.boot_transformers(source, device=place, **wrapped)
            return bridge, own, expected
    except SteerlensError:
        raise
    except Exception as error:  # the hub, the config, the weights and the bridge raise errors of many types
        raise ModelError(
            f"{name} cannot be loaded ({reason(error)}). Expected a decoder-only language model that TransformerLens supports, "
            f"with all its files complete: config.json, safetensors weights and a tokenizer.{_PLACED if placing else ''}"
        ) from error


def _own_bridge(model: Any, device: Any, dtype: Any, adapter: Any, revision: str | None) -> Any:
    """Returns the user's own bridge or ``HookedTransformer``. The model is never moved, converted to another dtype or read
    again."""
    bridge = model.tl if isinstance(model, LensModel) else model
    hooked = is_hooked_transformer(bridge)
    if not hooked and not isinstance(bridge, bridge_class()):
        raise ModelError(
            f"{type(model).__name__} was given: expected a model's name, a path, a TransformerBridge "
            "(TransformerBridge.boot_transformers(...)), or a HookedTransformer, which TransformerLens had up to version 3."
        )
    what = "HookedTransformer" if hooked else "bridge"
    if adapter is not None:
        raise ModelError(
            f"an adapter was given with a {what}: expected the name or path of a model. Give the model's name or path, or "
            f"merge the adapter into the weights before you make the {what}."
        )
    weights = next(bridge.parameters() if hooked else bridge.original_model.parameters())
    place = weights.device if hooked else device_of(getattr(bridge, "embed", bridge.original_model))
    if revision is not None:
        raise ModelError(
            f"revision {revision!r} was given with a {what}, whose weights are already loaded. Remove this argument, and make "
            f"the {what} from that revision."
        )
    if device is not None and (wanted := choose_device(device)) != place:
        raise ModelError(
            f"device {wanted} was given, but the {what} is on {place}, and steerlens does not move it. Put the {what} on "
            f"{wanted} before, or leave out device=."
        )
    if dtype is not None and (kind := choose_dtype(dtype, place)) != weights.dtype:
        raise ModelError(
            f"dtype {kind} was given, but the {what} has {weights.dtype}, and steerlens does not convert it. Make the {what} "
            f"with {kind}, or leave out dtype=."
        )
    return bridge
