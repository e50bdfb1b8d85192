"""Vectors and plans in the formats of other tools: what is written holds the plan, and what comes in is checked."""

import base64
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import steerlens as sl
from steerlens.errors import FileError, FingerprintError, LayerError, ModelError, UnknownNameError, VectorError
from steerlens.exchange.additions import additions, only_addition


@pytest.fixture(scope="session")
def vector(llama: sl.LensModel) -> sl.steering.SteeringVector:
    """A direction at every layer."""
    directions = torch.randn(llama.n_layers, llama.d_model, generator=torch.Generator().manual_seed(3))
    return sl.steering.SteeringVector(directions, tuple(range(llama.n_layers)), llama.fingerprint, name="V")


def _all(vector: sl.steering.SteeringVector, *layers: int, strength: float = 2.0) -> sl.steering.SteeringPlan:
    return vector.at(list(layers), strength, tokens="all")


# What a plan adds


def test_the_strength_stands_beside_the_directions_where_it_is_one(vector: sl.steering.SteeringVector) -> None:
    added = only_addition(_all(vector, 3, 1, strength=0.5), "a tool")
    assert (added.layers, added.strength, added.tokens) == ([1, 3], 0.5, "all")
    assert torch.equal(added.directions[1], vector.direction(1))
    assert torch.equal(added.vectors[3], 0.5 * vector.direction(3))


def test_steps_at_one_layer_and_of_several_strengths_are_added_up(vector: sl.steering.SteeringVector) -> None:
    plan = _all(vector, 2) + _all(vector, 2, strength=-0.5) + _all(vector, 1, strength=3.0)
    added = only_addition(plan, "a tool")
    assert added.strength == 1
    torch.testing.assert_close(added.vectors[2], 1.5 * vector.direction(2))
    torch.testing.assert_close(added.vectors[1], 3 * vector.direction(1))


def test_what_cannot_be_held_is_refused_with_words(vector: sl.steering.SteeringVector) -> None:
    ablated = vector.ablation().at(2, tokens="all")
    with pytest.raises(VectorError, match=r"a tool can add vectors and nothing else, but step .*'ablate'.*torch_hooks"):
        additions(_all(vector, 1) + ablated, "a tool")
    with pytest.raises(VectorError, match="the plan for a tool has no steps"):
        additions(sl.steering.no_steering(vector.fingerprint), "a tool")
    with pytest.raises(VectorError, match=r"different tokens \('all', 'generated'\), but a tool can use only one choice"):
        only_addition(_all(vector, 1) + vector.at(2, tokens="generated"), "a tool")


# llama.cpp and repeng's files


def _metadata(path: Path) -> dict[str, Any]:
    return {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()}


def test_a_control_vector_holds_the_plan(vector: sl.steering.SteeringVector, tmp_path: Path) -> None:
    written = _all(vector, 1, 3).export(tmp_path / "x.gguf")
    kept = _metadata(written.path)
    assert kept["general.architecture"] == "controlvector"
    assert (kept["steerlens.strength"], kept["steerlens.layer_range"], kept["steerlens.tokens"]) == (2.0, [1, 3], "all")
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(written.path).tensors}
    assert {name: tensor.tensor_type.name for name, tensor in tensors.items()} == {"direction.1": "F32", "direction.3": "F32"}
    np.testing.assert_array_equal(tensors["direction.3"].data, vector.direction(3).numpy())
    command = f"--control-vector-scaled {tmp_path / 'x.gguf'}:2.0 --control-vector-layer-range 1 3"
    assert command in str(written)
    assert command in kept["steerlens.command"]


def test_a_control_vector_comes_back_with_its_model(
    vector: sl.steering.SteeringVector, loaded: Mapping[str, sl.LensModel], tmp_path: Path
) -> None:
    path = _all(vector, 1, 3).export(tmp_path / "x.gguf").path
    for model in (None, loaded["llama"]):
        again = sl.exchange.from_gguf(path, model)
        assert (again.layers, again.fingerprint, again.notes["strength"]) == ((1, 3), vector.fingerprint, 2.0)
        assert torch.equal(again.direction(3), vector.direction(3))
        assert sl.steering.SteeringVector.load(again.save(tmp_path / "again.safetensors")).notes == again.notes
    with pytest.raises(FingerprintError, match=r"x\.gguf"):
        sl.exchange.from_gguf(path, loaded["gpt2"])


