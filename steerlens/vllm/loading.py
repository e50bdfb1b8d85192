"""The function ``load``, which loads a model in vLLM with vllm-lens at every block."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from steerlens.errors import ModelError, SettingsError
from steerlens.fingerprint import Fingerprint
from steerlens.models.batches import Row
from steerlens.models.devices import choose_device, choose_dtype
from steerlens.models.loading import source_of
from steerlens.models.reading import reason
from steerlens.models.tokens import Tokenizer, own_tokenizer
from steerlens.steering import Add, SteeringPlan, Step
from steerlens.vllm.backend import VllmBackend, residual_stream
from steerlens.vllm.identity import Identity
from steerlens.vllm.model import VllmModel
from steerlens.vllm.requests import Requests

FIXED = {"enable_prefix_caching": False, "enforce_eager": True}
"""The fixed settings of vLLM. Prefix caching is off because attention keys and values of a steered text must not be used for
another text. Eager mode is on because compiled passes cannot be steered."""
_CLOSE = 0.05
"""The largest relative error of an added vector that counts as a rounding error in half precision."""
INSTALL = (
    "vLLM needs a separate environment. Make one with: python3.12 -m venv vllm. Then install there: pip install 'steerlens[vllm]'"
)


def load(
    name: str | Path,
    dtype: str | torch.dtype | None = None,
    *,
    revision: str | None = None,
    prepend_bos: bool | None = None,
    **settings: Any,
) -> VllmModel:
    """Loads a model in vLLM.

    Args:
        name: the name of an embedded model, a Hugging Face model id, a folder or a GGUF file. ``steerlens.load`` takes the same
            names.
        dtype: ``float32``, ``bfloat16`` or ``float16``. ``None`` takes float32 on a CPU, and bfloat16 on a GPU that supports
            bfloat16. A vector that was taken in one dtype cannot be used in another dtype.
        revision: the branch, tag or commit on the hub.
        prepend_bos: whether BOS is put in front of every text. ``steerlens.load`` documents this argument.
        settings: other arguments of ``vllm.LLM``, such as ``max_model_len``, ``tensor_parallel_size`` and
            ``pipeline_parallel_size``.

    Raises:
        ModelError: vLLM or vllm-lens is not installed, vLLM cannot read or run the model, or vLLM does not return its residual
            streams.
        SettingsError: a setting would make steered results wrong.
    """
    check_installed()
    from vllm import LLM

    given = {**checked(settings), **FIXED}
    model = unloaded(name, dtype, revision=revision, prepend_bos=prepend_bos)
    identity = model.backend.identity
    try:
        model.requests.llm = LLM(model=str(identity.folder), dtype=str(identity.dtype).removeprefix("torch."), **given)
    except Exception as error:  # vLLM can raise any error
        raise ModelError(
            f"{model.name} cannot be run by vLLM ({reason(error)}). The log of vLLM above says more. Expected an architecture "
            "that this vLLM knows, and enough memory. Settings of vLLM that change the memory are gpu_memory_utilization=, "
            "max_model_len= and tensor_parallel_size=."
        ) from error
    model.backend.context = int(model.llm.llm_engine.model_config.max_model_len)
    _try(model)
    return model


def unloaded(
    name: str | Path,
    dtype: str | torch.dtype | None = None,
    *,
    revision: str | None = None,
    prepend_bos: bool | None = None,
) -> VllmModel:
    """Returns a model without weights. The model has a tokenizer and a fingerprint, and cannot be run.

    Args:
        name, dtype, revision, prepend_bos: the arguments of ``load`` with the same names.

    Raises:
        ModelError: the model cannot be read.
    """
    folder, kind = folder_of(str(name), revision), choose_dtype(dtype, choose_device(None))
    tokenizer = Tokenizer(own_tokenizer(str(folder)), prepend_bos)
    return VllmModel(VllmBackend(str(name), Identity(folder, kind), Requests(None), tokenizer, 0))


def check_installed() -> None:
    """Checks that vLLM and vllm-lens are installed, and that vllm-lens is not switched off.

    Raises:
        ModelError: a package is missing, or vllm-lens is switched off.
    """
    for package in ("vllm", "vllm_lens"):
        if find_spec(package) is None:
            raise ModelError(f"the package {package.replace('_', '-')} is not installed here. {INSTALL}")
    if os.environ.get("VLLM_LENS_DISABLE", "").strip().lower() in ("1", "true", "yes", "on"):
        raise ModelError("VLLM_LENS_DISABLE is set, so vllm-lens does nothing. Unset this environment variable.")


def checked(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the settings of vLLM unchanged, if no setting makes steered results wrong.

    Args:
        settings: the arguments of ``vllm.LLM`` or of vLLM's server.

    Raises:
        SettingsError: a fixed setting has another value, or speculative decoding is requested.
    """
    wrong = {name: value for name, value in settings.items() if value != FIXED.get(name, value)}
    if wrong:
        raise SettingsError(
            f"{wrong} given, but steerlens always sets {FIXED}: attention keys and values that were computed under a plan must "
            "not be used for another request, and compiled passes cannot be steered. Remove this setting."
        )
    if settings.get("speculative_config") is not None:
        raise SettingsError(
            "speculative_config given: expected none, because rejected tokens would be counted as tokens of the text, and "
            "plans would then steer the wrong tokens. Remove speculative_config."
        )
    return settings


