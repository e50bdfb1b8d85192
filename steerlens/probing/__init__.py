"""Separability of factual and cultural prompts by layer, and by form alone."""

from steerlens.probing.form import FormSeparability, form_separability, matched
PROBES={}

