"""Reads the files of sparse autoencoders: folders of SAELens (tested with version 6.54), Gemma Scope and Gemma Scope 2."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steerlens.errors import FileError
from steerlens.storage import read_json, readable_errors

_NAMES = {"w_enc": "encoder", "b_enc": "encoder_bias", "w_dec": "decoder", "b_dec": "decoder_bias", "threshold": "threshold"}
_ARCHITECTURES = ("standard", "jumprelu", "topk")
_PLACE = re.compile(r"blocks\.(\d+)\.hook_(resid_post|resid_pre|out|in)")
"""The pattern of SAELens' names for the residual stream after or before a block. The names with ``out`` and ``in`` belong to
a ``TransformerBridge``."""
_LEAST, _FOLD = 1 << 28, 20
"""The limits for the unpacked size of an archive: a number of bytes, and a multiple of the archive's size. The larger limit
counts."""
_KEPT = ("architecture", "hook_name", "neuronpedia_id", "sae_lens_version", "hf_hook_point_in")
"""The settings of an autoencoder that are kept as notes."""


def read_autoencoder(path: Path, layer: int | None, model_name: str | None, centred: bool | None) -> dict[str, Any]:
    """Returns the fields of the autoencoder that a folder or file contains.

    Args:
        path: the folder or file (see ``SparseAutoencoder.load``).
        layer: the block index that the user gave; ``None`` if no index was given.
        model_name: the model name that the user gave; ``None`` if no name was given.
        centred: whether the autoencoder was trained on residuals with mean 0, as the user stated; ``None`` if nothing was
            stated.

    Raises:
        FileError: the autoencoder cannot be used, for one of the reasons in ``SparseAutoencoder.load``.
    """
    file = path / "params.npz" if (path / "params.npz").is_file() else path
    if file.suffix == ".npz":
        found = _gemma_scope(file)
    elif (path / "params.safetensors").is_file():
        found = _gemma_scope_2(path)
    elif (path / "cfg.json").is_file():
        found = _sae_lens(path)
    else:
        raise FileError(
            f"{path} contains no autoencoder of a known kind: expected a folder with cfg.json and sae_weights.safetensors "
            "(SAELens), a folder with params.safetensors (Gemma Scope 2), or a file params.npz (Gemma Scope)."
        )
    for name, said in {"layer": layer, "model_name": model_name, "centred": centred}.items():
        if said is not None and found[name] not in (None, "", said):
            raise FileError(
                f"{name}={said!r} was given, but {path} says {name}={found[name]!r}: expected the same value, or no value. "
                f"Remove the argument {name}."
            )
        found[name] = said if said is not None else found[name]
    if not isinstance(found["model_name"], str | None):
        raise FileError(
            f"{path} names {found['model_name']!r:.80} as the model of the autoencoder: expected a text. Copy the whole "
            "settings file again."
        )
    if found["layer"] is None:
        raise FileError(
            f"{path} does not contain the layer after which the autoencoder was trained. Give layer=, the index of the block."
        )
    if found["centred"] is None:
        raise FileError(
            f"{path} was made with a version of SAELens before 6, and does not state whether the residuals were centred in "
            "training (center_writing_weights). If the publisher states that residuals were centred, as for "
            "gpt2-small-res-jb, give centred=True. Otherwise give centred=False."
        )
    return {**found, "model_name": found["model_name"] or "", "name": _name(path)}


def _name(path: Path) -> str:
    """Returns the name of an autoencoder: its repository and commit in the hub's cache, its path in Gemma Scope, or the name
    of its folder."""
    text = path.absolute().as_posix().removesuffix("/params.npz")
    cached = re.search(r"models--([^/]+?)--([^/]+)/snapshots/([0-9a-f]{40})(/.*)?$", text)
    if cached:
        return f"{cached[1]}/{cached[2]}@{cached[3]}{cached[4] or ''}"
    scope = re.search(r"gemma-scope-.*", text)
    return scope[0] if scope else text.rpartition("/")[2]


def _sae_lens(folder: Path) -> dict[str, Any]:
    """Returns the fields of the autoencoder in a folder of SAELens. Folders of version 6 and of older versions can be
    read."""
    given = _settings(folder / "cfg.json")
    cfg = {**given, **given.get("metadata", {})}
    place = _checked_settings(cfg, folder)
    tensors = _tensors(folder / "sae_weights.safetensors")
    scale = tensors.pop("scaling_factor", None)
    if scale is not None and not bool((scale == 1).all()):
        raise FileError(
            f"{folder} scales its features (scaling_factor), which steerlens does not support. Fold the factor into the "
            "weights, and save the autoencoder again."
        )
    if "log_threshold" in tensors:
        tensors["threshold"] = tensors.pop("log_threshold").exp()
    fields = _named(tensors, folder, needs_threshold=cfg.get("architecture") == "jumprelu")
    k = cfg.get("k", (cfg.get("activation_fn_kwargs") or {}).get("k")) if _is_top_k(cfg) else None
    if _is_top_k(cfg) and k is None:
        raise FileError(
            f"{folder / 'cfg.json'} belongs to a TopK autoencoder, but does not contain the number k: expected k. Copy the "
            "whole file again."
        )
    return {
        **fields,
        "layer": place,
        "model_name": cfg.get("model_name"),
        "k": k,
        "by_norm": bool(cfg.get("rescale_acts_by_decoder_norm", False)),
        "subtracts_bias": bool(cfg.get("apply_b_dec_to_input", True)),  # the default of SAELens
        "centred": _centred(cfg),
        "notes": _notes(cfg),
    }


def _centred(cfg: Mapping[str, Any]) -> bool | None:
    """Returns whether residuals were centred in training, or ``None`` if this is not known. If the files do not contain the
    setting, the default is known only for version 6 of SAELens and later versions."""
    told, version = cfg.get("model_from_pretrained_kwargs"), str(cfg.get("sae_lens_version") or "").partition(".")[0]
    if told is None and not (version.isdecimal() and int(version) >= 6):
        return None
    return bool((told or {}).get("center_writing_weights", False))


def _is_top_k(cfg: Mapping[str, Any]) -> bool:
    return "topk" in (cfg.get("architecture"), cfg.get("activation_fn"), cfg.get("activation_fn_str"))


def _checked_settings(cfg: Mapping[str, Any], folder: Path) -> int:
    """Checks that all settings of a SAELens autoencoder are supported, and returns the index of the block after which it was
    trained."""
    architecture = cfg.get("architecture", "standard")
    if architecture not in _ARCHITECTURES:
        raise FileError(f"{folder} contains a {architecture!r} autoencoder: expected one of {', '.join(_ARCHITECTURES)}.")
    activation = cfg.get("activation_fn", cfg.get("activation_fn_str", "relu"))
    if activation not in ("relu", "topk"):
        raise FileError(f"{folder} contains an autoencoder with activation {activation!r}: expected relu or topk.")
    if cfg.get("normalize_activations") not in (None, "none", False):
        raise FileError(
            f"{folder} scales its input ({cfg['normalize_activations']}), so the units of its features differ from the units "
            "of the residual stream. Fold the factor into the weights with SAELens (fold_activation_norm_scaling_factor), and "
            "save the autoencoder again."
        )
    name = str(cfg.get("hook_name", cfg.get("hook_point", "")))
    found = _PLACE.fullmatch(name)
    layer = int(found[1]) - (found[2] in ("resid_pre", "in")) if found else -1
    if layer < 0 or cfg.get("reshape_activations", "none") != "none":
        raise FileError(
            f"{folder} is an autoencoder of {name!r}: expected the residual stream after a block, such as "
            "blocks.12.hook_resid_post, or before a block other than the first."
        )
    return layer


def _gemma_scope(file: Path) -> dict[str, Any]:
    """Returns the fields of the autoencoder in ``params.npz``. The path contains the layer and the model, for example
    …gemma-scope-2b-pt-res/layer_12/…/params.npz."""
    import numpy as np
    import torch

    with readable_errors(file, "read"):
        try:
            with np.load(file, allow_pickle=False) as held:
                _check_arrays(held.zip, max(_LEAST, _FOLD * file.stat().st_size))
                tensors = {name: torch.from_numpy(held[name]) for name in held.files}
        except OSError:
            raise
        except Exception as error:  # a truncated zip file, or an array of Python objects
            raise FileError(
                f"{file} is damaged, or contains data that are not numbers ({error!s:.300}). Copy the whole file again."
            ) from error
    text = file.absolute().as_posix()
    size = re.search(r"gemma-scope-(2b|9b|27b)-(pt|it)-(\w+)", text)
    if size and size[3] != "res":
        raise FileError(
            f"{file} belongs to {size[3]!r} of Gemma Scope: expected an autoencoder of the residual stream, "
            f"gemma-scope-{size[1]}-{size[2]}-res."
        )
    if size and "/embedding/" in text[size.start() :]:
        raise FileError(f"{file} is an autoencoder of the embedding: expected the residual stream after a block.")
    model = f"gemma-2-{size[1]}{'-it' if size[2] == 'it' else ''}" if size else None
    layer = re.search(r"layer_(\d+)", text[size.start() :]) if size else None
    own = {"layer": int(layer[1]) if layer else None, "model_name": model, "centred": False}
    return {**_named(tensors, file, needs_threshold=True), **own}


def _check_arrays(archive: Any, most: int) -> None:
    """Raises an error if an array does not contain numbers, or if its header claims more data than the file has. NumPy would
    allocate the claimed memory.

    Args:
        archive: an open ``zipfile.ZipFile`` of NumPy's files.
        most: the largest number of bytes that may be unpacked from the archive.

    Raises:
        ValueError: the archive contains a bad array, or its unpacked size is larger than ``most``.
    """
    from numpy.lib import format as npy

    if (unfolded := sum(member.file_size for member in archive.infolist())) > most:
        raise ValueError(f"its unpacked content has {unfolded:,} bytes, which is too large for a file of this size")
    for member in archive.infolist():
        with archive.open(member) as file:
            first = npy.read_magic(file) == (1, 0)
            shape, _, kind = npy.read_array_header_1_0(file) if first else npy.read_array_header_2_0(file)
            said = file.tell() + math.prod(shape) * kind.itemsize
        if kind.kind not in "fiu" or said != member.file_size:
            raise ValueError(
                f"{member.filename!r:.80} has {member.file_size:,} bytes, which do not fit the {kind} array of shape "
                f"{shape!s:.80} that its header declares"
            )


def _gemma_scope_2(folder: Path) -> dict[str, Any]:
    """Returns the fields of the autoencoder in a folder with ``params.safetensors``. The model and the hook point are in the
    folder's ``config.json`` or in its path, for example …gemma-scope-2-1b-pt/resid_post/layer_7_…"""
    cfg, text = _settings(folder / "config.json") if (folder / "config.json").is_file() else {}, folder.absolute().as_posix()
    place = str(cfg.get("hf_hook_point_in", text))
    of_residuals = re.search(r"layers\.(\d+)\.output$", place)
    if not of_residuals and "resid_post" not in text:
        raise FileError(f"{folder} is an autoencoder of {place!r}: expected the residual stream after a block (resid_post).")
    if cfg.get("architecture", "jump_relu") != "jump_relu" or cfg.get("hf_hook_point_out") is not None:
        raise FileError(
            f"{folder} contains a transcoder, or an autoencoder of the architecture {cfg.get('architecture')!r}: expected a "
            "JumpReLU autoencoder."
        )
    layer, size = (
        of_residuals or re.match(r"layer_(\d+)", folder.absolute().name),
        re.search(r"gemma-scope-2-(\w+-(pt|it))", text),
    )
    name = str(cfg.get("model_name") or (f"gemma-3-{size[1]}" if size else "")).replace("-v3", "-3")
    name = name.removesuffix("-pt") if "270m" in name else name  # the name of this model on the hub has no -pt
    fields = _named(_tensors(folder / "params.safetensors"), folder, needs_threshold=True)
    own = {"layer": int(layer[1]) if layer else None, "model_name": name, "centred": False, "notes": _notes(cfg)}
    return {**fields, **own}


