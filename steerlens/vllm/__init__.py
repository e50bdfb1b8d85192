"""Models run by vLLM, for what is too large or too slow for Hugging Face. It needs an environment of its own (extra ``vllm``)."""

from steerlens.vllm.loading import load
from steerlens.vllm.model import VllmModel

__all__ = ["VllmModel", "load"]