def test_block_0_is_repengs_alone(vector: sl.steering.SteeringVector, tmp_path: Path) -> None:
    with pytest.raises(VectorError, match=r"block 0, but the control vectors of llama\.cpp"):
        _all(vector, 0).export(tmp_path / "x.gguf")
    assert not list(tmp_path.iterdir())
    written = _all(vector, 0).export(tmp_path / "x.gguf", "repeng")
    assert "ControlVector.import_gguf" in written.use
    assert "ControlModel(hf_model, [0])" in written.use
    assert sl.exchange.from_gguf(written.path).layers == (0,)


def test_what_a_tool_does_otherwise_is_said(
    vector: sl.steering.SteeringVector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        written = vector.at(1).export(tmp_path / "x.gguf")
    tokens, front = written.notes
    assert "llama.cpp adds the vector at every token" in tokens
    assert "the prompt's last token and all tokens after it" in tokens
    assert "also steers the tokens in front of the prompt" in front
    assert tokens in caplog.text
    assert f"note: {tokens}" in str(written)
    assert tokens in _metadata(written.path)["steerlens.notes"]
    no_front = replace(vector, fingerprint=replace(vector.fingerprint, front=()))
    assert _all(no_front, 1).export(tmp_path / "y.gguf").notes == ()


def test_a_path_that_llama_cpp_would_cut_is_refused(vector: sl.steering.SteeringVector, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="splits paths"):
        _all(vector, 1).export(tmp_path / "a:b.gguf")


def _foreign(path: Path, directions: dict[str, np.ndarray], architecture: str = "controlvector") -> Path:
    """A file as repeng's ``export_gguf`` writes it."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_string(f"{architecture}.model_hint", "llama")
    writer.add_uint32(f"{architecture}.layer_count", len(directions))
    for name, direction in directions.items():
        writer.add_tensor(name, direction)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", ["float32", "float16", "float64"])
def test_a_file_of_other_software_is_bound_to_the_model_that_is_named(
    kind: str, vector: sl.steering.SteeringVector, llama: sl.LensModel, tmp_path: Path
) -> None:
    own = {f"direction.{layer}": vector.direction(layer).numpy().astype(kind) for layer in (3, 0)}
    path = _foreign(tmp_path / "x.gguf", own)
    with pytest.raises(VectorError, match=r"does not say from which model.*expected model=.*no model was given"):
        sl.exchange.from_gguf(path)
    read = sl.exchange.from_gguf(path, llama)
    assert (read.layers, read.name, read.notes["model_hint"]) == ((0, 3), "x", "llama")
    torch.testing.assert_close(read.direction(3), vector.direction(3), rtol=1e-3, atol=1e-3)


_RIGHT = np.ones(32, np.float32)


@pytest.mark.parametrize(
    ("directions", "said"),
    [
        ({}, "contains no directions"),
        ({"direction.4": _RIGHT}, "layer 4 is not in"),
        ({"direction.1": np.ones(31, np.float32)}, r"shape \(31,\) at layer 1: expected \(32,\)"),
        ({"direction.1": np.ones((2, 32), np.float32)}, r"shape \(2, 32\)"),
        ({"direction.1": np.full(32, np.nan, np.float32)}, "NaN or infinity"),
        ({"direction.1": np.ones(32, np.int32)}, "in I32: expected numbers of one of the types F32"),
        ({"direction.-1": _RIGHT}, r"contains a tensor 'direction\.-1'"),
        ({"direction.1": _RIGHT, "direction.01": _RIGHT}, "contains layer 1 twice"),
        ({"output.weight": _RIGHT}, r"contains a tensor 'output\.weight'"),
    ],
)
def test_files_that_cannot_be_used_are_refused(
    directions: dict[str, np.ndarray], said: str, llama: sl.LensModel, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match=said):
        sl.exchange.from_gguf(_foreign(tmp_path / "x.gguf", directions), llama)


def test_other_and_broken_files_are_refused(llama: sl.LensModel, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="architecture 'llama': expected 'controlvector'"):
        sl.exchange.from_gguf(_foreign(tmp_path / "x.gguf", {"direction.1": _RIGHT}, "llama"), llama)
    with pytest.raises(FileError, match="cannot read"):
        sl.exchange.from_gguf(tmp_path / "none.gguf", llama)
    whole = _foreign(tmp_path / "y.gguf", {"direction.1": _RIGHT}).read_bytes()
    for cut in (0, 10, 60, len(whole) - 40):
        (tmp_path / "cut.gguf").write_bytes(whole[:cut])
        with pytest.raises(FileError, match="cannot be read as GGUF"):
            sl.exchange.from_gguf(tmp_path / "cut.gguf", llama)
    huge = bytearray(whole)
    huge[8:24] = b"\xff" * 16  # more tensors and keys than there are bytes
    (tmp_path / "huge.gguf").write_bytes(huge)
    with pytest.raises(FileError, match="cannot be read as GGUF"):
        sl.exchange.from_gguf(tmp_path / "huge.gguf", llama)


# The packages' objects


@dataclass
class _ControlVector:
    """repeng's class, its fields alone."""

    model_type: str
    directions: dict[int, np.ndarray]


@dataclass
class _SteeringVector:
    """The class of steering-vectors, its fields alone."""

    layer_activations: dict[int, torch.Tensor]
    layer_type: str = "decoder_block"


def test_plans_become_the_packages_own_objects(
    vector: sl.steering.SteeringVector, llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, made in (("repeng", {"ControlVector": _ControlVector}), ("steering_vectors", {"SteeringVector": _SteeringVector})):
        module = ModuleType(name)
        vars(module).update(made)
        monkeypatch.setitem(sys.modules, name, module)
    plan = _all(vector, 0, 2)
    control, steering = plan.to_repeng("llama"), plan.to_steering_vectors()
    assert (type(control), control.model_type, list(control.directions)) == (_ControlVector, "llama", [0, 2])
    np.testing.assert_array_equal(control.directions[2], 2 * vector.direction(2).numpy())
    assert torch.equal(steering.layer_activations[0], 2 * vector.direction(0))
    for again in (sl.exchange.from_repeng(control, llama), sl.exchange.from_steering_vectors(steering, llama)):
        assert (again.layers, again.fingerprint) == ((0, 2), llama.fingerprint)
        assert torch.equal(again.direction(2), 2 * vector.direction(2))


def test_a_package_that_is_not_there_is_named_with_the_other_way(
    vector: sl.steering.SteeringVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("repeng", "steering_vectors"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModelError, match=r"pip install repeng.*export\('x\.gguf', 'repeng'\)"):
        _all(vector, 1).to_repeng()
    with pytest.raises(ModelError, match=r"pip install steering-vectors.*export\('x\.safetensors'"):
        _all(vector, 1).to_steering_vectors()


@pytest.mark.parametrize(
    ("read", "given", "error", "said"),
    [
        (sl.exchange.from_repeng, "x.gguf", VectorError, "path to sl.exchange.from_gguf"),
        (sl.exchange.from_repeng, _ControlVector("llama", {}), VectorError, "contains no directions"),
        (sl.exchange.from_repeng, _ControlVector("llama", {9: _RIGHT}), LayerError, "layer 9"),
        (sl.exchange.from_repeng, _ControlVector("llama", {"1": _RIGHT}), LayerError, "layer '1'"),
        (sl.exchange.from_repeng, _ControlVector("llama", {1: np.full(32, np.inf)}), VectorError, "NaN or infinity"),
        (sl.exchange.from_steering_vectors, {}, VectorError, "expected the class SteeringVector"),
        (sl.exchange.from_steering_vectors, _SteeringVector({1: torch.ones(32)}, "mlp"), VectorError, "layer_type 'mlp'"),
        (sl.exchange.from_steering_vectors, _SteeringVector({1: torch.ones(16)}), VectorError, r"shape \(16,\)"),
    ],
)
def test_objects_that_cannot_be_used_are_refused(
    read: Callable[..., Any], given: Any, error: type[Exception], said: str, llama: sl.LensModel
) -> None:
    with pytest.raises(error, match=said):
        read(given, llama)


def test_no_model_is_asked_for(vector: sl.steering.SteeringVector) -> None:
    with pytest.raises(VectorError, match=r"str was given.*model that sl\.load returned"):
        sl.exchange.from_repeng(_ControlVector("llama", {1: _RIGHT}), "llama")


def test_a_file_for_steering_vectors(vector: sl.steering.SteeringVector, tmp_path: Path) -> None:
    written = vector.at([1, 2], 3.0).export(tmp_path / "x.safetensors")
    assert "min_token_index=tokens['input_ids'].shape[1] - 1" in written.use
    assert "min_token_index and token_indices" in written.notes[0]
    tensors = load_file(written.path)
    assert sorted(tensors) == ["1", "2"]
    assert torch.equal(tensors["2"], 3 * vector.direction(2))


# vllm-lens


def test_vllm_lens_there_and_back(vector: sl.steering.SteeringVector, llama: sl.LensModel, tmp_path: Path) -> None:
    written = _all(vector, 1, 3).export(tmp_path / "x.json", "vllm-lens")
    (own,) = json.loads(written.path.read_text(encoding="utf-8"))
    assert (own["layer_indices"], own["scale"], own["norm_match"], own["position_indices"]) == ([1, 3], 2.0, False, None)
    numbers = np.frombuffer(base64.b64decode(own["activations"]["data"]), "<f4").reshape(own["activations"]["shape"])
    np.testing.assert_array_equal(numbers[1], vector.direction(3).numpy())
    live = SimpleNamespace(activations=torch.from_numpy(numbers.copy()), layer_indices=[1, 3], scale=2.0)
    for source in (written.path, [own], own, live):
        read = sl.exchange.from_vllm_lens(source, llama)
        assert torch.equal(read.direction(3), 2 * vector.direction(3))
    assert torch.equal(sl.exchange.from_vllm_lens([own, own], llama).direction(1), 4 * vector.direction(1))


def _tensor(values: torch.Tensor, packed: Callable[[bytes], bytes] | None = None, **others: Any) -> dict[str, Any]:
    bf16 = values.dtype == torch.bfloat16
    raw = (values.view(torch.int16) if bf16 else values).numpy().tobytes()
    fields: dict[str, Any] = {"dtype": "int16" if bf16 else str(values.dtype).removeprefix("torch.")}
    fields |= {"original_dtype": str(values.dtype), "shape": list(values.shape)}
    if packed:
        raw, fields["compression"] = packed(raw), "zstd"
    return {"data": base64.b64encode(raw).decode(), **fields, **others}


def _vector(tensor: Any, **others: Any) -> dict[str, Any]:
    return {"activations": tensor, "layer_indices": [1], **others}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_vllm_lens_own_types_of_number(dtype: torch.dtype, vector: sl.steering.SteeringVector, llama: sl.LensModel) -> None:
    own = vector.direction(1)[None].to(dtype)
    read = sl.exchange.from_vllm_lens(_vector(_tensor(own)), llama)
    assert torch.equal(read.direction(1), own[0].float())


def test_vllm_lens_compressed_tensors(vector: sl.steering.SteeringVector, llama: sl.LensModel) -> None:
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor(level=1).compress
    own = vector.direction(1)[None].bfloat16()
    read = sl.exchange.from_vllm_lens(_vector(_tensor(own, packed)), llama)
    assert torch.equal(read.direction(1), own[0].float())
    bomb = _tensor(torch.zeros(1, 32), lambda _: packed(bytes(1 << 24)))
    with pytest.raises(VectorError, match="contains 129 bytes"):
        sl.exchange.from_vllm_lens(_vector(bomb), llama)
    with pytest.raises(VectorError, match="not zstd"):
        sl.exchange.from_vllm_lens(_vector(_tensor(torch.zeros(1, 32), compression="zstd")), llama)


_ONES = torch.ones(1, 32)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ([], VectorError, "contains no directions"),
        ("text", FileError, "cannot read text"),
        ([3], VectorError, "lacks activations or layer_indices"),
        (_vector(_tensor(_ONES), norm_match=True), VectorError, "norm_match=True"),
        (_vector(_tensor(_ONES), position_indices=[1]), VectorError, r"position_indices=\[1\]"),
        (_vector(_tensor(torch.ones(1, 2, 32))), VectorError, r"shape \[1, 2, 32\]: expected \[1, 32\]"),
        (_vector(_tensor(torch.ones(1, 16))), VectorError, r"shape \[1, 16\]"),
        (_vector(_tensor(_ONES, shape=[1, 10**12])), VectorError, "shape"),
        (_vector(_tensor(_ONES, dtype="object")), VectorError, "type 'object'"),
        (_vector(_tensor(_ONES, data="AAAA")), VectorError, "contains 3 bytes for shape"),
        (_vector(_tensor(_ONES, data="no base64")), VectorError, "not base64"),
        (_vector(_tensor(_ONES, compression="gzip")), VectorError, "'gzip': expected base64"),
        (_vector(_tensor(_ONES / 0)), VectorError, "NaN or infinity"),
        (_vector(_tensor(_ONES), scale=float("nan")), VectorError, "scale nan"),
        (_vector(_tensor(_ONES)) | {"layer_indices": [7]}, LayerError, "layer 7"),
        (_vector(_tensor(torch.ones(2, 32))) | {"layer_indices": [1, 1]}, VectorError, "each layer once"),
    ],
)
def test_vllm_lens_vectors_that_cannot_be_used(given: Any, error: type[Exception], said: str, llama: sl.LensModel) -> None:
    with pytest.raises(error, match=said):
        sl.exchange.from_vllm_lens(given, llama)


def test_a_bad_file_of_vllm_lens_is_named(llama: sl.LensModel, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for content, said in (
        (json.dumps(_vector(_tensor(_ONES), scale=None)), r"x\.json cannot be used: .*scale None"),
        ("[" * 100_000, r"x\.json contains"),
        ("{", r"x\.json contains damaged JSON"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(FileError, match=said):
            sl.exchange.from_vllm_lens(path, llama)


# EasySteer, AI Steerability 360, nnsight


@pytest.mark.parametrize(
    ("tokens", "apply"),
    [
        ("all", {"prompt": "all", "exclude_prompt_positions": [0], "generation": "all"}),
        ("prompt", {"prompt": "all", "exclude_prompt_positions": [0]}),
        ("last_onward", {"prompt_positions": [-1], "generation": "all"}),
        ("generated", {"generation": "all"}),
    ],
)
def test_easysteer_steers_the_plans_tokens(
    tokens: sl.steering.SteeredTokens, apply: dict[str, Any], vector: sl.steering.SteeringVector, tmp_path: Path
) -> None:
    written = vector.at([1, 10 % 4], 2.0, tokens).export(tmp_path / "spec.json", "easysteer")
    assert written.notes == ()
    assert f"--steering-config {written.path}" in written.use
    (own,) = json.loads(written.path.read_text(encoding="utf-8"))["vectors"]
    assert (own["apply"], own["scale"], own["layers"], own["algorithm"]) == (apply, 2.0, [1, 2], "direct")
    assert not own["normalize"]


def test_easysteers_payload_has_its_digest(vector: sl.steering.SteeringVector) -> None:
    plan = _all(vector, 1, 3) + vector.at(2, 0.5, tokens="generated")
    spec = sl.exchange.to_easysteer(plan)
    assert spec["conflict"] == "sequential"
    payload = spec["vectors"][0]["data"]
    assert (payload["version"], payload["kind"], payload["extra"]) == (1, "direction", {})
    digest = hashlib.sha256(b"direction:1")
    for name, entry in sorted(payload["tensors"].items()):
        raw = base64.b64decode(entry["data"], validate=True)
        np.testing.assert_array_equal(np.frombuffer(raw, "<f4"), vector.direction(int(name.split(".")[1])).numpy())
        digest.update(name.encode() + str(tuple(entry["shape"])).encode() + raw)
    assert payload["sha256"] == digest.hexdigest()
    assert [own["apply"] for own in spec["vectors"]][1] == {"generation": "all"}


def test_ai_steerability_360(vector: sl.steering.SteeringVector, tmp_path: Path) -> None:
    written = vector.at([1, 3], 2.0).export(tmp_path / "x.svec")
    own = json.loads(written.path.read_text(encoding="utf-8"))
    assert sorted(own) == ["directions", "model_type"]
    assert torch.equal(torch.tensor(own["directions"]["3"]), vector.direction(3)[None])
    assert 'strength=2.0), layer_ids=[1, 3], token_scope="last_k", last_k=1' in written.use
    assert "cache" in written.notes[0]
    assert "The plan does not steer these tokens" in _all(vector, 1).export(tmp_path / "y.svec").notes[0]
    with pytest.raises(VectorError, match="has no token_scope"):
        vector.at(1, tokens="prompt").export(tmp_path / "z.svec")
    with pytest.raises(FileError, match=r"must end in \.svec"):
        vector.at(1).export(tmp_path / "z.json", "aisteer360")


def test_nnsight(vector: sl.steering.SteeringVector) -> None:
    added = sl.exchange.to_nnsight(_all(vector, 1, 3))
    assert list(added) == [1, 3]
    assert torch.equal(added[3], 2 * vector.direction(3))


def test_the_tool_must_be_known(vector: sl.steering.SteeringVector, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown tool '\.json'.*export\(path, to=\.\.\.\)"):
        _all(vector, 1).export(tmp_path / "x.json")
    with pytest.raises(UnknownNameError, match=r"Did you mean llama\.cpp"):
        _all(vector, 1).export(tmp_path / "x.gguf", "llamacpp")
