"""repeng, steering-vectors and nnsight steer with what steerlens wrote as steerlens does, and what they write comes back."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from foreign import Foreign
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import steerlens as sl

_IDS = [[5, 17, 44, 101, 9, 230, 77], [8, 300, 2, 41, 56, 12, 590]]
"""Two texts of seven tokens that are no BOS."""
_LAYERS = [0, 2]


@pytest.fixture
def plan(llama: sl.LensModel) -> sl.steering.SteeringPlan:
    """Vectors at two layers, with which the tiny model says something else."""
    directions = torch.randn(llama.n_layers, llama.d_model, generator=torch.Generator().manual_seed(3))
    own = sl.steering.SteeringVector(directions, tuple(range(llama.n_layers)), llama.fingerprint, name="V")
    return own.at(_LAYERS, 1.5, tokens="all")


@torch.no_grad()
def _logits(plan: sl.steering.SteeringPlan, folder: Path) -> np.ndarray:
    """By steerlens, on Hugging Face's model."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with plan.torch_hooks(model):
        return np.asarray(model(torch.tensor(_IDS)).logits)


def _close(given: np.ndarray, expected: np.ndarray, plain: np.ndarray) -> None:
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected - plain).max() > 0.1


def test_repeng(
    plan: sl.steering.SteeringPlan, llama: sl.LensModel, model_folders: dict[str, Path], foreign: Foreign, tmp_path: Path
) -> None:
    folder, written = model_folders["llama"], plan.export(tmp_path / "x.gguf", "repeng")
    own = tmp_path / "own.gguf"
    made = foreign("repeng", ids=_IDS, folder=str(folder), file=str(written.path), strengths=[1.5, -0.5], own=str(own))
    _close(made["1.5"], _logits(plan, folder), made["plain"])
    _close(made["-0.5"], _logits(plan * (-0.5 / 1.5), folder), made["plain"])
    read = sl.exchange.from_gguf(own, llama)  # twice the directions, written by repeng
    _close(_logits(read.at(_LAYERS, 0.75, tokens="all"), folder), made["1.5"], made["plain"])


def test_steering_vectors(
    plan: sl.steering.SteeringPlan, llama: sl.LensModel, model_folders: dict[str, Path], foreign: Foreign, tmp_path: Path
) -> None:
    folder, written = model_folders["llama"], plan.export(tmp_path / "x.safetensors")
    length = len(_IDS[0])
    made = foreign("steering_vectors", ids=_IDS, folder=str(folder), file=str(written.path), prompt=length)
    _close(made["all"], _logits(plan, folder), made["plain"])
    activations = {int(layer): own for layer, own in load_file(written.path).items()}
    read = sl.exchange.from_steering_vectors(SimpleNamespace(layer_activations=activations, layer_type="decoder_block"), llama)
    _close(_logits(read.at(_LAYERS, tokens="last_onward"), folder), made["last_onward"], made["plain"])


def test_nnsight(plan: sl.steering.SteeringPlan, model_folders: dict[str, Path], foreign: Foreign, tmp_path: Path) -> None:
    folder, file = model_folders["llama"], tmp_path / "vectors.npz"
    np.savez(file, **{str(layer): added.numpy() for layer, added in sl.exchange.to_nnsight(plan).items()})
    made = foreign("nnsight", ids=_IDS, folder=str(folder), file=str(file))
    np.testing.assert_allclose(made["logits"], _logits(plan, folder), rtol=1e-4, atol=1e-4)
