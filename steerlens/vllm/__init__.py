"""Runs models with vLLM. vLLM is useful for models that are too large or too slow with Hugging Face. vLLM needs a separate
environment (extra ``vllm``)."""

from steerlens.vllm.loading import load
from steerlens.vllm.model import VllmModel

__all__ = ["VllmModel", "load"]
