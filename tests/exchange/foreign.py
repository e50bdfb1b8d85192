"""What other tools make of the files, in their own environment: ``python foreign.py TASK task.json``. steerlens is not imported.

A task reads token ids and files, and writes arrays.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Foreign = Callable[..., dict[str, np.ndarray]]
"""Runs a task in the other environment and returns the arrays that it made."""


def _model(folder: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    return AutoModelForCausalLM.from_pretrained(folder).float().eval()


def repeng(given: dict[str, Any]) -> dict[str, np.ndarray]:
    """Logits with the file's vector, at each strength; and a file of repeng's own. Texts are run one by one: repeng 0.4 fails
    on several at once with positions that transformers 4.57 gives for one."""
    import torch
    from repeng import ControlModel, ControlVector

    assert [field.name for field in dataclasses.fields(ControlVector)] == ["model_type", "directions"]
    vector, plain = ControlVector.import_gguf(given["file"]), _model(given["folder"])

    def logits(model: Any) -> np.ndarray:
        return np.concatenate([model(torch.tensor([own])).logits.numpy() for own in given["ids"]])

    made = {"plain": logits(plain)}
    model = ControlModel(plain, sorted(vector.directions))
    for strength in given["strengths"]:
        model.set_control(vector, strength)
        made[str(strength)] = logits(model)
    (2 * vector).export_gguf(given["own"])
    return made


def steering_vectors(given: dict[str, Any]) -> dict[str, np.ndarray]:
    """Logits with the file's vector at all tokens, and from the prompt's last one onward."""
    import torch
    from safetensors.torch import load_file
    from steering_vectors import SteeringVector

    assert [field.name for field in dataclasses.fields(SteeringVector)] == ["layer_activations", "layer_type"]
    ids, model = torch.tensor(given["ids"]), _model(given["folder"])
    vector = SteeringVector({int(layer): own for layer, own in load_file(given["file"]).items()})
    assert vector.layer_type == "decoder_block"
    made = {"plain": model(ids).logits.numpy()}
    for name, first in (("all", 0), ("last_onward", given["prompt"] - 1)):
        with vector.apply(model, min_token_index=first):
            made[name] = model(ids).logits.numpy()
    return made


def nnsight(given: dict[str, Any]) -> dict[str, np.ndarray]:
    """Logits with vectors added in a trace at every token."""
    import torch
    from nnsight import NNsight

    ids, traced = torch.tensor(given["ids"]), NNsight(_model(given["folder"]))
    vectors = np.load(given["file"])
    with traced.trace(ids):
        for layer in sorted(map(int, vectors.files)):
            stream = traced.model.layers[layer].output
            stream = stream[0] if isinstance(stream, tuple) else stream
            stream[:] += torch.from_numpy(vectors[str(layer)])
        logits = traced.output.logits.save()
    return {"logits": logits.detach().numpy()}


def llama_cpp(given: dict[str, Any]) -> dict[str, np.ndarray]:
    """Log probabilities of the next token of each prompt, plain and under each command's control vector.

    The functions of llama.cpp are those that the package xllamacpp was built with; llama-cpp-py-sync, of one build before, says
    how they are called.
    """
    import importlib.util

    from llama_cpp_py_sync import _cffi_bindings
    from llama_cpp_py_sync.llama import Llama

    found = importlib.util.find_spec("xllamacpp.xllamacpp")
    assert found is not None
    assert found.origin is not None
    _cffi_bindings._lib = _cffi_bindings.ffi.dlopen(found.origin)
    exact = {"flash_attn_type": 0, "type_k": "f32", "type_v": "f32"}
    llm = Llama(given["model"], n_ctx=256, n_batch=256, n_threads=given["threads"], **exact)
    made = {"plain": np.stack([_next(llm, ids) for ids in given["ids"]])}
    for name, command in given["commands"].items():
        data, first, last = _loaded(command, llm)
        buffer = llm._ffi.from_buffer("float[]", data.reshape(-1))
        assert llm._lib.llama_set_adapter_cvec(llm._ctx, buffer, data.size, data.shape[1], first, last) == 0
        made[name] = np.stack([_next(llm, ids) for ids in given["ids"]])
        llm._lib.llama_set_adapter_cvec(llm._ctx, llm._ffi.NULL, 0, 0, 0, 0)
    return made


def _loaded(command: str, llm: Any) -> tuple[np.ndarray, int, int]:
    """What llama.cpp makes of the options of a command, as ``common_control_vector_load`` and ``common_params_parse`` do: rows of
    ``[layer, n_embd]`` from layer 1 on, times the scale, and the range of layers."""
    import gguf

    words = command.split()
    name, scale = words[words.index("--control-vector-scaled") + 1].split(":")
    first, last = map(int, words[words.index("--control-vector-layer-range") + 1 :][:2])
    tensors = {int(tensor.name.split(".")[1]): tensor for tensor in gguf.GGUFReader(name).tensors}
    assert min(tensors) > 0
    assert all(tensor.tensor_type.name == "F32" and tensor.data.ndim == 1 for tensor in tensors.values())
    rows = np.zeros((max(tensors), len(next(iter(tensors.values())).data)), np.float32)
    for layer, tensor in tensors.items():
        rows[layer - 1] += tensor.data * np.float32(scale)
    return rows, first, last


def _next(llm: Any, ids: list[int]) -> np.ndarray:
    """The log probabilities of the token after a prompt."""
    lib, ffi = llm._lib, llm._ffi
    lib.llama_memory_clear(lib.llama_get_memory(llm._ctx), True)
    llm._eval_tokens(list(ids), 0)
    size = llm.n_vocab if isinstance(llm.n_vocab, int) else llm.n_vocab()
    logits = np.frombuffer(ffi.buffer(lib.llama_get_logits_ith(llm._ctx, -1), 4 * size), np.float32).astype(np.float64)
    logits = logits - logits.max()
    return (logits - np.log(np.exp(logits).sum())).astype(np.float32)


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        task = json.load(file)
    np.savez(task["made"], **globals()[sys.argv[1]](task))