def _named(tensors: Mapping[str, Any], whose: Path, *, needs_threshold: bool) -> dict[str, Any]:
    """Checks that the tensors are exactly the tensors of a supported autoencoder, and returns the tensors by field."""
    found = {_NAMES.get(name.lower(), name): tensor for name, tensor in tensors.items()}
    expected = set(_NAMES.values()) - (set() if needs_threshold else {"threshold"})
    if set(found) != expected:
        raise FileError(
            f"{whose} contains tensors {sorted(tensors)}: expected "
            f"{', '.join(n for n, own in _NAMES.items() if own in expected)}."
        )
    return found


def _notes(cfg: Mapping[str, Any]) -> dict[str, Any]:
    return {name: cfg[name] for name in _KEPT if isinstance(cfg.get(name), str)}


def _settings(path: Path) -> dict[str, Any]:
    found = read_json(path, "Copy the whole file again.")
    if not isinstance(found, dict) or not isinstance(found.get("metadata", {}), dict):
        raise FileError(f"{path} contains no settings of an autoencoder. Copy the whole file again.")
    return found


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with readable_errors(path, "read"):
        try:
            return load_file(path)
        except SafetensorError as error:
            raise FileError(f"{path} is truncated or is not a safetensors file ({error}). Copy the whole file again.") from error
