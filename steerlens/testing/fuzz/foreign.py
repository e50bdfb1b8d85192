"""Defines the targets for files and objects of other software, such as vectors, autoencoders and results of evaluation
harnesses."""

import base64
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from steerlens.testing.fuzz.models import LAYERS, WIDTH, tiny_model
from steerlens.testing.fuzz.target import Target, read_any, right, write_json


def _control_write(folder: Path) -> None:
    import torch

    from steerlens.exchange.llama_cpp import write_llama_cpp
    from steerlens.steering import SteeringVector

    vector = SteeringVector(torch.ones(LAYERS, WIDTH), tuple(range(LAYERS)), tiny_model().fingerprint, "V")
    write_llama_cpp(vector.at([1, 2], 2.0, tokens="all"), folder / "vector.gguf")


def _control_load(folder: Path) -> None:
    from steerlens.exchange import from_gguf

    _check_vector(from_gguf(folder / "vector.gguf", tiny_model()))


def _check_vector(vector: Any) -> None:
    right(
        bool(vector.directions.isfinite().all()) and set(vector.layers) <= set(range(LAYERS)),
        "numbers that are not finite, or layers that do not exist",
    )
    vector.at(vector.layers[0]).digest()


def _vllm_write(folder: Path) -> None:
    import numpy as np

    data = base64.b64encode(np.ones((2, WIDTH), "<f4").tobytes()).decode()
    tensor = {"data": data, "dtype": "float32", "original_dtype": "torch.float32", "shape": [2, WIDTH]}
    vector = {"activations": tensor, "layer_indices": [1, 2], "scale": 2.0, "norm_match": False, "position_indices": None}
    write_json(folder / "vector.json", [vector])


def _vllm_load(folder: Path) -> None:
    from steerlens.exchange import from_vllm_lens

    _check_vector(from_vllm_lens(folder / "vector.json", tiny_model()))


def _objects_write(folder: Path) -> None:
    """Writes directions by layer as JSON. The target makes objects of repeng and steering-vectors from these directions."""
    write_json(
        folder / "directions.json", {"directions": {"1": [0.5] * WIDTH, "2": [1.0] * WIDTH}, "layer_type": "decoder_block"}
    )


def _objects_load(folder: Path) -> None:
    from steerlens.exchange import from_repeng, from_steering_vectors

    values = read_any(folder / "directions.json")
    given = values if isinstance(values, dict) else {}
    held: Any = given.get("directions")
    if isinstance(held, dict):
        held = {int(key) if key in map(str, range(9)) else key: own for key, own in held.items()}
    _check_vector(from_repeng(SimpleNamespace(directions=held, model_type=given.get("model_type")), tiny_model()))
    _check_vector(
        from_steering_vectors(SimpleNamespace(layer_activations=held, layer_type=given.get("layer_type")), tiny_model())
    )


def _autoencoder() -> dict[str, Any]:
    import torch

    n, width = 6, 4
    return {
        "W_enc": torch.ones(width, n),
        "b_enc": torch.zeros(n),
        "W_dec": torch.ones(n, width),
        "b_dec": torch.zeros(width),
        "threshold": torch.full((n,), 0.5),
    }


def _sae_lens_write(folder: Path) -> None:
    from safetensors.torch import save_file

    metadata = {"model_name": "tiny", "hook_name": "blocks.1.hook_resid_post", "sae_lens_version": "6.54.12"}
    own = {"d_in": 4, "d_sae": 6, "apply_b_dec_to_input": True, "normalize_activations": "none", "architecture": "jumprelu"}
    write_json(folder / "cfg.json", {**own, "metadata": metadata})
    save_file(_autoencoder(), folder / "sae_weights.safetensors")


def _scope_write(folder: Path) -> None:
    import numpy as np

    np.savez(folder / "params.npz", **{name: tensor.numpy() for name, tensor in _autoencoder().items()})


