"""Separability of factual and cultural prompts by layer."""

from steerlens.probing.separability import PROBES, Separability, separability

__all__ = ["PROBES", "Separability", "separability"]
