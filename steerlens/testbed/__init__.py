"""A small model whose truth is known, because its weights were written by hand: what a method must find, and where."""

from steerlens.testbed.planted import Planted, Truth, planted

__all__ = ["Planted", "Truth", "planted"]
