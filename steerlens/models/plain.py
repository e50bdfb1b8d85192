"""Computes log probabilities and derivatives in the plain way: with full passes, with one row for each choice, and without cached
results.

The plain way works for every architecture. The plain way is used if a faster way does not work, and to check the results of
faster ways.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from einops import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor

from steerlens.models.batches import Row
from steerlens.models.gradients import whole_gradients
from steerlens.models.lens import LensModel
from steerlens.models.packing import PackedRow
from steerlens.models.plans import Plan
from steerlens.models.targets import Sums, TargetPositions

Choice = tuple[int, int]
"""The number of a row, and the number of one of its choices."""
Steered = Callable[[Int[Tensor, "row pos"]], Bool[Tensor, "row pos"]]
"""A function from the roles of tokens (``roles.py``) to a mask of the tokens that would be steered."""


def plain_sums(
    model: LensModel, rows: Sequence[Row], choices: Sequence[Choice], plan: Plan | None, batch_size: int | None
) -> dict[Choice, float]:
    """Returns the summed log probability of each of the choices, with a plan or unsteered.

    Args:
        model: the model.
        rows: prompts with their choices.
        choices: the choices that are scored.
        plan: the plan that steers the passes; ``None`` for no plan.
        batch_size: the number of rows at once, padded on the right. 1 means no padding; ``None`` chooses the number for the
            device.
    """
    alone = [_alone(rows[number], at) for number, at in choices]
    unembedding, found = model.backend.unembedding(), {}
    for indices in model.batches([len(row) for row in alone], batch_size):
        batch = model.batch([alone[i] for i in indices])
        with torch.no_grad(), model.backend.hooked(plan.hooks(model) if plan else []):
            sums = TargetPositions.of(batch).sums(unembedding, model.backend.final(batch))[0]
        found.update({choices[i]: values[0] for i, values in zip(indices, sums, strict=True)})
    return found


def plain_answers(
    model: LensModel, rows: Sequence[Row], part: Sequence[PackedRow], plan: Plan | None, batch_size: int | None
) -> Sums:
    """Returns the summed log probabilities of the choices of each row in a micro-batch."""
    choices = [(packed.number, packed.first + at) for packed in part for at in range(len(packed.row.choices))]
    found = plain_sums(model, rows, choices, plan, batch_size)
    return [[found[packed.number, packed.first + at] for at in range(len(packed.row.choices))] for packed in part]


def plain_gradients(
    model: LensModel,
    rows: Sequence[Row],
    weights: Sequence[Sequence[float]],
    layers: Sequence[int],
    steered: Steered,
    batch_size: int | None,
) -> Float[Tensor, "layer row d_model"]:
    """Returns a derivative for each layer and row. For each row, the weighted sum of the log probabilities of its choices is
    differentiated. The derivative for a layer is taken with respect to a vector that is added after this layer alone.

    Args:
        model: the model.
        rows: prompts with their choices.
        weights: the weights of each row's choices.
        layers: block indices, ascending.
        steered: the tokens to which the vector would be added.
        batch_size: see ``plain_sums``.
    """
    packed = [PackedRow(n, _alone(row, at), at) for n, row in enumerate(rows) for at in range(len(row.choices))]
    out = torch.zeros(len(layers), len(rows), model.d_model)
    unembedding = model.backend.unembedding()
    for indices in model.batches([len(each.row) for each in packed], batch_size):
        part = [packed[i] for i in indices]
        batch = model.batch([each.row for each in part])
        known: Callable[[Sums], Tensor] = partial(_constant, choice_weights(part, weights))
        final_gradient = partial(TargetPositions.of(batch).gradient, unembedding, 0, known)
        found = whole_gradients(model.backend, batch, layers, final_gradient)
        add_by_row(out, found, part, layers, steered(batch.roles).float())
    return out


def choice_weights(
    part: Sequence[PackedRow], weights: Sequence[Sequence[float]] | Mapping[int, Sequence[float]]
) -> Float[Tensor, " choice"]:
    """Returns the weights of the choices of a micro-batch, one row after another.

    Args:
        part: the micro-batch.
        weights: the weights of the choices of each requested row, by its number.
    """
    return torch.tensor([weights[packed.number][packed.first + at] for packed in part for at in range(len(packed.row.choices))])


def add_by_row(
    out: Float[Tensor, "layer row d_model"],
    found: dict[int, Tensor],
    part: Sequence[PackedRow],
    layers: Sequence[int],
    steered: Float[Tensor, "line pos"],
) -> None:
    """Sums the derivatives of each row of a micro-batch over the row's steered tokens. Each sum is added to the derivative of the
    requested row in ``out``."""
    numbers = torch.tensor([packed.number for packed in part])
    for at, layer in enumerate(layers):
        own = found[layer].float()
        out[at].index_add_(0, numbers, einsum(own, steered.to(own.device), "line pos d, line pos -> line d").cpu())


def _constant(value: Tensor, _: Sums) -> Tensor:
    return value


def _alone(row: Row, choice: int) -> Row:
    return Row(row.prompt, (row.choices[choice],), row.front)
