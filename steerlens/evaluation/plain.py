"""Scores and derivatives the plain way: whole passes, a row for each choice, nothing kept or cut.

Every architecture can do this. It serves where a faster way cannot, and it is what the faster ways are compared with.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from steerlens.evaluation.answers import Asked
from steerlens.evaluation.lines import Line
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.questions import Question
from steerlens.models.batches import Row
from steerlens.models.forward import hooked, run_blocks
from steerlens.models.gradients import whole_gradients
from steerlens.models.lens import LensModel
from steerlens.models.unembedding import Unembedding
from steerlens.steering import SteeredTokens, SteeringPlan
from steerlens.steering.tokens import steered_tokens

Choice = tuple[int, int]
"""A question's number, and the number of one of its choices."""


def plain_sums(
    model: LensModel, questions: Sequence[Question], choices: Sequence[Choice], plan: SteeringPlan | None, batch_size: int | None
) -> dict[Choice, float]:
    """The summed log probability of each of the choices, under a plan or unsteered.

    Args:
        batch_size: rows at once, padded on the right; 1 for no padding; chosen for the device for ``None``.
    """
    rows = [_row(questions[number], at) for number, at in choices]
    unembedding, found = Unembedding.of(model.tl), {}
    for indices in model.batches([len(row) for row in rows], batch_size):
        batch = model.batch([rows[i] for i in indices])
        with torch.no_grad(), hooked(model.tl, plan.hooks(model) if plan else []):
            sums = Asked.of(batch).sums(unembedding, run_blocks(model.tl, batch))[0]
        found.update({choices[i]: values[0] for i, values in zip(indices, sums, strict=True)})
    return found


def plain_answers(
    model: LensModel, questions: Sequence[Question], part: Sequence[Line], plan: SteeringPlan | None, batch_size: int | None
) -> list[list[float]]:
    """The summed log probabilities of the choices of each of a batch's rows."""
    choices = [(line.question, line.first + at) for line in part for at in range(len(line.row.choices))]
    found = plain_sums(model, questions, choices, plan, batch_size)
    return [[found[line.question, line.first + at] for at in range(len(line.row.choices))] for line in part]


def plain_gradients(
    model: LensModel,
    questions: Sequence[Question],
    base: Sequence[Outcome],
    layers: Sequence[int],
    tokens: SteeredTokens,
    batch_size: int | None,
) -> Float[Tensor, "layer item d_model"]:
    """Derivative of each item's margin with respect to a vector added after each layer at the steered tokens.

    Args:
        base: the questions' outcomes unsteered, which say what each choice counts in the margin.
    """
    lines = [Line(n, _row(question, at), at) for n, question in enumerate(questions) for at in range(len(question.row.choices))]
    out = torch.zeros(len(layers), len(questions), model.d_model)
    unembedding = Unembedding.of(model.tl)
    for indices in model.batches([len(line.row) for line in lines], batch_size):
        part = [lines[i] for i in indices]
        batch = model.batch([line.row for line in part])
        weigh: Callable[[list[list[float]]], Tensor] = partial(margin_weights, part, questions, base)
        found = whole_gradients(model.tl, batch, layers, partial(Asked.of(batch).gradient, unembedding, 0, weigh))
        add_by_item(out, found, part, layers, steered_tokens(batch.roles, tokens).float())
    return out


def margin_weights(
    part: Sequence[Line],
    questions: Sequence[Question],
    base: Sequence[Outcome] | Mapping[int, Outcome],
    choices: list[list[float]],
) -> Float[Tensor, " choice"]:
    """What each choice of each row counts in its item's margin: the answer's score less that of the runner-up.

    Args:
        base: outcomes unsteered, by the questions' numbers.
        choices: the summed log probabilities of the rows' choices, which the weights do not depend on.
    """
    weights: list[float] = []
    for line, values in zip(part, choices, strict=True):
        question, outcome = questions[line.question], base[line.question]
        of = {outcome.item.answer: 1.0, outcome.runner_up: -1.0}
        held = range(line.first, line.first + len(values))
        weights.extend(of.get(choice, 0.0) / question.divisors[choice] for choice in held)
    return torch.tensor(weights)


def add_by_item(
    out: Float[Tensor, "layer item d_model"],
    found: dict[int, Tensor],
    part: Sequence[Line],
    layers: Sequence[int],
    steered: Float[Tensor, "row pos"],
) -> None:
    """Adds the derivatives of a batch's rows, summed over their steered tokens, to their items'."""
    numbers = torch.tensor([line.question for line in part])
    for at, layer in enumerate(layers):
        out[at].index_add_(0, numbers, einsum(found[layer].float(), steered, "row pos d, row pos -> row d").cpu())


def _row(question: Question, choice: int) -> Row:
    return Row(question.row.prompt, (question.row.choices[choice],), question.row.front)
