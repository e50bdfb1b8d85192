"""Finds the role of each token in a forward pass, so that a hook knows which tokens to change."""

import torch
from jaxtyping import Int
from torch import Tensor

from steerlens.models.tokens import front_length

PAD, FRONT, PROMPT, LAST, GENERATED = range(5)
"""The five roles of a token: padding, in front of the prompt (such as BOS), in the prompt, the prompt's last token, and after the
prompt. Generated tokens and tokens of a scored choice are after the prompt."""


def roles_of(
    tokens: Int[Tensor, "batch pos"],
    front: tuple[int, ...],
    bos_id: int | None,
    pad_id: int | None,
    *,
    mask: Int[Tensor, "batch key"] | None = None,
    past: int = 0,
    prompt: int | None = None,
) -> Int[Tensor, "batch pos"]:
    """Returns the role of each token in a forward pass. The column of a token decides whether the token belongs to the prompt.

    Args:
        front: the tokens that the tokenizer puts before a text.
        bos_id: the id of the declared BOS token. A BOS token at the start of a prompt has the role ``FRONT``, even if another
            program put it there.
        pad_id: the padding token. Without a mask, a run of padding tokens at either end of a row counts as padding.
        mask: 1 for a token and 0 for padding, for the cached tokens and the tokens of this pass.
        past: the number of tokens in the key-value cache, before the tokens of this pass.
        prompt: the number of columns of the prompt, counted from the first cached token. With ``None``, all tokens of a pass
            without a cache count as the prompt, and all tokens of a pass with a cache count as generated.
    """
    length = tokens.shape[1]
    end = prompt if prompt is not None else past if past else length
    if mask is not None and past >= end:  # every token is generated or padding; this stays on the device
        return torch.where(mask[:, past : past + length].to(tokens.device) != 0, GENERATED, PAD)
    rows = []
    for line, ids in enumerate(tokens.tolist()):
        real = _real(ids, front, bos_id, pad_id) if mask is None else mask[line, past : past + length].bool().tolist()
        rows.append(_row(ids, real, front, bos_id, past, end))
    return torch.tensor(rows, device=tokens.device).view(tokens.shape)


def _row(ids: list[int], real: list[bool], front: tuple[int, ...], bos_id: int | None, past: int, end: int) -> list[int]:
    roles = [(PROMPT if past + at < end else GENERATED) if real[at] else PAD for at in range(len(ids))]
    inside = [at for at in range(len(ids)) if roles[at] == PROMPT]
    if inside and past + len(ids) >= end:  # the prompt ends in this pass
        roles[inside[-1]] = LAST
    if inside and not past:
        for at in inside[: front_length([ids[at] for at in inside], front, bos_id)]:
            roles[at] = FRONT
    return roles


def _real(ids: list[int], front: tuple[int, ...], bos_id: int | None, pad_id: int | None) -> list[bool]:
    """Returns which tokens are not padding, for a pass without a mask. If the padding token is also BOS, the last padding token
    before a text counts as BOS, and not as padding."""
    start, stop = 0, len(ids)
    while start < stop and ids[start] == pad_id:
        start += 1
    while stop > start and ids[stop - 1] == pad_id:
        stop -= 1
    if start and pad_id is not None and pad_id in ((*front[:1], bos_id) if front else (bos_id,)):
        start -= 1
    return [start <= at < stop for at in range(len(ids))]
