"""Prepares the choice of the next token: checks the sampling settings, and makes random numbers reproducible."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from steerlens.errors import SettingsError
from steerlens.numeric import whole_number


def sampling_settings(
    sample: bool, temperature: float, n: int, stops: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the arguments of ``LensModel.generate`` as settings of Hugging Face's ``generate``.

    Args:
        sample: whether tokens are drawn at random.
        temperature: the number by which the logits are divided.
        n: the number of texts for each prompt.
        stops: the texts at which a generated text ends.
        settings: settings that were given under Hugging Face's own names.

    Raises:
        SettingsError: a setting is out of its range, was given twice, or needs ``sample``.
    """
    twice = {"do_sample": ("sample", sample), "num_return_sequences": ("n", n != 1), "stop_strings": ("stop", bool(stops))}
    for name, (own, is_given) in twice.items():
        if is_given and name in settings:
            raise SettingsError(
                f"{own} and {name}={settings[name]!r} were given: expected only one of them, because both set the same value. "
                f"Remove {name}."
            )
    draws, count = bool(settings.get("do_sample", sample)), whole_number(settings.get("num_return_sequences", n))
    if count is None or count < 1:
        raise SettingsError(f"n={n!r} texts for each prompt were given: expected a whole number of at least 1.")
    if not math.isfinite(temperature) or temperature <= 0:
        raise SettingsError(
            f"temperature {temperature} was given: expected a finite number above 0. For greedy texts, remove this argument."
        )
    if not draws and temperature != 1:
        raise SettingsError(
            f"temperature {temperature} was given without sample: greedy texts do not depend on the temperature. Add sample=True."
        )
    if not draws and count > 1 and (settings.get("num_beams") or 1) == 1:
        raise SettingsError(
            f"n={count} was given without sample: all greedy texts of one prompt are equal. Add sample=True, or remove n."
        )
    given = {**settings, "do_sample": draws, "num_return_sequences": count}
    return {**given, "temperature": float(temperature)} if sample or temperature != 1 else given


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Sets the seed of PyTorch's random numbers inside a ``with`` block. After the block, the earlier state of the random numbers
    is restored.

    Args:
        seed: the seed of the random numbers; with ``None``, the random numbers continue from their current state.
        device: the device on which the draws are made, a CPU or a CUDA GPU.
    """
    if seed is None:
        yield
        return
    own = [torch.default_generator, *([torch.cuda.default_generators[device.index]] if device.type == "cuda" else [])]
    before = [generator.get_state() for generator in own]
    try:
        for generator in own:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(own, before, strict=True):
            generator.set_state(state)
