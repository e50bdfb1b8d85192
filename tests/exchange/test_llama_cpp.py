"""llama.cpp steers the embedded model's own 4-bit file as steerlens steers the same weights, at two layers."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import Foreign
from transformers import AutoModelForCausalLM

import steerlens as sl
from steerlens.models.embedded import EMBEDDED
from steerlens.models.gguf import converted_embedded

pytestmark = pytest.mark.real

_log = logging.getLogger(__name__)
_LAYERS = (5, 12)
_PROMPTS = (
    "Pregunta: ¿Cuál es la capital de Japón?\nRespuesta:",
    "The weather today is",
    "질문: 한국의 수도는 어디입니까?\n답:",
    "Los domingos mi familia suele comer",
)


def _moved(after: np.ndarray, before: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The change of the log probabilities of some tokens."""
    return np.take_along_axis(after - before, tokens, axis=1).ravel()


@torch.no_grad()
def test_log_probabilities_move_alike(foreign: Foreign, tmp_path: Path) -> None:
    """Of the 1,000 likeliest tokens of each prompt. The neighbouring layers are the control: there it moves less alike."""
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    model = sl.load("gemma-3-270m", "cpu", "float32")
    ids = [list(model.tokens(prompt).ids) for prompt in _PROMPTS]
    split = sl.data.atlas(["es-ES"]).sample(24).split(seed=0)
    en = sl.steering.take(model, split.train)["EN", "es-ES"]
    commands = {str(layer): en.at(layer, 1.0, "all").export(tmp_path / f"{layer}.gguf").use for layer in _LAYERS}
    EMBEDDED["gemma-3-270m"].join(tmp_path / "model.gguf")
    theirs = foreign("llama_cpp", model=str(tmp_path / "model.gguf"), ids=ids, commands=commands, threads=threads)

    plain = AutoModelForCausalLM.from_pretrained(converted_embedded(EMBEDDED["gemma-3-270m"]), dtype=torch.float32).eval()
    ours = {"plain": _next(plain, ids)}
    for layer in (near for own in _LAYERS for near in (own - 1, own, own + 1)):
        handle = plain.model.layers[layer].register_forward_hook(_adding(en.direction(_near(layer))))
        ours[str(layer)] = _next(plain, ids)
        handle.remove()
    tokens = np.argsort(-ours["plain"], axis=1)[:, :1000]
    for layer in _LAYERS:
        change = _moved(theirs[str(layer)], theirs["plain"], tokens)
        alike = {near: _moved(ours[str(near)], ours["plain"], tokens) for near in (layer - 1, layer, layer + 1)}
        correlation = {near: float(np.corrcoef(change, own)[0, 1]) for near, own in alike.items()}
        far = float(np.abs(change - alike[layer]).mean())
        size = float(np.abs(change).mean())
        _log.info("layer %d: correlation %s, mean difference %.4f of a mean change of %.4f", layer, correlation, far, size)
        assert correlation[layer] > 0.99
        assert correlation[layer] == max(correlation.values())
        assert far < 0.15 * size


def _near(layer: int) -> int:
    """The layer of ``_LAYERS`` that is this one or beside it, whose direction is added here."""
    return min(_LAYERS, key=lambda own: abs(own - layer))


def _adding(direction: torch.Tensor) -> object:
    """A hook that adds at every token, BOS among them, as llama.cpp does."""

    def add(_: object, __: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> object:
        return (output[0] + direction, *output[1:]) if isinstance(output, tuple) else output + direction

    return add


def _next(model: torch.nn.Module, ids: list[list[int]]) -> np.ndarray:
    """The log probabilities of the token after each prompt."""
    return np.stack([torch.log_softmax(model(torch.tensor([own])).logits[0, -1].double(), -1).numpy() for own in ids])