def folder_of(name: str, revision: str | None = None) -> Path:
    """Returns the folder of a model's files. The files of a model on the hub are downloaded. Weights are downloaded only as
    safetensors files.

    Args:
        name: an embedded model's name, a Hugging Face model id, a folder or a GGUF file.
        revision: the branch, tag or commit on the hub.

    Raises:
        UnknownNameError: there is no model with this name.
        ModelError: the model cannot be read.
    """
    source = source_of(name)
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(source, revision=revision, allow_patterns=["*.json", "*.safetensors", "*.model", "*.jinja"])
        )
    except Exception as error:  # the hub's library can raise any error
        raise ModelError(
            f"{name} is not a folder, a file or an embedded model, and could not be downloaded from the Hugging Face hub under "
            f"this name ({reason(error)}). Check the name, and the connection to the hub."
        ) from error


def _try(model: VllmModel) -> None:
    """Checks that a model returns residual streams, and that a plan adds the right vector at the right tokens.

    Raises:
        ModelError: the residual streams are missing, or the added vector is wrong.
    """
    front, layers = len(model.tokenizer.front), sorted({0, model.n_layers - 1})
    row = Row((*model.tokenizer.front, 1, 2, 3), (), front)
    shape = (len(layers), len(row), model.d_model)
    (before,) = (residual_stream(own, shape) for own in model.requests.run([row], layers=layers))
    direction = torch.full((model.d_model,), float(before[0].norm(dim=-1).mean()) / model.d_model**0.5)
    nobody = Fingerprint("", "", "", "", model.n_layers, model.d_model, (), None, None)
    plan = SteeringPlan((Step(Add(direction), 0, 1.0, "all", "a trial"),), nobody)
    (after,) = (residual_stream(own, shape) for own in model.requests.run([row], plan, layers=layers))
    expected = torch.zeros(shape[1:])
    expected[front:] = direction
    off = float((after[0] - before[0] - expected).norm() / expected.norm())
    if not off <= _CLOSE or not before.isfinite().all() or torch.equal(after[-1], before[-1]):
        raise ModelError(
            f"{model.name} was loaded by vLLM, but a vector that was added after block 0 does not appear correctly in the "
            f"residual stream (the difference is {off:.2g} of the vector's norm), so steered results would be wrong. Install "
            "the versions of vLLM and vllm-lens that the extra vllm names."
        )
