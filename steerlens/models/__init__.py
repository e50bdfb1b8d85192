"""Loads models, turns text into tokens, captures residuals, and runs rows of tokens through a model. No other part of steerlens
imports TransformerLens."""

from steerlens.models.backends import Backend, Capabilities
from steerlens.models.cache import cache_folder
from steerlens.models.embedded import EMBEDDED, EmbeddedModel
from steerlens.models.lens import LensModel
from steerlens.models.loading import load
from steerlens.models.passes import prompt_of
from steerlens.models.spec import LoadSpec
from steerlens.models.streaming import stream
from steerlens.models.tokens import Tokens

__all__ = [
    "EMBEDDED",
    "Backend",
    "Capabilities",
    "EmbeddedModel",
    "LensModel",
    "LoadSpec",
    "Tokens",
    "cache_folder",
    "load",
    "prompt_of",
    "stream",
]
