"""Computes baselines that a probe must exceed: the form of the text, its length, and its words without context."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import Prompt
from steerlens.errors import PromptError
from steerlens.models.lens import LensModel
from steerlens.probing.folds import Folds
from steerlens.probing.logistic import logistic_probe
from steerlens.probing.surface import surface_scores

SURFACE, LENGTH, EMBEDDINGS, FIRST = "surface form", "prompt length", "token embeddings", "layer-0 residual"
BASELINES = (SURFACE, LENGTH, EMBEDDINGS, FIRST)


@torch.no_grad()
def token_embeddings(model: LensModel, prompts: Sequence[Prompt]) -> ResidualStack:
    """Returns the mean of the embeddings of each prompt's own tokens. Embeddings describe words without context.

    The stack has the single layer -1, which is the input of block 0 without position embeddings. Give the stack to
    ``separability(embeddings=...)``.

    Args:
        model: the model whose embedding is read.
        prompts: the prompts. Tokens in front of the text, such as BOS, are left out of the mean.

    Raises:
        PromptError: there are no prompts, or a prompt is empty.
    """
    if not prompts:
        raise PromptError("no prompts were given: expected at least one prompt.")
    table, tokens = model.backend.embeddings, map(model.tokens, prompts)
    rows = [each.ids[each.n_front :] for each in tokens]
    means = [table(torch.tensor(row, device=model.device)).float().mean(dim=0) for row in rows]
    return ResidualStack(torch.stack(means)[None].cpu(), (-1,), tuple(prompts), "mean", model.fingerprint)


def baseline_scores(
    stack: ResidualStack, folds: Folds, embeddings: ResidualStack | None
) -> dict[str, Float[Tensor, "1 fold row"]]:
    """Returns the scores that each baseline gives every prompt of a stack, by the baseline's name.

    The baselines are character n-grams, the length, and the embeddings. Without embeddings, a baseline with another name uses the
    residual after block 0, if the stack contains this residual.

    Args:
        stack: residuals of the prompts.
        folds: the folds of the stack's prompts.
        embeddings: the result of ``token_embeddings`` for these prompts, or ``None``.
    """
    scores = {
        SURFACE: surface_scores([prompt.text for prompt in stack.prompts], folds),
        LENGTH: logistic_probe(_lengths(stack.prompts), folds),
    }
    if embeddings is not None:
        scores[EMBEDDINGS] = logistic_probe(embeddings.of(stack.prompts).residuals, folds)
    elif 0 in stack.layers:
        scores[FIRST] = logistic_probe(stack.at(0)[None], folds)
    return scores


def _lengths(prompts: Sequence[Prompt]) -> Float[Tensor, "1 row 1"]:
    """Returns the logarithm of each prompt's number of characters, minus the mean over the prompts of the same locale. The mean
    is subtracted because texts in different languages have different lengths."""
    lengths = torch.tensor([float(len(prompt.text)) for prompt in prompts]).log()
    for locale in {prompt.locale for prompt in prompts}:
        own = torch.tensor([prompt.locale == locale for prompt in prompts])
        lengths[own] -= lengths[own].mean()
    return lengths[None, :, None]
