"""Tests which operations a model supports: packed choices, reused keys and values, padding in front, and computing the logits
from the final residuals."""

from typing import Any

import torch
from torch import Tensor

from steerlens.errors import ModelError
from steerlens.models.batches import Row, TokenBatch

_ROWS = (((5, 6, 7, 8), ((9, 10, 11), (12,), (6, 9))), ((7, 5), ((6, 8), (9,))))
"""Test prompts with their choices, as token ids. The prompts and choices have different lengths, so that the tests notice a
position or a mask that is wrong by one."""
_FAILURES = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
_CLOSE = 1e-2
"""The largest difference between two results that count as equal, as a share of their norm. Rounding in half precision causes
smaller differences, and a different computation causes larger differences."""
_PADDED = 5e-2
"""The largest difference that padding in front may cause, as a share of the norm. For architectures with a state, the smallest
observed difference is 0.19."""


@torch.no_grad()
def packs(model: Any) -> bool:
    """Returns whether a choice that is packed together with other choices gives the same result as the choice alone after its
    prompt.

    The results differ if positions are counted by column (ALiBi), or if a convolution or a state connects the choices.
    """
    packed = _batch(model)
    try:
        final = model.backend.final(packed)
        for line, (row, start) in enumerate(zip(packed.rows, packed.starts, strict=True)):
            at = start + len(row.prompt)
            for choice in row.choices:
                alone = model.backend.final(model.batch([Row(row.prompt, (choice,), row.front)]))
                if not _close(final[line, at : at + len(choice)], alone[0, len(row.prompt) :]):
                    return False
                at += len(choice)
    except _FAILURES:
        return False
    return True


@torch.no_grad()
def reuses_keys(model: Any) -> bool:
    """Returns whether a pass can continue from stored keys and values, for several copies of a batch and after a shared
    prefix."""
    batch, backend = _batch(model), model.backend
    try:
        cached = backend.cached_pass(batch, [0], batch.last)
        again, _ = backend.resume(cached, {0: cached.residuals[0].repeat(2, 1, 1)})
        row = batch.rows[0]
        with backend.attending(None, 2) as before:
            backend.final(model.batch([Row(row.prompt[:2], (), row.front, ends=False)]))
        whole = backend.final(model.batch([row]))
        with backend.attending(before, 0):
            rest = backend.final(model.batch([row.after(2)]))
    except _FAILURES:
        return False
    return _close(again, cached.final.repeat(2, 1, 1)) and _close(rest, whole[:, 2:])


@torch.no_grad()
def pads_left(model: Any) -> bool:
    """Returns whether padding in front of a row leaves the row's results unchanged. Padding changes the results if a state also
    runs through the padding, as in RWKV."""
    rows = [model.row(prompt) for prompt, _ in _ROWS]
    padded = model.batch(rows, "left")
    try:
        final = model.backend.final(padded)
    except _FAILURES:
        return False
    alone = [model.backend.final(model.batch([row]))[0] for row in rows]
    return all(
        _close(final[line, start:], own, _PADDED) for line, (start, own) in enumerate(zip(padded.starts, alone, strict=True))
    )


@torch.no_grad()
def unembeds(model: Any) -> bool | None:
    """Returns whether unembedding the final residuals gives the model's own logits; ``None`` if the logits are not finite."""
    batch = model.batch([model.row([*model.tokenizer.front, 5, 6, 7])])
    ours = model.backend.unembedding().logits(model.backend.final(batch)[0])
    theirs = model.backend.logits(batch)[0].float()
    tolerance = 1e-4 if model.dtype == torch.float32 else 2e-2
    return _close(ours, theirs, tolerance) if bool(theirs.isfinite().all()) else None


def check_unembedding(model: Any, agrees: bool | None) -> None:
    """Refuses to score with a model whose logits cannot be computed from its final residuals.

    Args:
        model: the model.
        agrees: the result of ``unembeds``.

    Raises:
        ModelError: the logits are not finite, or the architecture changes them in a way that steerlens does not know.
    """
    if agrees is None:
        raise ModelError(
            f"{model.name} gives NaN or infinite logits in {model.dtype}. Load it in bfloat16 or float32, or check its weights."
        )
    if not agrees:
        raise ModelError(
            f"{model.name} computes its logits in a way that steerlens cannot reproduce token by token, so scores would "
            "be wrong. Capture and steering work; scoring does not for this architecture."
        )


def check_gradients(model: Any) -> None:
    """Refuses a model whose passes cannot be differentiated.

    Raises:
        ModelError: the model's backend cannot compute derivatives, or the code for its quantized weights cannot compute them.
    """
    quantization = getattr(model.backend, "quantization", None)
    if quantization is not None and not model.backend.capabilities.gradients:
        raise ModelError(
            f"the weights of {model.name} are quantized by {quantization}. The code that multiplies by these weights gives no "
            "derivatives here, so the derivatives of the model would be wrong. Run the sweep without derivatives "
            "(mode='exact'), or load the original checkpoint, which is not quantized."
        )
    _check(model, "gradients", "gives no derivatives", "Run the sweep without derivatives (mode='exact'), or load")


def check_hooks(model: Any) -> None:
    """Refuses a model that cannot be steered.

    Raises:
        ModelError: the model's backend does not support hooks.
    """
    _check(model, "hooks", "takes no hooks, so it cannot be steered", "Load")


def check_generation(model: Any) -> None:
    """Refuses a model that cannot generate text.

    Raises:
        ModelError: the model's backend does not generate text.
    """
    _check(model, "generation", "does not generate", "Load")


def _check(model: Any, capability: str, lacks: str, way_out: str) -> None:
    if not getattr(model.backend.capabilities, capability):
        raise ModelError(
            f"{model.name} is run by a {type(model.backend).__name__}, which {lacks}: expected a backend with the capability "
            f"{capability}. {way_out} the model with steerlens.load."
        )


def _batch(model: Any) -> TokenBatch:
    return model.batch([model.row(prompt, choices) for prompt, choices in _ROWS], "aligned")


def _close(a: Tensor, b: Tensor, tolerance: float = _CLOSE) -> bool:
    return bool((a - b).norm() <= tolerance * b.norm())
