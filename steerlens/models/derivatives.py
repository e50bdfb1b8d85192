"""Computes, for each layer, the derivatives of the rows' log probabilities with respect to a vector that is added after this
layer."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.models.backends import CachedPass
from steerlens.models.capabilities import check_gradients
from steerlens.models.engine import Engine
from steerlens.models.gradients import residual_gradients
from steerlens.models.halving import in_halves
from steerlens.models.packing import MicroBatch, PackedRow
from steerlens.models.plain import Steered, add_by_row, choice_weights, plain_gradients
from steerlens.models.targets import LogProbabilities, Sums, TargetPositions
from steerlens.models.trust import by_trust, derivatives_agree

_WORDS_KEPT = 24
"""The number of values that a backward pass keeps per token and block, in multiples of ``d_model``. The values belong to norms,
projections and the MLP's inner layers."""
Weigh = Callable[[int, list[float]], list[float]]
"""A function that returns the weight of each choice of a row, given the row's number and the unsteered log probabilities of its
choices."""


@torch.inference_mode(False)
def row_gradients(
    engine: Engine,
    layers: Sequence[int],
    steered: Steered,
    weigh: Weigh,
    *,
    leaves_prompt: bool,
    report: Callable[[int], None] | None = None,
) -> Float[Tensor, "layer row d_model"]:
    """Returns a derivative for each layer and row. For each row, the weighted sum of the log probabilities of its choices is
    differentiated. The derivative for a layer is taken with respect to a vector that is added after this layer alone.

    Args:
        engine: the rows and the model.
        layers: block indices. The derivatives are in ascending order of the layers.
        steered: the tokens to which the vector would be added.
        weigh: a function that returns the weights of a row's choices. The weights may depend on the row's unsteered log
            probabilities.
        leaves_prompt: whether no token before the prompt's last token is steered.
        report: a function that is called with the number of rows that were finished since the last call.

    Raises:
        LayerError: the model does not have one of the layers.
        ModelError: the backend cannot compute derivatives.
    """
    model = engine.model
    check_gradients(model)
    engine.kept.refresh()
    layers = model.layers(layers)
    onward = leaves_prompt and model.reuses_keys

    def plain(numbers: Sequence[int], batch_size: int | None) -> Tensor:
        base = engine.base
        weights, rows = [weigh(n, base[n]) for n in numbers], [engine.rows[n] for n in numbers]
        return plain_gradients(model, rows, weights, layers, steered, batch_size)

    def same(found: Tensor) -> bool:
        at = max(range(len(engine)), key=lambda number: len(engine.rows[number]))
        return derivatives_agree(model, found[:, at : at + 1], plain([at], 1))

    left = len(engine)

    def done(rows: int) -> None:
        nonlocal left
        left -= rows
        if report is not None:
            report(rows)

    found = by_trust(
        model,
        ("gradients", engine.packed, bool(engine.prefix) and onward, onward),
        lambda: _from_cached(engine, layers, steered, weigh, done, onward=onward),
        lambda: plain(range(len(engine)), engine.batch_size),
        same,
        possible=model.backend.capabilities.cached_passes,
    )
    done(left)
    return found


def _from_cached(
    engine: Engine, layers: Sequence[int], steered: Steered, weigh: Weigh, done: Callable[[int], None], *, onward: bool
) -> Float[Tensor, "layer row d_model"]:
    """Returns the derivatives from passes that continue from cached passes."""
    out = torch.zeros(len(layers), len(engine), engine.model.d_model)
    before = engine.resumed.before if onward else {}
    base = _base_as_it_comes(engine)

    def run(part: Sequence[PackedRow]) -> None:
        batch = engine.batch(part, shared=onward)
        start, asked = batch.last if onward else 0, TargetPositions.of(batch)
        cached: CachedPass = engine.model.backend.cached_pass(batch, layers[:1], start, before)
        final_gradient = partial(asked.gradient, engine.unembedding, start, partial(_weights, part, base, weigh))
        found = residual_gradients(engine.model.backend, cached, layers, final_gradient)
        add_by_row(out, found, part, layers, steered(batch.roles[:, start:]).float())

    for part in _small_parts(engine, shared=onward):
        for some, _ in in_halves(engine.model, run, part):
            done(sum(not packed.first for packed in some))
    if isinstance(base, LogProbabilities):
        engine.kept.put("base", base.sums)
    return out


def _base_as_it_comes(engine: Engine) -> LogProbabilities | Sums:
    """Returns the unsteered log probabilities of all rows, or an empty collection to which each pass adds its log probabilities.
    The collection is returned if the log probabilities are not known yet and no row is split into several parts."""
    if "base" not in engine.kept and sum(map(len, engine.parts)) == len(engine):
        return LogProbabilities(engine.rows)
    return engine.base  # computed now, because the hooks of a running pass would change the result


def _small_parts(engine: Engine, *, shared: bool) -> Iterator[MicroBatch]:
    """Yields the micro-batches, cut into small parts. Each part is so small that the values which a backward pass keeps from all
    blocks fit into the memory."""
    model = engine.model
    token_bytes = _WORDS_KEPT * model.n_layers * model.d_model * model.dtype.itemsize
    for part in engine.parts:
        longest = max(packed.row.onward if shared else len(packed.row) for packed in part)
        rows = max(1, engine.memory // (token_bytes * longest))
        yield from (part[at : at + rows] for at in range(0, len(part), rows))


def _weights(part: Sequence[PackedRow], base: LogProbabilities | Sums, weigh: Weigh, choices: Sums) -> Float[Tensor, " choice"]:
    """Returns the weights of a micro-batch's choices, from the unsteered log probabilities. If ``base`` is a collection, the log
    probabilities in ``choices`` are first added to it."""
    if isinstance(base, LogProbabilities):
        base.add(part, choices)
    sums = base.sums if isinstance(base, LogProbabilities) else base
    return choice_weights(part, {packed.number: weigh(packed.number, sums[packed.number]) for packed in part})
