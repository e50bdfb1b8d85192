"""Runs several choices after one prompt in one row of a ``HookedTransformer``, with a mask and positions for each choice.

A block of a ``HookedTransformer`` accepts only a padding mask, and computes positions from this mask. The block's attention also
accepts an additive mask (TransformerLens 2.16 and 3.7), and hooks on its hook points correct the positions.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.models.batches import TokenBatch
from steerlens.models.hooks import Hook
from steerlens.models.roles import PAD

PLACED = ("standard", "rotary", "shortformer")
"""The kinds of position embeddings with which a token's position can differ from its column. ALiBi always counts columns."""


def padding_of(batch: TokenBatch, copies: int = 1) -> Int[Tensor, "row pos"]:
    """Returns the mask that a ``HookedTransformer`` gets: 1 for a token and 0 for padding.

    For packed rows, all columns count as tokens, so that positions equal columns. ``packed`` then corrects the positions.

    Args:
        batch: the rows.
        copies: how often the rows are repeated, one copy after another.
    """
    mask = torch.ones_like(batch.tokens) if batch.mask.ndim == 4 else (batch.roles != PAD).long()
    return mask.repeat(copies, 1)


@contextmanager
def packed(tl: Any, batch: TokenBatch, copies: int = 1) -> Iterator[None]:
    """Makes passes inside the ``with`` block use the mask and the positions of a batch of packed rows. For any other batch,
    nothing is changed.

    Args:
        tl: the ``HookedTransformer``, which is given ``padding_of(batch, copies)``.
        batch: the rows.
        copies: how often the rows are repeated, one copy after another.
    """
    if batch.mask.ndim != 4:
        yield
        return
    seen, positions = batch.mask.repeat(copies, 1, 1, 1), batch.positions.repeat(copies, 1)
    with ExitStack() as stack:
        for block in tl.blocks:
            handle = block.attn.register_forward_pre_hook(partial(_seeing, seen), with_kwargs=True)
            stack.callback(handle.remove)
        stack.enter_context(tl.hooks(fwd_hooks=_placing(tl, positions)))
        yield


def _seeing(
    mask: Float[Tensor, "row 1 pos key"], attention: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments of an attention call, with the mask that is added to the attention scores."""
    return args, {**kwargs, "additive_attention_mask": mask.to(attention.W_O.device)}


def _placing(tl: Any, positions: Int[Tensor, "row pos"]) -> list[Hook]:
    """Returns hooks that give tokens their positions instead of their columns."""
    if tl.cfg.positional_embedding_type != "rotary":
        return [("hook_pos_embed", partial(_embedded, tl.pos_embed.W_pos, positions))]
    back = torch.arange(positions.shape[1], device=positions.device) - positions
    points = ((layer, point) for layer in range(tl.cfg.n_layers) for point in ("hook_rot_q", "hook_rot_k"))
    return [(f"blocks.{layer}.attn.{point}", partial(_turned, tl.blocks[layer].attn, back)) for layer, point in points]


def _embedded(
    table: Float[Tensor, "_ d_model"], positions: Int[Tensor, "row pos"], embedding: Tensor, hook: Any
) -> Float[Tensor, "row pos d_model"]:
    """Returns the position embeddings of the given positions."""
    return table[positions]


def _turned(
    attention: Any, back: Int[Tensor, "row pos"], rotated: Float[Tensor, "row pos head d_head"], hook: Any
) -> Float[Tensor, "row pos head d_head"]:
    """Returns queries or keys that were rotated by their columns, rotated back by the number of positions in ``back``. Two
    rotations equal one rotation by their sum."""
    width, back = attention.cfg.rotary_dim, back.to(attention.rotary_cos.device)
    turning, rest = rotated[..., :width], rotated[..., width:]
    cosine, sine = attention.rotary_cos[back][:, :, None], attention.rotary_sin[back][:, :, None]
    return torch.cat([turning * cosine - attention.rotate_every_two(turning) * sine, rest], dim=-1)
