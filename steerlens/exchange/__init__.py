"""Exchanges vectors and plans with other tools: llama.cpp, repeng, steering-vectors, vllm-lens, EasySteer, AISteer360,
nnsight, and plain PyTorch."""

from steerlens.exchange.aisteer360 import to_aisteer360
from steerlens.exchange.baking import bake
from steerlens.exchange.easysteer import to_easysteer
from steerlens.exchange.exported import Exported
from steerlens.exchange.exporting import TOOLS, export
from steerlens.exchange.llama_cpp import from_gguf
from steerlens.exchange.nnsight import to_nnsight
from steerlens.exchange.repeng import from_repeng, to_repeng
from steerlens.exchange.steering_vectors import from_steering_vectors, to_steering_vectors
from steerlens.exchange.torch_hooks import torch_hooks
from steerlens.exchange.vllm_lens import from_vllm_lens, to_vllm_lens

__all__ = [
    "TOOLS",
    "Exported",
    "bake",
    "export",
    "from_gguf",
    "from_repeng",
    "from_steering_vectors",
    "from_vllm_lens",
    "to_aisteer360",
    "to_easysteer",
    "to_nnsight",
    "to_repeng",
    "to_steering_vectors",
    "to_vllm_lens",
    "torch_hooks",
]
