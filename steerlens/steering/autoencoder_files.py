"""The files of sparse autoencoders: SAELens' folders (version 6.54 was read), Gemma Scope and Gemma Scope 2."""

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
"""SAELens' names for the residual stream after or before a block; ``out`` and ``in`` are those of a ``TransformerBridge``."""
_LEAST, _FOLD = 1 << 28, 20
"""The limits for unpacking an archive: this many bytes, or this many times its own size."""
_KEPT = ("architecture", "hook_name", "neuronpedia_id", "sae_lens_version", "hf_hook_point_in")
"""The settings that are kept as notes."""


def read_autoencoder(path: Path, layer: int | None, model_name: str | None, centred: bool | None) -> dict[str, Any]:
    """Returns the fields of the autoencoder that a folder or file contains.

    Args:
        path: as for ``SparseAutoencoder.load``.
        layer: the block index given by the user.
        model_name: the model given by the user.
        centred: whether the residuals of its training had mean 0, as given by the user.

    Raises:
        FileError: as for ``SparseAutoencoder.load``.
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
                f"{name}={said!r} given, but {path} says {name}={found[name]!r}: expected the same value, or no value. Remove "
                "this argument."
            )
        found[name] = said if said is not None else found[name]
    if not isinstance(found["model_name"], str | None):
        raise FileError(
            f"{path} names {found['model_name']!r:.80} as the model of the autoencoder: expected a name. Copy the whole file "
            "with the settings."
        )
    if found["layer"] is None:
        raise FileError(
            f"{path} does not say after which layer the autoencoder was trained. Give layer=, the index of the block."
        )
    if found["centred"] is None:
        raise FileError(
            f"{path} was made with a version of SAELens before 6, and does not say whether the residuals were centred in "
            "training (center_writing_weights). Give centred=True if the publisher says so, as for gpt2-small-res-jb; "
            "otherwise give centred=False."
        )
    return {**found, "model_name": found["model_name"] or "", "name": _name(path)}


def _name(path: Path) -> str:
    """The name of an autoencoder: its repository and commit in the hub's cache, its path in Gemma Scope, or its folder."""
    text = path.absolute().as_posix().removesuffix("/params.npz")
    cached = re.search(r"models--([^/]+?)--([^/]+)/snapshots/([0-9a-f]{40})(/.*)?$", text)
    if cached:
        return f"{cached[1]}/{cached[2]}@{cached[3]}{cached[4] or ''}"
    scope = re.search(r"gemma-scope-.*", text)
    return scope[0] if scope else text.rpartition("/")[2]


def _sae_lens(folder: Path) -> dict[str, Any]:
    """The fields of a SAELens folder, of version 6 or older, with all settings in one place."""
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
            f"{folder / 'cfg.json'} belongs to a TopK autoencoder, but does not say the number k: expected k. Copy the whole "
            "file."
        )
    return {
        **fields,
        "layer": place,
        "model_name": cfg.get("model_name"),
        "k": k,
        "by_norm": bool(cfg.get("rescale_acts_by_decoder_norm", False)),
        "subtracts_bias": bool(cfg.get("apply_b_dec_to_input", True)),  # SAELens' own default
        "centred": _centred(cfg),
        "notes": _notes(cfg),
    }


def _centred(cfg: Mapping[str, Any]) -> bool | None:
    """Whether residuals were centred. ``None`` if no setting says so: SAELens before version 6 had other defaults at first."""
    told, version = cfg.get("model_from_pretrained_kwargs"), str(cfg.get("sae_lens_version") or "").partition(".")[0]
    if told is None and not (version.isdecimal() and int(version) >= 6):
        return None
    return bool((told or {}).get("center_writing_weights", False))


def _is_top_k(cfg: Mapping[str, Any]) -> bool:
    return "topk" in (cfg.get("architecture"), cfg.get("activation_fn"), cfg.get("activation_fn_str"))


def _checked_settings(cfg: Mapping[str, Any], folder: Path) -> int:
    """The block after which a SAELens autoencoder was trained, after a check that all its settings are supported."""
    architecture = cfg.get("architecture", "standard")
    if architecture not in _ARCHITECTURES:
        raise FileError(f"{folder} contains a {architecture!r} autoencoder: expected one of {', '.join(_ARCHITECTURES)}.")
    activation = cfg.get("activation_fn", cfg.get("activation_fn_str", "relu"))
    if activation not in ("relu", "topk"):
        raise FileError(f"{folder} contains an autoencoder with activation {activation!r}: expected relu or topk.")
    if cfg.get("normalize_activations") not in (None, "none", False):
        raise FileError(
            f"{folder} scales its input ({cfg['normalize_activations']}), so the units of its features differ from those of "
            "the residual stream. Fold the factor into the weights with SAELens (fold_activation_norm_scaling_factor), and "
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
    """The fields of ``params.npz``. Its path contains the layer and the model: …gemma-scope-2b-pt-res/layer_12/…/params.npz."""
    import numpy as np
    import torch

    with readable_errors(file, "read"):
        try:
            with np.load(file, allow_pickle=False) as held:
                _check_arrays(held.zip, max(_LEAST, _FOLD * file.stat().st_size))
                tensors = {name: torch.from_numpy(held[name]) for name in held.files}
        except OSError:
            raise
        except Exception as error:  # of a zip file that is cut, and of objects of Python
            raise FileError(
                f"{file} is damaged, or does not contain only numbers ({error!s:.300}). Copy the whole file again."
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
    """Refuses arrays that are not numbers, or whose header claims more data than the file has: NumPy allocates the claimed
    memory.

    Args:
        archive: an open ``zipfile.ZipFile`` of NumPy's files.
        most: the number of bytes that may be unpacked from it.

    Raises:
        ValueError: it contains such an array, or unpacks to more bytes.
    """
    from numpy.lib import format as npy

    if (unfolded := sum(member.file_size for member in archive.infolist())) > most:
        raise ValueError(f"its content takes {unfolded:,} bytes, which is too much for a file of this size")
    for member in archive.infolist():
        with archive.open(member) as file:
            first = npy.read_magic(file) == (1, 0)
            shape, _, kind = npy.read_array_header_1_0(file) if first else npy.read_array_header_2_0(file)
            said = file.tell() + math.prod(shape) * kind.itemsize
        if kind.kind not in "fiu" or said != member.file_size:
            raise ValueError(f"{member.filename!r:.80} contains {kind} {shape!s:.80} in {member.file_size:,} bytes")


def _gemma_scope_2(folder: Path) -> dict[str, Any]:
    """The fields of a folder with ``params.safetensors``. The model and the hook point are in its ``config.json`` or in its
    path: …gemma-scope-2-1b-pt/resid_post/layer_7_…"""
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
    name = name.removesuffix("-pt") if "270m" in name else name  # the hub's name of this one has no -pt
    fields = _named(_tensors(folder / "params.safetensors"), folder, needs_threshold=True)
    own = {"layer": int(layer[1]) if layer else None, "model_name": name, "centred": False, "notes": _notes(cfg)}
    return {**fields, **own}


def _named(tensors: Mapping[str, Any], whose: Path, *, needs_threshold: bool) -> dict[str, Any]:
    """The tensors by field, after a check that they are exactly those of a supported autoencoder."""
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
    found = read_json(path, "Copy it whole.")
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