def _scope_2_write(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({name.lower(): tensor for name, tensor in _autoencoder().items()}, folder / "params.safetensors")
    said = {"architecture": "jump_relu", "model_name": "gemma-v3-270m-pt", "hf_hook_point_in": "model.layers.7.output"}
    write_json(folder / "config.json", said)


def _autoencoder_load(folder: Path, layer: int | None = None) -> None:
    import torch

    from steerlens.steering import SparseAutoencoder

    found = SparseAutoencoder.load(folder, layer=layer)
    right(type(found.layer) is int and found.layer >= 0 and isinstance(found.model_name, str), f"layer {found.layer!r}")
    if found.d_model and len(found):
        right(found.activations(torch.zeros(2, found.d_model)).shape == (2, len(found)), "features of another shape")
    repr(found)


def _results(right_ones: list[float]) -> dict[str, Any]:
    samples = [
        {
            **{"doc_id": at, "doc": {"id": at}, "filter": "none", "metrics": ["acc"], "acc": value},
            **{"doc_hash": f"d{at}", "prompt_hash": f"p{at}", "target_hash": "t"},
        }
        for at, value in enumerate(right_ones)
    ]
    config = {"model_args": "x", "steerlens": None}
    own = {"samples": {"quiz": samples}, "results": {"quiz": {"acc,none": sum(right_ones) / len(right_ones)}}, "config": config}
    more = {"configs": {"quiz": {"repeats": 1}}, "lm_eval_version": "0.4.13"}
    return {**own, **more, "higher_is_better": {"quiz": {"acc": True}}, "versions": {"quiz": 1.0}}


def _lm_eval_write(folder: Path) -> None:
    write_json(folder / "results.json", {"unsteered": _results([1.0, 0.0, 0.0, 1.0]), "mine": _results([1.0, 1.0, 0.0, 1.0])})


def _lm_eval_load(folder: Path) -> None:
    from steerlens.harness import lm_eval_answers

    values = read_any(folder / "results.json")
    _placed(lambda: lm_eval_answers(values if isinstance(values, dict) else {"unsteered": values}))


def _placed(read: Any) -> None:
    """Reads answers and puts them on the transfer-localization plane. New scores are removed from the registry afterwards."""
    from steerlens.evaluation import placed
    from steerlens.scores import SCORES

    before = dict(SCORES)
    try:
        right(len(placed(read()).frame) > 0, "an empty plane")
    finally:
        SCORES.clear()
        SCORES.update(before)


def _logs_write(folder: Path) -> None:
    def log(values: list[Any]) -> dict[str, Any]:
        samples = [
            {"id": at, "input": f"q {at}", "choices": None, "target": "x", "error": None, "scores": {"match": {"value": own}}}
            for at, own in enumerate(values)
        ]
        run = {"task": "quiz", "task_version": 0, "model_args": {}, "packages": {"inspect_ai": "0.3.285"}}
        return {"status": "success", "samples": samples, "eval": run, "plan": {"steps": [], "config": {}}}

    write_json(folder / "logs.json", {"unsteered": log(["C", "I", "P"]), "mine": log([1.0, "yes", "C"])})


def _logs_load(folder: Path) -> None:
    from steerlens.harness import inspect_answers
    from steerlens.harness.inspect_logs import GENERATION

    def made(name: str, value: Any) -> Any:
        """Turns JSON into objects that look like the parts of Inspect's logs. JSON objects become Python objects, except at
        places where Inspect has dictionaries."""
        if isinstance(value, Mapping):
            own = {key: made(key, one) for key, one in value.items()}
            more = dict.fromkeys(GENERATION) if name == "config" else {}
            return own if name in ("scores", "model_args", "packages", "value") else SimpleNamespace(**{**more, **own})
        return [made("", one) for one in value] if isinstance(value, list) else value

    values = read_any(folder / "logs.json")
    logs = {str(name): made("", one) for name, one in values.items()} if isinstance(values, dict) else {"unsteered": values}
    _placed(lambda: inspect_answers(logs))


def _requests_write(folder: Path) -> None:
    write_json(folder / "request.json", {"model": "tiny:EN", "prompt": "x", "n": 1, "vllm_xargs": {"a": 1}})


def _requests_load(folder: Path) -> None:
    from steerlens.vllm.choosing import with_plan

    values = read_any(folder / "request.json")
    if isinstance(values, dict):
        with_plan(values, "tiny", ("EN",))


FOREIGN = (
    Target("control-vector", _control_write, _control_load, 60, needs="gguf"),
    Target("vllm-lens", _vllm_write, _vllm_load, 60),
    Target("vector-objects", _objects_write, _objects_load, 40),
    Target("sae-lens", _sae_lens_write, _autoencoder_load, 60),
    Target("gemma-scope", _scope_write, partial(_autoencoder_load, layer=3), 60),
    Target("gemma-scope-2", _scope_2_write, _autoencoder_load, 40),
    Target("lm-eval", _lm_eval_write, _lm_eval_load, 30),
    Target("inspect", _logs_write, _logs_load, 30),
    Target("requests", _requests_write, _requests_load, 20),
)
"""The targets for files and objects of other software."""
