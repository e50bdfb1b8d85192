"""Separability of factual and cultural prompts by layer, and by form alone."""

from steerlens.probing.form import FormSeparability, form_separability, matched
from steerlens.probing.separability import PROBES, Separability, separability

__all__ = ["PROBES", "FormSeparability", "Separability", "form_separability", "matched", "separability"]
